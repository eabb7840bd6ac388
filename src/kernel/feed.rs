//! A feed of events, for streams and for waiting.
//!
//! The table of events is authoritative. Each commit wakes an [`EventFeed`], which reads the new events from
//! the table, so that a slow consumer misses nothing and gets all events in order. Start with
//! [`EventFeed::next`].

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::Event;
use crate::store::{EventQuery, EventRead, SharedStore, StoreError};

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
            let read = self.read().await?;
            if !read.is_cut {
                self.due = Instant::now() + READ_PERIOD;
            }
            if !read.events.is_empty() {
                return Ok(read.events);
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
        Ok(self.read().await?.events)
    }

    async fn read(&mut self) -> Result<EventRead, StoreError> {
        let upto = *self.committed.borrow_and_update();
        let read = self.store.read_events(self.query.clone()).await?;
        match read.events.last() {
            Some(last) if read.is_cut => self.query.after = last.seq,
            last => self.query.after = last.map_or(0, |last| last.seq).max(upto).max(self.query.after),
        }
        Ok(read)
    }
}
