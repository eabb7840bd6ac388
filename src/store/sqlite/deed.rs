//! One deed inside the transaction of its group.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{events, execute, integer};
use crate::model::{Event, Kind, World};
use crate::store::{Deed, Error, Write, sql};

/// Unique values that are claimed in one statement.
const CLAIMS_MAX: usize = 8;

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

/// Why a piece of work was not done. A refusal concerns it alone, and nothing of it is left in the
/// transaction; a failure concerns the whole transaction.
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

/// Whose a transaction is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// One piece of work has it for itself: when that is refused, all is rolled back.
    Own,
    Shared,
}

/// Does a deed, or nothing of it; in a transaction of its own, the caller rolls back what is refused.
///
/// One write that claims nothing, a renewed lease for example, can only be refused by its first statement,
/// which then has changed nothing: it goes without a savepoint, with half the statements.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    deed: &Encoded,
    holdings: &mut Holdings<'_>,
    transaction: Transaction,
) -> Result<Vec<Event>, Undone> {
    let after: BTreeMap<Id, Vec<Unique>> =
        deed.writes.iter().map(|write| (id(&write.write), unique(&write.write))).collect();
    let moves = Moves::new(&after, holdings);
    let refused_by_first = deed.writes.len() <= 1 && moves.claims.is_empty();
    let done = if refused_by_first || transaction == Transaction::Own {
        write_all(connection, deed, &moves).await?
    } else {
        execute(connection, "SAVEPOINT deed").await?;
        let done = write_all(connection, deed, &moves).await;
        match &done {
            Ok(_) => {}
            Err(Undone::Refused(_)) => execute(connection, "ROLLBACK TO deed").await?,
            Err(Undone::Failed(_)) => return done,
        }
        execute(connection, "RELEASE deed").await?;
        done?
    };
    holdings.changed.extend(after);
    Ok(done)
}

/// The unique values that change hands in a deed.
struct Moves {
    releases: Vec<(Id, Unique)>,
    claims: Vec<(Id, Unique)>,
}

impl Moves {
    fn new(after: &BTreeMap<Id, Vec<Unique>>, holdings: &Holdings<'_>) -> Self {
        let mut moves = Moves { releases: Vec::new(), claims: Vec::new() };
        for (id, after) in after {
            let before = holdings.of(id);
            let gone = before.iter().filter(|held| !after.contains(held));
            moves.releases.extend(gone.map(|unique| (id.clone(), unique.clone())));
            let new = after.iter().filter(|held| !before.contains(held));
            moves.claims.extend(new.map(|unique| (id.clone(), unique.clone())));
        }
        moves
    }
}

/// Writes until something is refused. Values are given up before others are taken.
async fn write_all(
    connection: &mut SqliteConnection,
    deed: &Encoded,
    moves: &Moves,
) -> Result<Vec<Event>, Undone> {
    for write in &deed.writes {
        write_row(connection, write).await?;
    }
    for ((kind, key), (name, value)) in &moves.releases {
        let release = sqlx::query(sql::RELEASE).bind(kind.as_str()).bind(*name).bind(value).bind(key);
        release.execute(&mut *connection).await?;
    }
    for claims in moves.claims.chunks(CLAIMS_MAX) {
        claim(connection, claims).await?;
    }
    let mut done = Vec::with_capacity(deed.events.len());
    for event in &deed.events {
        done.push(events::add(connection, event).await?);
    }
    Ok(done)
}

async fn claim(connection: &mut SqliteConnection, claims: &[(Id, Unique)]) -> Result<(), Undone> {
    let mut query = sqlx::query_as(AssertSqlSafe(sql::claim(claims.len())));
    for ((kind, key), (name, value)) in claims {
        query = query.bind(kind.as_str()).bind(*name).bind(value).bind(key);
    }
    let held: Vec<(String, String, String, String)> = query.fetch_all(connection).await?;
    for ((kind, key), (index, wanted)) in claims {
        let taken = held.iter().find(|(of, name, value, holder)| {
            (of.as_str(), name.as_str(), value) == (kind.as_str(), *index, wanted) && holder != key
        });
        if let Some((.., holder)) = taken {
            let (index, value, holder) = ((*index).to_owned(), wanted.clone(), holder.clone());
            return Err(Undone::Refused(Error::Taken { kind: *kind, index, value, holder }));
        }
    }
    Ok(())
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
