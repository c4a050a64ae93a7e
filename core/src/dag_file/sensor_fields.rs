//! The fields that only sensors have.

use std::time::Duration;

use super::reader::Fields;
use super::reporter::{Finding, Reporter};
use crate::dag::{SensorMode, SensorSettings};

const MODES: [(&str, SensorMode); 3] =
    [("poke", SensorMode::Poke), ("reschedule", SensorMode::Reschedule), ("deferred", SensorMode::Deferred)];

/// `own_interval` is the operator's, if it has one of its own; whatever the file says goes before it.
pub(super) fn read_sensor_fields(
    fields: &Fields<'_>,
    own_interval: Option<Duration>,
    reporter: &mut Reporter<'_>,
) -> SensorSettings {
    let standard = SensorSettings::default();
    let settings = SensorSettings {
        mode: fields.choice("mode", &MODES, reporter).unwrap_or_default(),
        poke_interval: fields.duration("poke_interval", reporter).or(own_interval).unwrap_or(standard.poke_interval),
        timeout: fields.duration("timeout", reporter).unwrap_or(standard.timeout),
        timeout_given: fields.get("timeout").is_some(),
        soft_fail: fields.flag("soft_fail", reporter).unwrap_or(false),
        exponential_backoff: fields.flag("exponential_backoff", reporter).unwrap_or(false),
        max_wait: fields.duration("max_wait", reporter),
        silent_fail: fields.flag("silent_fail", reporter).unwrap_or(false),
        never_fail: fields.flag("never_fail", reporter).unwrap_or(false),
    };
    if settings.soft_fail && settings.never_fail {
        reporter.add(Finding::error(fields.span("never_fail"), "'soft_fail' and 'never_fail' exclude one another"));
    }
    settings
}
