//! Whether what is to be kept can be kept: what the readiness page says, and the event when it is over.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::json;

use crate::kernel::{Caller, Kernel};
use crate::model::NewEvent;
use crate::store::{self, Changeset};

/// A database that does not take writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    pub since: Timestamp,
    pub reason: String,
}

/// What is known of outages.
#[derive(Debug, Default)]
pub struct Health(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The outage there is, if there is one.
    lasting: Option<Outage>,
    /// The one that no event tells of yet. Under load the first commit after it is a client's, not the event.
    untold: Option<Outage>,
}

impl Health {
    /// The outage that lasts.
    pub fn outage(&self) -> Option<Outage> {
        self.seen().lasting.clone()
    }

    /// What came of a commit. The first failure is told, and the end; not each in between.
    pub fn saw(&self, failure: Option<&store::Error>, now: Timestamp) {
        let mut seen = self.seen();
        match (failure, seen.lasting.as_ref()) {
            (Some(store::Error::Failed(reason)), None) => {
                tracing::error!(reason, "the database takes no writes: nothing is promised until it does");
                let outage = Outage { since: now, reason: reason.clone() };
                seen.untold.get_or_insert_with(|| outage.clone());
                seen.lasting = Some(outage);
            }
            (None, Some(over)) => {
                tracing::info!(since = %over.since, "the database takes writes again");
                seen.lasting = None;
            }
            _ => {}
        }
    }

    fn untold(&self) -> Option<Outage> {
        self.seen().untold.clone()
    }

    /// An event tells of it now. Another may have begun since.
    fn told(&self) {
        let mut seen = self.seen();
        seen.untold = seen.lasting.clone();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kernel {
    /// Where the database took no writes, finds out whether it does again, and then says so with an event.
    pub async fn look_after_store(&self, now: Timestamp) {
        let Some(outage) = self.health.untold() else { return };
        let event = NewEvent {
            time: now,
            kind: "server.store_recovered".to_owned(),
            subject: "server".to_owned(),
            actor: Caller::server(now).actor.to_string(),
            attempt: None,
            data: json!({ "reason": outage.reason, "since": outage.since }),
        };
        match self.commit(Changeset::default().event(event)).await {
            Ok(_) => self.health.told(),
            Err(error) => tracing::debug!(%error, "the database still takes no writes"),
        }
    }
}
