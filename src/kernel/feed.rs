//! Events as they happen, for streams and for waiting.
//!
//! The table of events is the truth. A [`EventFeed`] is woken by each commit and reads what is new from the
//! table, so a consumer that was slow finds everything that it missed, in order. Start with
//! [`EventFeed::next`].

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::Event;
use crate::store::{EventQuery, SharedStore, StoreError};

/// Events that are read at a time.
const BATCH_MAX: u32 = 256;
/// The least time from one read that found everything there was to the next. Under load there are thousands
/// of commits a second, and most have nothing for a feed that looks for a few kinds.
const READ_PERIOD: Duration = Duration::from_millis(20);

/// Events that fit a query, from a number on.
pub struct EventFeed {
    store: SharedStore,
    query: EventQuery,
    committed: watch::Receiver<u64>,
    /// When the next read may be.
    due: Instant,
}

impl EventFeed {
    /// Events after `query.after`; `limit` and `newest_first` have no meaning here.
    pub fn new(store: SharedStore, query: EventQuery) -> Self {
        let committed = store.committed();
        let query = EventQuery { limit: BATCH_MAX, newest_first: false, ..query };
        EventFeed { store, query, committed, due: Instant::now() }
    }

    /// The next events, at least one: waits until there is one. Dropping the wait loses nothing.
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

    /// The next events of those that are there; none where all were read.
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
