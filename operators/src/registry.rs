//! All operators, in alphabetical order. Adding one is a file and a line here.

use std::sync::LazyLock;

use crate::aws::redshift::{
    data::RedshiftDataParameters, from_s3::S3ToRedshiftParameters, to_s3::RedshiftToS3Parameters,
};
use crate::aws::{
    glue_crawler::GlueCrawlerParameters, glue_crawler_sensor::GlueCrawlerSensorParameters, glue_job::GlueJobParameters,
    glue_job_sensor::GlueJobSensorParameters, s3_key_sensor::S3KeySensorParameters,
};
use crate::dags::{external_task_sensor::ExternalTaskSensorParameters, trigger_dag_run::TriggerDagRunParameters};
use crate::human::{
    approval::ApprovalParameters, hitl::HitlParameters, hitl_branch::HitlBranchParameters,
    hitl_entry::HitlEntryParameters,
};
use crate::local::{bash::Bash, branch::Branch, empty::Empty, latest_only::LatestOnly, short_circuit::ShortCircuit};
use crate::operator::OperatorEntry;
use crate::python::Python;
use crate::sql::execute_query::SqlExecuteQuery;

/// Every operator.
pub static REGISTRY: LazyLock<Vec<OperatorEntry>> = LazyLock::new(|| {
    vec![
        OperatorEntry::of::<ApprovalParameters>(),
        OperatorEntry::of::<Bash>(),
        OperatorEntry::of::<Branch>(),
        OperatorEntry::of::<Empty>(),
        OperatorEntry::of::<ExternalTaskSensorParameters>(),
        OperatorEntry::of::<GlueCrawlerParameters>(),
        OperatorEntry::of::<GlueCrawlerSensorParameters>(),
        OperatorEntry::of::<GlueJobParameters>(),
        OperatorEntry::of::<GlueJobSensorParameters>(),
        OperatorEntry::of::<HitlParameters>(),
        OperatorEntry::of::<HitlBranchParameters>(),
        OperatorEntry::of::<HitlEntryParameters>(),
        OperatorEntry::of::<LatestOnly>(),
        OperatorEntry::of::<Python>(),
        OperatorEntry::of::<RedshiftDataParameters>(),
        OperatorEntry::of::<RedshiftToS3Parameters>(),
        OperatorEntry::of::<S3KeySensorParameters>(),
        OperatorEntry::of::<S3ToRedshiftParameters>(),
        OperatorEntry::of::<ShortCircuit>(),
        OperatorEntry::of::<SqlExecuteQuery>(),
        OperatorEntry::of::<TriggerDagRunParameters>(),
    ]
});

/// The operator with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static OperatorEntry> {
    REGISTRY.iter().find(|entry| entry.name == name)
}
