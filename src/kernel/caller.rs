//! The caller of a use case: who asks, with which rights, and when.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use crate::model::{EventBody, Machine, NewEvent, Noun, Stored};

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The holder of a token, by the token's name.
    Token(String),
    /// A machine through its agent or installer.
    Machine(Uuid),
    /// The server itself: a deadline passed, the server restarted.
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

/// The caller of one request, and the time of the request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub actor: Actor,
    /// What the actor may do; see `kernel::scope`.
    pub scopes: Vec<String>,
    pub now: Timestamp,
    pub request_id: String,
    /// The boot attempt that an agent's token was made for: the agent runs in what this attempt installed or
    /// booted.
    pub attempt: Option<Uuid>,
    /// The session of a browser that logged in with the actor's token.
    pub session: Option<Uuid>,
}

impl Caller {
    /// The server itself, at the present time.
    pub fn server(now: Timestamp) -> Self {
        let scopes = vec!["*".to_owned()];
        Caller { actor: Actor::Server, scopes, now, request_id: String::new(), attempt: None, session: None }
    }

    /// A machine, at the present time: it booted, it reported.
    pub fn machine(machine: &Stored<Machine>, now: Timestamp) -> Self {
        let actor = machine.key.parse().map_or(Actor::Server, Actor::Machine);
        Caller { actor, scopes: Vec::new(), now, request_id: String::new(), attempt: None, session: None }
    }

    /// An event with this caller as actor and the server as subject.
    pub fn event(&self, body: impl Into<EventBody>) -> NewEvent {
        NewEvent::new(self.now, body).by(self.actor.to_string()).in_request(&self.request_id)
    }

    /// An event with this caller as actor and an object as subject.
    pub fn event_about<T: Noun>(&self, object: &Stored<T>, body: impl Into<EventBody>) -> NewEvent {
        self.event(body).about(object.subject())
    }
}
