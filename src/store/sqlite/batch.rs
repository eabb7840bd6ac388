//! A transaction as few texts of SQL with all their rows: each hand-over to the thread of SQLite costs more
//! than a row does, and most transactions are one.
//!
//! A statement takes one of [`SIZES`] many rows, so that there are few texts to keep prepared; fewer rows are
//! filled up with rows of NULL, which it passes over.

use std::sync::Arc;

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

use super::deed::EncodedWrite;
use super::{events, integer, trail};
use crate::model::Kind;

const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const ROWS_MAX: usize = 64;
/// Statements in one text, so that it is no longer than SQLite takes and comes again soon. What sixty-four
/// clients write at once is one text.
const STATEMENTS_MAX: usize = 6;

/// The statements of a transaction, in the order they were added.
#[derive(Default)]
pub(super) struct Batch {
    full: Vec<Text>,
    text: Text,
    /// In `text`.
    statements: usize,
}

/// SQL, and the values for its question marks.
#[derive(Default)]
pub(super) struct Text {
    sql: String,
    values: SqliteArguments,
    /// The first value that could not be taken.
    fault: Option<sqlx::error::BoxDynError>,
}

impl Text {
    pub(super) fn bind<'v>(&mut self, value: impl Encode<'v, Sqlite> + Type<Sqlite>) -> &mut Self {
        if let Err(error) = self.values.add(value) {
            self.fault.get_or_insert(error);
        }
        self
    }

    async fn execute(self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        match self.fault {
            Some(fault) => Err(sqlx::Error::Encode(fault)),
            None => {
                sqlx::query_with(AssertSqlSafe(self.sql), self.values).execute(connection).await.map(drop)
            }
        }
    }
}

impl Batch {
    /// A transaction that is open.
    pub(super) fn begin() -> Self {
        let mut batch = Batch::default();
        batch.statement("BEGIN IMMEDIATE");
        batch
    }

    /// Whether nothing has been added.
    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.statements <= 1
    }

    /// Ends the transaction.
    pub(super) fn commit(&mut self) {
        self.statement("COMMIT");
    }

    pub(super) async fn execute(self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        for text in self.full.into_iter().chain([self.text]) {
            text.execute(connection).await?;
        }
        Ok(())
    }

    /// Deletes rows, and what hangs on them.
    pub(super) fn delete(&mut self, kind: Kind, keys: &[&str]) {
        for keys in keys.chunks(ROWS_MAX) {
            let text = self.statement(&format!("DELETE FROM {kind} WHERE key IN ("));
            push_values::<1, _>(text, keys, |text, key| {
                text.bind((*key).to_owned());
            });
            text.sql.push(')');
        }
    }

    /// Makes the rows of objects what the objects are.
    pub(super) fn put(&mut self, kind: Kind, writes: &[&EncodedWrite]) {
        for writes in writes.chunks(ROWS_MAX) {
            let text = self.statement(&format!("INSERT INTO {kind} (key, revision, document, held) "));
            push_rows::<4, _>(text, writes, |text, write| {
                text.bind(write.id().1.to_owned()).bind(integer(write.revision().unwrap_or_default()));
                text.bind(Arc::clone(&write.document)).bind(Arc::clone(&write.held));
            });
            text.sql.push_str(
                " ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, \
                 document = excluded.document, held = excluded.held",
            );
        }
    }

    /// Adds rows to the trail, numbered from `first` on.
    pub(super) fn add_to_trail(&mut self, writes: &[&EncodedWrite], first: u64) {
        let numbered: Vec<_> = (first..).zip(writes).collect();
        for writes in numbered.chunks(ROWS_MAX) {
            let head = format!("INSERT OR FAIL INTO {} (n, key, revision, document, held) ", trail::KIND);
            push_rows::<5, _>(self.statement(&head), writes, |text, (n, write)| {
                text.bind(integer(*n)).bind(write.id().1.to_owned());
                text.bind(integer(write.revision().unwrap_or(trail::GONE)));
                text.bind(Arc::clone(&write.document)).bind(Arc::clone(&write.held));
            });
        }
    }

    /// Writes rows of the trail again as they are, each with a new number.
    pub(super) fn move_along(&mut self, moved: &[(u64, u64)]) {
        let kind = trail::KIND;
        for moved in moved.chunks(ROWS_MAX) {
            let text = self.statement(&format!(
                "INSERT OR FAIL INTO {kind} (n, key, revision, document, held) \
                 SELECT new.column2, key, revision, document, held FROM ("
            ));
            push_values::<2, _>(text, moved, |text, (old, new)| {
                text.bind(integer(*old)).bind(integer(*new));
            });
            text.sql.push_str(&format!(") AS new CROSS JOIN {kind} ON n = new.column1"));
        }
    }

    /// Deletes the rows of the trail before `first`.
    pub(super) fn cut_trail(&mut self, first: u64) {
        self.statement(&format!("DELETE FROM {} WHERE n < ?", trail::KIND)).bind(integer(first));
    }

    /// Adds events, numbered from `seq` on.
    pub(super) fn add_events(&mut self, events: &[&events::Encoded], seq: u64) {
        let numbered: Vec<_> = (seq..).zip(events).collect();
        for events in numbered.chunks(ROWS_MAX) {
            let head = "INSERT OR FAIL INTO event (seq, time, kind, subject, actor, attempt, data) ";
            push_rows::<7, _>(self.statement(head), events, |text, (seq, event)| event.bind(text, *seq));
        }
    }

    /// Begins the next statement.
    fn statement(&mut self, head: &str) -> &mut Text {
        if self.statements == STATEMENTS_MAX {
            self.full.push(std::mem::take(&mut self.text));
            self.statements = 0;
        }
        self.text.sql.push_str(if self.statements == 0 { "" } else { "; " });
        self.text.sql.push_str(head);
        self.statements += 1;
        &mut self.text
    }
}

/// Rows of so many columns, of which the first is never NULL but in those that fill up.
fn push_rows<const COLUMNS: usize, T>(text: &mut Text, rows: &[T], bind: impl Fn(&mut Text, &T)) {
    let is_alone = rows.len() == 1;
    text.sql.push_str(if is_alone { "" } else { "SELECT * FROM (" });
    push_values::<COLUMNS, _>(text, rows, bind);
    text.sql.push_str(if is_alone { "" } else { ") WHERE column1 IS NOT NULL" });
}

/// The rows, filled up to one of the sizes.
fn push_values<const COLUMNS: usize, T>(text: &mut Text, rows: &[T], bind: impl Fn(&mut Text, &T)) {
    let size = SIZES.into_iter().find(|size| *size >= rows.len()).unwrap_or(ROWS_MAX);
    let marks = ["?"; COLUMNS].join(", ");
    text.sql.push_str("VALUES ");
    for number in 0..size {
        text.sql.push_str(if number == 0 { "(" } else { ", (" });
        text.sql.push_str(&marks);
        text.sql.push(')');
    }
    rows.iter().for_each(|row| bind(text, row));
    for _ in rows.len() * COLUMNS..size * COLUMNS {
        text.bind(None::<i64>);
    }
}
