//! The text of an `UNLOAD`.

use super::transfer_credentials::{Clause, quoted};

/// What is unloaded, and where to.
#[derive(Debug, Clone, Default)]
pub(super) struct Unload {
    pub(super) s3_bucket: String,
    pub(super) s3_key: String,
    pub(super) schema: Option<String>,
    pub(super) table: Option<String>,
    pub(super) select_query: Option<String>,
    pub(super) unload_options: Vec<String>,
    pub(super) include_header: bool,
    pub(super) table_as_file_name: bool,
}

impl Unload {
    /// What the names of all objects begin with; Redshift appends `0000_part_00` and the like.
    pub(super) fn prefix(&self) -> String {
        match &self.table {
            Some(table) if self.table_as_file_name => format!("{}/{table}_", self.s3_key),
            _ => self.s3_key.clone(),
        }
    }

    /// Checks what can be checked before the credentials are known.
    pub(super) fn check(&self) -> Result<(), String> {
        self.query().map(drop)
    }

    fn query(&self) -> Result<String, String> {
        let query = match (&self.select_query, &self.table, &self.schema) {
            (Some(query), ..) => undoubled(query),
            (None, Some(table), Some(schema)) => format!("SELECT * FROM {schema}.{table}"),
            (None, Some(table), None) => format!("SELECT * FROM {table}"),
            (None, None, _) => {
                return Err("Please specify either a table or `select_query` to fetch the data.".to_owned());
            }
        };
        if query.contains("$$") {
            return Err(
                "the query has '$$' in it, which UNLOAD puts around it; write the text in single quotes".to_owned()
            );
        }
        Ok(query)
    }

    /// True if the options ask for this, in whatever case.
    pub(super) fn has_option(&self, word: &str) -> bool {
        let words = self.unload_options.iter().flat_map(|option| option.split_whitespace());
        words.into_iter().any(|found| found.eq_ignore_ascii_case(word))
    }

    /// The statement, as Airflow writes it. It holds the credentials.
    pub(super) fn text(&self, clause: &Clause) -> Result<String, String> {
        let mut lines = vec![
            format!("UNLOAD ($${}$$)", self.query()?),
            format!("TO {}", quoted(&format!("s3://{}/{}", self.s3_bucket, self.prefix()))),
            clause.credentials.clone(),
        ];
        lines.extend(self.unload_options.iter().cloned());
        if self.include_header && !self.has_option("HEADER") {
            lines.push("HEADER".to_owned());
        }
        Ok(format!("{};", lines.join("\n")))
    }
}

/// Older Airflow put single quotes around the query, so DAGs doubled those in it: `''x''` is `'x'`. A query is taken to
/// be of that kind if all its quotes are doubled and a word follows right after an opening pair, which no empty text of
/// ordinary SQL has.
fn undoubled(query: &str) -> String {
    let mut word_follows = false;
    let mut runs = 0;
    let mut rest = query;
    while let Some(start) = rest.find('\'') {
        let run = rest[start..].bytes().take_while(|byte| *byte == b'\'').count();
        if run % 2 == 1 {
            return query.to_owned();
        }
        rest = &rest[start + run..];
        let opens = runs % 2 == 0;
        word_follows |= opens && rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '%' | '/' | '{'));
        runs += 1;
    }
    if word_follows { query.replace("''", "'") } else { query.to_owned() }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn clause() -> Clause {
        Clause { credentials: "IAM_ROLE default".to_owned(), region: None }
    }

    fn unload() -> Unload {
        Unload { s3_bucket: "b".to_owned(), s3_key: "k".to_owned(), table_as_file_name: true, ..Unload::default() }
    }

    #[test]
    fn the_table_names_query_and_prefix() {
        let of_schema = Unload { schema: Some("s".to_owned()), table: Some("t".to_owned()), ..unload() };
        let text = of_schema.text(&clause()).unwrap();
        assert_eq!(text, "UNLOAD ($$SELECT * FROM s.t$$)\nTO 's3://b/k/t_'\nIAM_ROLE default;");
        let prefix_only = Unload { table_as_file_name: false, schema: None, ..of_schema };
        assert!(prefix_only.text(&clause()).unwrap().starts_with("UNLOAD ($$SELECT * FROM t$$)\nTO 's3://b/k'\n"));
    }

    #[test]
    fn options_are_kept_in_order_and_the_header_comes_once() {
        let options = |given: &[&str]| {
            let unload_options = given.iter().map(|o| (*o).to_owned()).collect();
            let unload = Unload { table: Some("t".to_owned()), include_header: true, unload_options, ..unload() };
            unload.text(&clause()).unwrap().split_once("default").unwrap().1.to_owned()
        };
        assert_eq!(options(&["CSV", "PARALLEL OFF"]), "\nCSV\nPARALLEL OFF\nHEADER;");
        assert_eq!(options(&["header", "CSV"]), "\nheader\nCSV;");
    }

    #[test]
    fn without_table_and_query_there_is_nothing_to_unload() {
        assert_eq!(unload().check().unwrap_err(), "Please specify either a table or `select_query` to fetch the data.");
        let dollars = Unload { select_query: Some("SELECT $$x$$".to_owned()), ..unload() };
        assert!(dollars.check().unwrap_err().contains("'$$'"));
    }

    #[test]
    fn doubled_quotes_of_older_dags_are_single_ones() {
        for (old, new) in [
            ("SELECT * FROM t WHERE d = ''2026-01-01''", "SELECT * FROM t WHERE d = '2026-01-01'"),
            ("SELECT ''a'', ''b''", "SELECT 'a', 'b'"),
            ("x LIKE ''%a%'' AND y = ''''", "x LIKE '%a%' AND y = ''"),
        ] {
            assert_eq!(undoubled(old), new);
        }
    }

    #[test]
    fn ordinary_quotes_stay() {
        for query in ["SELECT 'a'", "x <> '' AND y <> ''", "SELECT 'it''s', 'he''s'", "NVL(a, '')", "a = '' OR b = 'x'"]
        {
            assert_eq!(undoubled(query), query);
        }
    }
}
