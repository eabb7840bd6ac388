//! The events that a caller may read. Events about objects that are hidden from the caller are left out, and
//! do not count towards the length of a page.
//!
//! `permissions` decides what a caller may read. The store leaves out kinds that are hidden as a whole; the
//! other events are checked one by one.

use super::{Caller, Error, EventFeed, Kernel};
use crate::model::Event;
use crate::store::{EVENT_READ_BYTES_MAX, EVENTS_MAX, EventQuery};

/// Most reads of the store for one page. If the caller may read few events, or the events are large, a page
/// may be short although more follow.
const READS_MAX: usize = 16;

/// A page of events that a caller may read.
#[derive(Debug, Default)]
pub struct EventBatch {
    pub events: Vec<Event>,
    /// The number from which the next page continues; none if everything was read.
    pub next: Option<u64>,
}

impl Kernel {
    /// The events of a query that the caller may read. All events up to `next` were checked.
    ///
    /// # Errors
    /// The database failed.
    pub async fn events_for(&self, caller: &Caller, query: EventQuery) -> Result<EventBatch, Error> {
        let limit = if query.limit == 0 { EVENTS_MAX } else { query.limit.min(EVENTS_MAX) };
        let mut query = EventQuery { hidden: caller.hidden_kinds(), limit, ..query };
        let mut batch = EventBatch::default();
        let mut bytes = 0;
        for _ in 0..READS_MAX {
            let read = self.read_events(query.clone()).await?;
            bytes += read.bytes;
            batch.next = read.events.last().filter(|_| read.is_cut).map(|last| last.seq);
            batch.events.extend(self.readable(caller, read.events));
            let Some(seq) = batch.next else { break };
            query.limit = limit.saturating_sub(u32::try_from(batch.events.len()).unwrap_or(u32::MAX));
            if query.limit == 0 || bytes >= EVENT_READ_BYTES_MAX {
                break;
            }
            match query.newest_first {
                true => query.before = Some(seq),
                false => query.after = seq,
            }
        }
        Ok(batch)
    }

    /// A feed of the events of a query, without kinds that are hidden from the caller. The reader passes each
    /// batch through [`Kernel::readable`].
    pub fn feed_for(&self, caller: &Caller, query: EventQuery) -> EventFeed {
        self.feed(EventQuery { hidden: caller.hidden_kinds(), ..query })
    }

    /// Keeps those events that the caller may read.
    pub fn readable(&self, caller: &Caller, mut events: Vec<Event>) -> Vec<Event> {
        self.read(|world| events.retain(|event| caller.may_read_subject(world, &event.subject)));
        events
    }
}
