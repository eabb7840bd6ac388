//! Who asks, and when.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::model::{Machine, NewEvent, Noun, Stored};

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A holder of a token, by the token's name.
    Token(String),
    /// A machine through its agent or installer.
    Machine(Uuid),
    /// The server itself: a deadline, a restart.
    Server,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Token(name) => write!(f, "token:{name}"),
            Actor::Machine(id) => write!(f, "machine:{id}"),
            Actor::Server => f.write_str("server"),
        }
    }
}

/// One request's circumstances.
#[derive(Clone, Debug)]
pub struct Caller {
    pub actor: Actor,
    /// What the actor may do; see `auth`.
    pub scopes: Vec<String>,
    pub now: Timestamp,
    pub request_id: String,
}

impl Caller {
    /// The server's own doing, now.
    pub fn server(now: Timestamp) -> Self {
        Caller { actor: Actor::Server, scopes: vec!["*".to_owned()], now, request_id: String::new() }
    }

    /// A machine's own doing: it booted, it reported.
    pub fn machine(machine: &Stored<Machine>, now: Timestamp) -> Self {
        let actor = machine.key.parse().map_or(Actor::Server, Actor::Machine);
        Caller { actor, scopes: Vec::new(), now, request_id: String::new() }
    }

    /// An event about an object: `machine.updated`.
    pub fn event<T: Noun>(&self, object: &Stored<T>, what: &str, data: Value) -> NewEvent {
        NewEvent {
            time: self.now,
            kind: format!("{}.{what}", T::KIND),
            subject: object.subject(),
            actor: self.actor.to_string(),
            attempt: None,
            data,
        }
    }
}
