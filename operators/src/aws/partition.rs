//! What follows from a region's name: the partition, the console's domain, and pages of the console.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// As Python's `urllib.parse.quote(text, safe="")`.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~');

/// The partition of ARNs: `aws`, `aws-cn`, `aws-us-gov`.
#[must_use]
pub fn partition(region: &str) -> &'static str {
    match region {
        r if r.starts_with("cn-") => "aws-cn",
        r if r.starts_with("us-gov-") => "aws-us-gov",
        r if r.starts_with("us-iso-") => "aws-iso",
        r if r.starts_with("us-isob-") => "aws-iso-b",
        _ => "aws",
    }
}

/// The domain of the console.
#[must_use]
pub fn console_domain(region: &str) -> &'static str {
    match partition(region) {
        "aws-cn" => "amazonaws.cn",
        "aws-us-gov" => "amazonaws-us-gov.com",
        _ => "aws.amazon.com",
    }
}

/// A text as part of a URL.
#[must_use]
pub fn url_quoted(text: &str) -> String {
    utf8_percent_encode(text, QUOTED).to_string()
}

/// The console's page of a log stream in CloudWatch.
#[must_use]
pub fn log_stream_url(region: &str, group: &str, stream: &str) -> String {
    // The console's own escaping: percent-encoded twice, with `$` for `%` the second time.
    let escaped = |text: &str| url_quoted(&url_quoted(text)).replace('%', "$");
    format!(
        "https://{region}.console.{}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{}/log-events/{}",
        console_domain(region),
        escaped(group),
        escaped(stream)
    )
}
