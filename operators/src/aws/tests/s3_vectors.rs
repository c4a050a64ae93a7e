//! Airflow's own answers for keys, wildcards and URLs.

use serde_json::Value;

use super::endpoint::{Endpoint, operator};
use super::vector_file::rows;
use crate::aws::parameters::AwsParameters;
use crate::aws::s3_address::parse_s3_url;
use crate::aws::session::session_for;
use crate::operator::Runnable;
use crate::sensor::Poke;

fn judge(row: &Value, found: &Result<Value, String>) -> Result<(), String> {
    let id = row["id"].as_str().unwrap();
    match (found, row.get("error")) {
        (Err(_), Some(_)) => Ok(()),
        (Ok(value), None) if *value == row["expect"] => Ok(()),
        _ => Err(format!("{id}: {found:?}, expected {} {}", row["expect"], row["error"])),
    }
}

async fn poke(endpoint: &Endpoint, row: &Value) -> Result<Value, String> {
    let (ctx, _) = endpoint.context("wait");
    let Runnable::Sensor(sensor) = operator("s3_key_sensor", row["params"].clone()) else { panic!("a sensor") };
    sensor.poke(&ctx).await.map(|poke| Value::Bool(poke == Poke::Done(None))).map_err(|e| e.to_string())
}

async fn fill(endpoint: &Endpoint, buckets: &Value) {
    windrose_testkit::http_client().post(format!("{}/moto-api/reset", endpoint.url)).send().await.unwrap();
    let (ctx, _) = endpoint.context("fill");
    let parameters = AwsParameters { aws_conn_id: Some("aws_default".to_owned()), ..AwsParameters::default() };
    let s3 = session_for(&ctx, &parameters).await.unwrap().s3();
    for (bucket, keys) in buckets.as_object().unwrap() {
        s3.create_bucket().bucket(bucket).send().await.unwrap();
        for key in keys.as_array().unwrap() {
            s3.put_object().bucket(bucket).key(key.as_str().unwrap()).send().await.unwrap();
        }
    }
}

#[tokio::test]
async fn keys_wildcards_and_urls_mean_what_they_mean_in_airflow() {
    let endpoint = Endpoint::moto().await;
    let rows = rows("s3_wildcards.jsonl");
    let mut wrong = Vec::new();
    let mut filled = &Value::Null;
    for row in &rows {
        let found = match row["kind"].as_str().unwrap() {
            "poke" => {
                if *filled != row["buckets"] {
                    filled = &row["buckets"];
                    fill(&endpoint, filled).await;
                }
                poke(&endpoint, row).await
            }
            "parse_s3_url" => parse_s3_url(row["url"].as_str().unwrap())
                .map(|address| serde_json::json!({"bucket": address.bucket, "key": address.key})),
            other => panic!("{other} is not a kind of row"),
        };
        wrong.extend(judge(row, &found).err());
    }
    println!("s3_wildcards: {}/{}", rows.len() - wrong.len(), rows.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
