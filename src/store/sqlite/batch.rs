//! Many rows in few statements: each call of the database costs more than a row does.
//!
//! A statement takes one of [`SIZES`] many rows, so that there are few to keep prepared; fewer rows are
//! filled up with rows of NULL, which it passes over.

use std::sync::Arc;

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite};

use super::deed::EncodedWrite;
use super::{events, integer, trail};
use crate::model::Kind;

/// A statement with its rows.
pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

const SIZES: [usize; 3] = [1, 8, 64];
const ROWS_MAX: usize = 64;

/// Deletes rows, and what hangs on them.
pub(super) fn delete(statements: &mut Vec<Statement>, kind: Kind, keys: &[&str]) {
    for keys in keys.chunks(ROWS_MAX) {
        let marks = repeated("?", size_for(keys.len()));
        let sql = format!("DELETE FROM {kind} WHERE key IN ({marks})");
        let statement = sqlx::query(AssertSqlSafe(sql));
        statements.push(keys.iter().fold(statement, |statement, key| statement.bind((*key).to_owned())));
    }
}

/// Makes the rows of objects what the objects are.
pub(super) fn put(statements: &mut Vec<Statement>, kind: Kind, writes: &[&EncodedWrite]) {
    for writes in writes.chunks(ROWS_MAX) {
        let rows = rows("(?, ?, ?, ?)", size_for(writes.len()));
        let sql = format!(
            "INSERT INTO {kind} (key, revision, document, held) {rows} ON CONFLICT (key) DO UPDATE \
             SET revision = excluded.revision, document = excluded.document, held = excluded.held"
        );
        let statement = sqlx::query(AssertSqlSafe(sql));
        statements.push(writes.iter().fold(statement, |statement, write| {
            let (_, key) = write.id();
            let revision = integer(write.revision().unwrap_or_default());
            let (document, held) = (Arc::clone(&write.document), Arc::clone(&write.held));
            statement.bind(key.to_owned()).bind(revision).bind(document).bind(held)
        }));
    }
}

/// Adds rows to the trail, numbered from `first` on.
pub(super) fn add_to_trail(statements: &mut Vec<Statement>, writes: &[&EncodedWrite], first: u64) {
    let mut numbers = first..;
    for writes in writes.chunks(ROWS_MAX) {
        let rows = rows("(?, ?, ?, ?, ?)", size_for(writes.len()));
        let sql = format!("INSERT OR FAIL INTO {} (n, key, revision, document, held) {rows}", trail::KIND);
        let statement = sqlx::query(AssertSqlSafe(sql));
        let numbered = numbers.by_ref().zip(writes);
        statements.push(numbered.fold(statement, |statement, (n, write)| {
            let (_, key) = write.id();
            let revision = integer(write.revision().unwrap_or(trail::GONE));
            let (document, held) = (Arc::clone(&write.document), Arc::clone(&write.held));
            statement.bind(integer(n)).bind(key.to_owned()).bind(revision).bind(document).bind(held)
        }));
    }
}

/// Writes rows of the trail again as they are, each with a new number.
pub(super) fn move_along(statements: &mut Vec<Statement>, moved: &[(u64, u64)]) {
    for moved in moved.chunks(ROWS_MAX) {
        let kind = trail::KIND;
        let numbers = repeated("(?, ?)", size_for(moved.len()));
        let sql = format!(
            "INSERT OR FAIL INTO {kind} (n, key, revision, document, held) \
             SELECT new.column2, key, revision, document, held \
             FROM (VALUES {numbers}) AS new CROSS JOIN {kind} ON n = new.column1"
        );
        let statement = sqlx::query(AssertSqlSafe(sql));
        let bind =
            |statement: Statement, (old, new): &(u64, u64)| statement.bind(integer(*old)).bind(integer(*new));
        statements.push(moved.iter().fold(statement, bind));
    }
}

/// Deletes the rows of the trail before `first`.
pub(super) fn cut_trail(statements: &mut Vec<Statement>, first: u64) {
    let sql = format!("DELETE FROM {} WHERE n < ?", trail::KIND);
    statements.push(sqlx::query(AssertSqlSafe(sql)).bind(integer(first)));
}

/// Adds events, numbered from `seq` on.
pub(super) fn add_events(statements: &mut Vec<Statement>, events: &[&events::Encoded], seq: u64) {
    let mut numbers = seq..;
    for events in events.chunks(ROWS_MAX) {
        let rows = rows("(?, ?, ?, ?, ?, ?, ?)", size_for(events.len()));
        let sql =
            format!("INSERT OR FAIL INTO event (seq, time, kind, subject, actor, attempt, data) {rows}");
        let statement = sqlx::query(AssertSqlSafe(sql));
        let numbered = numbers.by_ref().zip(events);
        statements.push(numbered.fold(statement, |statement, (seq, event)| event.bind(statement, seq)));
    }
}

/// `rows` many rows of which the first column is never NULL, but in those that are only there to fill up.
fn rows(row: &str, rows: usize) -> String {
    match rows {
        1 => format!("VALUES {row}"),
        rows => format!("SELECT * FROM (VALUES {}) WHERE column1 IS NOT NULL", repeated(row, rows)),
    }
}

fn repeated(row: &str, times: usize) -> String {
    vec![row; times].join(", ")
}

fn size_for(rows: usize) -> usize {
    SIZES.into_iter().find(|size| *size >= rows).unwrap_or(ROWS_MAX)
}
