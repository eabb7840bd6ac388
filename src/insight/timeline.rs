//! What happened: events by number, as they come, and along one object's boots.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::insight::Insight;
use crate::kernel::{Caller, Error};
use crate::model::{Event, Machine, Stored};
pub use crate::store::EventQuery;

/// Events on a page when the client does not say, and at most.
pub const LIMIT_DEFAULT: u32 = 100;
pub const LIMIT_MAX: u32 = 1000;
/// Most attempts that one page of a timeline looks at.
const ATTEMPTS_MAX: usize = 64;

impl Insight {
    /// `machine:web1` as events name it, by the id. Anything else is left as it is.
    pub fn subject(&self, caller: &Caller, text: &str) -> String {
        let Some(reference) = text.strip_prefix("machine:") else { return text.to_owned() };
        let world = self.kernel.world();
        let by_name = caller.find::<Machine>(&world, &format!("name:{reference}"));
        let named = by_name.or_else(|_| caller.find::<Machine>(&world, reference));
        named.map_or_else(|_| text.to_owned(), |machine| machine.subject())
    }

    /// What happened to a machine and in its boot attempts, oldest first, after an event's number. Events of
    /// objects that the caller may not read are left out, so a page may have fewer than its limit.
    ///
    /// # Errors
    /// [`Error::NotFound`], or the database failed.
    pub async fn timeline(
        &self,
        caller: &Caller,
        reference: &str,
        page: TimelinePage,
    ) -> Result<Timeline, Error> {
        let machine = self.kernel.find::<Machine>(caller, reference)?;
        let mut events = self.whole_timeline(&machine, page).await?;
        let next = events.last().filter(|_| events.len() >= page.limit as usize).map(|last| last.seq);
        let world = self.kernel.world();
        events.retain(|event| caller.may_read_subject(&world, &event.subject));
        Ok(Timeline { events, next })
    }

    async fn whole_timeline(
        &self,
        machine: &Stored<Machine>,
        page: TimelinePage,
    ) -> Result<Vec<Event>, Error> {
        let page_of = |query: EventQuery| EventQuery { after: page.after, limit: page.limit, ..query };
        if let Some(attempt) = page.attempt {
            return self
                .kernel
                .events(page_of(EventQuery { attempt: Some(attempt), ..Default::default() }))
                .await;
        }
        let subject = Some(machine.subject());
        let own = self.kernel.events(page_of(EventQuery { subject, ..Default::default() })).await?;
        let whole = own.len() < page.limit as usize;
        let end = own.last().map_or(0, |last| last.seq);
        let present = machine.status.boot_attempt.as_ref().map(|attempt| attempt.id);
        let attempts: BTreeSet<Uuid> = own.iter().filter_map(|event| event.attempt).chain(present).collect();
        let mut merged: BTreeMap<u64, Event> = own.into_iter().map(|event| (event.seq, event)).collect();
        for attempt in attempts.into_iter().take(ATTEMPTS_MAX) {
            let query = page_of(EventQuery { attempt: Some(attempt), ..Default::default() });
            let events = self.kernel.events(query).await?;
            merged.extend(events.into_iter().map(|event| (event.seq, event)));
        }
        Ok(merged
            .into_values()
            .filter(|event: &Event| whole || event.seq <= end)
            .take(page.limit as usize)
            .collect())
    }
}

/// A part of a timeline.
#[derive(Debug, Clone)]
pub struct Timeline {
    pub events: Vec<Event>,
    /// The `after` of the next page; none on the last one.
    pub next: Option<u64>,
}

/// Which part of a timeline.
#[derive(Debug, Clone, Copy)]
pub struct TimelinePage {
    pub after: u64,
    pub attempt: Option<Uuid>,
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::houses::testing;
    use crate::store::Changeset;

    #[tokio::test]
    async fn a_timeline_has_the_events_of_the_attempts_in_order() {
        let (app, caller) = (testing::app(), testing::caller());
        let made = app.objects.create::<Machine>(&caller, json!({"name": "web1"})).await.unwrap();
        let attempt = Some(Uuid::now_v7());
        let subject = format!("machine:{}", made.key);
        for (kind, subject) in
            [("boot.began", subject.as_str()), ("dhcp.offered", "lease:10.0.0.5"), ("boot.x", &subject)]
        {
            let event = crate::model::NewEvent {
                time: caller.now,
                kind: kind.into(),
                subject: subject.into(),
                actor: "server".into(),
                attempt,
                data: json!({}),
            };
            app.kernel.try_commit(Changeset::default().event(event)).await.unwrap();
        }
        let page = TimelinePage { after: 0, attempt: None, limit: 100 };
        let events = app.insight.timeline(&caller, "name:web1", page).await.unwrap().events;
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["machine.created", "boot.began", "dhcp.offered", "boot.x"]);
        let rest = app
            .insight
            .timeline(&caller, "name:web1", TimelinePage { after: events[1].seq, limit: 1, ..page })
            .await
            .unwrap();
        assert_eq!((rest.events.len(), rest.next), (1, Some(rest.events[0].seq)));
        let reader = Caller { scopes: vec!["machines:read".into()], ..caller.clone() };
        let page = TimelinePage { after: 0, limit: 3, ..page };
        let seen = app.insight.timeline(&reader, "name:web1", page).await.unwrap();
        let kinds: Vec<&str> = seen.events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["machine.created", "boot.began"], "the event of a lease is not shown");
        assert_eq!(seen.next, Some(events[2].seq), "and the next page begins behind it");
        assert_eq!(app.insight.subject(&caller, "machine:web1"), format!("machine:{}", made.key));
    }
}
