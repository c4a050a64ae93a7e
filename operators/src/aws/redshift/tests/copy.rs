//! `s3_to_redshift` against the lab.

use serde_json::{Value, json};

use super::lab::{LAB, SOURCE, WORKGROUP, built, run, with};

/// A table with one row, and a file with two of which one has the same key.
async fn prepared(name: &str) -> Value {
    LAB.sql(&format!("CREATE TABLE {name} (id integer PRIMARY KEY, t varchar(20))")).await;
    LAB.sql(&format!("INSERT INTO {name} VALUES (1, 'old'), (9, 'kept')")).await;
    LAB.put(SOURCE, &format!("copy/{name}/rows.csv"), "id,t\n1,new\n2,two\n").await;
    json!({
        "s3_bucket": SOURCE, "s3_key": format!("copy/{name}/"), "schema": "public", "table": name, "iam_role": "default",
        "copy_options": ["CSV", "IGNOREHEADER 1"],
    })
}

async fn rows(name: &str) -> Value {
    LAB.sql(&format!("SELECT id, t FROM {name} ORDER BY id, t")).await
}

async fn load(parameters: Value) -> Result<Value, String> {
    run(LAB.task(), "s3_to_redshift", parameters).await.0.map_err(|error| error.to_string())
}

#[tokio::test]
async fn append_adds_the_rows() {
    let parameters = prepared("appended").await;
    LAB.sql("DELETE FROM appended WHERE id = 1").await;
    assert_eq!(load(parameters).await.unwrap(), json!({"rows": 2}));
    assert_eq!(rows("appended").await, json!([[1, "new"], [2, "two"], [9, "kept"]]));
}

#[tokio::test]
async fn replace_leaves_only_the_new_rows_or_all_of_the_old() {
    let parameters = with(prepared("replaced").await, json!({"method": "REPLACE"}));
    let missing = with(parameters.clone(), json!({"s3_key": "copy/nothing/here"}));
    let text = load(missing).await.unwrap_err();
    assert!(text.contains("The specified S3 prefix 'copy/nothing/here' does not exist"), "{text}");
    assert_eq!(rows("replaced").await, json!([[1, "old"], [9, "kept"]]));
    load(parameters).await.unwrap();
    assert_eq!(rows("replaced").await, json!([[1, "new"], [2, "two"]]));
}

#[tokio::test]
async fn upsert_replaces_rows_with_the_same_primary_key() {
    let parameters = with(prepared("upserted").await, json!({"method": "UPSERT"}));
    assert_eq!(load(parameters).await.unwrap(), json!({"rows": 2}));
    assert_eq!(rows("upserted").await, json!([[1, "new"], [2, "two"], [9, "kept"]]));
}

#[tokio::test]
async fn an_upsert_without_key_fails_in_airflows_words() {
    let parameters = with(prepared("keyless").await, json!({"method": "UPSERT"}));
    LAB.sql("ALTER TABLE keyless DROP CONSTRAINT keyless_pkey").await;
    assert_eq!(
        load(parameters.clone()).await.unwrap_err(),
        "No primary key on public.keyless. Please provide keys on 'upsert_keys'"
    );
    load(with(parameters, json!({"upsert_keys": ["id"]}))).await.unwrap();
    assert_eq!(rows("keyless").await, json!([[1, "new"], [2, "two"], [9, "kept"]]));
}

#[tokio::test]
async fn the_data_api_carries_an_upsert_as_one_batch() {
    let kwargs = json!({"workgroup_name": WORKGROUP, "database": "dev", "secret_arn": LAB.secret_arn()});
    let more = json!({
        "method": "UPSERT", "upsert_keys": ["id"], "redshift_data_api_kwargs": kwargs, "data_api_aws_conn_id": "aws_default",
    });
    let parameters = with(prepared("batched").await, more);
    assert_eq!(load(parameters.clone()).await.unwrap(), json!({"rows": 2}));
    assert_eq!(rows("batched").await, json!([[1, "new"], [2, "two"], [9, "kept"]]));
    let refused = built("s3_to_redshift", with(parameters, json!({"upsert_keys": []}))).err().unwrap();
    assert!(refused.contains("give upsert_keys"), "{refused}");
}

#[tokio::test]
async fn a_role_of_another_account_reads_for_redshift() {
    let role = LAB.role("etl-demo-s3-access");
    let parameters = with(prepared("crossed").await, json!({"iam_role": role, "method": "REPLACE"}));
    assert_eq!(load(parameters).await.unwrap(), json!({"rows": 2}));
}

#[test]
fn another_method_is_refused_in_airflows_words() {
    let parameters = json!({"s3_bucket": "b", "s3_key": "k", "table": "t", "method": "MERGE"});
    assert!(built("s3_to_redshift", parameters).err().unwrap().starts_with("Method not found! Available methods:"));
}

/// A table and two files for it, the second with a bad third line.
async fn with_a_bad_row(name: &str) -> Value {
    LAB.sql(&format!("CREATE TABLE {name} (id integer, price numeric(8,2))")).await;
    LAB.put(SOURCE, &format!("bad/{name}/1.csv"), "id,price\n1,2.50\n").await;
    LAB.put(SOURCE, &format!("bad/{name}/2.csv"), "id,price\n2,3.50\n3,cheap\n").await;
    json!({
        "s3_bucket": SOURCE, "s3_key": format!("bad/{name}/"), "table": name, "iam_role": "default", "method": "REPLACE",
        "copy_options": ["CSV", "IGNOREHEADER 1"],
    })
}

fn names_the_row(text: &str, name: &str) {
    let row = format!("Line 3 of s3://{SOURCE}/bad/{name}/2.csv, column price (numeric(8,2)), value 'cheap'");
    for part in [&row, "Invalid digit, Value 'c', Pos 0, Type: Decimal", "MAXERROR"] {
        assert!(text.contains(part), "'{part}' is missing in: {text}");
    }
}

#[tokio::test]
async fn a_bad_row_is_named_with_its_line_column_value_and_reason() {
    let parameters = with_a_bad_row("bad_on_wire").await;
    LAB.sql("INSERT INTO bad_on_wire VALUES (9, 9)").await;
    for method in ["REPLACE", "APPEND"] {
        let text = load(with(parameters.clone(), json!({"method": method, "autocommit": true}))).await.unwrap_err();
        names_the_row(&text, "bad_on_wire");
    }
    assert_eq!(LAB.sql("SELECT id FROM bad_on_wire").await, json!([[9]]), "what was there stays");
}

#[tokio::test]
async fn the_data_api_names_the_bad_row_too() {
    let kwargs = json!({"workgroup_name": WORKGROUP, "database": "dev", "secret_arn": LAB.secret_arn()});
    let more = json!({"redshift_data_api_kwargs": kwargs, "data_api_aws_conn_id": "aws_default"});
    let parameters = with(with_a_bad_row("bad_by_api").await, more);
    for method in ["REPLACE", "APPEND"] {
        names_the_row(&load(with(parameters.clone(), json!({"method": method}))).await.unwrap_err(), "bad_by_api");
    }
}
