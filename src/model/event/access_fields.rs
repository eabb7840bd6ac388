//! Fields of events about tokens and sessions.

use std::net::IpAddr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{EventBody, SessionEnd};

/// The owner of the data directory made a token that may do everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRecovered {
    pub name: String,
    pub scopes: Vec<String>,
}

/// A browser logged in with a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionBegan {
    pub token: String,
    /// The address that logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// How the browser names itself.
    pub browser: String,
    /// When the session ends at the latest.
    pub expires_at: Timestamp,
}

/// A session of a browser ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionEnded {
    pub token: String,
    pub why: SessionEnd,
}

impl From<TokenRecovered> for EventBody {
    fn from(fields: TokenRecovered) -> Self {
        EventBody::TokenRecovered(fields)
    }
}

impl From<SessionBegan> for EventBody {
    fn from(fields: SessionBegan) -> Self {
        EventBody::SessionBegan(fields)
    }
}

impl From<SessionEnded> for EventBody {
    fn from(fields: SessionEnded) -> Self {
        EventBody::SessionEnded(fields)
    }
}
