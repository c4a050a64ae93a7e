//! Questions that tasks ask people (Airflow's human-in-the-loop operators), and when an answer fits one.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::dag::Param;
use crate::params::{ParamViolation, check_values};
use crate::time::Timestamp;

/// What a task asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// One line.
    pub subject: String,
    /// Markdown with what is needed to decide.
    pub body: Option<String>,
    /// What can be chosen; never empty.
    pub options: Vec<String>,
    /// What counts as chosen when time is up; without it the task fails then.
    pub defaults: Option<Vec<String>>,
    /// More than one option may be chosen.
    pub multiple: bool,
    /// Who may answer; empty is everybody.
    pub assigned_users: Vec<String>,
    /// Values to be filled in, with their JSON Schemas.
    pub params: IndexMap<String, Param>,
    /// When time is up, if ever.
    pub expires_at: Option<Timestamp>,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// At least one of the options.
    pub chosen_options: Vec<String>,
    /// What was filled in.
    pub params_input: Map<String, Value>,
    /// Who answered; none if time was up and the defaults were taken.
    pub user: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A question that was asked, and how it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The answer, once there is one.
    pub answer: Option<Answer>,
}

/// Why an answer does not fit its question.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// Somebody was faster.
    #[error("it was answered already: {} chose {} at {}", .0.user.as_deref().unwrap_or("nobody in time, so the default"), .0.chosen_options.join(", "), .0.at)]
    Answered(Box<Answer>),
    /// Time is up.
    #[error("its time was up at {0}")]
    Expired(Timestamp),
    /// Somebody else is to answer.
    #[error("'{user}' may not answer it; {} may", .assigned.join(", "))]
    NotAssigned {
        /// Who tried.
        user: String,
        /// Who may.
        assigned: Vec<String>,
    },
    /// Nothing was chosen, more than may be, or what cannot be.
    #[error("{why}; its options are {}", .options.join(", "))]
    Options {
        /// What is wrong.
        why: String,
        /// What can be chosen.
        options: Vec<String>,
    },
    /// What was filled in does not fit.
    #[error("what was filled in does not fit:{}", .0.iter().map(|violation| format!("\n  {violation}")).collect::<String>())]
    Params(Vec<ParamViolation>),
}

impl Question {
    /// What is filled in where nobody says anything.
    #[must_use]
    pub fn default_params(&self) -> Map<String, Value> {
        let given = |(name, param): (&String, &Param)| Some((name.clone(), param.default.clone()?));
        self.params.iter().filter_map(given).collect()
    }
}

impl Asked {
    /// The answer as it is kept, if it fits. As in Airflow what is filled in is held against the schemas, and what is not
    /// known is refused; what is left out has its default.
    ///
    /// # Errors
    /// [`Unfit`], by the first rule that is broken.
    pub fn answered(
        &self,
        chosen: &[String],
        params: &Map<String, Value>,
        user: &str,
        now: Timestamp,
    ) -> Result<Answer, Unfit> {
        let question = &self.question;
        if let Some(answer) = &self.answer {
            return Err(Unfit::Answered(Box::new(answer.clone())));
        }
        if let Some(expired) = question.expires_at.filter(|at| *at <= now) {
            return Err(Unfit::Expired(expired));
        }
        let assigned = &question.assigned_users;
        if !assigned.is_empty() && !assigned.iter().any(|name| name == user) {
            return Err(Unfit::NotAssigned { user: user.to_owned(), assigned: assigned.clone() });
        }
        let unfit = |why: String| Err(Unfit::Options { why, options: question.options.clone() });
        let unknown = chosen.iter().find(|option| !question.options.contains(option));
        let twice = chosen.iter().enumerate().find(|(at, option)| chosen[..*at].contains(option));
        match (unknown, twice, chosen.len()) {
            (Some(option), ..) => return unfit(format!("'{option}' cannot be chosen")),
            (_, Some((_, option)), _) => return unfit(format!("'{option}' is chosen twice")),
            (.., 0) => return unfit("nothing is chosen".to_owned()),
            (.., count) if count > 1 && !question.multiple => return unfit("only one can be chosen".to_owned()),
            _ => {}
        }
        let violations = check_values(&question.params, params, true);
        if !violations.is_empty() {
            return Err(Unfit::Params(violations));
        }
        let mut filled = question.default_params();
        filled.extend(params.clone());
        Ok(Answer { chosen_options: chosen.to_vec(), params_input: filled, user: Some(user.to_owned()), at: now })
    }

    /// What counts as answered now that time is up; none if there is no default.
    #[must_use]
    pub fn by_default(&self, now: Timestamp) -> Option<Answer> {
        let chosen_options = self.question.defaults.clone()?;
        Some(Answer { chosen_options, params_input: self.question.default_params(), user: None, at: now })
    }
}
