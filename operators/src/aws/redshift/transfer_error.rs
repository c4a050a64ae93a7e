//! What to do about the errors of `UNLOAD` and `COPY` that users meet.

use windrose_core::cause::Cause;

use crate::error::TaskError;

/// The error with a sentence of advice. `acting` says whose rights the statement used on S3.
pub(super) fn advised(mut error: TaskError, acting: &str) -> TaskError {
    let TaskError::Failed { cause, .. } = &mut error else { return error };
    let message = match cause {
        Cause::Sql { message, .. } | Cause::RemoteFailed { message: Some(message), .. } => message,
        _ => return error,
    };
    let advice = if message.contains("unload destination on S3 is not empty") {
        " A try before this one may have written there: put ALLOWOVERWRITE or CLEANPATH into unload_options.".to_owned()
    } else if message.contains("S3ServiceException") || message.contains("not authorized to assume") {
        format!(" It is not the worker whom S3 refused, but {acting} in the statement.")
    } else {
        return error;
    };
    message.push_str(&advice);
    error
}
