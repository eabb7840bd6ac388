//! Whether what is to be kept can be kept: what the readiness page says, and the event when it is over.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::json;

use crate::app::{App, Ctx};
use crate::model::NewEvent;
use crate::store::{self, Deed};

/// A database that does not take writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    pub since: Timestamp,
    pub reason: String,
}

/// The outage there is, if there is one.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<Outage>>);

impl Health {
    /// The outage that lasts.
    pub fn outage(&self) -> Option<Outage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What came of a commit. The first failure is told, and the end; not each in between.
    pub(super) fn saw(&self, failure: Option<&store::Error>, now: Timestamp) {
        let mut outage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (failure, outage.as_ref()) {
            (Some(store::Error::Failed(reason)), None) => {
                tracing::error!(reason, "the database takes no writes: nothing is promised until it does");
                *outage = Some(Outage { since: now, reason: reason.clone() });
            }
            (None, Some(over)) => {
                tracing::info!(since = %over.since, "the database takes writes again");
                *outage = None;
            }
            _ => {}
        }
    }
}

impl App {
    /// Where the database took no writes, finds out whether it does again, and then says so with an event.
    pub async fn look_after_store(&self, now: Timestamp) {
        let Some(outage) = self.health.outage() else { return };
        let event = NewEvent {
            time: now,
            kind: "server.store_recovered".to_owned(),
            subject: "server".to_owned(),
            actor: Ctx::server(now).actor.to_string(),
            attempt: None,
            data: json!({ "reason": outage.reason, "since": outage.since }),
        };
        if let Err(error) = self.commit(Deed::default().event(event)).await {
            tracing::debug!(%error, "the database still takes no writes");
        }
    }
}
