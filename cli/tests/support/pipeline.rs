//! The example pipeline from an empty bucket to its end, and whether its data arrived.

use windrose_core::time::Timestamp;
use windrose_testkit::lab::Lab;
use windrose_testkit::process::{Standalone, Workspace, wait_until};

/// How many products are uploaded.
pub(crate) const ROWS: usize = 500;

/// Its tasks, in the order in which they run.
pub(crate) const FIRST_TO_LAST: [&str; 8] = [
    "sensor_key",
    "crawl_s3",
    "wait_for_crawl",
    "submit_glue_job",
    "wait_for_job",
    "execute_redshift_stored_proc",
    "delete_from_table",
    "transfer_redshift_to_s3",
];

/// Writes a CSV file into the source bucket, as its owner would.
pub(crate) fn upload_products(lab: &Lab, prefix: &str) {
    let role = lab.text("/roles/etl-demo-s3-access");
    let sql = format!(
        "UNLOAD ('SELECT i AS product_id, ''Tool, \"'' || i || ''\"'' AS name, ''TOOLS'' AS category, i * 1.25 AS price, \
            i % 9 AS quantity, ''2026-01-02T03:04:05'' AS updated_at FROM generate_series(1, {ROWS}) i') \
         TO 's3://sample-inp-bucket-etl-demo/{prefix}' IAM_ROLE '{role}' CSV HEADER PARALLEL OFF EXTENSION 'csv'"
    );
    let _ = lab.sql(&sql);
}

/// Runs the pipeline to its end: the file comes once the sensor has looked for it in vain.
pub(crate) fn run_pipeline(lab: &Lab, workspace: &Workspace) -> Standalone {
    workspace.write_dag("data_pipeline.toml", include_str!("../../../dags/data_pipeline.toml"));
    let server = workspace.standalone();
    reaches(workspace, "sensor_key", "up_for_reschedule");
    let run = workspace.json(&["runs", "show", "data_pipeline"]);
    let logical_date: Timestamp = serde_json::from_value(run["run"]["logical_date"].clone()).expect("a logical date");
    let day = logical_date.to_utc().format("year=%Y/month=%m/day=%d");
    upload_products(lab, &format!("products/{day}/products_"));
    for task in FIRST_TO_LAST {
        reaches(workspace, task, "success");
    }
    wait_until("the run to be green", || {
        let run = workspace.json(&["runs", "show", "data_pipeline"]);
        if run["run"]["state"] == "success" { Ok(()) } else { Err(run.to_string()) }
    });
    server
}

fn reaches(workspace: &Workspace, task: &str, state: &str) {
    wait_until(&format!("{task} to be {state}"), || {
        let run = workspace.run(&["--json", "runs", "show", "data_pipeline"]);
        // There may be no run yet.
        let shown: serde_json::Value = serde_json::from_slice(&run.stdout).map_err(|error| error.to_string())?;
        let tasks = shown["tasks"].as_array().cloned().unwrap_or_default();
        let found = tasks.iter().any(|row| row["task_id"] == task && row["state"] == state);
        if found { Ok(()) } else { Err(format!("{shown}\n{}", workspace.log())) }
    });
}

/// How many rows both the curated table and the unloaded objects hold, and nobody else.
pub(crate) fn curated_rows_are_unloaded(lab: &Lab) -> usize {
    let role = lab.text("/roles/etl-demo-s3-access");
    let copy = format!(
        "CREATE TABLE unloaded (LIKE products_f); \
         COPY unloaded FROM 's3://sample-opt-bucket-etl-demo/products_f/' IAM_ROLE '{role}' CSV IGNOREHEADER 1; \
         SELECT count(*) FROM unloaded"
    );
    let unloaded = lab.sql(&copy);
    let apart = "SELECT count(*) FROM \
        ((SELECT * FROM unloaded EXCEPT SELECT * FROM products_f) UNION ALL \
         (SELECT * FROM products_f EXCEPT SELECT * FROM unloaded)) AS apart";
    assert_eq!(lab.sql(apart), [[Some("0".to_owned())]], "table and objects differ");
    assert_eq!(lab.sql("SELECT count(*) FROM products"), [[Some("0".to_owned())]], "the raw table is not empty");
    let curated = lab.sql(
        "SELECT count(*) FROM products_f JOIN generate_series(1, 500) i ON product_id = i WHERE name = 'Tool, \"' || i || '\"' \
         AND category = 'tools' AND price = i * 1.25 AND quantity = i % 9 AND stock_value = i * 1.25 * (i % 9)",
    );
    assert_eq!(curated, unloaded, "the curated rows are not those of the file");
    unloaded[0][0].as_deref().and_then(|count| count.parse().ok()).unwrap_or_default()
}
