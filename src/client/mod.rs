//! A client of the REST API, for the command line, the agent and tests.
//!
//! It handles URLs, certificates, reconnecting streams and the form of refusals; its callers decide what to
//! do about errors. Start with [`ApiClient::new`] and [`ObjectPath`], then read `objects`.

mod agent;
pub mod authority;
mod bulk;
mod certificate;
mod changes;
mod channels;
mod error;
mod events;
mod http;
mod leases;
mod machines;
mod maintenance;
mod message_stream;
mod objects;
mod packs;
mod pin;
mod sse;

pub use agent::AgentWork;
pub use bulk::{BulkCall, BulkResult, BulkResults, ResultKind};
pub use certificate::CertificateFacts;
pub use changes::{ChangeHistory, ChangeSignal, ChangeStream, PageStart};
pub use channels::ChannelVerbCall;
pub use error::{ClientError, ServerRefusal};
pub use events::{EventFilter, EventHistory, EventStream, HistoryRange, StreamSignal};
pub use http::{ApiClient, AuthorityKeeper, BearerToken, ServerTarget};
pub use leases::LeaseAction;
pub use machines::{
    ActionMode, BootExplanation, ClassEntry, ExplainAs, ExplainOf, LogPiece, MachineAction, OptionEntry,
    ParamDetail, Prune, RenderOf, RuleEntry,
};
pub use maintenance::BackupDownload;
pub use objects::{ListRequest, ObjectList, ObjectPath, UsedObject};
pub use pin::{Fingerprint, certificate_at, learn};
