//! `windrose approvals`

use clap::{Args as ClapArgs, Subcommand};

/// `windrose approvals …`
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// Questions that wait for an answer, newest first.
    List {
        /// Only this DAG's.
        #[arg(long, value_name = "DAG_ID")]
        dag: Option<String>,
        /// Answered ones and those of tries that have ended, too.
        #[arg(long)]
        all: bool,
        /// How many at most.
        #[arg(long, default_value_t = 100, value_name = "NUMBER")]
        limit: u32,
    },
    /// One question, with all that is needed to answer it.
    Show(QuestionArgs),
    /// Answer a question. The first answer counts.
    Answer(AnswerArgs),
}

/// Who asks.
#[derive(Debug, ClapArgs)]
pub(crate) struct QuestionArgs {
    /// The DAG's id.
    pub dag_id: String,
    /// The run's id.
    pub run_id: String,
    /// The task's id; of a mapped task with the index of its instance: load[3].
    pub task_id: String,
}

/// Options of `approvals answer`.
#[derive(Debug, ClapArgs)]
pub(crate) struct AnswerArgs {
    /// Which question.
    #[command(flatten)]
    pub question: QuestionArgs,
    /// The option that is chosen, or several.
    #[arg(required = true, value_name = "OPTION")]
    pub options: Vec<String>,
    /// What is filled in, as a JSON object.
    #[arg(long, value_name = "JSON")]
    pub params: Option<String>,
    /// Who answers.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "cli")]
    pub user: String,
}
