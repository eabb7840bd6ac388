//! Events: by number, as they happen, and along a machine's boots.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use crate::insight::Insight;
use crate::kernel::{Caller, EVENT_READ_BYTES_MAX, Error, EventBatch, EventQuery};
use crate::model::{Event, Machine};

/// Events on a page: the default and the largest number.
pub const LIMIT_DEFAULT: u32 = 100;
pub const LIMIT_MAX: u32 = 1000;
/// Most attempts that one page of a timeline reads.
const ATTEMPTS_MAX: usize = 64;

impl Insight {
    /// What happened to a machine and in its boot attempts, oldest first, after an event's number. Events
    /// about other objects are left out if the caller may not read those objects.
    ///
    /// # Errors
    /// [`Error::NotFound`], or the database failed.
    pub async fn timeline(
        &self,
        caller: &Caller,
        reference: &str,
        page: TimelinePage,
    ) -> Result<EventBatch, Error> {
        let machine = self.kernel.find::<Machine>(caller, reference)?;
        let events_of = |query: EventQuery| {
            let query = EventQuery { after: page.after, since: page.since, limit: page.limit, ..query };
            self.kernel.events_for(caller, query)
        };
        if page.attempt.is_some() {
            return events_of(EventQuery { attempt: page.attempt, ..Default::default() }).await;
        }
        let subject = Some(machine.subject());
        let own = events_of(EventQuery { subject, ..Default::default() }).await?;
        let present = machine.status.boot_attempt.as_ref().map(|attempt| attempt.id);
        let attempts: BTreeSet<Uuid> =
            own.events.iter().filter_map(|event| event.attempt).chain(present).collect();
        let mut merged = MergedEvents::new(page.limit);
        merged.add(own);
        for attempt in attempts.into_iter().take(ATTEMPTS_MAX) {
            merged.add(events_of(EventQuery { attempt: Some(attempt), ..Default::default() }).await?);
        }
        let events = merged.events.into_values().map(|(event, _)| event).collect();
        Ok(EventBatch { events, next: merged.end })
    }
}

/// Events of several pages in the order of their numbers, up to a number of events and
/// [`EVENT_READ_BYTES_MAX`].
struct MergedEvents {
    /// Each with its size in bytes.
    events: BTreeMap<u64, (Event, usize)>,
    /// Everything up to here is among the events; none if that is all.
    end: Option<u64>,
    limit: usize,
}

impl MergedEvents {
    fn new(limit: u32) -> Self {
        MergedEvents { events: BTreeMap::new(), end: None, limit: limit as usize }
    }

    fn add(&mut self, batch: EventBatch) {
        self.end = self.end.into_iter().chain(batch.next).min();
        for event in batch.events {
            if let Entry::Vacant(place) = self.events.entry(event.seq) {
                let bytes = serde_json::to_string(&event).map_or(0, |text| text.len());
                place.insert((event, bytes));
            }
        }
        let mut bytes = 0;
        let full = self.events.iter().enumerate().find(|(place, (_, (_, size)))| {
            bytes += size;
            place + 1 == self.limit || bytes >= EVENT_READ_BYTES_MAX
        });
        self.end = self.end.into_iter().chain(full.map(|(_, (seq, _))| *seq)).min();
        if let Some(end) = self.end {
            self.events.retain(|seq, _| *seq <= end);
        }
    }
}

/// The part of a timeline to read.
#[derive(Debug, Clone, Copy)]
pub struct TimelinePage {
    pub after: u64,
    /// Only events at or after this time.
    pub since: Option<Timestamp>,
    pub attempt: Option<Uuid>,
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::houses::testing;
    use crate::kernel::Changeset;
    use crate::model::event::{BootAttemptStarted, NoFields, PacketAnswer};
    use crate::model::{EventBody, EventKind, Kind, NewEvent};

    #[tokio::test]
    async fn a_timeline_has_the_events_of_the_attempts_in_order() {
        let (houses, caller) = (testing::houses(), testing::caller());
        let made = houses.objects.create::<Machine>(&caller, json!({"name": "web1"})).await.unwrap();
        let attempt = Some(Uuid::now_v7());
        let subject = format!("machine:{}", made.key);
        let started = BootAttemptStarted { number: 1, bootenv: None };
        let offered = EventBody::DhcpOffered(PacketAnswer::default());
        let fetched = EventBody::BootScriptFetched(NoFields {});
        for (body, subject) in
            [(started.into(), subject.as_str()), (offered, "lease:10.0.0.5"), (fetched, &subject)]
        {
            let event = NewEvent::new(caller.now, body).about(subject.to_owned()).in_attempt(attempt);
            houses.kernel.try_commit(Changeset::default().event(event)).await.unwrap();
        }
        let page = TimelinePage { after: 0, since: None, attempt: None, limit: 100 };
        let events = houses.insight.timeline(&caller, "name:web1", page).await.unwrap().events;
        let kinds: Vec<_> = events.iter().filter_map(|event| event.body.kind()).collect();
        let expected = [
            EventKind::Created(Kind::Machine),
            EventKind::BootAttemptStarted,
            EventKind::DhcpOffered,
            EventKind::BootScriptFetched,
        ];
        assert_eq!(kinds, expected);
        let rest = houses
            .insight
            .timeline(&caller, "name:web1", TimelinePage { after: events[1].seq, limit: 1, ..page })
            .await
            .unwrap();
        assert_eq!((rest.events.len(), rest.next), (1, Some(events[2].seq)));
        let other = Caller { scopes: vec!["machines:read".into()], ..caller.clone() };
        let shown = houses.insight.timeline(&other, "name:web1", page).await.unwrap().events;
        let kinds: Vec<_> = shown.iter().filter_map(|event| event.body.kind()).collect();
        assert_eq!(kinds, [expected[0], expected[1], expected[3]], "an event about a lease is left out");
    }
}
