//! Calls of AWS's JSON services in the user's own words. A DAG file gives whole requests (`config`, `create_job_kwargs`),
//! and answers are compared with them key by key: both stay JSON here, instead of passing through the SDK's types, so
//! whatever the service understands can be said.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use serde_json::{Map, Value};

/// For `customize().mutate_request(…)`: replaces the request's body before it is signed.
pub(super) fn with_body(body: &Map<String, Value>) -> impl Fn(&mut HttpRequest) + Send + Sync + 'static + use<> {
    let text = Value::Object(body.clone()).to_string();
    move |request| {
        request.headers_mut().insert("content-length", text.len().to_string());
        *request.body_mut() = SdkBody::from(text.as_str());
    }
}

/// For `customize().interceptor(…)`: keeps the answer as JSON.
#[derive(Debug, Clone, Default)]
pub(super) struct AnswerBody(Arc<Mutex<Value>>);

impl AnswerBody {
    /// The answer; null if there was none.
    pub(super) fn take(&self) -> Value {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[dyn_dispatch_hint]
impl Intercept for AnswerBody {
    fn name(&self) -> &'static str {
        "AnswerBody"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = serde_json::from_slice(body).unwrap_or_default();
        Ok(())
    }
}

/// botocore's check of a request's parameters: services pass over what they do not know, and so a slip of the pen would
/// go unnoticed.
///
/// # Errors
/// A sentence in botocore's words.
pub(super) fn check_keys(request: &Map<String, Value>, known: &[&str], required: &[&str]) -> Result<(), String> {
    if let Some(missing) = required.iter().find(|key| request.get(**key).is_none_or(Value::is_null)) {
        return Err(format!("Parameter validation failed: Missing required parameter in input: \"{missing}\"."));
    }
    if let Some(unknown) = request.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!(
            "Parameter validation failed: Unknown parameter in input: \"{unknown}\", must be one of: {}.",
            known.join(", ")
        ));
    }
    Ok(())
}

/// The keys of `wanted` whose value is another one in `current`.
pub(super) fn differences(wanted: &Map<String, Value>, current: &Value) -> Map<String, Value> {
    wanted.iter().filter(|(key, value)| current[key.as_str()] != **value).map(|(k, v)| (k.clone(), v.clone())).collect()
}
