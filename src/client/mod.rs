//! A client of the REST API: what the command line, the agent and tests see of a server.
//!
//! It knows URLs, certificates, retries of the event stream and what refusals look like; what to do about
//! them it leaves to its callers. Start with [`Client::new`] and [`ObjectPath`], then read `objects`.

mod agent;
mod changes;
mod error;
mod events;
mod http;
mod leases;
mod machines;
mod message_stream;
mod objects;
mod pin;
mod sse;

pub use agent::Work;
pub use changes::{ChangePage, ChangeSignal, ChangeStream, PageStart};
pub use error::{Error, Refusal};
pub use events::{EventFilter, EventPage, EventStream, PageOf, Signal};
pub use http::{Client, Target, Token};
pub use leases::LeaseAction;
pub use machines::{
    Action, ClassLine, ExplainAs, ExplainOf, Explanation, LogPiece, OptionLine, Prune, RuleLine,
};
pub use objects::{List, ListQuery, ObjectPath};
pub use pin::{Fingerprint, learn};
