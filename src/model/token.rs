//! Bearer tokens, and what their holders may do.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::name::check_name;
use super::{Kind, NoStatus, Noun, Object, Problem, RefusalCode, Stored};

/// A bearer token. The token itself is shown once, when it is created; only its SHA-256 is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub name: String,
    /// What the holder may do: `*`, `machines:read`, `machines:write`, `agent:<machine id>` …
    pub scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// SHA-256 of the token, in hex; set by the server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// For the token of an agent: the boot attempt that installed or booted the agent's system. Set by the
    /// server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Uuid>,
    /// For the token of an agent that was not used yet, or whose life began with its first use: when it ends
    /// unused. Set by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_use_by: Option<Timestamp>,
}

impl Token {
    /// A token that expires, for [`Token::sha256`] to be added.
    pub fn expiring(name: String, scopes: Vec<String>, expires_at: Timestamp) -> Self {
        Token { name, scopes, expires_at: Some(expires_at), ..Token::default() }
    }

    /// Whether it was never used, and its life begins with the first use.
    pub fn is_unused(&self) -> bool {
        self.first_use_by.is_some() && self.first_use_by == self.expires_at
    }

    /// Whether it may do everything, and does not expire.
    pub fn is_lasting_admin(&self) -> bool {
        self.expires_at.is_none() && self.scopes.iter().any(|scope| scope == "*")
    }
}

impl Noun for Token {
    const KIND: Kind = Kind::Token;
    const INDEXES: &'static [&'static str] = &["sha256"];
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn unique(&self, _: &NoStatus) -> Vec<(&'static str, String)> {
        vec![("sha256", self.sha256.clone())]
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        if self.scopes.is_empty() {
            problems.push(
                Problem::new("/scopes", "a token needs at least one scope, like `machines:read`")
                    .coded(RefusalCode::Missing),
            );
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Token(stored)
    }
}
