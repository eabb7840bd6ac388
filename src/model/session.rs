//! Sessions of browsers: who has logged in to the console, with which token.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Noun, Object, Stored};

/// How long a session lasts, however much it is used.
pub const SESSION_AGE_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long a session lasts without a request.
pub const SESSION_IDLE_MAX: SignedDuration = SignedDuration::from_hours(12);

/// A login of a browser. It may do what its token may, and ends with the token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The token that it was begun with.
    pub token: String,
    /// When it ends at the latest: seven days after the login, or with the token.
    pub expires_at: Timestamp,
    /// The address that logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// How the browser names itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub browser: String,
    /// SHA-256 of the cookie's value, in hex; set by the server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
}

/// What the server writes about a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionStatus {
    /// About when it was used last: it is noted every five minutes. None until then.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// Its browser logged out.
    LoggedOut,
    /// Its browser logged in anew.
    LoggedInAnew,
    /// The token began more sessions than it may have; this one was used least recently.
    TooMany,
    /// It was not used for twelve hours.
    Idle,
    /// Seven days had passed, or its token had expired.
    Expired,
    /// Its token was deleted.
    TokenDeleted,
    /// An operator ended it.
    ByOperator,
    /// The data directory was restored from a backup.
    Restored,
}

impl Stored<Session> {
    /// When it was used last, as far as that is noted.
    pub fn used_at(&self) -> Timestamp {
        self.status.last_used_at.unwrap_or(self.created_at)
    }

    /// When it ends unless it is used before.
    pub fn ends_at(&self) -> Timestamp {
        let idle = self.used_at().saturating_add(SESSION_IDLE_MAX).unwrap_or(Timestamp::MAX);
        self.spec.expires_at.min(idle)
    }

    /// Why it has ended by itself, if it has.
    pub fn ended_by(&self, now: Timestamp) -> Option<SessionEnd> {
        match () {
            () if self.spec.expires_at <= now => Some(SessionEnd::Expired),
            () if self.ends_at() <= now => Some(SessionEnd::Idle),
            () => None,
        }
    }
}

impl Noun for Session {
    const KIND: Kind = Kind::Session;
    const HAS_STATUS: bool = true;
    const INDEXES: &'static [&'static str] = &["sha256"];
    type Status = SessionStatus;

    fn key(&self) -> Option<String> {
        None
    }

    fn unique(&self, _: &SessionStatus) -> Vec<(&'static str, String)> {
        vec![("sha256", self.sha256.clone())]
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Session(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_and_at_the_latest_after_its_time() {
        let at = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let spec = Session {
            token: "admin".to_owned(),
            expires_at: at(7 * 24),
            peer: None,
            browser: String::new(),
            sha256: String::new(),
        };
        let mut session = Stored::new("s".to_owned(), spec, at(0));
        assert_eq!((session.ended_by(at(11)), session.ended_by(at(12))), (None, Some(SessionEnd::Idle)));
        session.status.last_used_at = Some(at(10));
        assert_eq!((session.ended_by(at(21)), session.ends_at()), (None, at(22)));
        session.status.last_used_at = Some(at(7 * 24 - 1));
        assert_eq!(session.ends_at(), at(7 * 24), "use does not make it longer than its token or seven days");
        assert_eq!(session.ended_by(at(7 * 24)), Some(SessionEnd::Expired));
    }
}
