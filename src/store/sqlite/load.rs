//! Reading the world when the store is opened.

use std::collections::{HashSet, VecDeque};

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

use super::group::DamagedHolders;
use super::lease_log::{self, LeaseLog, LogEntry};
use crate::model::{Kind, Object, ObjectRow, World};
use crate::store::sql;

/// A row that is in the database and not in the world, because it cannot be read.
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

/// Reads every object. One that cannot be read is passed over: the others are needed all the same.
pub(super) async fn world(readers: &SqlitePool) -> sqlx::Result<LoadedWorld> {
    let mut loaded = LoadedWorld::default();
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != lease_log::KIND) {
        let mut rows = sqlx::query(AssertSqlSafe(sql::load(kind))).fetch(readers);
        while let Some(row) = rows.try_next().await? {
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
    loaded.trail = walk(readers, &mut loaded).await?;
    Ok(loaded)
}

/// Reads the trail from its end: the first row of a key that is met counts.
async fn walk(readers: &SqlitePool, loaded: &mut LoadedWorld) -> sqlx::Result<LeaseLog> {
    let (mut steps, mut settled) = (VecDeque::new(), HashSet::new());
    let mut rows = sqlx::query(LOAD_TRAIL).fetch(readers);
    while let Some(row) = rows.try_next().await? {
        let key = row.try_get::<&str, _>("key").ok();
        let revision = row.try_get::<i64, _>("revision").ok().and_then(|revision| revision.try_into().ok());
        let n = row.try_get::<i64, _>("n")?.unsigned_abs();
        let mut step = LogEntry { n, key: key.unwrap_or_default().into(), revision };
        if !key.is_some_and(|key| settled.contains(key) || loaded.world.contains(lease_log::KIND, key))
            && !put(loaded, &row, &mut step)
        {
            settled.extend(key.map(str::to_owned));
        }
        steps.push_front(step);
    }
    Ok(LeaseLog::new(steps))
}

/// Puts the lease into the world; there is none when the row says it is gone, or is damaged.
fn put(loaded: &mut LoadedWorld, row: &SqliteRow, step: &mut LogEntry) -> bool {
    if step.revision == Some(lease_log::GONE) {
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
            step.revision = None;
            false
        }
    }
}

const LOAD_TRAIL: &str = "SELECT rowid AS n, key, revision, document, held FROM lease ORDER BY rowid DESC";

/// Notes what a damaged row holds, as far as that can be read.
fn hold(holders: &mut DamagedHolders, row: &DamagedRow, held: Option<String>) {
    let held = held.and_then(|held| serde_json::from_str::<Vec<(String, String)>>(&held).ok());
    for (index, value) in held.unwrap_or_default() {
        holders.insert((row.kind, index, value), row.key.clone());
    }
}

fn object(kind: Kind, row: &SqliteRow) -> Result<Object, String> {
    let (key, document) =
        (row.try_get("key").map_err(read_error)?, row.try_get("document").map_err(read_error)?);
    let revision = row.try_get::<i64, _>("revision").map_err(read_error)?;
    let revision = u64::try_from(revision).map_err(|_| format!("revision {revision}"))?;
    Object::decode(kind, ObjectRow { key, revision, document }).map_err(|error| error.to_string())
}

fn read_error(error: sqlx::Error) -> String {
    error.to_string()
}

fn damaged(kind: Kind, row: &SqliteRow, why: String) -> DamagedRow {
    let key = row.try_get_unchecked::<Vec<u8>, _>("key").unwrap_or_default();
    let key = String::from_utf8_lossy(&key).into_owned();
    tracing::error!(%kind, key, why, "a damaged row of the database is passed over");
    DamagedRow { kind, key, why }
}

/// The number of the last event there has been: it is never pruned.
pub(super) async fn last_seq(readers: &SqlitePool) -> sqlx::Result<u64> {
    let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM event").fetch_one(readers).await?;
    Ok(last.and_then(|last| last.try_into().ok()).unwrap_or(0))
}
