//! `machines watch`: the states of machines, a line for each change.
//!
//! The stream of changes says which machines were written; the list says how they are now. So several writes
//! at once are one line, and a connection that broke misses nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::columns::{number_at, text_at};
use crate::cli::nouns::object_path;
use crate::cli::output::{self, OutputFormat, plain};
use crate::cli::table::cut;
use crate::client::{ApiClient, ChangeSignal, ListRequest};
use crate::model::Kind;

/// Machines that one request asks for.
const ASKED_MAX: usize = 100;
/// Least width of the column of names.
const NAME_MIN: usize = 8;
/// Least width of the column of stages.
const STAGE_MIN: usize = 8;
/// The state of a machine without a run.
const NO_RUN: &str = "registered";
const FIELDS: &str = "id,name,status.state,status.stage,status.cursor,status.steps_total,status.reason";

/// What a line shows of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ShownState {
    name: String,
    state: String,
    /// `2/5`: the present step, counted from 1, and the number of steps.
    step: String,
    stage: String,
    reason: String,
}

impl ShownState {
    fn of(machine: &Value) -> Self {
        let state = text_at(machine, "status.state");
        ShownState {
            name: text_at(machine, "name"),
            step: if state == NO_RUN { String::new() } else { step_of(machine) },
            stage: text_at(machine, "status.stage"),
            reason: text_at(machine, "status.reason"),
            state,
        }
    }
}

/// `2/5`: the present step of a machine, counted from 1, and the number of steps; nothing without a run.
pub fn step_of(machine: &Value) -> String {
    let [cursor, total] = ["status.cursor", "status.steps_total"].map(|path| number_at(machine, path));
    if total == 0 { String::new() } else { format!("{}/{total}", (cursor + 1).min(total)) }
}

/// Prints the states of all machines, or of one, and then each change until it is interrupted.
///
/// # Errors
/// An error of the server or the network.
pub async fn watch(client: &ApiClient, reference: Option<&str>, format: OutputFormat) -> Result<()> {
    let only = match reference {
        Some(reference) => Some(id_of(&client.get(&object_path(Kind::Machine, reference)?).await?)),
        None => None,
    };
    // The stream is open before the list is read, so that no change is missed in between.
    let mut stream = client.follow_changes(&[Kind::Machine], None).await?;
    let mut printer = StatePrinter { format, ..StatePrinter::default() };
    let first: Vec<String> = only.iter().cloned().collect();
    printer.show(&read(client, &first).await?)?;
    let mut written = BTreeSet::new();
    loop {
        match stream.next().await? {
            ChangeSignal::Change(change) => {
                if only.as_ref().is_none_or(|id| *id == change.key) {
                    written.insert(change.key);
                }
            }
            ChangeSignal::Position(_) if !written.is_empty() => {
                let ids: Vec<String> = std::mem::take(&mut written).into_iter().collect();
                for ids in ids.chunks(ASKED_MAX) {
                    let machines = read(client, ids).await?;
                    printer.show(&machines)?;
                    printer.forget(ids, &machines)?;
                }
            }
            ChangeSignal::Position(_) | ChangeSignal::Reconnected => {}
        }
    }
}

fn id_of(machine: &Value) -> String {
    machine.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Machines by id, or all.
async fn read(client: &ApiClient, ids: &[String]) -> Result<Vec<Value>> {
    let mut terms = vec![("fields".to_owned(), FIELDS.to_owned()), ("sort".to_owned(), "name".to_owned())];
    if !ids.is_empty() {
        terms.push(("id[in]".to_owned(), ids.join(",")));
    }
    Ok(client.list(Kind::Machine, &ListRequest { terms, limit: None }).await?.items)
}

struct StatePrinter {
    format: OutputFormat,
    known: BTreeMap<String, ShownState>,
    /// The width of the column of names; 0 before the header was printed.
    name_width: usize,
    stage_width: usize,
}

impl Default for StatePrinter {
    fn default() -> Self {
        StatePrinter {
            format: OutputFormat::Table,
            known: BTreeMap::new(),
            name_width: 0,
            stage_width: STAGE_MIN,
        }
    }
}

impl StatePrinter {
    /// Prints the machines whose state is another than before.
    fn show(&mut self, machines: &[Value]) -> Result<()> {
        let states = machines.iter().map(|machine| (machine, ShownState::of(machine)));
        let changed: Vec<(&Value, ShownState)> =
            states.filter(|(machine, state)| self.known.get(&id_of(machine)) != Some(state)).collect();
        if self.name_width == 0 && self.format.is_table() {
            let longest = changed.iter().map(|(_, state)| state.name.chars().count()).max();
            self.name_width = longest.unwrap_or(0).max(NAME_MIN);
            let longest = changed.iter().map(|(_, state)| state.stage.chars().count()).max();
            self.stage_width = longest.unwrap_or(0).max(STAGE_MIN);
            let header = ["NAME", "STATE", "STEP", "STAGE", "REASON"].map(str::to_owned);
            let [name, state, step, stage, reason] = header;
            output::print(&self.line("UTC", &ShownState { name, state, step, stage, reason }))?;
        }
        for (machine, state) in changed {
            self.print(machine, &state)?;
            self.known.insert(id_of(machine), state);
        }
        Ok(())
    }

    /// Tells of the machines that were asked for and are gone.
    fn forget(&mut self, asked: &[String], found: &[Value]) -> Result<()> {
        let found: BTreeSet<String> = found.iter().map(id_of).collect();
        for id in asked.iter().filter(|id| !found.contains(*id)) {
            if let Some(gone) = self.known.remove(id) {
                let state =
                    ShownState { name: gone.name, state: "deleted".to_owned(), ..ShownState::default() };
                self.print(&json!({"id": id, "name": state.name, "deleted": true}), &state)?;
            }
        }
        Ok(())
    }

    fn print(&self, machine: &Value, state: &ShownState) -> Result<()> {
        match self.format {
            OutputFormat::Table | OutputFormat::Wide => {
                let now = Timestamp::now().strftime("%H:%M:%S").to_string();
                output::print(&self.line(&now, state))
            }
            OutputFormat::Name => output::print(&(plain(&state.name) + "\n")),
            format => output::print_record(machine, format),
        }
    }

    fn line(&self, time: &str, state: &ShownState) -> String {
        let ShownState { name, state, step, stage, reason } = state;
        let (names, stages) = (self.name_width, self.stage_width);
        let line = format!("{time:<8}  {name:<names$}  {state:<10}  {step:<4}  {stage:<stages$}  {reason}");
        let line = plain(line.trim_end());
        match self.format.width() {
            Some(terminal) => cut(&line, terminal) + "\n",
            None => line + "\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_name_the_state_the_step_and_the_reason() {
        let machine = json!({"id": "1", "name": "web1", "status": {
            "state": "failed", "stage": "install", "cursor": 1, "steps_total": 5, "reason": "no disk"}});
        let state = ShownState::of(&machine);
        let printer = StatePrinter { name_width: 8, ..StatePrinter::default() };
        assert_eq!(
            printer.line("10:00:00", &state),
            "10:00:00  web1      failed      2/5   install   no disk\n"
        );
        let at_the_end = json!({"status": {"cursor": 5, "steps_total": 5}});
        assert_eq!((step_of(&json!({})).as_str(), step_of(&at_the_end).as_str()), ("", "5/5"));
    }

    #[test]
    fn a_machine_is_printed_again_only_when_it_changed() {
        let machine = |state: &str| json!({"id": "1", "name": "web1", "status": {"state": state}});
        let mut printer = StatePrinter { format: OutputFormat::Name, ..StatePrinter::default() };
        printer.show(&[machine("running")]).unwrap();
        let before = printer.known.clone();
        printer.show(&[machine("running")]).unwrap();
        assert_eq!(printer.known, before);
        printer.show(&[machine("complete")]).unwrap();
        assert_eq!(printer.known["1"].state, "complete");
        printer.forget(&["1".to_owned()], &[]).unwrap();
        assert!(printer.known.is_empty());
    }
}
