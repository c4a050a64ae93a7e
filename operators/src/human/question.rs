//! The parameters that all of them share.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use windrose_core::approval::Question;
use windrose_core::notify::Notifier;

use crate::context::TaskContext;
use crate::notifiers::notifier_of_table;
use crate::seconds::Seconds;

/// What is asked, of whom, and for how long.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct Asking {
    /// What people see first: one line.
    #[schemars(extend("x-template" = true))]
    pub(super) subject: String,
    /// What they need to decide, in Markdown.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    pub(super) body: Option<String>,
    /// The option that counts as chosen when time is up, or several. Without it the task fails then.
    #[serde(default)]
    pub(super) defaults: Option<OneOrMany>,
    /// Who may answer: a name, or several. Without it, everybody.
    #[serde(default)]
    pub(super) assigned_users: Option<Users>,
    /// How long an answer is waited for. Without it, for ever. It goes on over restarts.
    #[serde(default)]
    pub(super) response_timeout: Option<Seconds>,
    /// How people are told that they are asked: a notifier, or several. Their templates can name `notification`.
    #[serde(default)]
    #[schemars(extend("x-notifiers" = true))]
    pub(super) notifiers: Option<Notifiers>,
}

/// A notifier or a list of them, each a table as in `on_failure`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Notifiers {
    One(Map<String, Value>),
    Many(Vec<Map<String, Value>>),
}

/// A text or a list of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A user or a list of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Users {
    One(User),
    Many(Vec<User>),
}

/// A name, or Airflow's form of a user.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum User {
    Name(String),
    Both {
        id: String,
        /// Shown by Airflow; the id is what counts.
        #[serde(default)]
        #[allow(dead_code, reason = "taken, because Airflow's form of a user has it")]
        name: Option<String>,
    },
}

impl OneOrMany {
    fn list(&self) -> Vec<String> {
        match self {
            Self::One(option) => vec![option.clone()],
            Self::Many(options) => options.clone(),
        }
    }
}

impl Users {
    fn list(&self) -> Vec<String> {
        let name = |user: &User| match user {
            User::Name(name) => name.clone(),
            User::Both { id, .. } => id.clone(),
        };
        match self {
            Self::One(user) => vec![name(user)],
            Self::Many(users) => users.iter().map(name).collect(),
        }
    }
}

impl Asking {
    /// Who or what tells people.
    pub(super) fn notifiers(&self) -> Vec<Notifier> {
        let tables = match &self.notifiers {
            None => &[],
            Some(Notifiers::One(table)) => std::slice::from_ref(table),
            Some(Notifiers::Many(tables)) => tables.as_slice(),
        };
        tables.iter().filter_map(notifier_of_table).collect()
    }

    /// Airflow's rules for a question, in its words.
    pub(super) fn check(&self, options: &[String], multiple: bool) -> Result<(), String> {
        if options.is_empty() {
            return Err("\"options\" cannot be empty.".to_owned());
        }
        let mut seen = HashSet::new();
        if let Some(twice) = options.iter().find(|option| !seen.insert(option.as_str())) {
            return Err(format!("the option \"{twice}\" stands twice in \"options\"."));
        }
        let Some(defaults) = self.defaults.as_ref().map(OneOrMany::list) else { return Ok(()) };
        if defaults.is_empty() || !defaults.iter().all(|option| options.contains(option)) {
            return Err(format!("defaults {defaults:?} should be a subset of options {options:?}, and not empty."));
        }
        if !multiple && defaults.len() > 1 {
            return Err("More than one defaults given when \"multiple\" is set to False.".to_owned());
        }
        Ok(())
    }

    /// The question as it is asked now.
    pub(super) fn question(&self, ctx: &TaskContext, options: &[String], multiple: bool) -> Question {
        Question {
            subject: self.subject.clone(),
            body: self.body.clone(),
            options: options.to_vec(),
            defaults: self.defaults.as_ref().map(OneOrMany::list),
            multiple,
            assigned_users: self.assigned_users.as_ref().map(Users::list).unwrap_or_default(),
            params: ctx.info.params.clone(),
            expires_at: self.response_timeout.map(|timeout| ctx.services.now().plus(timeout.0)),
        }
    }
}
