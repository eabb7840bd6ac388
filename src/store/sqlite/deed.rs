//! One deed inside the transaction of its group.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{events, integer};
use crate::model::{Event, Kind, World};
use crate::store::{Deed, Error, Write, sql};

/// A deed as the writer gets it; what takes time was done before it was queued.
pub(super) struct Encoded {
    pub(super) writes: Vec<EncodedWrite>,
    pub(super) events: Vec<events::Encoded>,
}

pub(super) struct EncodedWrite {
    pub(super) write: Write,
    /// The object in JSON; empty for one that goes.
    document: String,
}

/// Why a piece of work was not done: a refusal concerns it alone, a failure the whole transaction.
pub(super) enum Undone {
    Refused(Error),
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Undone {
    fn from(error: sqlx::Error) -> Self {
        Undone::Failed(error)
    }
}

/// Which object, in all kinds.
type Id = (Kind, String);
/// What an object holds that no other of its kind may: `("mac", "52:54:…")`.
type Unique = (&'static str, String);

/// The unique values each object holds: as in the world, but for what earlier deeds of the group changed.
pub(super) struct Holdings<'w> {
    world: &'w RwLock<World>,
    changed: HashMap<Id, Vec<Unique>>,
}

impl<'w> Holdings<'w> {
    pub(super) fn new(world: &'w RwLock<World>) -> Self {
        Holdings { world, changed: HashMap::new() }
    }

    fn of(&self, id: &Id) -> Vec<Unique> {
        if let Some(changed) = self.changed.get(id) {
            return changed.clone();
        }
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        world.object(id.0, &id.1).map(|object| object.unique()).unwrap_or_default()
    }
}

/// Turns objects into rows.
///
/// # Errors
/// [`Error::Damaged`] for a key whose row could not be read; [`Error::Failed`] when JSON cannot hold a value.
pub(super) fn encode(deed: Deed, damaged: &HashSet<Id>) -> Result<Encoded, Error> {
    let mut writes = Vec::with_capacity(deed.writes.len());
    for write in deed.writes {
        let (kind, key) = id(&write);
        if !damaged.is_empty() && damaged.contains(&(kind, key.clone())) {
            return Err(Error::Damaged { kind, key });
        }
        let document = match &write {
            Write::Create(object) | Write::Update(object) => object.encode(),
            Write::Delete { .. } => Ok(String::new()),
        };
        let document = document.map_err(|error| Error::Failed(format!("{kind} {key}: {error}")))?;
        writes.push(EncodedWrite { write, document });
    }
    Ok(Encoded { writes, events: deed.events.into_iter().map(events::Encoded::new).collect() })
}

/// Writes all of a deed, or stops where it is refused: then the caller takes back what was written.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    deed: &Encoded,
    holdings: &mut Holdings<'_>,
) -> Result<Vec<Event>, Undone> {
    let mut after = BTreeMap::new();
    for write in &deed.writes {
        write_row(connection, write).await?;
        after.insert(id(&write.write), unique(&write.write));
    }
    move_unique(connection, &after, holdings).await?;
    let mut done = Vec::with_capacity(deed.events.len());
    for event in &deed.events {
        done.push(events::add(connection, event).await?);
    }
    holdings.changed.extend(after);
    Ok(done)
}

/// Gives up what the objects of a deed no longer hold, then takes what they hold now.
async fn move_unique(
    connection: &mut SqliteConnection,
    after: &BTreeMap<Id, Vec<Unique>>,
    holdings: &Holdings<'_>,
) -> Result<(), Undone> {
    let before: Vec<Vec<Unique>> = after.keys().map(|id| holdings.of(id)).collect();
    for ((id, after), before) in after.iter().zip(&before) {
        for (name, value) in before.iter().filter(|held| !after.contains(held)) {
            let release = sqlx::query(sql::RELEASE).bind(id.0.as_str()).bind(*name).bind(value).bind(&id.1);
            release.execute(&mut *connection).await?;
        }
    }
    for ((id, after), before) in after.iter().zip(&before) {
        for unique in after.iter().filter(|held| !before.contains(held)) {
            claim(connection, id, unique).await?;
        }
    }
    Ok(())
}

async fn claim(connection: &mut SqliteConnection, id: &Id, unique: &Unique) -> Result<(), Undone> {
    let ((kind, key), (name, value)) = (id, unique);
    let claim = sqlx::query_scalar(sql::CLAIM).bind(kind.as_str()).bind(*name).bind(value).bind(key);
    let holder: String = claim.fetch_one(connection).await?;
    if holder == *key {
        return Ok(());
    }
    let (index, value) = ((*name).to_owned(), value.clone());
    Err(Undone::Refused(Error::Taken { kind: *kind, index, value, holder }))
}

async fn write_row(connection: &mut SqliteConnection, write: &EncodedWrite) -> Result<(), Undone> {
    let document = write.document.as_str();
    let query = match &write.write {
        Write::Create(object) => sqlx::query(AssertSqlSafe(sql::create(object.kind())))
            .bind(object.key())
            .bind(integer(object.revision()))
            .bind(document),
        Write::Update(object) => sqlx::query(AssertSqlSafe(sql::update(object.kind())))
            .bind(object.key())
            .bind(integer(object.revision()))
            .bind(document)
            .bind(integer(object.revision()) - 1),
        Write::Delete { kind, key, revision } => {
            sqlx::query(AssertSqlSafe(sql::delete(*kind))).bind(key).bind(integer(*revision))
        }
    };
    if query.execute(connection).await?.rows_affected() == 1 {
        return Ok(());
    }
    let (kind, key) = id(&write.write);
    Err(Undone::Refused(Error::Stale { kind, key }))
}

fn id(write: &Write) -> Id {
    match write {
        Write::Create(object) | Write::Update(object) => (object.kind(), object.key().to_owned()),
        Write::Delete { kind, key, .. } => (*kind, key.clone()),
    }
}

fn unique(write: &Write) -> Vec<Unique> {
    match write {
        Write::Create(object) | Write::Update(object) => object.unique(),
        Write::Delete { .. } => Vec::new(),
    }
}
