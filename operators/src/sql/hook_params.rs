//! What a task says of its session, over what its connection says: the arguments of Airflow's hooks that mean something
//! here.

use serde_json::{Map, Value};

use super::connect::truth;

/// Arguments of a hook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookParams {
    /// The database, instead of the connection's.
    pub database: Option<String>,
    /// Settings of the session, of PostgreSQL's command line: `-c search_path=mine`.
    pub options: Vec<(String, String)>,
    /// The `aws` connection that asks for the login of a Redshift connection with `iam`.
    pub aws_conn_id: Option<String>,
    /// Statements are logged.
    pub log_sql: bool,
}

impl HookParams {
    /// Reads them as a task gives them. `database` is the operator's own parameter, which wins.
    ///
    /// # Errors
    /// A sentence that names the argument.
    pub fn read(given: &Map<String, Value>, database: Option<&str>) -> Result<Self, String> {
        let mut params = Self { log_sql: true, ..Self::default() };
        for (name, value) in given {
            let text = || match value {
                Value::Null => Ok(None),
                Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
                _ => Err(format!("hook_params.{name} must be a text.")),
            };
            match name.as_str() {
                // Both are the database that is connected to.
                "database" => params.database = text()?,
                "schema" => params.database = params.database.take().or(text()?),
                "options" => params.options = command_line(&text()?.unwrap_or_default())?,
                "aws_conn_id" => params.aws_conn_id = text()?,
                "log_sql" => params.log_sql = truth(Some(value)),
                "enable_log_db_messages" if !truth(Some(value)) => {}
                _ => {
                    return Err(format!(
                        "hook_params.{name} is not supported yet; database, schema, options, aws_conn_id and log_sql are."
                    ));
                }
            }
        }
        params.database = database.map(str::to_owned).filter(|name| !name.is_empty()).or(params.database);
        Ok(params)
    }
}

/// The settings in a command line of PostgreSQL's server: `-c name=value` and `--name=value`, in which a backslash
/// hides a space.
///
/// # Errors
/// A sentence that shows what is not understood.
pub(super) fn command_line(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut settings = Vec::new();
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-c") {
            Some("") => words.next().unwrap_or_default(),
            Some(setting) => setting.to_owned(),
            // The server reads dashes in a name as underscores.
            None => match word.strip_prefix("--").and_then(|setting| setting.split_once('=')) {
                Some((name, value)) => format!("{}={value}", name.replace('-', "_")),
                None => word.clone(),
            },
        };
        match setting.split_once('=') {
            Some((name, value)) if !name.is_empty() && !name.starts_with('-') => {
                settings.push((name.to_owned(), value.to_owned()));
            }
            _ => return Err(format!("options: '{word}' is not understood; write -c name=value.")),
        }
    }
    Ok(settings)
}

fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let Some(word) = words.last_mut() else { break };
        match character {
            '\\' => word.extend(characters.next()),
            space if space.is_whitespace() => words.push(String::new()),
            other => word.push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(given: Value, database: Option<&str>) -> Result<HookParams, String> {
        let Value::Object(given) = given else { panic!("an object") };
        HookParams::read(&given, database)
    }

    #[test]
    fn the_operators_database_wins_over_the_hooks() {
        let database = |given: Value, own: Option<&str>| read(given, own).unwrap().database;
        assert_eq!(database(json!({ "database": "a", "schema": "b" }), Some("own")).as_deref(), Some("own"));
        assert_eq!(database(json!({ "schema": "b", "database": "a" }), None).as_deref(), Some("a"));
        assert_eq!(database(json!({ "schema": "b" }), Some("")).as_deref(), Some("b"));
        assert_eq!(database(json!({}), None), None);
    }

    #[test]
    fn settings_are_read_in_each_of_their_forms() {
        let settings = command_line(r"-c search_path=a,b  -cwork_mem=4MB --statement-timeout=5s -c name=two\ words");
        let expected =
            [("search_path", "a,b"), ("work_mem", "4MB"), ("statement_timeout", "5s"), ("name", "two words")];
        assert_eq!(settings.unwrap(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for wrong in ["-c", "-c x", "-B 16", "x=1 y", "--x"] {
            assert!(command_line(wrong).unwrap_err().contains("is not understood"), "{wrong}");
        }
    }

    #[test]
    fn what_means_nothing_here_is_refused_by_its_name() {
        for unknown in ["enable_log_db_messages", "placeholder", "autocommit"] {
            let message = read(json!({ unknown: true }), None).unwrap_err();
            assert!(message.contains(&format!("hook_params.{unknown} is not supported yet")), "{message}");
        }
        assert!(read(json!({ "enable_log_db_messages": false }), None).is_ok());
        assert!(read(json!({ "database": 5 }), None).unwrap_err().contains("hook_params.database must be a text"));
    }
}
