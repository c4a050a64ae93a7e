//! All operators, in alphabetical order. Adding one is a file and a line here.

use std::sync::LazyLock;

use crate::operator::OperatorEntry;

/// Every operator.
pub static REGISTRY: LazyLock<Vec<OperatorEntry>> =
    LazyLock::new(|| vec![OperatorEntry::of::<crate::aws::s3_key_sensor::S3KeySensorParameters>()]);

/// The operator with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static OperatorEntry> {
    REGISTRY.iter().find(|entry| entry.name == name)
}
