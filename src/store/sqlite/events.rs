//! The table of events: adding one, and reading them back.

use jiff::Timestamp;
use rusqlite::{CachedStatement, params};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqlitePool};

use super::integer;
use crate::model::{Event, NewEvent};
use crate::store::{EVENTS_MAX, EventQuery, LEASE_KINDS, LeaseOf};

/// An event that is ready to be added.
pub(super) struct Encoded {
    event: NewEvent,
    data: String,
}

impl Encoded {
    /// The time is kept to the microsecond, so that the event reads the same now and later.
    pub(super) fn new(mut event: NewEvent) -> Self {
        event.time = Timestamp::from_microsecond(event.time.as_microsecond()).unwrap_or(event.time);
        // A JSON value is always text.
        let data = serde_json::to_string(&event.data).unwrap_or_default();
        Encoded { event, data }
    }

    /// Gives number, time, kind, subject, actor, attempt and data to a statement.
    pub(super) fn add(&self, statement: &mut CachedStatement<'_>, seq: u64) -> rusqlite::Result<usize> {
        let NewEvent { time, kind, subject, actor, attempt, .. } = &self.event;
        let attempt = attempt.map(|attempt| attempt.to_string());
        let time = time.as_microsecond();
        statement.execute(params![integer(seq), time, kind, subject, actor, attempt, self.data])
    }

    /// The event with the number it got.
    pub(super) fn numbered(self, seq: u64) -> Event {
        let NewEvent { time, kind, subject, actor, attempt, data } = self.event;
        Event { seq, time, kind, subject, actor, attempt, data }
    }
}

/// How many events have a part of the index for themselves: as the migration has it.
const PART_EVENTS: u64 = 512;
/// Parts of the index that one statement looks into. The first looks into one, and each next one into twice
/// as many: what is often there is found soon.
const PARTS_MAX: u64 = 256;

pub(super) async fn read(readers: &SqlitePool, query: &EventQuery) -> sqlx::Result<Vec<Event>> {
    let limit = if query.limit == 0 { EVENTS_MAX } else { query.limit.min(EVENTS_MAX) };
    let key = key(query);
    if key.is_none() && (query.kind.is_none() || query.attempt.is_some()) {
        let mut sql = QueryBuilder::new(format!("SELECT {COLUMNS} FROM event WHERE true"));
        filter(&mut sql, query, limit);
        return Ok(sql.build().fetch_all(readers).await?.iter().filter_map(readable).collect());
    }
    let mut found = Vec::new();
    for parts in parts(query, stored(readers).await?) {
        let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        let mut sql = key.as_ref().map_or_else(|| within(parts), |key| about(key, parts));
        filter(&mut sql, query, left);
        found.extend(sql.build().fetch_all(readers).await?);
    }
    Ok(found.iter().filter_map(readable).collect())
}

const COLUMNS: &str = "seq, time, kind, subject, actor, attempt, data";

/// The first and the last number there is.
async fn stored(readers: &SqlitePool) -> sqlx::Result<(u64, u64)> {
    let ends = "SELECT (SELECT min(seq) FROM event), (SELECT max(seq) FROM event)";
    let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(ends).fetch_one(readers).await?;
    Ok((first.unwrap_or(0).unsigned_abs(), last.unwrap_or(0).unsigned_abs()))
}

/// The parts of the index that can have what is asked for, first and last of each statement, in the order of
/// the answer.
fn parts(query: &EventQuery, (first, last): (u64, u64)) -> impl Iterator<Item = (u64, u64)> {
    let mut from = first.max(query.after.saturating_add(1)) / PART_EVENTS;
    let mut end = last.min(query.before.unwrap_or(u64::MAX)) / PART_EVENTS + 1;
    let (newest_first, mut size) = (query.newest_first, 1);
    std::iter::from_fn(move || {
        let count = end.checked_sub(from).filter(|left| *left > 0)?.min(size);
        size = (size * 2).min(PARTS_MAX);
        if newest_first {
            end -= count;
            Some((end, end + count - 1))
        } else {
            from += count;
            Some((from - count, from - 1))
        }
    })
}

/// CROSS JOIN, so that the index is asked for each part and not once for all events.
fn about((condition, value): &(String, String), (from, to): (u64, u64)) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("WITH RECURSIVE part (n) AS (SELECT ");
    sql.push_bind(integer(from)).push(" UNION ALL SELECT n + 1 FROM part WHERE n < ").push_bind(integer(to));
    sql.push(format!(") SELECT {COLUMNS} FROM part CROSS JOIN event ON seq >> 9 = n WHERE {condition} = "));
    sql.push_bind(value.clone());
    sql
}

/// The index of subjects has the kinds as well: the events that are not asked for are not read.
fn within((from, to): (u64, u64)) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(format!("SELECT {COLUMNS} FROM event INDEXED BY event_subject"));
    sql.push(" WHERE seq >> 9 BETWEEN ").push_bind(integer(from)).push(" AND ").push_bind(integer(to));
    sql
}

/// What is looked up in an index that comes in parts, and its value. The conditions are word for word those
/// of the migrations, or the indexes are not used.
fn key(query: &EventQuery) -> Option<(String, String)> {
    let lease = |field: &str| format!("kind IN ('{}') AND data ->> '$.{field}'", LEASE_KINDS.join("', '"));
    match (&query.lease, &query.subject) {
        (Some(LeaseOf::Address(address)), _) => Some((lease("address"), address.to_string())),
        (Some(LeaseOf::Mac(mac)), _) => Some((lease("mac"), mac.to_string())),
        (None, Some(subject)) if query.attempt.is_none() => Some(("subject".to_owned(), subject.clone())),
        (None, _) => None,
    }
}

fn filter(sql: &mut QueryBuilder<Sqlite>, query: &EventQuery, limit: u32) {
    sql.push(" AND seq > ").push_bind(integer(query.after));
    if let Some(before) = query.before {
        sql.push(" AND seq < ").push_bind(integer(before));
    }
    if let Some(kind) = &query.kind {
        filter_kind(sql, kind);
    }
    if let Some(attempt) = query.attempt {
        sql.push(" AND attempt = ").push_bind(attempt.to_string());
    }
    if let Some(subject) = query.subject.as_ref().filter(|_| query.lease.is_some() || query.attempt.is_some())
    {
        sql.push(" AND subject = ").push_bind(subject.clone());
    }
    sql.push(if query.newest_first { " ORDER BY seq DESC" } else { " ORDER BY seq" });
    sql.push(" LIMIT ").push_bind(i64::from(limit));
}

/// `machine.*` is all kinds that begin so.
fn filter_kind(sql: &mut QueryBuilder<Sqlite>, kind: &str) {
    match kind.strip_suffix('*') {
        Some(noun) => {
            let length = i64::try_from(noun.chars().count()).unwrap_or(i64::MAX);
            sql.push(" AND substr(kind, 1, ").push_bind(length).push(") = ").push_bind(noun.to_owned());
        }
        None => {
            sql.push(" AND kind = ").push_bind(kind.to_owned());
        }
    }
}

/// A damaged event is passed over, as a damaged object is.
fn readable(row: &SqliteRow) -> Option<Event> {
    match event(row) {
        Ok(event) => Some(event),
        Err(error) => {
            let seq = row.try_get::<i64, _>("seq").unwrap_or_default();
            tracing::error!(seq, %error, "a damaged event of the database is passed over");
            None
        }
    }
}

fn event(row: &SqliteRow) -> Result<Event, Box<dyn std::error::Error>> {
    let attempt: Option<&str> = row.try_get("attempt")?;
    Ok(Event {
        seq: u64::try_from(row.try_get::<i64, _>("seq")?)?,
        time: Timestamp::from_microsecond(row.try_get("time")?)?,
        kind: row.try_get("kind")?,
        subject: row.try_get("subject")?,
        actor: row.try_get("actor")?,
        attempt: attempt.map(str::parse).transpose()?,
        data: serde_json::from_str(row.try_get("data")?)?,
    })
}
