//! A feed of events, for streams and for waiting.
//!
//! The table of events is authoritative. Each commit wakes an [`EventFeed`], which reads the new events from
//! the table, so that a slow consumer misses nothing and gets all events in order. Start with
//! [`EventFeed::next`].

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::Event;
use crate::store::{EventQuery, SharedStore, StoreError};

/// Most events that one read returns.
const BATCH_MAX: u32 = 256;
/// Least time between two reads that return all new events. Under load there are thousands of commits a
/// second, and most have no event for a feed of a few kinds.
const READ_PERIOD: Duration = Duration::from_millis(20);

/// The events that match a query, from a number on.
pub struct EventFeed {
    store: SharedStore,
    query: EventQuery,
    committed: watch::Receiver<u64>,
    /// Earliest time of the next read.
    due: Instant,
}

impl EventFeed {
    /// The events after `query.after`; `limit` and `newest_first` are ignored.
    pub fn new(store: SharedStore, query: EventQuery) -> Self {
        let committed = store.committed();
        let query = EventQuery { limit: BATCH_MAX, newest_first: false, ..query };
        EventFeed { store, query, committed, due: Instant::now() }
    }

    /// Waits for the next events and returns at least one. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The database failed, or the store was closed.
    pub async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        loop {
            tokio::time::sleep_until(self.due).await;
            let events = self.present().await?;
            if events.len() < BATCH_MAX as usize {
                self.due = Instant::now() + READ_PERIOD;
            }
            if !events.is_empty() {
                return Ok(events);
            }
            self.committed
                .changed()
                .await
                .map_err(|_| StoreError::Failed("the store was closed".to_owned()))?;
        }
    }

    /// The next events, without waiting; none if all were read.
    ///
    /// # Errors
    /// The database failed.
    pub async fn present(&mut self) -> Result<Vec<Event>, StoreError> {
        let upto = *self.committed.borrow_and_update();
        let events = self.store.events(self.query.clone()).await?;
        match events.last() {
            Some(last) if events.len() >= BATCH_MAX as usize => self.query.after = last.seq,
            last => self.query.after = last.map_or(0, |last| last.seq).max(upto).max(self.query.after),
        }
        Ok(events)
    }
}
