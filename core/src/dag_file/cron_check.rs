//! Whether a text is a cron expression.

/// Says what is wrong with a five-field cron expression.
pub(super) fn check_cron(expression: &str) -> Result<(), String> {
    if expression.split_whitespace().count() != 5 {
        return Err("it has five fields".to_owned());
    }
    expression.parse::<croner::Cron>().map(|_| ()).map_err(|why| why.to_string())
}
