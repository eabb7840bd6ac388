//! Completions: the shell's script asks this program, which knows its commands and asks the server for names.
//!
//! `metalwright completions SHELL` prints the script. What it asks is answered by the engine of
//! `clap_complete`; the candidates for references and fields come from here. A completion is no reason to
//! wait or to trust a server: only a server that is known already is asked, and only for a moment.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::{Arg, Args, Command, FromArgMatches};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use schemars::JsonSchema;
use serde_json::Value;

use crate::cli::columns::text_at;
use crate::cli::config::ConfigFolder;
use crate::cli::connection::ConnectionArgs;
use crate::cli::output;
use crate::client::ListRequest;
use crate::model::{EventKind, Kind, Noun, with_noun};

/// The variable by which the shell's script asks.
const VARIABLE: &str = "METALWRIGHT_COMPLETE";
const PROGRAM: &str = "metalwright";
/// How long the server may take.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Most candidates.
const CANDIDATES_MAX: usize = 200;
const CONNECTION_FLAGS: [&str; 5] = ["--server", "--token", "--data", "--fingerprint", "--context"];

/// Answers the shell's script, if it asks, and ends the program then. Must be called before anything is
/// printed and before there are threads.
pub fn answer(command: fn() -> Command) {
    CompleteEnv::with_factory(command).var(VARIABLE).bin(PROGRAM).complete();
}

/// The completion script of a shell.
///
/// # Errors
/// The output is closed.
pub fn print_completions(shell: clap_complete::Shell) -> Result<()> {
    let name = shell.to_string();
    let shells = Shells::builtins();
    let shell = shells.completer(&name).ok_or_else(|| anyhow!("there are no completions for {name}"))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    output::print(&String::from_utf8_lossy(&script))
}

/// What an argument names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NamedValue {
    Object(Kind),
    /// A machine or the workflow that it starts.
    Started,
    /// Fields of a noun, separated by commas, with a `-` before each for an order.
    Field(Kind),
    EventKind,
    Context,
}

/// An argument with candidates for its values. The kind is that of the noun of the command at the path.
pub fn with_candidates(argument: Arg, (path, kind): (&str, Option<Kind>)) -> Arg {
    let noun = kind.unwrap_or(Kind::Machine);
    let names = match (argument.get_id().as_str(), kind) {
        ("references", _) if path == "machines start" => NamedValue::Started,
        ("reference" | "references" | "words" | "what", _) => NamedValue::Object(noun),
        ("machine", _) => NamedValue::Object(Kind::Machine),
        ("workflow", _) => NamedValue::Object(Kind::Workflow),
        ("bootenv", _) => NamedValue::Object(Kind::Bootenv),
        ("filters" | "goal" | "sort" | "fields", Some(_)) => NamedValue::Field(noun),
        ("kind", None) if path.starts_with("events") => NamedValue::EventKind,
        ("context", _) => NamedValue::Context,
        _ => return argument,
    };
    argument.add(ArgValueCompleter::new(move |current: &OsStr| candidates(names, current)))
}

fn candidates(names: NamedValue, current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    match names {
        NamedValue::Object(kind) => objects(kind, current).unwrap_or_default(),
        NamedValue::Started => {
            let [machines, workflows] = [Kind::Machine, Kind::Workflow].map(|kind| objects(kind, current));
            machines.into_iter().chain(workflows).flatten().collect()
        }
        NamedValue::Field(kind) => fields(kind, current),
        NamedValue::EventKind => beginning_with(EventKind::all().map(|kind| kind.to_string()), current),
        NamedValue::Context => {
            let names = ConfigFolder::of_user().and_then(|folder| folder.context_names()).unwrap_or_default();
            beginning_with(names, current)
        }
    }
}

fn beginning_with(names: impl IntoIterator<Item = String>, start: &str) -> Vec<CompletionCandidate> {
    let names = names.into_iter().filter(|name| name.starts_with(start));
    names.take(CANDIDATES_MAX).map(CompletionCandidate::new).collect()
}

/// The objects whose names begin so. Jobs and runs have ids; their candidates say what they are.
fn objects(kind: Kind, current: &str) -> Result<Vec<CompletionCandidate>> {
    let row = kind.row();
    let mut terms = vec![("fields".to_owned(), [row.name_field, help_field(kind)].join(","))];
    if row.name_field != "id" {
        terms.push((row.name_field.to_owned(), format!("{current}*")));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listed = runtime.block_on(async {
        let client = connection()?.known_client()?;
        let request = ListRequest { terms, limit: Some(CANDIDATES_MAX) };
        let list = tokio::time::timeout(PATIENCE, client.list(kind, &request)).await??;
        anyhow::Ok(list.items)
    })?;
    let candidates = listed.iter().filter_map(|item| {
        let name = Some(text_at(item, row.name_field)).filter(|name| name.starts_with(current))?;
        let help = Some(text_at(item, help_field(kind))).filter(|_| row.name_field == "id");
        Some(CompletionCandidate::new(name).help(help.map(Into::into)))
    });
    Ok(candidates.collect())
}

/// The field that tells objects without names apart.
fn help_field(kind: Kind) -> &'static str {
    match kind {
        Kind::Run => "machine_name",
        Kind::Job => "task",
        _ => kind.row().name_field,
    }
}

/// The flags of the command line that is being completed that say which server is meant, and the environment.
fn connection() -> Result<ConnectionArgs> {
    let mut kept = vec![OsString::from(PROGRAM)];
    let mut words = std::env::args_os();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let (flag, has_value) = text.split_once('=').map_or((text.as_ref(), false), |(flag, _)| (flag, true));
        if CONNECTION_FLAGS.contains(&flag) {
            let value = if has_value { None } else { words.next() };
            kept.extend([word.clone()].into_iter().chain(value));
        }
    }
    let matches = ConnectionArgs::augment_args(Command::new(PROGRAM)).try_get_matches_from(kept)?;
    Ok(ConnectionArgs::from_arg_matches(&matches)?.ranked(&matches))
}

/// The last of the fields in `name,status.st`.
fn fields(kind: Kind, current: &str) -> Vec<CompletionCandidate> {
    let (before, last) = current.rsplit_once(',').map_or(("", current), |(before, last)| (before, last));
    let before = if before.is_empty() { String::new() } else { format!("{before},") };
    let (sign, last) = last.strip_prefix('-').map_or(("", last), |last| ("-", last));
    let known = field_names(kind).into_iter().filter(|name| name.starts_with(last));
    known.map(|name| CompletionCandidate::new(format!("{before}{sign}{name}"))).collect()
}

/// The fields of a noun by which lists are filtered, but for those of its labels and params.
fn field_names(kind: Kind) -> Vec<String> {
    let (spec, status) = with_noun!(kind, N => (properties::<N>(), properties::<<N as Noun>::Status>()));
    let common = ["labels", "source", "revision", "commit", "created_at", "updated_at"].map(str::to_owned);
    let id = kind.row().has_id.then(|| "id".to_owned());
    let status = status.into_iter().map(|name| format!("status.{name}"));
    spec.into_iter().chain(status).chain(id).chain(common).collect()
}

fn properties<S: JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(S).to_value();
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|map| map.keys().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(candidates: Vec<CompletionCandidate>) -> Vec<String> {
        candidates.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn fields_are_completed_in_a_list_and_in_an_order() {
        assert_eq!(
            values(fields(Kind::Machine, "name,status.sta")),
            ["name,status.stage", "name,status.state"]
        );
        assert_eq!(values(fields(Kind::Machine, "-upd")), ["-updated_at"]);
        assert!(values(fields(Kind::Job, "")).contains(&"task".to_owned()));
    }

    #[test]
    fn kinds_of_events_are_completed() {
        let kinds = values(candidates(NamedValue::EventKind, OsStr::new("machine.arm")));
        assert_eq!(kinds, ["machine.armed"]);
    }
}
