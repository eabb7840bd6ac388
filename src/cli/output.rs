//! Output: tables for people, JSON and YAML for programs, errors on stderr.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::columns::row;
use crate::cli::yaml;
use crate::model::Column;

/// The output format.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// For people.
    Table,
    Json,
    Yaml,
    /// Only the names, one per line.
    Name,
}

/// A usage error: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Prints the error and returns the exit code: 0 success, 1 the server or the operation failed, 2 usage.
pub fn finish(done: Result<()>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    if reader_is_gone(&error) {
        return ExitCode::SUCCESS;
    }
    note(&format!("error: {error:#}"));
    ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
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

/// The completion script of a shell for all commands.
///
/// # Errors
/// The output is closed.
pub fn print_completions(shell: clap_complete::Shell, mut command: clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "metalwright", &mut script);
    print(&String::from_utf8_lossy(&script))
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
        OutputFormat::Yaml | OutputFormat::Table | OutputFormat::Name => print(&yaml::write(value)?),
    }
}

/// A table without rules, wrapped to the terminal if there is one.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let colors = has_colors();
    let arrangement =
        if io::stdout().is_terminal() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
    table.set_content_arrangement(arrangement);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|text| cell(&plain(text), colors)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

fn cell(text: &str, colors: bool) -> Cell {
    let color = match text {
        "complete" | "ready" | "finished" | "bound" => Color::Green,
        "failed" | "held" | "lost" | "missing" | "declined" => Color::Red,
        "waiting" | "booting" | "running" | "extracting" | "fetching" => Color::Yellow,
        _ => Color::Reset,
    };
    match colors && color != Color::Reset {
        true => Cell::new(text).fg(color),
        false => Cell::new(text),
    }
}

/// Prints rows as a table, by their first column, or unchanged.
///
/// # Errors
/// The output is closed.
pub fn print_all(items: &[Value], columns: &[Column], format: Option<OutputFormat>) -> Result<()> {
    let now = Timestamp::now();
    let rows = |columns: &[Column]| items.iter().map(|item| row(columns, item, now)).collect::<Vec<_>>();
    match format.unwrap_or(OutputFormat::Table) {
        OutputFormat::Table => {
            let header: Vec<&str> = columns.iter().map(|(heading, ..)| *heading).collect();
            print(&table(&header, &rows(columns)))
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
    fn a_table_has_aligned_columns_and_no_blanks_at_the_end() {
        let rows = [vec!["web1".to_owned(), "complete".to_owned()], vec!["db".to_owned(), String::new()]];
        assert_eq!(table(&["NAME", "STATE"], &rows), "NAME  STATE\nweb1  complete\ndb\n");
    }

    #[test]
    fn exit_codes_tell_a_refusal_from_a_slip() {
        assert_eq!(finish(Ok(())), ExitCode::SUCCESS);
        assert_eq!(finish(Err(anyhow!("no"))), ExitCode::from(1));
        assert_eq!(finish(Err(UsageError("what".into()).into())), ExitCode::from(2));
        let gone = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("printing");
        assert_eq!(finish(Err(gone)), ExitCode::SUCCESS);
    }

    #[test]
    fn text_of_a_machine_cannot_break_a_line() {
        assert_eq!(plain("a\nb\u{1b}[2Jc"), "a b [2Jc");
    }
}
