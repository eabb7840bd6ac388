//! Audit events: what was done with a token or to the server itself. They stay when the other events of their
//! time are pruned: [`due`] and [`set_aside`] move them to a table of their own, in the same transaction.

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::types::Value;
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::events::{self, COLUMNS, EventReader};
use super::integer;
use super::writer::WorkError;
use crate::model::EventKind;
use crate::store::{EventCut, EventQuery, OldEvents};

/// The columns of an event.
pub(super) type AuditRow = [Value; 8];

/// The audit events among those that are about to be pruned: all but the newest `keep`, and at most `most`,
/// oldest first.
pub(super) fn due(connection: &Connection, keep: u64, most: u64) -> rusqlite::Result<Vec<AuditRow>> {
    let kinds = EventKind::AUDIT.map(EventKind::name).join("', '");
    let due = format!(
        "SELECT {COLUMNS} FROM event WHERE seq IN (SELECT seq FROM event \
         WHERE seq <= (SELECT max(seq) FROM event) - max($1, 1) ORDER BY seq LIMIT $2) \
         AND (actor LIKE 'token:%' OR kind IN ('{kinds}'))"
    );
    let mut due = connection.prepare_cached(&due)?;
    let rows = due.query_map([integer(keep), integer(most)], |row| {
        let mut values = [const { Value::Null }; 8];
        for (column, value) in values.iter_mut().enumerate() {
            *value = row.get(column)?;
        }
        Ok(values)
    })?;
    rows.collect()
}

/// Sets them aside, after they are gone from the main table: on a full disk there is room then.
pub(super) fn set_aside(connection: &Connection, rows: &[AuditRow]) -> rusqlite::Result<()> {
    let add = format!("INSERT OR IGNORE INTO audit_event ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    let mut add = connection.prepare_cached(&add)?;
    rows.iter().try_for_each(|row| add.execute(rusqlite::params_from_iter(row)).map(drop))
}

/// Deletes those up to a number, at most so many; returns how many.
pub(super) fn prune(connection: &Connection, upto: u64, most: u64) -> Result<u64, WorkError> {
    let delete = "DELETE FROM audit_event WHERE seq IN \
        (SELECT seq FROM audit_event WHERE seq <= $1 ORDER BY seq LIMIT $2)";
    Ok(connection.prepare_cached(delete)?.execute([integer(upto), integer(most)])? as u64)
}

/// Reads those that were set aside. All are older than the events of the main table.
pub(super) async fn read(query: &EventQuery, reader: &mut EventReader<'_>) -> sqlx::Result<()> {
    // Leases begin and end by packets.
    if reader.is_full() || query.lease.is_some() {
        return Ok(());
    }
    let mut sql: QueryBuilder<Sqlite> =
        QueryBuilder::new(format!("SELECT {COLUMNS} FROM audit_event WHERE true"));
    events::filter_kind(&mut sql, ("kind", query));
    events::filter(&mut sql, query, reader.left());
    reader.read(&mut sql).await
}

/// The oldest of them, up to a cut: how many there are, and the number of the last.
pub(super) async fn old(readers: &SqlitePool, cut: EventCut) -> sqlx::Result<(OldEvents, u64)> {
    let beyond = "SELECT seq FROM audit_event ORDER BY seq DESC LIMIT 1 OFFSET $1";
    let beyond: Option<i64> =
        sqlx::query_scalar(beyond).bind(integer(cut.keep)).fetch_optional(readers).await?;
    let since = cut.since.map_or(i64::MIN, Timestamp::as_microsecond);
    let aged: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM audit_event WHERE time < $1")
        .bind(since)
        .fetch_one(readers)
        .await?;
    let Some(upto) = beyond.max(aged) else { return Ok(<_>::default()) };
    let sizes = "SELECT count(*), COALESCE(sum(octet_length(data) + octet_length(subject)), 0), min(time) \
        FROM audit_event WHERE seq <= $1";
    let (count, bytes, oldest): (i64, i64, Option<i64>) =
        sqlx::query_as(sizes).bind(upto).fetch_one(readers).await?;
    let oldest = oldest.and_then(|time| Timestamp::from_microsecond(time).ok());
    let old = OldEvents { count: count.unsigned_abs(), bytes: bytes.unsigned_abs(), newer: 0, oldest };
    Ok((old, upto.unsigned_abs()))
}
