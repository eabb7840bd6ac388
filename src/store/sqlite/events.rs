//! The table of events: adding one, and reading them back.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqlitePool};

use super::integer;
use crate::model::{Event, NewEvent};
use crate::store::{EVENTS_MAX, EventQuery, sql};

/// An event that is ready to be added.
pub(super) struct Encoded {
    event: NewEvent,
    data: String,
}

impl Encoded {
    /// The time is kept to the microsecond, so that the event reads the same now and later.
    pub(super) fn new(mut event: NewEvent) -> Self {
        event.time = Timestamp::from_microsecond(event.time.as_microsecond()).unwrap_or(event.time);
        let data = event.data.to_string();
        Encoded { event, data }
    }
}

pub(super) async fn add(connection: &mut SqliteConnection, encoded: &Encoded) -> sqlx::Result<Event> {
    let event = &encoded.event;
    let seq: i64 = sqlx::query_scalar(sql::ADD_EVENT)
        .bind(event.time.as_microsecond())
        .bind(&event.kind)
        .bind(&event.subject)
        .bind(&event.actor)
        .bind(event.attempt.map(|attempt| attempt.to_string()))
        .bind(&encoded.data)
        .fetch_one(connection)
        .await?;
    let NewEvent { time, kind, subject, actor, attempt, data } = event.clone();
    Ok(Event { seq: seq.unsigned_abs(), time, kind, subject, actor, attempt, data })
}

pub(super) async fn read(readers: &SqlitePool, query: &EventQuery) -> sqlx::Result<Vec<Event>> {
    let rows = statement(query).build().fetch_all(readers).await?;
    Ok(rows.iter().filter_map(readable).collect())
}

fn statement(query: &EventQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT seq, time, kind, subject, actor, attempt, data FROM event");
    sql.push(" WHERE seq > ").push_bind(integer(query.after));
    if let Some(before) = query.before {
        sql.push(" AND seq < ").push_bind(integer(before));
    }
    if let Some(kind) = &query.kind {
        filter_kind(&mut sql, kind);
    }
    if let Some(subject) = &query.subject {
        sql.push(" AND subject = ").push_bind(subject.clone());
    }
    if let Some(attempt) = query.attempt {
        sql.push(" AND attempt = ").push_bind(attempt.to_string());
    }
    sql.push(if query.newest_first { " ORDER BY seq DESC" } else { " ORDER BY seq" });
    let limit = if query.limit == 0 { EVENTS_MAX } else { query.limit.min(EVENTS_MAX) };
    sql.push(" LIMIT ").push_bind(i64::from(limit));
    sql
}

/// `machine.*` compares the beginning, not a range of kinds: with a range the database would sort all events
/// of the noun to find the first few, and those who follow the newest events ask for that all the time.
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
