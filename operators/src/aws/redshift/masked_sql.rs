//! SQL for logs and error messages: `COPY` and `UNLOAD` carry credentials in clear text.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// The first group stays, what follows it is masked. A quote within a value is doubled.
#[expect(clippy::expect_used, reason = "the patterns are fixed, and a test compiles them")]
static SECRETS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        r"(?is)(\bcredentials\s+(?:as\s+)?)'((?:[^']|'')*)'",
        r"(?is)(\b(?:access_key_id|secret_access_key|session_token|master_symmetric_key|password)\s+(?:as\s+)?)'((?:[^']|'')*)'",
        r"(?is)(\b(?:aws_access_key_id|aws_secret_access_key|token|master_symmetric_key)\s*=\s*)([^;'\s]+)",
    ]
    .map(|pattern| Regex::new(pattern).expect("a pattern"))
});

/// The statement with `***` in place of keys and passwords. The role of a credentials block stays.
pub(super) fn masked_sql(sql: &str) -> String {
    SECRETS.iter().fold(sql.to_owned(), |text, pattern| {
        let mask = |found: &Captures<'_>| {
            let (head, value) = (&found[1], &found[2]);
            if value.starts_with("aws_iam_role=") && !value.contains(';') {
                found[0].to_owned()
            } else if found[0].ends_with('\'') {
                format!("{head}'***'")
            } else {
                format!("{head}***")
            }
        };
        pattern.replace_all(&text, mask).into_owned()
    })
}

/// The beginning of a statement for an error message.
pub(super) fn shown_sql(sql: &str) -> String {
    const LONGEST: usize = 500;
    let masked = masked_sql(sql.trim());
    if masked.chars().count() <= LONGEST {
        return masked;
    }
    let beginning: String = masked.chars().take(LONGEST).collect();
    format!("{beginning}…")
}

#[cfg(test)]
mod unit_tests {
    use super::masked_sql;

    #[test]
    fn credentials_are_masked_in_each_of_their_forms() {
        for (sql, shown) in [
            (
                "UNLOAD … credentials\n'aws_access_key_id=AK;aws_secret_access_key=S/+=;token=T=='\nHEADER;",
                "UNLOAD … credentials\n'***'\nHEADER;",
            ),
            (
                "COPY t FROM 's3://b' CREDENTIALS AS 'aws_secret_access_key=it''s'",
                "COPY t FROM 's3://b' CREDENTIALS AS '***'",
            ),
            (
                "ACCESS_KEY_ID 'AK' SECRET_ACCESS_KEY 'S' SESSION_TOKEN 'T'",
                "ACCESS_KEY_ID '***' SECRET_ACCESS_KEY '***' SESSION_TOKEN '***'",
            ),
            ("CREATE USER u PASSWORD 'p w'", "CREATE USER u PASSWORD '***'"),
            ("x = 'aws_secret_access_key=S'", "x = 'aws_secret_access_key=***'"),
        ] {
            assert_eq!(masked_sql(sql), shown);
        }
    }

    #[test]
    fn roles_and_ordinary_values_stay() {
        for sql in ["COPY t FROM 's3://b' credentials 'aws_iam_role=arn:aws:iam::1:role/R'", "SELECT 'password' = 'x'"]
        {
            assert_eq!(masked_sql(sql), sql);
        }
    }
}
