//! The names of machines, for people: stored objects and events have their ids.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::columns::text_at;
use crate::cli::summary::summary;
use crate::client::{ApiClient, ListRequest};
use crate::model::{Event, EventBody, Kind};

/// Machines that one request asks for.
const ASKED_MAX: usize = 100;
/// Most names that are kept. Beyond it all are asked for again.
const NAMES_MAX: usize = 100_000;
const MACHINE: &str = "machine:";
/// The length of an id.
const ID_CHARS: usize = 36;
const AGENT: &str = "agent:";

/// Names by id. A machine that was deleted, or that the token may not read, keeps its id.
#[derive(Debug, Default)]
pub struct MachineNames {
    names: HashMap<String, Option<String>>,
}

impl MachineNames {
    /// Fetches the names that are not known yet. Without an answer the ids stay.
    pub async fn learn<'a>(&mut self, client: &ApiClient, ids: impl IntoIterator<Item = &'a str>) {
        if self.names.len() >= NAMES_MAX {
            self.names.clear();
        }
        let mut missing: Vec<&str> = ids
            .into_iter()
            .filter(|id| id.parse::<Uuid>().is_ok() && !self.names.contains_key(*id))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        for ids in missing.chunks(ASKED_MAX) {
            self.names.extend(ids.iter().map(|id| ((*id).to_owned(), None)));
            let terms =
                vec![("id[in]".to_owned(), ids.join(",")), ("fields".to_owned(), "id,name".to_owned())];
            let found = client.list(Kind::Machine, &ListRequest { terms, limit: None }).await;
            for machine in found.map(|list| list.items).unwrap_or_default() {
                self.names.insert(text_at(&machine, "id"), Some(text_at(&machine, "name")));
            }
        }
    }

    /// Learns the machines that events are about or come from.
    pub async fn learn_of(&mut self, client: &ApiClient, events: &[Event]) {
        for event in events {
            let named = match &event.body {
                EventBody::Created(Kind::Machine, it) | EventBody::Deleted(Kind::Machine, it) => &it.name,
                EventBody::Updated(Kind::Machine, it) => &it.name,
                _ => continue,
            };
            if let Some(id) = event.subject.strip_prefix(MACHINE) {
                self.names.insert(id.to_owned(), Some(named.clone()));
            }
        }
        let texts =
            events.iter().flat_map(|event| [event.subject.clone(), event.actor.clone(), summary(event)]);
        let texts: Vec<String> = texts.collect();
        self.learn(client, texts.iter().flat_map(|text| ids_in(text))).await;
    }

    /// The name of a machine, or its id.
    pub fn of<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).and_then(Option::as_deref).unwrap_or(id)
    }

    /// A text with names instead of the ids in it; a subject or actor that is a machine is its name alone.
    pub fn named(&self, text: &str) -> String {
        let text = text.strip_prefix(MACHINE).unwrap_or(text);
        ids_in(text).fold(text.to_owned(), |named, id| named.replace(id, self.of(id)))
    }
}

/// The ids in a text.
fn ids_in(text: &str) -> impl Iterator<Item = &str> {
    let parts = (0..text.len()).filter_map(|at| text.get(at..at + ID_CHARS));
    parts.filter(|part| part.parse::<Uuid>().is_ok())
}

/// Objects with the names of their machines instead of the ids, for tables: `machine` of jobs, runs and
/// leases, and the scopes of agents' tokens.
pub async fn with_names(client: &ApiClient, items: &[Value]) -> Vec<Value> {
    let mut items = items.to_vec();
    let mut names = MachineNames::default();
    names.learn(client, items.iter().flat_map(ids)).await;
    for item in &mut items {
        if let Some(machine) = item.get_mut("machine") {
            let named = machine.as_str().map(|id| json!(names.of(id)));
            *machine = named.unwrap_or_default();
        }
        for scope in item.get_mut("scopes").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(id) = scope.as_str().and_then(|scope| scope.strip_prefix(AGENT)) {
                *scope = json!(format!("{AGENT}{}", names.of(id)));
            }
        }
    }
    items
}

fn ids(item: &Value) -> impl Iterator<Item = &str> {
    let scopes = item.get("scopes").and_then(Value::as_array).into_iter().flatten();
    let agents = scopes.filter_map(|scope| scope.as_str()?.strip_prefix(AGENT));
    item.get("machine").and_then(Value::as_str).into_iter().chain(agents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_a_text_become_names_where_they_are_known() {
        let [known, unknown] =
            ["01a22d0a-c707-7186-9518-04962c301f13", "01a22d0a-c740-738d-8ce0-42ad803882a9"];
        let mut names = MachineNames::default();
        names.names.insert(known.to_owned(), Some("web1".to_owned()));
        names.names.insert(unknown.to_owned(), None);
        assert_eq!(names.named(&format!("machine:{known}")), "web1");
        assert_eq!(names.named(&format!("token:agent-{known}-01a2")), "token:agent-web1-01a2");
        assert_eq!(names.named(&format!("machine:{unknown}")), unknown);
        assert_eq!(names.named("subnet:lan"), "subnet:lan");
    }
}
