//! The table of events: writes and queries.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use rusqlite::{CachedStatement, params};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqlitePool};

use super::event_sizes::EventSizes;
use super::{audit, integer};
use crate::model::bounds::{EVENT_DEPTH_MAX, text_depth};
use crate::model::event::OtherEvent;
use crate::model::{Event, EventBody, EventKind, Kind, NewEvent};
use crate::store::{EVENT_READ_BYTES_MAX, EVENTS_MAX, EventCut, EventQuery, EventRead, LeaseOf, OldEvents};

/// Number of events per part of the table of keys. A small number puts the keys of a group on one page; a
/// large number means that queries look into fewer parts.
pub(super) const PART_EVENTS: u64 = 256;
/// Most parts that one statement looks into. The first statement looks into one part and each next one into
/// twice as many, so that frequent events are found early.
const PARTS_MAX: u64 = 256;

/// Most numbers by which an event can be away from its place in the order of times.
const UNORDERED_MAX: u64 = 1024;

/// An event that is ready to be written.
pub(super) struct EncodedEvent {
    event: NewEvent,
    kind: String,
    data: String,
    keys: Vec<String>,
}

impl EncodedEvent {
    /// The time is rounded to microseconds, so that the event is the same when it is read back.
    pub(super) fn new(mut event: NewEvent) -> Self {
        event.time = Timestamp::from_microsecond(event.time.as_microsecond()).unwrap_or(event.time);
        // Typed fields and JSON values can always be encoded.
        let mut data = serde_json::to_string(&event.body).unwrap_or_default();
        let kind = event.body.kind_name().into_owned();
        if text_depth(&data) > EVENT_DEPTH_MAX {
            let left_out = damaged(&format!("nested deeper than {EVENT_DEPTH_MAX} levels"));
            data = left_out.to_string();
            event.body = EventBody::Other(OtherEvent { kind: kind.clone(), data: left_out });
        }
        let keys = keys(&event);
        EncodedEvent { event, kind, data, keys }
    }

    /// Gives number, time, kind, subject, actor, attempt, request and data to a statement.
    pub(super) fn add(&self, statement: &mut CachedStatement<'_>, seq: u64) -> rusqlite::Result<usize> {
        let NewEvent { time, subject, actor, attempt, request_id, .. } = &self.event;
        let attempt = attempt.map(|attempt| attempt.to_string());
        let time = time.as_microsecond();
        let (seq, kind, data) = (integer(seq), &self.kind, &self.data);
        statement.execute(params![seq, time, kind, subject, actor, attempt, request_id, data])
    }

    /// Binds part, key, kind and number to a statement, once for each key.
    pub(super) fn add_keys(&self, statement: &mut CachedStatement<'_>, seq: u64) -> rusqlite::Result<usize> {
        let part = integer(seq / PART_EVENTS);
        let kind = &self.kind;
        self.keys.iter().map(|key| statement.execute(params![part, key, kind, integer(seq)])).sum()
    }

    /// The event with its number.
    pub(super) fn numbered(self, seq: u64) -> Event {
        self.event.numbered(seq)
    }
}

/// What an event is looked up by: its subject; the request that brought it about; the token of whoever caused
/// it; and what begins or ends a lease by the address, which is often the subject, and by the MAC.
fn keys(event: &NewEvent) -> Vec<String> {
    let mut keys = vec![event.subject.clone()];
    keys.extend(event.request_id.as_deref().map(request_key));
    if event.actor.starts_with(TOKEN) {
        keys.extend([actor_key(&event.actor), actor_key(ALL_TOKENS)]);
    }
    if let Some((address, mac)) = event.body.lease() {
        keys.extend(Some(Kind::Lease.subject(address)).filter(|key| *key != event.subject));
        keys.extend(mac.map(|mac| mac.to_string()));
    }
    keys
}

/// Reads events one after the other, up to a number and to [`EVENT_READ_BYTES_MAX`].
pub(super) struct EventReader<'r> {
    readers: &'r SqlitePool,
    limit: u32,
    found: EventRead,
}

impl EventReader<'_> {
    /// How many events may still be read.
    pub(super) fn left(&self) -> u32 {
        self.limit.saturating_sub(u32::try_from(self.found.events.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn is_full(&self) -> bool {
        self.left() == 0 || self.found.bytes >= EVENT_READ_BYTES_MAX
    }

    pub(super) async fn read(&mut self, sql: &mut QueryBuilder<Sqlite>) -> sqlx::Result<()> {
        let mut rows = sql.build().fetch(self.readers);
        while !self.is_full() {
            let Some(row) = rows.try_next().await? else { break };
            self.found.bytes += row.try_get::<&str, _>("data").map_or(0, str::len);
            self.found.events.push(event(&row));
        }
        Ok(())
    }
}

/// Events, and with them the audit events that outlived the others of their time.
pub(super) async fn read(readers: &SqlitePool, query: &EventQuery) -> sqlx::Result<EventRead> {
    let limit = if query.limit == 0 { EVENTS_MAX } else { query.limit.min(EVENTS_MAX) };
    let mut reader = EventReader { readers, limit, found: EventRead::default() };
    if query.newest_first {
        read_main(query, &mut reader).await?;
        audit::read(query, &mut reader).await?;
    } else {
        audit::read(query, &mut reader).await?;
        read_main(query, &mut reader).await?;
    }
    Ok(EventRead { is_cut: reader.is_full(), ..reader.found })
}

async fn read_main(query: &EventQuery, reader: &mut EventReader<'_>) -> sqlx::Result<()> {
    if reader.is_full() {
        return Ok(());
    }
    let query = &since_number(query.clone(), reader.readers).await?;
    let key = main_key(query);
    if key.is_none() && (query.kind.is_none() || query.attempt.is_some()) {
        let mut sql = QueryBuilder::new(format!("SELECT {COLUMNS} FROM event WHERE true"));
        filter_kind(&mut sql, ("kind", query));
        filter(&mut sql, query, reader.left());
        return reader.read(&mut sql).await;
    }
    for parts in parts(query, stored(reader.readers).await?) {
        if reader.is_full() {
            break;
        }
        let mut sql = QueryBuilder::new(format!("SELECT {COLUMNS} FROM event WHERE seq IN ("));
        match &key {
            Some(key) => about(&mut sql, key, parts),
            None => within(&mut sql, parts),
        }
        if query.lease.is_some() {
            sql.push(format!(
                " AND event_kind IN ('{}')",
                EventKind::LEASE.map(EventKind::name).join("', '")
            ));
        }
        filter_kind(&mut sql, ("event_kind", query));
        sql.push(")");
        filter(&mut sql, query, reader.left());
        reader.read(&mut sql).await?;
    }
    Ok(())
}

pub(super) const COLUMNS: &str = "seq, time, kind, subject, actor, attempt, request_id, data";

/// The first and the last number in the table.
async fn stored(readers: &SqlitePool) -> sqlx::Result<(u64, u64)> {
    let ends = "SELECT (SELECT min(seq) FROM event), (SELECT max(seq) FROM event)";
    let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(ends).fetch_one(readers).await?;
    Ok((first.unwrap_or(0).unsigned_abs(), last.unwrap_or(0).unsigned_abs()))
}

/// The oldest events up to a cut. Their numbers have no gaps, and their times are nearly in the same order.
pub(super) async fn old(readers: &SqlitePool, sizes: &EventSizes, cut: EventCut) -> sqlx::Result<OldEvents> {
    let (first, last) = stored(readers).await?;
    let mut end = last.saturating_sub(cut.keep.max(1)).saturating_add(1);
    if let Some(since) = cut.since {
        end = end.max(first_since(readers, (first, last), since).await?);
    }
    if let Some(bytes) = cut.bytes {
        end = end.max(sizes.first_within(readers, (first, bytes)).await?).min(last);
    }
    let Some(count) = end.checked_sub(first).filter(|count| first > 0 && *count > 0) else {
        return Ok(OldEvents { newer: last, ..OldEvents::default() });
    };
    let of_old = "SELECT min(time), COALESCE(sum(octet_length(data) + octet_length(subject)), 0) FROM event \
        WHERE seq < $1";
    let (oldest, bytes): (Option<i64>, i64) =
        sqlx::query_as(of_old).bind(integer(end)).fetch_one(readers).await?;
    let oldest = oldest.and_then(|time| Timestamp::from_microsecond(time).ok());
    Ok(OldEvents { count, bytes: bytes.unsigned_abs(), newer: last + 1 - end, oldest })
}

/// The query with the numbers that its times are at, so that other events are not read. Times are nearly in
/// the order of the numbers; what was seen is written a little later than what was done.
async fn since_number(mut query: EventQuery, readers: &SqlitePool) -> sqlx::Result<EventQuery> {
    if let Some(since) = query.since {
        let first = first_since(readers, stored(readers).await?, since).await?;
        query.after = query.after.max(first.saturating_sub(UNORDERED_MAX));
    }
    if let Some(until) = query.until {
        let end = first_since(readers, stored(readers).await?, until).await?;
        let before = query.before.unwrap_or(u64::MAX);
        query.before = Some(before.min(end.saturating_add(UNORDERED_MAX)));
    }
    Ok(query)
}

/// The number of the first event at or after a time; the last number if all events are older.
async fn first_since(readers: &SqlitePool, (first, last): (u64, u64), since: Timestamp) -> sqlx::Result<u64> {
    let (mut low, mut high) = (first, last);
    while low < high {
        let middle = low + (high - low) / 2;
        let time = sqlx::query_scalar("SELECT time FROM event WHERE seq = $1").bind(integer(middle));
        let time: Option<i64> = time.fetch_optional(readers).await?;
        if time.is_none_or(|time| time < since.as_microsecond()) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The parts of the table of keys that can match the query: first and last part of each statement, in the
/// order of the answer.
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

/// The numbers of the events with a key. CROSS JOIN makes SQLite look the key up in each part separately.
fn about(sql: &mut QueryBuilder<Sqlite>, key: &str, (from, to): (u64, u64)) {
    sql.push("WITH RECURSIVE parts (n) AS (SELECT ").push_bind(integer(from));
    sql.push(" UNION ALL SELECT n + 1 FROM parts WHERE n < ").push_bind(integer(to));
    sql.push(") SELECT event FROM parts CROSS JOIN event_key ON part = n WHERE key = ")
        .push_bind(key.to_owned());
}

/// The numbers of all events of these parts.
fn within(sql: &mut QueryBuilder<Sqlite>, (from, to): (u64, u64)) {
    sql.push("SELECT event FROM event_key WHERE part BETWEEN ").push_bind(integer(from));
    sql.push(" AND ").push_bind(integer(to));
}

/// No subject begins like this.
fn request_key(id: &str) -> String {
    format!("request:{id}")
}

/// The beginning of the actors that are holders of tokens.
const TOKEN: &str = "token:";
/// All of them.
const ALL_TOKENS: &str = "token:*";

/// No subject begins like this.
fn actor_key(actor: &str) -> String {
    format!("actor:{actor}")
}

/// The key that narrows the query most.
fn main_key(query: &EventQuery) -> Option<String> {
    match (&query.lease, &query.request_id, &query.subject) {
        (Some(LeaseOf::Address(address)), ..) => Some(Kind::Lease.subject(address)),
        (Some(LeaseOf::Mac(mac)), ..) => Some(mac.to_string()),
        (None, Some(id), _) => Some(request_key(id)),
        (None, None, subject) => {
            let actor = query.actor.as_deref().map(actor_key);
            subject.clone().or(actor).filter(|_| query.attempt.is_none())
        }
    }
}

pub(super) fn filter(sql: &mut QueryBuilder<Sqlite>, query: &EventQuery, limit: u32) {
    sql.push(" AND seq > ").push_bind(integer(query.after));
    if let Some(before) = query.before {
        sql.push(" AND seq < ").push_bind(integer(before));
    }
    if let Some(since) = query.since {
        sql.push(" AND time >= ").push_bind(since.as_microsecond());
    }
    if let Some(until) = query.until {
        sql.push(" AND time < ").push_bind(until.as_microsecond());
    }
    match query.actor.as_deref() {
        Some(ALL_TOKENS) => {
            sql.push(" AND actor LIKE 'token:%'");
        }
        Some(actor) => {
            sql.push(" AND actor = ").push_bind(actor.to_owned());
        }
        None => {}
    }
    if !query.kinds.is_empty() {
        sql.push(" AND kind IN (");
        let mut kinds = sql.separated(", ");
        query.kinds.iter().for_each(|kind| {
            kinds.push_bind(kind.to_string());
        });
        sql.push(")");
    }
    if let Some(attempt) = query.attempt {
        sql.push(" AND attempt = ").push_bind(attempt.to_string());
    }
    if let Some(id) = &query.request_id {
        sql.push(" AND request_id = ").push_bind(id.clone());
    }
    if let Some(subject) = &query.subject {
        sql.push(" AND subject = ").push_bind(subject.clone());
    }
    if !query.hidden.is_empty() {
        // A subject without a colon, such as `server`, is not an object.
        sql.push(" AND substr(subject, 1, instr(subject, ':') - 1) NOT IN (");
        let mut hidden = sql.separated(", ");
        query.hidden.iter().for_each(|kind| {
            hidden.push_bind(kind.as_str());
        });
        sql.push(")");
    }
    sql.push(if query.newest_first { " ORDER BY seq DESC" } else { " ORDER BY seq" });
    sql.push(" LIMIT ").push_bind(i64::from(limit));
}

/// Filters by a column that holds the kind: `machine.*` matches all kinds with this prefix.
pub(super) fn filter_kind(sql: &mut QueryBuilder<Sqlite>, (column, query): (&str, &EventQuery)) {
    let Some(kind) = &query.kind else { return };
    match kind.strip_suffix('*') {
        Some(noun) => {
            let length = i64::try_from(noun.chars().count()).unwrap_or(i64::MAX);
            sql.push(format!(" AND substr({column}, 1, ")).push_bind(length);
            sql.push(") = ").push_bind(noun.to_owned());
        }
        None => {
            sql.push(format!(" AND {column} = ")).push_bind(kind.to_owned());
        }
    }
}

/// The event of a row. Parts of a damaged row that cannot be read are left out, and the data says why. The
/// event keeps its place, so that a reader does not take its page for the last one.
pub(super) fn event(row: &SqliteRow) -> Event {
    let mut faults = Vec::new();
    let text = |column| row.try_get::<String, _>(column);
    let attempt = row.try_get::<Option<&str>, _>("attempt").ok().flatten();
    let time = row.try_get("time").ok().and_then(|time| Timestamp::from_microsecond(time).ok());
    let seq = row.try_get::<i64, _>("seq").unwrap_or_default().unsigned_abs();
    let time = kept(time, ("time", &mut faults));
    let kind = kept(text("kind").ok(), ("kind", &mut faults));
    let subject = kept(text("subject").ok(), ("subject", &mut faults));
    let actor = kept(text("actor").ok(), ("actor", &mut faults));
    let attempt = attempt.and_then(|attempt| attempt.parse().ok());
    let parsed =
        data(row).and_then(|data| EventBody::parse(kind.clone(), data).map_err(|error| error.to_string()));
    let body = parsed.map_err(|why| faults.push(why)).ok().filter(|_| faults.is_empty());
    let body = body.unwrap_or_else(|| {
        let why = faults.join("; ");
        tracing::debug!(seq, why, "an event of the database is damaged");
        EventBody::Other(OtherEvent { kind, data: damaged(&why) })
    });
    let request_id = row.try_get::<Option<String>, _>("request_id").ok().flatten();
    Event { seq, time, body, subject, actor, attempt, request_id }
}

/// The value that was read, or else a default and a fault.
fn kept<T: Default>(read: Option<T>, (column, faults): (&str, &mut Vec<String>)) -> T {
    read.unwrap_or_else(|| {
        faults.push(format!("its {column} cannot be read"));
        T::default()
    })
}

/// The JSON of an event's fields.
fn data(row: &SqliteRow) -> Result<&str, String> {
    let text: &str = row.try_get("data").map_err(|error| error.to_string())?;
    if text_depth(text) > EVENT_DEPTH_MAX {
        return Err(format!("nested deeper than {EVENT_DEPTH_MAX} levels"));
    }
    Ok(text)
}

/// The data of an event whose own data cannot be shown.
fn damaged(why: &str) -> Value {
    json!({"damaged": why})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_never_deeper_than_its_readers_go() {
        let told = |levels| {
            let data = (1..levels).fold(json!([]), |inner, _| json!([inner]));
            let body = EventBody::Other(OtherEvent { kind: "test.a".into(), data });
            let event = NewEvent::new(Timestamp::UNIX_EPOCH, body).about("x".into());
            serde_json::to_value(EncodedEvent::new(event).numbered(1).body).unwrap()
        };
        assert!(told(EVENT_DEPTH_MAX).is_array());
        let left_out = told(EVENT_DEPTH_MAX + 1);
        assert!(left_out["damaged"].as_str().is_some_and(|why| why.contains("100 levels")), "{left_out}");
    }
}
