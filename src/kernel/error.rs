//! The errors of use cases. Only `api::error` turns them into HTTP responses.

use crate::model::{Kind, Noun, Problem, ReadAgain, RefusalCode};
use crate::store::StoreError;

/// Why a use case did not do what was asked. Each error carries what its reader needs to act.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is no such object, or the caller may not see it.
    #[error("there is no {kind} `{reference}`")]
    NotFound { kind: Kind, reference: String },
    /// The input has faults; all of them are listed.
    #[error("{} at fault: {}", .0.len(), .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Problem>),
    /// A query, reference or header cannot be parsed.
    #[error("{0}")]
    BadRequest(String),
    /// The object has another revision than the writer expected.
    #[error("{kind} `{key}` is at revision {present}, not {expected}: read it again")]
    Stale { kind: Kind, key: String, expected: u64, present: u64 },
    /// The present state does not allow it: a value is taken, an object is in use or locked.
    #[error("{1}")]
    Conflict(RefusalCode, String),
    /// The present state does not allow it, for these reasons.
    #[error("{what}")]
    Unready { what: String, problems: Vec<Problem> },
    /// The server no longer knows what has changed since, or the number belongs to another state of the
    /// database.
    #[error(transparent)]
    ReadAgain(#[from] ReadAgain),
    /// The request has no valid token.
    #[error("{1}")]
    Unauthorized(RefusalCode, String),
    /// The token is valid, but lacks the scope.
    #[error("{1}")]
    Forbidden(RefusalCode, String),
    /// Too many requests at once; a later attempt can succeed.
    #[error("{0}")]
    Busy(String),
    /// More than the caller may write; less, or later, is taken.
    #[error("{why}")]
    TooMuch { why: String, retry_after: std::time::Duration },
    /// Something in the server failed.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    pub fn not_found<T: Noun>(reference: &str) -> Self {
        Error::NotFound { kind: T::KIND, reference: reference.to_owned() }
    }

    pub fn invalid(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Invalid(vec![Problem::new(pointer, message)])
    }
}

impl Error {
    /// What it is, for programs. The code has the HTTP status.
    pub fn code(&self) -> RefusalCode {
        match self {
            Error::NotFound { .. } => RefusalCode::NotFound,
            Error::Invalid(_) => RefusalCode::Invalid,
            Error::BadRequest(_) => RefusalCode::BadRequest,
            Error::Stale { .. } => RefusalCode::Stale,
            Error::ReadAgain(_) => RefusalCode::ReadAgain,
            Error::Conflict(code, _) | Error::Unauthorized(code, _) | Error::Forbidden(code, _) => *code,
            Error::Unready { .. } => RefusalCode::NotUsable,
            Error::Busy(_) => RefusalCode::Busy,
            Error::TooMuch { .. } => RefusalCode::TooMuch,
            Error::Failed(_) => RefusalCode::Failed,
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Error::Invalid(vec![problem])
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Failed(_) | StoreError::Closed | StoreError::Damaged { .. } => {
                Error::Failed(error.to_string())
            }
            StoreError::Unreadable { why, .. } => Error::invalid("", why),
            StoreError::Stale { .. } => Error::Conflict(RefusalCode::Overtaken, error.to_string()),
            StoreError::Taken { .. } => Error::Conflict(RefusalCode::Taken, error.to_string()),
            StoreError::LogGap { .. } => Error::Conflict(RefusalCode::LogGap, error.to_string()),
            StoreError::LogFull { .. } => Error::Conflict(RefusalCode::LogFull, error.to_string()),
        }
    }
}
