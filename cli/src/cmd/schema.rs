//! `windrose dags schema`

use anyhow::Result;
use windrose_core::dag_file::schema::schema;
use windrose_operators::catalog::OperatorCatalog;

use crate::output;

/// The JSON Schema of DAG files, for editors.
pub(crate) fn run() -> Result<()> {
    output::object(&schema(&OperatorCatalog))
}
