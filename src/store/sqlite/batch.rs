//! A transaction as few texts of SQL with all their rows: each hand-over to the thread of SQLite costs more than
//! a row does, and most transactions are one.
//!
//! A statement takes one of [`SIZES`] many rows, so that there are few texts to keep prepared; fewer rows are
//! filled up with rows of NULL, which it passes over.

use std::sync::Arc;

use sqlx::query_builder::Separated;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::deed::EncodedWrite;
use super::{events, integer, trail};
use crate::model::Kind;

const SIZES: [usize; 3] = [1, 8, 64];
const ROWS_MAX: usize = 64;
/// Statements in one text, so that it is no longer than SQLite takes and comes again soon. What sixty-four
/// clients write at once is one text.
const STATEMENTS_MAX: usize = 6;

/// A row that is written; its values are bound one by one.
pub(super) type Row<'b> = Separated<'b, Sqlite, &'static str>;

/// The statements of a transaction, in the order they were added.
#[derive(Default)]
pub(super) struct Batch {
    full: Vec<QueryBuilder<Sqlite>>,
    text: QueryBuilder<Sqlite>,
    /// In `text`.
    statements: usize,
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
        for mut text in self.full.into_iter().chain([self.text]) {
            text.build().execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// Deletes rows, and what hangs on them.
    pub(super) fn delete(&mut self, kind: Kind, keys: &[&str]) {
        for keys in keys.chunks(ROWS_MAX) {
            let text = self.statement(&format!("DELETE FROM {kind} WHERE key IN ("));
            let mut marks = text.separated(", ");
            for key in filled(keys) {
                marks.push_bind(key.map(|key| (*key).to_owned()));
            }
            text.push(")");
        }
    }

    /// Makes the rows of objects what the objects are.
    pub(super) fn put(&mut self, kind: Kind, writes: &[&EncodedWrite]) {
        for writes in writes.chunks(ROWS_MAX) {
            let text = self.statement(&format!("INSERT INTO {kind} (key, revision, document, held) "));
            push_rows::<4, _>(text, writes, |row, write| {
                row.push_bind(write.id().1.to_owned());
                row.push_bind(integer(write.revision().unwrap_or_default()));
                row.push_bind(Arc::clone(&write.document)).push_bind(Arc::clone(&write.held));
            });
            text.push(
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
            push_rows::<5, _>(self.statement(&head), writes, |row, (n, write)| {
                row.push_bind(integer(*n)).push_bind(write.id().1.to_owned());
                row.push_bind(integer(write.revision().unwrap_or(trail::GONE)));
                row.push_bind(Arc::clone(&write.document)).push_bind(Arc::clone(&write.held));
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
            text.push_values(filled(moved), |mut row, moved| {
                row.push_bind(moved.map(|(old, _)| integer(*old)));
                row.push_bind(moved.map(|(_, new)| integer(*new)));
            });
            text.push(format_args!(") AS new CROSS JOIN {kind} ON n = new.column1"));
        }
    }

    /// Deletes the rows of the trail before `first`.
    pub(super) fn cut_trail(&mut self, first: u64) {
        self.statement(&format!("DELETE FROM {} WHERE n < ", trail::KIND)).push_bind(integer(first));
    }

    /// Adds events, numbered from `seq` on.
    pub(super) fn add_events(&mut self, events: &[&events::Encoded], seq: u64) {
        let numbered: Vec<_> = (seq..).zip(events).collect();
        for events in numbered.chunks(ROWS_MAX) {
            let head = "INSERT OR FAIL INTO event (seq, time, kind, subject, actor, attempt, data) ";
            push_rows::<7, _>(self.statement(head), events, |row, (seq, event)| event.bind(row, *seq));
        }
    }

    /// Begins the next statement.
    fn statement(&mut self, head: &str) -> &mut QueryBuilder<Sqlite> {
        if self.statements == STATEMENTS_MAX {
            self.full.push(std::mem::take(&mut self.text));
            self.statements = 0;
        }
        self.text.push(if self.statements == 0 { "" } else { "; " });
        self.statements += 1;
        self.text.push(head)
    }
}

/// Writes `rows` with so many columns, of which the first is never NULL but in those that fill up.
fn push_rows<const COLUMNS: usize, T>(
    text: &mut QueryBuilder<Sqlite>,
    rows: &[T],
    bind: impl Fn(&mut Row<'_>, &T),
) {
    let is_alone = rows.len() == 1;
    text.push(if is_alone { "" } else { "SELECT * FROM (" });
    text.push_values(filled(rows), |mut row, values| match values {
        Some(values) => bind(&mut row, values),
        None => (0..COLUMNS).for_each(|_| {
            row.push_bind(None::<i64>);
        }),
    });
    text.push(if is_alone { "" } else { ") WHERE column1 IS NOT NULL" });
}

/// The rows, and what they are filled up with.
fn filled<T>(rows: &[T]) -> impl Iterator<Item = Option<&T>> {
    let size = SIZES.into_iter().find(|size| *size >= rows.len()).unwrap_or(ROWS_MAX);
    rows.iter().map(Some).chain(std::iter::repeat_with(|| None)).take(size)
}
