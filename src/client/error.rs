//! Errors between a client and its server. Each message says what was tried.

use serde::Deserialize;

use crate::client::Fingerprint;
use crate::model::Problem;

/// Why a call failed. The caller decides what to do about it: a person, an agent, a test.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There was no connection, or it broke.
    #[error("cannot reach {url}: {reason} (tried {request})")]
    Unreachable { url: String, request: String, reason: String },
    /// The server was reached and did not answer in time.
    #[error("{url} did not answer in time (tried {request})")]
    TimedOut { url: String, request: String },
    /// The server has neither the certificate nor the authority that is trusted.
    #[error(
        "the certificate of {url} is not the one that is trusted\n  trusted: {expected}\n  shown:   {seen}"
    )]
    OtherCertificate { url: String, expected: Fingerprint, seen: Fingerprint },
    /// The server refused the request.
    #[error("{0}")]
    Refused(Box<ServerRefusal>),
    /// An answer that does not come from this API.
    #[error("{request}: {what}")]
    Unexpected { request: String, what: String },
    /// The request cannot be sent.
    #[error("{0}")]
    Invalid(String),
}

impl ClientError {
    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            ClientError::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// Whether the same call may succeed later: the network failed, or the server is busy or restarts.
    pub fn is_passing(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => true,
            ClientError::Refused(refusal) => matches!(refusal.status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }
}

/// A refusal with the server's explanation (problem details, RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ServerRefusal {
    pub status: u16,
    pub title: String,
    /// Why, for programs: `taken`. Empty from a server that has no codes.
    pub code: String,
    pub detail: String,
    /// Every fault, with a JSON pointer into what was sent.
    pub problems: Vec<Problem>,
    pub request_id: String,
}

impl std::fmt::Display for ServerRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let title = if self.title.is_empty() { "the server refused" } else { &self.title };
        let problems: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        // The detail often includes the problems; several are easier to read on separate lines.
        let is_said = problems.iter().all(|problem| self.detail.contains(problem));
        let has_codes = !self.code.is_empty();
        let code = if has_codes { format!(" [{}]", self.code) } else { String::new() };
        match (self.detail.as_str(), problems.len()) {
            ("", _) => write!(f, "{title}{code}")?,
            (_, 1..) if is_said => write!(f, "{title}{code}")?,
            (detail, _) => write!(f, "{title}: {detail}{code}")?,
        }
        for (problem, said) in self.problems.iter().zip(&problems) {
            write!(f, "\n  {said}")?;
            if has_codes {
                write!(f, " [{}]", problem.code)?;
            }
        }
        match (self.status, self.request_id.as_str()) {
            // Errors that only the server's log explains.
            (500.., id) if !id.is_empty() => write!(f, "\n  the server's log has more at request {id}"),
            _ => Ok(()),
        }
    }
}

/// The innermost cause of a transport error: the part that helps a person.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::RefusalCode;

    #[test]
    fn a_refusal_shows_every_problem_with_its_pointer() {
        let body = json!({
            "type": "urn:x", "title": "Unprocessable Content", "status": 422, "request_id": "r1",
            "detail": "the machine is not valid",
            "problems": [{"pointer": "/macs/0", "message": "not a MAC address"},
                         {"pointer": "", "message": "`name` is missing"}],
        });
        let refusal: ServerRefusal = serde_json::from_value(body).unwrap();
        let said = "Unprocessable Content: the machine is not valid\n  /macs/0: not a MAC address\n  \
                    `name` is missing";
        assert_eq!(refusal.to_string(), said);
        let again = ServerRefusal {
            detail: format!("2 at fault: {}; `name` is missing", refusal.problems[0]),
            ..refusal
        };
        let said = "Unprocessable Content\n  /macs/0: not a MAC address\n  `name` is missing";
        assert_eq!(again.to_string(), said);
        let mut coded = ServerRefusal { code: "invalid".to_owned(), ..again };
        coded.problems[0].code = RefusalCode::Malformed;
        let said = "Unprocessable Content [invalid]\n  /macs/0: not a MAC address [malformed]\n  \
                    `name` is missing [invalid]";
        assert_eq!(coded.to_string(), said);
    }
}
