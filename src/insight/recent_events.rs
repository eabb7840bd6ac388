//! The last events that matter: what people did, and what went wrong by itself.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::insight::Insight;
use crate::kernel::{Caller, Error, EventQuery};
use crate::model::{Event, EventBody, EventKind, Kind, RecentEvent, World};

/// Most events.
const RECENT_MAX: u32 = 20;
/// How many of the newest events are looked at for what went wrong by itself.
const LOOKED_AT_MAX: u64 = 5_000;
/// Longest text of an event, in characters.
const TEXT_CHARS_MAX: usize = 200;
/// Most fields that a text names.
const FIELDS_MAX: usize = 4;

/// What matters although nobody did it.
const OF_THE_SERVER: &[EventKind] = &[
    EventKind::BootInstallerAsks,
    EventKind::BootLoopStopped,
    EventKind::DhcpRivalServer,
    EventKind::RunFailed,
    EventKind::RunHeld,
    EventKind::RunLiveSystemLost,
    EventKind::RunOverdue,
    EventKind::ServerPruned,
    EventKind::ServerRestored,
    EventKind::ServerRowsSetAside,
    EventKind::ServerStoreRecovered,
];

impl Insight {
    /// The newest of both kinds, the newest first. What people did is found by its key, however long ago;
    /// of the rest only the newest events are looked at, so that a flood of packets costs nothing.
    pub(super) async fn recent_events(&self, caller: &Caller) -> Result<Vec<RecentEvent>, Error> {
        let newest = EventQuery { limit: RECENT_MAX, newest_first: true, ..EventQuery::default() };
        let of_people = EventQuery { actor: Some("token:*".to_owned()), ..newest.clone() };
        let after = self.kernel.last_event().saturating_sub(LOOKED_AT_MAX);
        let of_server = EventQuery { kinds: OF_THE_SERVER, after, ..newest };
        let mut events: BTreeMap<u64, Event> = BTreeMap::new();
        for query in [of_people, of_server] {
            let batch = self.kernel.events_for(caller, query).await?;
            events.extend(batch.events.into_iter().map(|event| (event.seq, event)));
        }
        let events: Vec<Event> = events.into_values().rev().take(RECENT_MAX as usize).collect();
        Ok(self.kernel.read(|world| events.into_iter().map(|event| recent(world, event)).collect()))
    }
}

fn recent(world: &World, event: Event) -> RecentEvent {
    let text: String = text(&event.body).chars().take(TEXT_CHARS_MAX).collect();
    let kind = event.body.kind_name().into_owned();
    let name = name_of(world, &event.subject);
    let Event { seq, time, subject, actor, request_id, .. } = event;
    RecentEvent { seq, time, kind, subject, name, actor, request_id, text }
}

/// The name of a subject. Only machines have another than their key.
fn name_of(world: &World, subject: &str) -> String {
    let key = subject.split_once(':').map_or(subject, |(_, key)| key);
    let machine = subject.strip_prefix(&Kind::Machine.subject("")).and_then(|key| world.machines.get(key));
    machine.map_or_else(|| key.to_owned(), |machine| machine.spec.name.clone())
}

/// The fields that were changed, or the first field of the event that says why.
fn text(body: &EventBody) -> String {
    if let EventBody::Updated(_, change) = body {
        let steps = change.diff.as_array().map(Vec::as_slice).unwrap_or_default();
        let paths = steps.iter().filter_map(|step| step.get("path").and_then(Value::as_str));
        let paths: Vec<&str> = paths.chain(change.secrets.iter().map(String::as_str)).collect();
        let more = paths.len().saturating_sub(FIELDS_MAX);
        let named = paths.iter().take(FIELDS_MAX).copied().collect::<Vec<_>>().join(", ");
        return if more > 0 { format!("{named} and {more} more") } else { named };
    }
    let fields = serde_json::to_value(body).unwrap_or_default();
    let told = ["reason", "question", "workflow", "pack", "version"].into_iter();
    let told = told.filter_map(|name| fields.get(name).and_then(Value::as_str));
    told.filter(|text| !text.is_empty()).take(2).collect::<Vec<_>>().join(" ")
}
