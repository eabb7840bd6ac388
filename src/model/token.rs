//! Bearer tokens, and what their holders may do.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::check_name;
use super::{Kind, NoStatus, Noun, Object, Problem, RefusalCode, Stored};

/// A bearer token. The token itself is shown once, when it is created; only its SHA-256 is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
}

impl Token {
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
