//! Tables: one line a row. What does not fit into the terminal is cut.

use std::io::{self, IsTerminal};

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};

use crate::cli::output::{has_colors, plain};

/// Columns of blanks between two columns of a table.
const GAP: usize = 2;
/// Narrowest column that is cut.
const COLUMN_MIN: usize = 8;
/// The end of a text that was cut.
const CUT: &str = "…";

/// The width of the terminal; none if stdout is not one.
pub fn terminal_width() -> Option<usize> {
    Table::new().width().filter(|_| io::stdout().is_terminal()).map(usize::from)
}

/// A header and rows, aligned and without rules. With a width each row is one line of at most that width:
/// columns without values are left out first, then the longest columns are cut, the first one last, and then
/// columns are left out from the right.
pub fn draw((header, rows): (&[&str], &[Vec<String>]), width: Option<usize>) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|text| plain(text)).collect()).collect();
    let Some(kept) = width.and_then(|width| fit(&widths(header, &rows), width)) else {
        return lay_out(header.iter().map(ToString::to_string).collect(), &rows);
    };
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| cells(&kept, row)).collect();
    lay_out(cells(&kept, &header), &rows)
}

/// The cells of a row in the columns that are shown.
fn cells(kept: &[FittedColumn], row: &[String]) -> Vec<String> {
    kept.iter().map(|column| cut(row.get(column.place).map_or("", String::as_str), column.width)).collect()
}

/// A column of a table that was fitted to a width.
#[derive(Clone, Debug)]
struct FittedColumn {
    /// Its place in a row.
    place: usize,
    width: usize,
    has_values: bool,
}

fn widths(header: &[&str], rows: &[Vec<String>]) -> Vec<FittedColumn> {
    let headings = header.iter().map(|heading| heading.chars().count()).enumerate();
    headings
        .map(|(place, heading)| {
            let values = rows.iter().filter_map(|row| row.get(place)).map(|text| text.chars().count());
            let longest = values.max().unwrap_or(0);
            FittedColumn { place, width: longest.max(heading), has_values: longest > 0 }
        })
        .collect()
}

/// The columns that are shown. None if all of them fit as they are.
fn fit(columns: &[FittedColumn], total: usize) -> Option<Vec<FittedColumn>> {
    if needed(columns) <= total {
        return None;
    }
    let mut kept: Vec<FittedColumn> = columns.iter().filter(|column| column.has_values).cloned().collect();
    while kept.len() > 1 {
        let caps = (COLUMN_MIN..=total).rev();
        let others = caps.clone().map(|cap| capped(&kept, (cap, usize::MAX)));
        let all = caps.map(|cap| capped(&kept, (cap, cap)));
        if let Some(fitted) = others.chain(all).find(|columns| needed(columns) <= total) {
            return Some(fitted);
        }
        kept.pop();
    }
    Some(capped(&kept, (total, total)))
}

/// The width of a line.
fn needed(columns: &[FittedColumn]) -> usize {
    columns.iter().map(|column| column.width + GAP).sum::<usize>().saturating_sub(GAP)
}

/// Columns that are at most so wide, and the first one.
fn capped(columns: &[FittedColumn], (others, first): (usize, usize)) -> Vec<FittedColumn> {
    let caps = std::iter::once(first).chain(std::iter::repeat(others));
    columns
        .iter()
        .zip(caps)
        .map(|(column, cap)| FittedColumn { width: column.width.min(cap), ..column.clone() })
        .collect()
}

fn lay_out(header: Vec<String>, rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    let colors = has_colors();
    for row in rows {
        table.add_row(row.iter().map(|text| cell(text, colors)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP as u16));
    }
    table.trim_fmt() + "\n"
}

/// A text that is cut to a number of characters.
pub fn cut(text: &str, chars: usize) -> String {
    match text.chars().count() > chars {
        true => text.chars().take(chars.saturating_sub(1)).collect::<String>() + CUT,
        false => text.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn a_table_has_aligned_columns_and_no_blanks_at_the_end() {
        let rows = rows(&[&["web1", "complete"], &["db", ""]]);
        assert_eq!(draw((&["NAME", "STATE"], &rows), None), "NAME  STATE\nweb1  complete\ndb\n");
    }

    #[test]
    fn a_table_is_cut_to_the_width_and_never_wraps() {
        let reason =
            "task `disk` failed with exit code 1: there is no disk that the rule of `install_disks` takes";
        let header = ["NAME", "STATE", "STAGE", "ARMED", "SEEN", "REASON", "PROBLEMS"];
        let name = "rack12-node-003.example.org";
        let rows = rows(&[
            &[name, "failed", "install-debian-12", "", "3m ago", reason, ""],
            &["web1", "complete", "", "", "", "", ""],
        ]);
        for width in [40, 60, 80, 120] {
            let table = draw((&header, &rows), Some(width));
            assert_eq!(table.lines().count(), 3, "{table}");
            let longest = table.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= width, "{longest} > {width}\n{table}");
        }
        let table = draw((&header, &rows), Some(80));
        assert!(table.contains(name) && table.contains("failed"), "names and states stay whole\n{table}");
        assert!(table.contains("REASON") && table.contains('…'), "{table}");
        assert!(!table.contains("PROBLEMS"), "a column without values is left out\n{table}");
        let whole = draw((&header, &rows), Some(400));
        assert!(whole.contains(reason) && whole.contains("PROBLEMS"), "{whole}");
        assert_eq!(draw((&header, &rows), None), whole);
    }

    #[test]
    fn a_text_is_cut_with_a_mark() {
        assert_eq!((cut("abcdef", 4).as_str(), cut("abcd", 4).as_str()), ("abc…", "abcd"));
    }
}
