//! botocore's `Config` in the words of this SDK: retries, timeouts, proxies, S3 addressing.

use std::time::Duration;

use aws_smithy_types::retry::{RetryConfig, RetryMode};
use aws_smithy_types::timeout::TimeoutConfig;
use serde_json::{Map, Value};

/// botocore's default for both timeouts.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How clients behave.
#[derive(Debug, Clone, Default)]
pub struct ClientSettings {
    /// Used if neither task nor connection names a region.
    pub region_name: Option<String>,
    /// Proxy for `http:` and for `https:` endpoints.
    pub proxies: Option<(Option<String>, Option<String>)>,
    /// Whether S3's bucket stands in the path; `None` lets the endpoint decide.
    pub s3_path_style: Option<bool>,
    connect_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
    retry_mode: Option<RetryMode>,
    /// The first attempt included.
    max_attempts: Option<u32>,
}

impl ClientSettings {
    /// Reads `config_kwargs` of a connection or `botocore_config` of a task.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn read(config: &Map<String, Value>) -> Result<Self, String> {
        let mut settings = Self::default();
        for (key, value) in config {
            match key.as_str() {
                "region_name" => settings.region_name = value.as_str().map(str::to_owned),
                "connect_timeout" => settings.connect_timeout = seconds(key, value)?,
                "read_timeout" => settings.read_timeout = seconds(key, value)?,
                "retries" => settings.read_retries(value)?,
                "proxies" => settings.proxies = Some(proxies(value)?),
                "s3" => settings.s3_path_style = s3_path_style(value)?,
                // All clients share one pool without a bound, so these have nothing to act on.
                "max_pool_connections" | "tcp_keepalive" => {}
                _ => return Err(format!("'{key}' in config_kwargs or botocore_config is not supported yet")),
            }
        }
        Ok(settings)
    }

    fn read_retries(&mut self, value: &Value) -> Result<(), String> {
        let Some(retries) = value.as_object() else { return Err("'retries' is not an object".to_owned()) };
        for (key, value) in retries {
            match (key.as_str(), value) {
                ("mode", Value::String(mode)) => {
                    self.retry_mode = Some(match mode.as_str() {
                        "adaptive" => RetryMode::Adaptive,
                        "standard" => RetryMode::Standard,
                        "legacy" => {
                            // botocore's legacy mode makes five attempts unless told otherwise.
                            self.max_attempts = self.max_attempts.or(Some(5));
                            RetryMode::Standard
                        }
                        other => {
                            return Err(format!("retries.mode is '{other}'; it is standard, adaptive or legacy"));
                        }
                    });
                }
                ("max_attempts" | "total_max_attempts", number) => {
                    let number = number.as_u64().and_then(|n| u32::try_from(n).ok());
                    let number = number.ok_or_else(|| format!("retries.{key} is not a whole number"))?;
                    let total = if key == "max_attempts" { number.saturating_add(1) } else { number.max(1) };
                    if key == "total_max_attempts" || !retries.contains_key("total_max_attempts") {
                        self.max_attempts = Some(total);
                    }
                }
                _ => return Err(format!("'retries' has '{key}'; it takes mode, max_attempts and total_max_attempts")),
            }
        }
        Ok(())
    }

    /// The SDK's retries; `None` leaves them to the environment (`AWS_RETRY_MODE`, `AWS_MAX_ATTEMPTS`) and the SDK's
    /// default, which is botocore's `standard` with three attempts.
    #[must_use]
    pub fn retries(&self) -> Option<RetryConfig> {
        if self.retry_mode.is_none() && self.max_attempts.is_none() {
            return None;
        }
        let mode = self.retry_mode.unwrap_or(RetryMode::Standard);
        Some(RetryConfig::standard().with_retry_mode(mode).with_max_attempts(self.max_attempts.unwrap_or(3)))
    }

    /// The SDK's timeouts.
    #[must_use]
    pub fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect_timeout.unwrap_or(TIMEOUT))
            .read_timeout(self.read_timeout.unwrap_or(TIMEOUT))
            .build()
    }
}

fn seconds(key: &str, value: &Value) -> Result<Option<Duration>, String> {
    match value {
        Value::Null => Ok(None),
        value => value
            .as_f64()
            .and_then(|s| Duration::try_from_secs_f64(s).ok())
            .map(Some)
            .ok_or_else(|| format!("'{key}' is not a number of seconds")),
    }
}

fn proxies(value: &Value) -> Result<(Option<String>, Option<String>), String> {
    let Some(map) = value.as_object() else { return Err("'proxies' is not an object".to_owned()) };
    if let Some(other) = map.keys().find(|key| *key != "http" && *key != "https") {
        return Err(format!("'proxies' has '{other}'; it takes http and https"));
    }
    let proxy = |key: &str| map.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
    Ok((proxy("http"), proxy("https")))
}

fn s3_path_style(value: &Value) -> Result<Option<bool>, String> {
    let Some(map) = value.as_object() else { return Err("'s3' is not an object".to_owned()) };
    if let Some(other) = map.keys().find(|key| *key != "addressing_style") {
        return Err(format!("'{other}' in the s3 part of config_kwargs or botocore_config is not supported yet"));
    }
    match map.get("addressing_style").and_then(Value::as_str) {
        None | Some("auto") => Ok(None),
        Some("path") => Ok(Some(true)),
        Some("virtual") => Ok(Some(false)),
        Some(other) => Err(format!("s3.addressing_style is '{other}'; it is auto, path or virtual")),
    }
}
