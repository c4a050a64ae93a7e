//! The statements around a `COPY`.

use super::transfer_credentials::{Clause, quoted};

/// What becomes of the rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Method {
    /// They stay.
    #[default]
    Append,
    /// They go.
    Replace,
    /// Those with the keys of new rows go.
    Upsert,
}

impl Method {
    pub(super) fn named(name: &str) -> Result<Self, String> {
        match name {
            "APPEND" => Ok(Self::Append),
            "REPLACE" => Ok(Self::Replace),
            "UPSERT" => Ok(Self::Upsert),
            _ => Err("Method not found! Available methods: ('APPEND', 'REPLACE', 'UPSERT')".to_owned()),
        }
    }
}

/// What is loaded, and where to.
#[derive(Debug, Clone, Default)]
pub(super) struct Copy {
    pub(super) s3_bucket: String,
    pub(super) s3_key: String,
    pub(super) schema: Option<String>,
    pub(super) table: String,
    pub(super) column_list: Vec<String>,
    pub(super) copy_options: Vec<String>,
    pub(super) method: Method,
}

impl Copy {
    /// The table as it is named in statements.
    pub(super) fn destination(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.table),
            None => self.table.clone(),
        }
    }

    fn copy_into(&self, table: &str, clause: &Clause) -> String {
        let columns = match self.column_list.as_slice() {
            [] => String::new(),
            columns => format!(" ({})", columns.join(", ")),
        };
        let mut lines = vec![
            format!("COPY {table}{columns}"),
            format!("FROM {}", quoted(&format!("s3://{}/{}", self.s3_bucket, self.s3_key))),
            clause.credentials.clone(),
        ];
        lines.extend(clause.region.as_ref().map(|region| format!("region {}", quoted(region))));
        lines.extend(self.copy_options.iter().cloned());
        format!("{};", lines.join("\n"))
    }

    /// The statements, to be carried out in one transaction. `keys` are what an upsert compares.
    pub(super) fn script(&self, clause: &Clause, keys: &[String]) -> Vec<String> {
        let destination = self.destination();
        match self.method {
            Method::Append => vec![self.copy_into(&destination, clause)],
            Method::Replace => vec![format!("DELETE FROM {destination};"), self.copy_into(&destination, clause)],
            Method::Upsert => {
                let staged = format!("#{}", self.table);
                let equal: Vec<_> = keys.iter().map(|key| format!("{}.{key} = {staged}.{key}", self.table)).collect();
                vec![
                    format!("CREATE TABLE {staged} (LIKE {destination} INCLUDING DEFAULTS);"),
                    self.copy_into(&staged, clause),
                    format!("DELETE FROM {destination} USING {staged} WHERE {};", equal.join(" AND ")),
                    format!("INSERT INTO {destination} SELECT * FROM {staged};"),
                ]
            }
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn script(method: Method) -> Vec<String> {
        let copy = Copy {
            s3_bucket: "b".to_owned(),
            s3_key: "k".to_owned(),
            schema: Some("s".to_owned()),
            table: "t".to_owned(),
            column_list: vec!["a".to_owned(), "b".to_owned()],
            copy_options: vec!["CSV".to_owned()],
            method,
        };
        let clause = Clause { credentials: "IAM_ROLE default".to_owned(), region: Some("eu-west-1".to_owned()) };
        copy.script(&clause, &["a".to_owned(), "b".to_owned()])
    }

    #[test]
    fn replacing_empties_the_table_first() {
        let copy = "COPY s.t (a, b)\nFROM 's3://b/k'\nIAM_ROLE default\nregion 'eu-west-1'\nCSV;";
        assert_eq!(script(Method::Append), [copy]);
        assert_eq!(script(Method::Replace), ["DELETE FROM s.t;", copy]);
    }

    #[test]
    fn an_upsert_stages_the_rows_and_compares_all_keys() {
        let statements = script(Method::Upsert);
        assert_eq!(statements[0], "CREATE TABLE #t (LIKE s.t INCLUDING DEFAULTS);");
        assert!(statements[1].starts_with("COPY #t (a, b)\n"));
        assert_eq!(statements[2], "DELETE FROM s.t USING #t WHERE t.a = #t.a AND t.b = #t.b;");
        assert_eq!(statements[3], "INSERT INTO s.t SELECT * FROM #t;");
    }

    #[test]
    fn another_method_is_refused_in_airflows_words() {
        assert!(Method::named("MERGE").unwrap_err().starts_with("Method not found! Available methods:"));
    }
}
