//! The job that a `glue_job` task runs: its script in S3, and its creation or update.

use aws_sdk_s3::primitives::ByteStream;
use serde_json::{Map, Value, json};

use super::glue_job::{GlueJobParameters, JobTask};
use super::glue_tags::sync_tags;
use super::json_call::{AnswerBody, check_keys, differences, with_body};
use crate::error::TaskError;

const KNOWN_KEYS: [&str; 25] = [
    "Name",
    "JobMode",
    "JobRunQueuingEnabled",
    "Description",
    "LogUri",
    "Role",
    "ExecutionProperty",
    "Command",
    "DefaultArguments",
    "NonOverridableArguments",
    "Connections",
    "MaxRetries",
    "AllocatedCapacity",
    "Timeout",
    "MaxCapacity",
    "SecurityConfiguration",
    "Tags",
    "NotificationProperty",
    "GlueVersion",
    "NumberOfWorkers",
    "WorkerType",
    "CodeGenConfigurationNodes",
    "ExecutionClass",
    "SourceControlDetails",
    "MaintenanceWindow",
];

/// Checks what can be known before anything is called.
///
/// # Errors
/// A sentence in Airflow's words.
pub(super) fn check(p: &GlueJobParameters) -> Result<(), String> {
    check_keys(&p.create_job_kwargs, &KNOWN_KEYS, &[]).map_err(|e| format!("create_job_kwargs: {e}"))?;
    if p.iam_role_arn.is_some() && p.iam_role_name.is_some() {
        return Err("Cannot set iam_role_arn and iam_role_name simultaneously".to_owned());
    }
    match (p.create_job_kwargs.contains_key("WorkerType"), p.create_job_kwargs.contains_key("NumberOfWorkers")) {
        (true, true) if p.num_of_dpus.is_some() => Err("Cannot specify num_of_dpus with custom WorkerType".to_owned()),
        (false, true) => Err("Need to specify custom WorkerType when specifying NumberOfWorkers".to_owned()),
        (true, false) => Err("Need to specify NumberOfWorkers when specifying custom WorkerType".to_owned()),
        _ => Ok(()),
    }
}

impl JobTask<'_> {
    /// Uploads the script if it is a file, then creates the job if it is not there, or updates it if that is asked for.
    pub(super) async fn ensure_job(&self) -> Result<(), TaskError> {
        let script = self.script().await?;
        if self.p.update_config {
            let config = self.config(script.as_deref()).await?;
            return match self.job().await? {
                None => self.create(&config).await,
                Some(_) => self.update(config).await,
            };
        }
        if self.job().await?.is_none() {
            let config = self.config(script.as_deref()).await?;
            self.create(&config).await?;
        }
        Ok(())
    }

    async fn script(&self) -> Result<Option<String>, TaskError> {
        let Some(location) = self.p.script_location.as_deref().filter(|l| !l.is_empty()) else { return Ok(None) };
        if location.starts_with("s3://") {
            return Ok(Some(location.to_owned()));
        }
        let Some(bucket) = self.p.s3_bucket.clone().or_else(|| self.session.default_bucket()) else {
            return Err(TaskError::failed(format!(
                "s3_bucket is missing: the script '{location}' must be uploaded to one."
            )));
        };
        let path = self.ctx.info.file(location).map_err(TaskError::failed)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let key = format!("artifacts/glue-scripts/{name}");
        let text = tokio::fs::read(&path)
            .await
            .map_err(|e| TaskError::failed(format!("The script '{}' cannot be read: {e}.", path.display())))?;
        self.upload(&bucket, &key, text).await?;
        Ok(Some(format!("s3://{bucket}/{key}")))
    }

    async fn upload(&self, bucket: &str, key: &str, body: Vec<u8>) -> Result<(), TaskError> {
        let s3 = self.session.s3();
        if !self.p.replace_script_file {
            match s3.head_object().bucket(bucket).key(key).send().await {
                Ok(_) => {
                    return Err(TaskError::failed(format!(
                        "The key {key} already exists. Set replace_script_file = true to replace it."
                    )));
                }
                Err(error) => {
                    let error = self.session.error("s3", "HeadObject", &error);
                    if error.status != Some(404) {
                        return Err(error.into());
                    }
                }
            }
        }
        let call = s3.put_object().bucket(bucket).key(key).body(ByteStream::from(body));
        call.send().await.map_err(|e| self.session.error("s3", "PutObject", &e))?;
        Ok(())
    }

    /// The job as described; `None` if there is none of this name.
    async fn job(&self) -> Result<Option<Value>, TaskError> {
        self.ctx.info(format!("Checking if job already exists: {}", self.p.job_name));
        self.described().await
    }

    async fn described(&self) -> Result<Option<Value>, TaskError> {
        let body = AnswerBody::default();
        let call = self.glue.get_job().job_name(&self.p.job_name).customize().interceptor(body.clone());
        match call.send().await {
            Ok(_) => Ok(Some(body.take()["Job"].take())),
            Err(error) => {
                let error = self.session.error("glue", "GetJob", &error);
                if error.is("EntityNotFoundException") { Ok(None) } else { Err(error.into()) }
            }
        }
    }

    async fn config(&self, script: Option<&str>) -> Result<Map<String, Value>, TaskError> {
        let p = self.p;
        let role = self.role().await?;
        let mut command = json!({"Name": "glueetl"});
        if let Some(script) = script {
            command["ScriptLocation"] = json!(script);
        }
        let mut config = Map::new();
        let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
        set("Name", json!(p.job_name));
        set("Description", json!(p.job_desc));
        set("Role", json!(role));
        set("ExecutionProperty", json!({"MaxConcurrentRuns": p.concurrent_run_limit}));
        set("Command", command);
        set("MaxRetries", json!(p.retry_limit));
        for (key, value) in &p.create_job_kwargs {
            set(key, value.clone());
        }
        if !p.create_job_kwargs.contains_key("WorkerType") {
            set("MaxCapacity", json!(p.num_of_dpus.unwrap_or(10.0)));
        }
        if let Some(bucket) = &p.s3_bucket {
            set("LogUri", json!(format!("s3://{bucket}/logs/glue-logs/{}", p.job_name)));
        }
        Ok(config)
    }

    async fn role(&self) -> Result<String, TaskError> {
        if let Some(arn) = self.p.iam_role_arn.as_ref().filter(|arn| !arn.is_empty()) {
            return Ok(arn.clone());
        }
        let Some(name) = self.p.iam_role_name.as_ref().filter(|name| !name.is_empty()) else {
            return Err(TaskError::failed(format!(
                "The Glue job '{}' must be created or updated, and for that a role is needed: iam_role_name or \
                 iam_role_arn.",
                self.p.job_name
            )));
        };
        match self.session.iam().get_role().role_name(name).send().await {
            Ok(answer) => {
                self.ctx.info(format!("Iam Role Name: {name}"));
                Ok(answer.role().map(|role| role.arn().to_owned()).unwrap_or_default())
            }
            Err(error) => {
                let error = self.session.error("iam", "GetRole", &error);
                self.ctx.error(format!("Failed to create aws glue job, error: {error}"));
                Err(error.into())
            }
        }
    }

    async fn create(&self, config: &Map<String, Value>) -> Result<(), TaskError> {
        self.ctx.info(format!("Creating job: {}", self.p.job_name));
        let call = self.glue.create_job().name(&self.p.job_name).customize().mutate_request(with_body(config));
        call.send().await.map_err(|e| self.session.error("glue", "CreateJob", &e))?;
        Ok(())
    }

    async fn update(&self, mut config: Map<String, Value>) -> Result<(), TaskError> {
        let name = &self.p.job_name;
        config.shift_remove("Name");
        if let Some(Value::Object(tags)) = config.shift_remove("Tags") {
            sync_tags(self.ctx, self.session, self.glue, &format!("job/{name}"), &tags).await?;
        }
        let changed = differences(&config, &self.described().await?.unwrap_or_default());
        if changed.is_empty() {
            return Ok(());
        }
        self.ctx.info(format!("Updating job: {name}"));
        let mut request = Map::new();
        request.insert("JobName".to_owned(), json!(name));
        request.insert("JobUpdate".to_owned(), Value::Object(config));
        let call = self.glue.update_job().job_name(name).customize().mutate_request(with_body(&request));
        call.send().await.map_err(|e| self.session.error("glue", "UpdateJob", &e))?;
        self.ctx.info(format!("Updated configurations: {}", Value::Object(changed)));
        Ok(())
    }
}
