//! Reading the world when the store is opened.

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

use super::group::DamagedHolders;
use crate::model::{Kind, Object, Row, World};
use crate::store::sql;

/// A row that is in the database and not in the world, because it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    pub kind: Kind,
    pub key: String,
    pub why: String,
}

pub(super) struct Loaded {
    pub(super) world: World,
    pub(super) damaged: Vec<Damaged>,
    pub(super) damaged_holders: DamagedHolders,
}

/// Reads every object. One that cannot be read is passed over: the others are needed all the same.
pub(super) async fn world(readers: &SqlitePool) -> sqlx::Result<Loaded> {
    let mut loaded =
        Loaded { world: World::default(), damaged: Vec::new(), damaged_holders: DamagedHolders::new() };
    for kind in Kind::ALL {
        let mut rows = sqlx::query(AssertSqlSafe(sql::load(kind))).fetch(readers);
        while let Some(row) = rows.try_next().await? {
            match object(kind, &row) {
                Ok(object) => loaded.world.put(object),
                Err(why) => loaded.damaged.push(damaged(kind, &row, why)),
            }
        }
    }
    for row in &loaded.damaged {
        for (index, value) in held(readers, row).await? {
            loaded.damaged_holders.insert((row.kind, index, value), row.key.clone());
        }
    }
    Ok(loaded)
}

/// What a damaged row holds, as far as that can be read.
async fn held(readers: &SqlitePool, row: &Damaged) -> sqlx::Result<Vec<(String, String)>> {
    let held = sqlx::query(AssertSqlSafe(sql::load_held(row.kind))).bind(&row.key);
    let held = held.fetch_optional(readers).await?;
    let held = held.and_then(|held| serde_json::from_str(held.try_get("held").ok()?).ok());
    Ok(held.unwrap_or_default())
}

fn object(kind: Kind, row: &SqliteRow) -> Result<Object, String> {
    let read = |error: sqlx::Error| error.to_string();
    let (key, document) = (row.try_get("key").map_err(read)?, row.try_get("document").map_err(read)?);
    let revision = row.try_get::<i64, _>("revision").map_err(read)?;
    let revision = u64::try_from(revision).map_err(|_| format!("revision {revision}"))?;
    Object::decode(kind, Row { key, revision, document }).map_err(|error| error.to_string())
}

fn damaged(kind: Kind, row: &SqliteRow, why: String) -> Damaged {
    let key = row.try_get_unchecked::<Vec<u8>, _>("key").unwrap_or_default();
    let key = String::from_utf8_lossy(&key).into_owned();
    tracing::error!(%kind, key, why, "a damaged row of the database is passed over");
    Damaged { kind, key, why }
}

/// The number of the last event there has been, pruned or not.
pub(super) async fn last_seq(readers: &SqlitePool) -> sqlx::Result<u64> {
    let last = sqlx::query_scalar::<_, i64>("SELECT seq FROM sqlite_sequence WHERE name = 'event'");
    let last = last.fetch_optional(readers).await?.unwrap_or(0);
    Ok(u64::try_from(last).unwrap_or(0))
}
