//! Splits a URL as Python's `urllib.parse.urlsplit` does, which is laxer than the standard: Airflow's connection URIs
//! are whatever that accepts.

use std::net::Ipv6Addr;

use percent_encoding::percent_decode_str;

/// The parts of a URL, still percent-encoded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Parts<'a> {
    pub(super) scheme: &'a str,
    pub(super) netloc: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

/// `urlsplit(url)`. `url` holds no tabs and line ends, see [`cleaned`].
pub(super) fn split(url: &str) -> Result<Parts<'_>, &'static str> {
    let mut parts = Parts::default();
    let mut rest = url;
    if let Some((scheme, after)) = rest.split_once(':') {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(valid) {
            parts.scheme = scheme;
            rest = after;
        }
    }
    if let Some(after) = rest.strip_prefix("//") {
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        (parts.netloc, rest) = after.split_at(end);
        check_brackets(parts.netloc)?;
    }
    let before_fragment = rest.split_once('#').map_or(rest, |(before, _)| before);
    (parts.path, parts.query) = before_fragment.split_once('?').unwrap_or((before_fragment, ""));
    Ok(parts)
}

/// What `urlsplit` takes away before it looks: control characters and spaces in front, tabs and line ends everywhere.
pub(super) fn cleaned(url: &str) -> String {
    url.trim_start_matches(|c: char| c <= ' ').replace(['\t', '\r', '\n'], "")
}

fn check_brackets(netloc: &str) -> Result<(), &'static str> {
    const BAD: &str = "square brackets may only stand around an IPv6 address";
    match (netloc.find('['), netloc.find(']')) {
        (None, None) => Ok(()),
        (Some(_), Some(_)) => {
            let inside = netloc.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(host, _)| host);
            let address = inside.split_once('%').map_or(inside, |(address, _)| address);
            let future = inside.starts_with(['v', 'V']) && inside.contains('.');
            if future || address.parse::<Ipv6Addr>().is_ok() { Ok(()) } else { Err(BAD) }
        }
        _ => Err(BAD),
    }
}

impl<'a> Parts<'a> {
    fn split_netloc(&self) -> (Option<&'a str>, &'a str) {
        self.netloc.rsplit_once('@').map_or((None, self.netloc), |(user, host)| (Some(user), host))
    }

    pub(super) fn username(&self) -> Option<&'a str> {
        let info = self.split_netloc().0?;
        Some(info.split_once(':').map_or(info, |(user, _)| user))
    }

    pub(super) fn password(&self) -> Option<&'a str> {
        self.split_netloc().0?.split_once(':').map(|(_, password)| password)
    }

    /// Host and port.
    fn host_info(&self) -> (&'a str, &'a str) {
        let info = self.split_netloc().1;
        if let Some((_, bracketed)) = info.split_once('[') {
            let (host, rest) = bracketed.split_once(']').unwrap_or((bracketed, ""));
            return (host, rest.split_once(':').map_or("", |(_, port)| port));
        }
        info.split_once(':').unwrap_or((info, ""))
    }

    /// The host in lower case, up to the first `%`.
    pub(super) fn hostname(&self) -> String {
        let (host, _) = self.host_info();
        match host.split_once('%') {
            Some((name, zone)) => format!("{}%{zone}", name.to_lowercase()),
            None => host.to_lowercase(),
        }
    }

    pub(super) fn port(&self) -> Result<Option<u16>, &'static str> {
        let (_, port) = self.host_info();
        if port.is_empty() {
            return Ok(None);
        }
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err("the port is not a number, or a special character in the password is not percent-encoded");
        }
        port.parse().map(Some).map_err(|_| "the port is out of the range 0 to 65535")
    }

    /// `parse_qsl(query, keep_blank_values=True)`
    pub(super) fn query_pairs(&self) -> impl Iterator<Item = (String, String)> + 'a {
        let decoded = |text: &str| unquote(&text.replace('+', " "));
        self.query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
    }
}

/// `unquote(text)`: a `%` that begins no escape stays.
pub(super) fn unquote(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
