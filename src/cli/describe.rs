//! `machines describe REF`: one page about a machine, for the person who has to decide what to do with it.
//!
//! [`show`] reads what the token may read; [`page`] is pure.

use anyhow::Result;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::boot::{armed, standing};
use crate::cli::columns::{age, number_at, text, text_at as field, utc};
use crate::cli::events::EventLines;
use crate::cli::nouns::{name_of, object_path};
use crate::cli::objects::problems;
use crate::cli::output::{self, plain};
use crate::cli::sets::value_at;
use crate::cli::states::step_of;
use crate::cli::summary::verdict;
use crate::client::{ApiClient, EventFilter, ExplainAs, ExplainOf, HistoryRange, ListRequest};
use crate::model::{Event, Kind};

/// Events at the end of the page.
const EVENTS: u32 = 8;
/// Problems, leases and reservations that are shown.
const SHOWN_MAX: usize = 8;
/// Column in which the values begin.
const LABEL_CHARS: usize = 11;

/// What is known about a machine. What the token may not read is empty.
#[derive(Debug, Default)]
struct MachinePage {
    machine: Value,
    run: Value,
    explanation: Value,
    leases: Vec<Value>,
    reservations: Vec<Value>,
    events: Vec<Event>,
}

/// Prints the page.
///
/// # Errors
/// The machine cannot be read, or the output is closed.
pub async fn show(client: &ApiClient, reference: &str) -> Result<()> {
    let machine = client.get(&object_path(Kind::Machine, reference)?).await?;
    let id = machine.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = name_of(Kind::Machine, &machine).to_owned();
    let run = match value_at(&machine, "status.run.id").and_then(Value::as_str) {
        Some(run) => client.find(&object_path(Kind::Run, run)?).await.ok().flatten().unwrap_or_default(),
        None => Value::Null,
    };
    let asks = ExplainAs { what: &id, ..ExplainAs::default() };
    let explanation = client.explain(ExplainOf::Machine, &asks).await.unwrap_or_default();
    let filter = EventFilter { machine: Some(id.clone()), ..EventFilter::default() };
    let last = HistoryRange { after: None, limit: Some(EVENTS) };
    let events = client.events(&filter, last).await.map(|page| page.items).unwrap_or_default();
    let leases = of_machine(client, Kind::Lease, &id).await;
    let reservations = of_machine(client, Kind::Reservation, &name).await;
    let shown = MachinePage { machine, run, explanation, leases, reservations, events };
    let mut lines = EventLines::of_one();
    lines.names.learn_of(client, &shown.events).await;
    lines.fit(&shown.events);
    output::print(&page(&shown, Timestamp::now()))?;
    output::print(&last_events(&shown.events, &mut lines))?;
    output::print(&to_do(&shown.machine))
}

/// The objects that name the machine; none if the token may not read them.
async fn of_machine(client: &ApiClient, kind: Kind, machine: &str) -> Vec<Value> {
    let terms = vec![("machine".to_owned(), machine.to_owned())];
    let listed = client.list(kind, &ListRequest { terms, limit: Some(SHOWN_MAX) }).await;
    listed.map(|list| list.items).unwrap_or_default()
}

fn page(shown: &MachinePage, now: Timestamp) -> String {
    let machine = &shown.machine;
    let name = name_of(Kind::Machine, machine);
    let facts = [
        ("Machine", format!("{name}{}", locked(machine))),
        ("State", standing(machine)),
        ("Since", ago("", value_at(machine, "status.since"), now)),
        ("Run", run(machine, now)),
        ("Step", step(shown)),
        ("Armed", armed(name, machine, now).unwrap_or_else(|| "no: its next boot erases nothing".to_owned())),
        ("Next boot", next_boot(&shown.explanation)),
        ("Boot", boot(machine, now)),
        ("Firmware", firmware(machine)),
        ("MACs", field(machine, "macs")),
        ("Address", field(machine, "status.address")),
        ("Leases", shown.leases.iter().map(|lease| lease_line(lease, now)).collect::<Vec<_>>().join("; ")),
        ("Reserved", shown.reservations.iter().map(|it| field(it, "address")).collect::<Vec<_>>().join(", ")),
        ("Serial", field(machine, "serial")),
        ("UUID", field(machine, "smbios_uuid")),
        ("Arch", field(machine, "arch")),
        ("Profiles", field(machine, "profiles")),
        ("Labels", labels(machine)),
        ("Last seen", ago("", value_at(machine, "status.last_seen"), now)),
        ("Id", field(machine, "id")),
    ];
    let facts: String = facts.iter().map(|(label, value)| line(label, value)).collect();
    facts + &problem_lines(machine)
}

/// A line; nothing without a value.
fn line(label: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{label:<LABEL_CHARS$}{}\n", plain(value)) }
}

/// `2026-11-30 20:06:00Z, 3m ago`, after words; nothing without a time.
fn ago(words: &str, time: Option<&Value>, now: Timestamp) -> String {
    let time = time.and_then(Value::as_str).and_then(|time| time.parse::<Timestamp>().ok());
    time.map(|time| format!("{words}{}, {}", utc(time), age(now.duration_since(time)))).unwrap_or_default()
}

fn is_set(object: &Value, path: &str) -> bool {
    value_at(object, path) == Some(&Value::Bool(true))
}

fn locked(machine: &Value) -> &'static str {
    if is_set(machine, "locked") { " (locked)" } else { "" }
}

fn run(machine: &Value, now: Timestamp) -> String {
    let Some(run) = value_at(machine, "status.run") else {
        let workflow = field(machine, "workflow");
        return if workflow.is_empty() { String::new() } else { format!("none; `start` runs {workflow}") };
    };
    let rehearsal = if is_set(run, "rehearse") { ", a rehearsal" } else { "" };
    let began = ago(", began ", run.get("started_at"), now);
    let ended = ago(", ended ", run.get("ended_at"), now);
    format!("{}{rehearsal}{began}{ended}", field(run, "workflow"))
}

/// `2 of 5: install (task disk)`.
fn step(shown: &MachinePage) -> String {
    let (cursor, place) = (number_at(&shown.machine, "status.cursor"), step_of(&shown.machine));
    let place = place.replace('/', " of ");
    if place.is_empty() {
        return place;
    }
    let present =
        shown.run.get("steps").and_then(Value::as_array).and_then(|steps| steps.get(cursor as usize));
    let present = present.map(|step| format!("{} {}", field(step, "kind"), field(step, "name")));
    let stage = field(&shown.machine, "status.stage");
    let words = [stage, present.map(|step| format!("({})", step.trim())).unwrap_or_default()];
    let words =
        words.iter().filter(|word| !word.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ");
    if words.is_empty() { place } else { format!("{place}: {words}") }
}

fn next_boot(explanation: &Value) -> String {
    explanation.get("verdict").map(|_| verdict(explanation)).unwrap_or_default()
}

/// The last power-on.
fn boot(machine: &Value, now: Timestamp) -> String {
    let Some(attempt) = value_at(machine, "status.boot_attempt") else { return String::new() };
    let result = match field(attempt, "result").replace('_', " ") {
        result if result.is_empty() => format!("got to: {}", field(attempt, "progress")),
        result => result,
    };
    let asks = field(attempt, "asks");
    let asks = if asks.is_empty() { asks } else { format!("; its console asks: {asks}") };
    let began = ago("", attempt.get("started_at"), now);
    format!("power-on {}, {began}, {result}{asks}", field(attempt, "number"))
}

/// The firmware of the last power-on, by what it sent as option 93 (RFC 4578 and IANA's list).
fn firmware(machine: &Value) -> String {
    let Some(code) = value_at(machine, "status.boot_attempt.client_arch").and_then(Value::as_u64) else {
        return String::new();
    };
    let name = match code {
        0 => "BIOS",
        2 => "UEFI Itanium",
        6 => "UEFI, 32-bit x86",
        7 | 9 => "UEFI, x86-64",
        10 => "UEFI, 32-bit ARM",
        11 => "UEFI, 64-bit ARM",
        15 => "UEFI over HTTP, 32-bit x86",
        16 => "UEFI over HTTP, x86-64",
        18 => "UEFI over HTTP, 32-bit ARM",
        19 => "UEFI over HTTP, 64-bit ARM",
        25 | 27 => "UEFI, RISC-V",
        _ => "unnamed",
    };
    format!("{name} (option 93: {code})")
}

fn lease_line(lease: &Value, now: Timestamp) -> String {
    let expires = value_at(lease, "expires_at").and_then(Value::as_str).and_then(|time| time.parse().ok());
    let expires: Option<Timestamp> = expires;
    let until = expires.map(|time| format!(", {}", age(now.duration_since(time)))).unwrap_or_default();
    format!("{} {} in {}{until}", field(lease, "address"), field(lease, "state"), field(lease, "subnet"))
}

fn labels(machine: &Value) -> String {
    let labels = machine.get("labels").and_then(Value::as_object).into_iter().flatten();
    labels.map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
}

fn problem_lines(machine: &Value) -> String {
    let problems = problems(machine);
    let lines = problems.iter().take(SHOWN_MAX).map(|problem| format!("  {}\n", plain(&problem.to_string())));
    let heading = if problems.is_empty() { "" } else { "\nProblems\n" };
    heading.to_owned() + &lines.collect::<String>()
}

fn last_events(events: &[Event], lines: &mut EventLines) -> String {
    let heading = if events.is_empty() { "" } else { "\nLast events\n" };
    heading.to_owned() + &events.iter().map(|event| lines.line(event)).collect::<String>()
}

/// What a person can do now.
fn to_do(machine: &Value) -> String {
    let name = name_of(Kind::Machine, machine);
    let steps: &[(&str, &str)] = match field(machine, "status.state").as_str() {
        _ if is_set(machine, "locked") => &[("unlock it", "machines set NAME locked=false")],
        "failed" => &[
            ("see why it failed", "timeline NAME"),
            ("the log of its last task", "logs NAME"),
            ("continue at this step", "machines retry NAME"),
            ("end the run", "machines cancel NAME"),
        ],
        "held" if is_set(machine, "status.run.paused") => &[("continue", "machines resume NAME")],
        "held" => &[
            ("see why it is held", "timeline NAME"),
            ("continue at this step", "machines retry NAME"),
            ("end the run", "machines cancel NAME"),
        ],
        "waiting" if value_at(machine, "status.armed_until").is_some() => &[
            ("power it on, and watch", "timeline NAME --follow"),
            ("take the permission back", "machines disarm NAME"),
        ],
        "waiting" | "booting" | "running" => &[("watch it", "timeline NAME --follow")],
        _ => &[
            ("start a workflow", "machines start NAME WORKFLOW"),
            ("or look first", "machines start NAME --check"),
        ],
    };
    let lines = steps.iter().map(|(what, command)| {
        plain(&format!("  {what:<25} metalwright {}", command.replace("NAME", name))) + "\n"
    });
    "\nWhat to do\n".to_owned() + &lines.collect::<String>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(state: &str) -> MachinePage {
        let machine = json!({
            "id": "0192", "name": "web1", "macs": ["52:54:00:aa:00:01"], "arch": "amd64",
            "labels": {"rack": "r1"},
            "problems": [{"pointer": "/params/rack", "message": "there is no param `rack`"}],
            "status": {
                "state": state, "reason": "no disk", "stage": "install", "cursor": 1, "steps_total": 5,
                "armed_until": "2026-11-30T20:06:00Z", "erases": "the disk /dev/sda",
                "run": {"workflow": "install-debian-12", "started_at": "2026-11-30T18:00:00Z"},
                "boot_attempt": {"number": 3, "progress": "kernel", "client_arch": 7,
                    "started_at": "2026-11-30T18:01:00Z"},
            },
        });
        let run = json!({"steps": [{"kind": "stage", "name": "a"}, {"kind": "task", "name": "disk"}]});
        let explanation = json!({"verdict": "netboot", "bootenv": "debian-12-install"});
        let lease = json!({"address": "10.0.0.7", "state": "bound", "subnet": "lan",
            "expires_at": "2026-11-30T20:30:00Z"});
        MachinePage { machine, run, explanation, leases: vec![lease], ..MachinePage::default() }
    }

    #[test]
    fn one_page_says_what_it_is_how_far_it_is_and_what_is_wrong() {
        let said = page(&shown("failed"), "2026-11-30T18:30:00Z".parse().unwrap());
        for part in [
            "Machine    web1\n",
            "State      failed: no disk\n",
            "Run        install-debian-12, began 2026-11-30 18:00:00Z, 30m ago\n",
            "Step       2 of 5: install (task disk)\n",
            "Armed      ARMED until 20:06 UTC: the next network boot of web1 erases the disk /dev/sda;",
            "Next boot  netboot debian-12-install\n",
            "Boot       power-on 3, 2026-11-30 18:01:00Z, 29m ago, got to: kernel\n",
            "Firmware   UEFI, x86-64 (option 93: 7)\n",
            "Leases     10.0.0.7 bound in lan, in 2h\n",
            "Labels     rack=r1\n",
            "\nProblems\n  /params/rack: there is no param `rack`\n",
        ] {
            assert!(said.contains(part), "{part} in\n{said}");
        }
        assert!(!said.contains("Serial"), "what is not known has no line\n{said}");
    }

    #[test]
    fn a_page_ends_with_what_to_do() {
        let todo = |state: &str| to_do(&shown(state).machine);
        assert!(todo("failed").contains("metalwright machines retry web1"), "{}", todo("failed"));
        assert!(todo("waiting").contains("machines disarm web1"), "{}", todo("waiting"));
        assert!(todo("registered").contains("machines start web1"), "{}", todo("registered"));
    }
}
