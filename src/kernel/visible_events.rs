//! Events as a caller may read them. Those about objects that are hidden from the caller are left out, and
//! take no place on a page.
//!
//! What a caller may read is decided in `permissions`. Kinds that are hidden as a whole are left out by the
//! store; the other events are looked at one by one.

use super::{Caller, Error, EventFeed, Kernel};
use crate::model::Event;
use crate::store::{EVENTS_MAX, EventQuery};

/// Most reads of the store for one page. Where the caller may read few events, a page has fewer than it
/// could.
const READS_MAX: usize = 16;

/// Some events that a caller may read.
#[derive(Debug, Default)]
pub struct EventBatch {
    pub events: Vec<Event>,
    /// The number after which, or before which, it goes on; none where everything was read.
    pub next: Option<u64>,
}

impl Kernel {
    /// The events of a query that the caller may read. All events up to `next` were looked at.
    ///
    /// # Errors
    /// The database failed.
    pub async fn events_for(&self, caller: &Caller, query: EventQuery) -> Result<EventBatch, Error> {
        let limit = if query.limit == 0 { EVENTS_MAX } else { query.limit.min(EVENTS_MAX) };
        let mut query = EventQuery { hidden: caller.hidden_kinds(), limit, ..query };
        let mut batch = EventBatch::default();
        for _ in 0..READS_MAX {
            let read = self.events(query.clone()).await?;
            batch.next = read.get(query.limit as usize - 1).map(|last| last.seq);
            batch.events.extend(self.readable(caller, read));
            let Some(seq) = batch.next else { break };
            query.limit = limit.saturating_sub(u32::try_from(batch.events.len()).unwrap_or(u32::MAX));
            if query.limit == 0 {
                break;
            }
            match query.newest_first {
                true => query.before = Some(seq),
                false => query.after = seq,
            }
        }
        Ok(batch)
    }

    /// The events of a query as they happen, without those about kinds that are hidden from the caller. The
    /// reader passes each batch through [`Kernel::readable`].
    pub fn feed_for(&self, caller: &Caller, query: EventQuery) -> EventFeed {
        self.feed(EventQuery { hidden: caller.hidden_kinds(), ..query })
    }

    /// Those of some events that the caller may read.
    pub fn readable(&self, caller: &Caller, mut events: Vec<Event>) -> Vec<Event> {
        self.read(|world| events.retain(|event| caller.may_read_subject(world, &event.subject)));
        events
    }
}
