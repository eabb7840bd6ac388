//! What a machine does, what it would boot, and which files it may fetch.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::action_verbs::{ActionCall, ActionVerb};
use crate::cli::columns::text;
use crate::cli::many;
use crate::cli::nouns::{name_of, object_path, reference};
use crate::cli::objects::NounClient;
use crate::cli::output::{self, OutputFormat, UsageError, plain};
use crate::cli::sets::value_at;
use crate::cli::summary::verdict;
use crate::client::{ActionMode, ApiClient, BootExplanation, ClassEntry, ExplainAs, ExplainOf, OptionEntry};
use crate::model::{CellFormat, Column, Kind, Mac};

/// `machines start`, `pause`, …: carries out the action and prints the machine's state afterwards.
///
/// # Errors
/// An error of the server or the network.
pub async fn act(noun: &NounClient, verb: ActionVerb) -> Result<()> {
    let call = match verb.for_many() {
        Some(call) => return many::run(noun, call).await,
        None => verb.call(),
    };
    let ActionCall { action, reference, details, mode } = call;
    let view = noun.client.act(&object_path(noun.kind, &reference)?, (action, mode), &details).await?;
    let name = name_of(noun.kind, &view);
    let is = match mode {
        ActionMode::CarryOut => "is",
        ActionMode::DryRun => "is not changed. Nothing is in the way: it would be",
    };
    output::print(&(plain(&format!("{name} {is} {}", standing(&view))) + "\n"))?;
    match armed(name, &view, Timestamp::now()) {
        Some(armed) => output::print(&(plain(&armed) + "\n")),
        None => Ok(()),
    }
}

/// What an armed machine does next, and how to prevent it. Servers of before do not say what it erases.
pub(super) fn armed(name: &str, view: &Value, now: Timestamp) -> Option<String> {
    let until: Timestamp = value_at(view, "status.armed_until")?.as_str()?.parse().ok()?;
    let erases = value_at(view, "status.erases").map(text).filter(|erases| !erases.is_empty());
    let erases = erases.unwrap_or_else(|| "the disk".to_owned());
    let until = in_utc(until, now);
    Some(format!(
        "ARMED until {until}: the next network boot of {name} erases {erases}; \
         `metalwright machines disarm {name}` takes it back"
    ))
}

/// `20:06 UTC`, with the date if that is another day.
fn in_utc(time: Timestamp, now: Timestamp) -> String {
    let [time, now] = [time, now].map(|time| time.to_zoned(TimeZone::UTC));
    let format = if time.date() == now.date() { "%H:%M UTC" } else { "%Y-%m-%d %H:%M UTC" };
    time.strftime(format).to_string()
}

/// How a machine is: its state with the reason, and the pause that the state does not show yet.
pub(super) fn standing(view: &Value) -> String {
    let field = |path| value_at(view, path).map(text).unwrap_or_default();
    let because = |reason: String| if reason.is_empty() { reason } else { format!(": {reason}") };
    let state = field("status.state") + &because(field("status.reason"));
    let is_over = value_at(view, "status.run.ended_at").is_some_and(|ended| !ended.is_null());
    let is_paused = value_at(view, "status.run.paused") == Some(&Value::Bool(true));
    // A machine that is held says itself that it is paused.
    let is_held = value_at(view, "status.state") == Some(&Value::from("held"));
    let stop = field("status.run.stop_before.step");
    let pause = match (is_paused, stop.as_str()) {
        _ if is_over => String::new(),
        (true, _) if is_held => String::new(),
        (true, _) => format!("; paused{}", because(field("status.run.pause_reason"))),
        (false, "") => String::new(),
        (false, step) => {
            format!("; to be paused before step {step}{}", because(field("status.run.stop_before.reason")))
        }
    };
    state + &pause
}

/// The client whose boot is explained: `mac X`, `machine X`, `address X`, or X alone.
///
/// # Errors
/// Another word before X.
pub fn explained_client(words: &[String]) -> Result<(ExplainOf, &str), UsageError> {
    match words {
        [what] if what.parse::<Mac>().is_ok() => Ok((ExplainOf::Mac, what)),
        [what] if what.parse::<Ipv4Addr>().is_ok() => Ok((ExplainOf::Address, what)),
        [what] => Ok((ExplainOf::Machine, what)),
        [of, what] if of == "mac" => Ok((ExplainOf::Mac, what)),
        [of, what] if of == "machine" => Ok((ExplainOf::Machine, what)),
        [of, what] if of == "address" => Ok((ExplainOf::Address, what)),
        _ => Err(UsageError(
            "write it like explain web1, or explain mac|machine|address|packet WHAT".to_owned(),
        )),
    }
}

/// `explain X`: the rules, with a mark at the one that decided.
///
/// # Errors
/// An error of the server or the network.
pub async fn explain(
    client: &ApiClient,
    of: ExplainOf,
    (asks, format): (ExplainAs<'_>, Option<OutputFormat>),
) -> Result<()> {
    let what = match of {
        ExplainOf::Machine => reference(Kind::Machine, asks.what),
        ExplainOf::Mac | ExplainOf::Address => asks.what.to_owned(),
    };
    let answer = client.explain(of, &ExplainAs { what: &what, ..asks }).await?;
    if let Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) = format {
        return output::print_value(&answer, format);
    }
    let explanation: BootExplanation =
        serde_json::from_value(answer).context("the explanation does not read as one")?;
    output::print(&explained(&explanation))
}

pub(super) fn explained(explanation: &BootExplanation) -> String {
    let BootExplanation { verdict: word, bootenv, reason, .. } = explanation;
    let verdict = verdict(&json!({"verdict": word, "bootenv": bootenv, "reason": reason}));
    let answer = explanation.answer.replace('_', " ");
    let rows: Vec<Vec<String>> = explanation
        .trace
        .iter()
        .map(|rule| {
            let mark = if rule.matched { "=>" } else { "" };
            vec![mark.to_owned(), rule.rule.clone(), rule.detail.clone()]
        })
        .collect();
    let table = output::table(&["", "RULE", "WHAT IT SAW"], &rows);
    let offer = explanation.offer.as_ref();
    let offer = offer.map(|offer| format!("address: {}\n", plain(&offer.reason))).unwrap_or_default();
    let disk =
        explanation.disk.as_ref().map(|disk| format!("disk:    {}\n", plain(disk))).unwrap_or_default();
    let similar = explanation.similar_clients.iter();
    let similar: String = similar.map(|client| plain(&format!("almost:  {client}")) + "\n").collect();
    let warnings = explanation.warnings.iter().map(|warning| format!("warning: {}\n", plain(warning)));
    let warnings: String = warnings.collect();
    let told = format!(
        "verdict: {}\nanswer:  {}\n{offer}{disk}{similar}{warnings}\n{table}",
        plain(&verdict),
        plain(&answer)
    );
    told + &start_faults(explanation) + &classes(explanation) + &options(explanation)
}

/// Why a start would be refused.
fn start_faults(explanation: &BootExplanation) -> String {
    let rows = explanation.start_faults.iter();
    let rows: Vec<_> = rows.map(|fault| vec![fault.code.to_string(), plain(&fault.to_string())]).collect();
    section(&["CODE", "WHY A START WOULD BE REFUSED"], &rows)
}

fn classes(explanation: &BootExplanation) -> String {
    let rows: Vec<_> = explanation
        .client_classes
        .iter()
        .map(|class: &ClassEntry| {
            let mark = if class.matched { "=>" } else { "" };
            vec![mark.to_owned(), class.name.clone(), class.order.to_string(), class.reason.clone()]
        })
        .collect();
    section(&["", "CLIENT CLASS", "ORDER", "WHY NOT"], &rows)
}

fn options(explanation: &BootExplanation) -> String {
    let rows: Vec<_> = explanation
        .options
        .iter()
        .map(|option: &OptionEntry| {
            let from = format!("{} {}", option.scope, option.from);
            vec![option.code.to_string(), option.name.clone(), option.value.clone(), from]
        })
        .collect();
    section(&["CODE", "DHCP OPTION", "VALUE", "FROM"], &rows)
}

/// A table with a heading, if it has rows.
fn section(header: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() { String::new() } else { format!("\n{}", output::table(header, rows)) }
}

const FILE_COLUMNS: [Column; 4] = [
    ("PATH", "path", CellFormat::Text),
    ("WHAT", "what", CellFormat::Text),
    ("SERVED", "allowed", CellFormat::Flag),
    ("WHY NOT", "reason", CellFormat::Text),
];

/// `files REF`: every path that the machine may fetch now.
///
/// # Errors
/// An error of the server or the network.
pub async fn files(client: &ApiClient, machine: &str, format: Option<OutputFormat>) -> Result<()> {
    let answer = client.files(&object_path(Kind::Machine, machine)?).await?;
    let files = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    output::print_all(&files, &FILE_COLUMNS, format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_said_to_be_paused_where_its_state_does_not_say_it() {
        let of = |status: Value| standing(&json!({ "status": status }));
        let running = |run: Value| json!({"state": "running", "reason": "task `a` is running", "run": run});
        let paused = json!({"paused": true, "pause_reason": "the fan is replaced"});
        assert_eq!(of(running(paused)), "running: task `a` is running; paused: the fan is replaced");
        assert_eq!(of(running(json!({"paused": true}))), "running: task `a` is running; paused");
        let stop = json!({"paused": false, "stop_before": {"step": 4, "reason": "look first"}});
        assert!(of(running(stop)).ends_with("running; to be paused before step 4: look first"));
        let held = json!({"state": "held", "reason": "paused; `resume` goes on", "run": {"paused": true}});
        assert_eq!(of(held), "held: paused; `resume` goes on");
        assert_eq!(of(running(json!({"paused": false}))), "running: task `a` is running");
        let ended = json!({"paused": true, "ended_at": "2026-01-01T00:00:00Z"});
        assert_eq!(of(running(ended)), "running: task `a` is running");
    }

    #[test]
    fn an_armed_machine_is_said_to_erase_its_disk_and_how_to_prevent_it() {
        let now: Timestamp = "2026-11-30T18:30:00Z".parse().unwrap();
        let of = |until: &str, erases: &str| {
            armed("web1", &json!({"status": {"armed_until": until, "erases": erases}}), now).unwrap()
        };
        assert_eq!(
            of("2026-11-30T20:06:00Z", "the disk /dev/sda"),
            "ARMED until 20:06 UTC: the next network boot of web1 erases the disk /dev/sda; \
             `metalwright machines disarm web1` takes it back"
        );
        let said = of("2026-12-01T18:30:00Z", "");
        assert!(said.starts_with("ARMED until 2026-12-01 18:30 UTC: "), "{said}");
        assert!(said.contains("erases the disk;"), "{said}");
        assert_eq!(armed("web1", &json!({"status": {}}), now), None);
    }

    #[test]
    fn an_explanation_marks_the_rule_that_settled_it() {
        let explanation = json!({
            "verdict": "local_disk", "reason": "the machine is not armed", "answer": "local_script",
            "trace": [{"rule": "known_machine", "matched": false, "detail": "it is web1"},
                      {"rule": "armed", "matched": true, "detail": "it is not armed"}],
            "offer": {"event": "dhcp.offered", "reason": "offered 10.0.0.5: it is reserved for this client",
                      "address": "10.0.0.5"},
            "warnings": ["GRUB asks 10.0.0.9 for its files"],
        });
        let said = explained(&serde_json::from_value(explanation).unwrap());
        let expected = "verdict: local disk: the machine is not armed\nanswer:  local script\n\
                        address: offered 10.0.0.5: it is reserved for this client\n\
                        warning: GRUB asks 10.0.0.9 for its files\n\n\
                        \u{20}   RULE           \
                        WHAT IT SAW\n    known_machine  it is web1\n=>  armed          it is not armed\n";
        assert_eq!(said, expected);
    }
}
