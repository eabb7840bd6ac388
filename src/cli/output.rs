//! Output: tables for people, JSON and YAML for programs, errors on stderr. `table` lays out tables.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::columns::row;
use crate::cli::table;
use crate::cli::yaml;
use crate::model::Column;

/// The output format.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// For people, cut to the terminal's width.
    Table,
    /// A table with more columns, not cut.
    Wide,
    Json,
    Yaml,
    /// Only the names, one per line.
    Name,
}

impl OutputFormat {
    /// Whether it is a table.
    pub fn is_table(self) -> bool {
        matches!(self, OutputFormat::Table | OutputFormat::Wide)
    }

    /// The width that lines are cut to; none where they stay whole.
    pub fn width(self) -> Option<usize> {
        table::terminal_width().filter(|_| self == OutputFormat::Table)
    }
}

/// The exit codes besides 0 and 1 (`docs/operating/cli.md`).
const USAGE: u8 = 2;
const TIMED_OUT: u8 = 3;
const OUT_OF_REACH: u8 = 4;
const DIFFERENT: u8 = 5;

/// Why a wait ended without its goal.
#[derive(Debug, thiserror::Error)]
pub enum WaitFailure {
    /// The time is up.
    #[error("{0}")]
    TimedOut(String),
    /// The object is in a state that it does not leave by itself.
    #[error("{0}")]
    OutOfReach(String),
}

/// A usage error: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// What was compared differs: exit code 5.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DifferenceFound(pub String);

/// Prints the error and returns the exit code: 0 success, 1 the server or the operation failed, 2 usage, 3 a
/// wait timed out, 4 what was waited for cannot come any more, 5 what was compared differs.
pub fn finish(done: Result<()>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    if reader_is_gone(&error) {
        return ExitCode::SUCCESS;
    }
    if let Some(DifferenceFound(what)) = error.downcast_ref() {
        note(what);
        return ExitCode::from(DIFFERENT);
    }
    note(&format!("error: {error:#}"));
    ExitCode::from(match error.downcast_ref::<WaitFailure>() {
        Some(WaitFailure::TimedOut(_)) => TIMED_OUT,
        Some(WaitFailure::OutOfReach(_)) => OUT_OF_REACH,
        None if error.is::<UsageError>() => USAGE,
        None => 1,
    })
}

/// `metalwright machines list | head -1`: a closed output is not an error.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Prints to stdout at once, so that a stream's reader sees each line when it comes. Text from machines must
/// pass `plain` or `print_foreign`.
///
/// # Errors
/// The output is closed.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Prints text of a machine or a template byte for byte; on a terminal without control sequences.
///
/// # Errors
/// The output is closed.
pub fn print_foreign(bytes: &[u8]) -> Result<()> {
    if io::stdout().is_terminal() {
        return print(&harmless(&String::from_utf8_lossy(bytes)));
    }
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Prints a line to stderr. If that fails, nothing else can be done.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", harmless(text));
}

fn harmless(text: &str) -> String {
    text.chars().filter(|c| is_printable(*c)).collect()
}

fn is_printable(c: char) -> bool {
    !c.is_control() || matches!(c, '\n' | '\t' | '\r')
}

/// Text from elsewhere on one line, without characters that break a line or control a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether stdout accepts colours: it is a terminal, and `NO_COLOR` is unset (<https://no-color.org>).
pub fn has_colors() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a JSON document for programs.
///
/// # Errors
/// The output is closed.
pub fn print_value(value: &Value, format: OutputFormat) -> Result<()> {
    match format {
        OutputFormat::Json => print(&format!("{value:#}\n")),
        OutputFormat::Yaml | OutputFormat::Table | OutputFormat::Wide | OutputFormat::Name => {
            print(&yaml::write(value)?)
        }
    }
}

/// Prints one record of a stream for programs: JSON on one line, or a YAML document.
///
/// # Errors
/// The output is closed.
pub fn print_record(value: &Value, format: OutputFormat) -> Result<()> {
    match format {
        OutputFormat::Yaml => print(&format!("---\n{}", yaml::write(value)?)),
        _ => print(&format!("{value}\n")),
    }
}

/// The table of rows whose texts have to be read to their ends, such as findings: nothing is cut.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    table::draw((header, rows), None)
}

/// Prints rows as a table, by their first column, or unchanged.
///
/// # Errors
/// The output is closed.
pub fn print_all(items: &[Value], columns: &[Column], format: Option<OutputFormat>) -> Result<()> {
    let now = Timestamp::now();
    let rows = |columns: &[Column]| items.iter().map(|item| row(columns, item, now)).collect::<Vec<_>>();
    let header: Vec<&str> = columns.iter().map(|(heading, ..)| *heading).collect();
    match format.unwrap_or(OutputFormat::Table) {
        format @ (OutputFormat::Table | OutputFormat::Wide) => {
            print(&table::draw((&header, &rows(columns)), format.width()))
        }
        OutputFormat::Name => {
            let first = rows(columns.get(..1).unwrap_or_default());
            print(&first.concat().iter().map(|name| plain(name) + "\n").collect::<String>())
        }
        format => print_value(&json!(items), format),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn exit_codes_tell_a_refusal_from_a_slip() {
        assert_eq!(finish(Ok(())), ExitCode::SUCCESS);
        assert_eq!(finish(Err(anyhow!("no"))), ExitCode::from(1));
        assert_eq!(finish(Err(UsageError("what".into()).into())), ExitCode::from(2));
        let late = || WaitFailure::TimedOut("late".into());
        assert_eq!(finish(Err(anyhow::Error::from(late()).context("waiting"))), ExitCode::from(3));
        assert_eq!(finish(Err(WaitFailure::OutOfReach("it is failed".into()).into())), ExitCode::from(4));
        let gone = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("printing");
        assert_eq!(finish(Err(gone)), ExitCode::SUCCESS);
    }

    #[test]
    fn text_of_a_machine_cannot_break_a_line() {
        assert_eq!(plain("a\nb\u{1b}[2Jc"), "a b [2Jc");
    }
}
