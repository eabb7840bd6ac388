//! Reads the world when the store is opened.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

use super::group::DamagedHolders;
use super::lease_log::{self, LeaseLog, LogEntry};
use crate::model::{CommitHistory, Epoch, Kind, Object, ObjectRow, Tombstone, World};
use crate::store::sql;

/// A row of the database that is not in the world, because it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRow {
    pub kind: Kind,
    pub key: String,
    pub why: String,
}

#[derive(Default)]
pub(super) struct LoadedWorld {
    pub(super) world: World,
    pub(super) damaged: Vec<DamagedRow>,
    pub(super) damaged_holders: DamagedHolders,
    pub(super) trail: LeaseLog,
}

/// Reads every object. A damaged one is skipped, because the others are needed in any case.
pub(super) async fn world(readers: &SqlitePool) -> sqlx::Result<LoadedWorld> {
    let (mut loaded, mut last_commit) = (LoadedWorld::default(), 0);
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != lease_log::KIND) {
        let mut rows = sqlx::query(AssertSqlSafe(sql::load(kind))).fetch(readers);
        while let Some(row) = rows.try_next().await? {
            last_commit = last_commit.max(commit(&row));
            match object(kind, &row) {
                Ok(object) => loaded.world.put(object),
                Err(why) => loaded.damaged.push(damaged(kind, &row, why)),
            }
        }
    }
    for row in &loaded.damaged {
        let held = sqlx::query_scalar(AssertSqlSafe(sql::load_held(row.kind))).bind(&row.key);
        let held = held.fetch_optional(readers).await.unwrap_or_default();
        hold(&mut loaded.damaged_holders, row, held);
    }
    let trail_commit;
    (loaded.trail, trail_commit) = walk(readers, &mut loaded).await?;
    load_history(readers, last_commit.max(trail_commit), &mut loaded.world).await?;
    Ok(loaded)
}

/// Reads epochs and tombstones. The number of the last commit is the highest one of all rows and tombstones,
/// because each commit left one or the other.
async fn load_history(readers: &SqlitePool, last_row: u64, world: &mut World) -> sqlx::Result<()> {
    let mut epochs = Vec::new();
    for (first_commit, id) in sqlx::query_as::<_, (i64, String)>(sql::LOAD_EPOCHS).fetch_all(readers).await? {
        if let Ok(id) = id.parse() {
            epochs.push(Epoch { first_commit: first_commit.unsigned_abs(), id });
        }
    }
    let pruned: Option<i64> = sqlx::query_scalar(sql::LOAD_PRUNED).fetch_optional(readers).await?;
    world.commits = CommitHistory::restore(last_row, epochs, pruned.unwrap_or_default().unsigned_abs());
    let mut rows = sqlx::query(sql::LOAD_TOMBSTONES).fetch(readers);
    while let Some(row) = rows.try_next().await? {
        let Some(tombstone) = tombstone(&row) else { continue };
        world.commits.advance(tombstone.commit, None);
        let is_there = world.contains(tombstone.kind, &tombstone.key);
        let (kind, key) = (tombstone.kind, Arc::clone(&tombstone.key));
        world.commits.bury(tombstone);
        if is_there {
            world.commits.revive(kind, &key);
        }
    }
    Ok(())
}

/// `None` if the tombstone cannot be read, or is of a kind that no longer exists.
fn tombstone(row: &SqliteRow) -> Option<Tombstone> {
    let number = |column| row.try_get::<i64, _>(column).ok()?.try_into().ok();
    let kind = row.try_get::<&str, _>("kind").ok()?;
    Some(Tombstone {
        commit: number("commit_number")?,
        kind: Kind::ALL.into_iter().find(|known| known.as_str() == kind)?,
        key: row.try_get::<&str, _>("key").ok()?.into(),
        revision: number("revision")?,
        time: Timestamp::from_microsecond(row.try_get("time").ok()?).ok()?,
    })
}

/// The commit that wrote a row.
fn commit(row: &SqliteRow) -> u64 {
    row.try_get::<i64, _>("commit_number").map_or(0, i64::unsigned_abs)
}

/// Reads the log of leases from its end: the first row found for a key counts. Returns the last commit as
/// well.
async fn walk(readers: &SqlitePool, loaded: &mut LoadedWorld) -> sqlx::Result<(LeaseLog, u64)> {
    let (mut steps, mut settled, mut last_commit) = (VecDeque::new(), HashSet::new(), 0);
    let mut rows = sqlx::query(LOAD_TRAIL).fetch(readers);
    while let Some(row) = rows.try_next().await? {
        last_commit = last_commit.max(commit(&row));
        let key = row.try_get::<&str, _>("key").ok();
        let version = row.try_get::<i64, _>("revision").ok().and_then(|version| version.try_into().ok());
        let n = row.try_get::<i64, _>("n")?.unsigned_abs();
        let mut step = LogEntry { n, key: key.unwrap_or_default().into(), version };
        if !key.is_some_and(|key| settled.contains(key) || loaded.world.contains(lease_log::KIND, key))
            && !put(loaded, &row, &mut step)
        {
            settled.extend(key.map(str::to_owned));
        }
        steps.push_front(step);
    }
    Ok((LeaseLog::new(steps), last_commit))
}

/// Puts the lease into the world, unless the row says that it is deleted, or is damaged.
fn put(loaded: &mut LoadedWorld, row: &SqliteRow, step: &mut LogEntry) -> bool {
    if step.version == Some(lease_log::DELETED_VERSION) {
        return false;
    }
    match object(lease_log::KIND, row) {
        Ok(object) => {
            loaded.world.put(object);
            true
        }
        Err(why) => {
            let damaged = damaged(lease_log::KIND, row, why);
            hold(&mut loaded.damaged_holders, &damaged, row.try_get("held").ok());
            loaded.damaged.push(damaged);
            step.version = None;
            false
        }
    }
}

const LOAD_TRAIL: &str =
    "SELECT rowid AS n, key, revision, document, held, commit_number FROM lease ORDER BY rowid DESC";

/// Records the unique values of a damaged row, as far as they can be read.
fn hold(holders: &mut DamagedHolders, row: &DamagedRow, held: Option<String>) {
    let held = held.and_then(|held| serde_json::from_str::<Vec<(String, String)>>(&held).ok());
    for (index, value) in held.unwrap_or_default() {
        holders.insert((row.kind, index, value), row.key.clone());
    }
}

fn object(kind: Kind, row: &SqliteRow) -> Result<Object, String> {
    let (key, document) =
        (row.try_get("key").map_err(read_error)?, row.try_get("document").map_err(read_error)?);
    let version = row.try_get::<i64, _>("revision").map_err(read_error)?;
    let version = u64::try_from(version).map_err(|_| format!("version {version}"))?;
    let object =
        Object::decode(kind, ObjectRow { key, version, document }).map_err(|error| error.to_string())?;
    object.commit_mark().set(commit(row));
    Ok(object)
}

fn read_error(error: sqlx::Error) -> String {
    error.to_string()
}

fn damaged(kind: Kind, row: &SqliteRow, why: String) -> DamagedRow {
    let key = row.try_get_unchecked::<Vec<u8>, _>("key").unwrap_or_default();
    let key = String::from_utf8_lossy(&key).into_owned();
    tracing::error!(%kind, key, why, "a damaged row of the database is skipped");
    DamagedRow { kind, key, why }
}

/// The number of the last event so far: that event is never pruned.
pub(super) async fn last_seq(readers: &SqlitePool) -> sqlx::Result<u64> {
    let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM event").fetch_one(readers).await?;
    Ok(last.and_then(|last| last.try_into().ok()).unwrap_or(0))
}
