//! Where an object is: a bucket and a key, or one URL for both, with Airflow's rules and messages.

/// A bucket and a key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Address {
    /// The bucket's name.
    pub bucket: String,
    /// The key, or a pattern for keys.
    pub key: String,
}

const URL_FORMS: &str = "S3://bucket-name/key-name or https://bucket-name.s3.region-code.amazonaws.com/key-name";

/// The address that `bucket_name` and `bucket_key` give together.
///
/// # Errors
/// A sentence in Airflow's words: a full URL beside a bucket, or neither.
pub fn resolve(bucket: Option<&str>, key: &str) -> Result<S3Address, String> {
    let Some(bucket) = bucket else { return parse_s3_url(key) };
    if has_scheme_or_host(key) {
        return Err(
            "If `bucket_name` is provided, bucket_key should be a relative path from root level, rather than a \
                    full s3:// url"
                .to_owned(),
        );
    }
    Ok(S3Address { bucket: bucket.to_owned(), key: key.to_owned() })
}

/// The address that a URL names: `s3:`, `s3n:`, `s3a:`, or one of S3's `https:` forms.
///
/// # Errors
/// A sentence in Airflow's words.
pub fn parse_s3_url(url: &str) -> Result<S3Address, String> {
    let scheme = url.split("//").next().unwrap_or_default();
    match scheme.to_ascii_lowercase().as_str() {
        "s3:" | "s3n:" | "s3a:" => parse_s3_scheme(url),
        "https:" if scheme == "https:" => parse_https(url),
        _ => Err(bad_format(url)),
    }
}

fn bad_format(url: &str) -> String {
    format!("Please provide a bucket name using a valid format of the form: {URL_FORMS} but provided: \"{url}\"")
}

fn parse_s3_scheme(url: &str) -> Result<S3Address, String> {
    let clean = without_line_breaks(url);
    let rest = clean.split_once("//").map(|(_, rest)| rest).unwrap_or_default();
    let (bucket, path) = match rest.find(['/', '?', '#']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    if bucket.is_empty() {
        return Err(bad_format(url));
    }
    // As in Airflow, a query is no part of the key, a fragment is.
    let path = path.split('?').next().unwrap_or_default();
    Ok(S3Address { bucket: bucket.to_owned(), key: path.trim_start_matches('/').to_owned() })
}

fn parse_https(url: &str) -> Result<S3Address, String> {
    let rest = url.split("//").nth(1).unwrap_or_default();
    let mut labels = rest.split('.');
    let first = labels.next().unwrap_or_default();
    let (bucket, key) = if first == "s3" {
        let mut path = rest.splitn(3, '/').skip(1);
        let bucket = path.next().unwrap_or_default();
        let Some(key) = path.next() else { return Err(format!("the URL \"{url}\" names no key; {URL_FORMS} do")) };
        (bucket, key)
    } else if labels.next() == Some("s3") {
        (first, rest.split_once('/').map(|(_, key)| key).unwrap_or_default())
    } else {
        ("", "")
    };
    if bucket.is_empty() {
        return Err(format!(
            "Please provide a bucket name using a valid virtually hosted format which should be of the form: \
             https://bucket-name.s3.region-code.amazonaws.com/key-name but provided: \"{url}\""
        ));
    }
    Ok(S3Address { bucket: bucket.to_owned(), key: key.to_owned() })
}

/// What Python's `urlsplit` does before it looks at a URL.
fn without_line_breaks(url: &str) -> String {
    url.trim_start_matches(|c: char| c <= ' ').chars().filter(|c| !matches!(c, '\t' | '\r' | '\n')).collect()
}

/// Whether Python's `urlsplit` sees a scheme or a host in it.
fn has_scheme_or_host(key: &str) -> bool {
    let key = without_line_breaks(key);
    let starts_with_letter = key.starts_with(|c: char| c.is_ascii_alphabetic());
    let scheme = key.split_once(':').map(|(scheme, _)| scheme);
    if starts_with_letter
        && scheme.is_some_and(|s| s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
    {
        return true;
    }
    key.strip_prefix("//").is_some_and(|rest| !rest.starts_with(['/', '?', '#']) && !rest.is_empty())
}
