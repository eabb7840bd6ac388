//! The migrations of the database, and their application to an older one.
//!
//! Each file in `migrations/sqlite` is a migration: `NNNN_name.sql`, where `NNNN` is its version. A released
//! file never changes. A change of the tables is a new file with the next number.

use std::time::{Duration, Instant};

use include_dir::{Dir, include_dir};
use sqlx::migrate::{Migrate as _, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqliteConnection};

use super::open::StoreSetup;

static FOLDER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/migrations/sqlite");

/// Every migration, in the order of the versions.
pub(super) fn migrations() -> Vec<Migration> {
    let mut all: Vec<Migration> = FOLDER.files().filter_map(read).collect();
    all.sort_by_key(|migration| migration.version);
    all
}

/// The migration in a file; `None` if the file does not have the name of one.
fn read(file: &'static include_dir::File<'static>) -> Option<Migration> {
    let (version, name) = file.path().file_stem()?.to_str()?.split_once('_')?;
    Some(migration(version.parse().ok()?, name, file.contents_utf8()?))
}

/// A migration, which runs in a transaction of its own.
pub(super) fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

/// Migrates the tables. A migration of existing data may take a while, and is logged.
pub(super) async fn migrate(
    connection: &mut SqliteConnection,
    setup: &StoreSetup,
) -> Result<(), MigrateError> {
    let migrator = Migrator::with_migrations(setup.migrations.clone());
    connection.ensure_migrations_table(&migrator.table_name).await?;
    let applied = connection.list_applied_migrations(&migrator.table_name).await?;
    let newest = applied.iter().map(|migration| migration.version).max();
    let pending = migrator.iter().filter(|migration| newest.is_some_and(|newest| migration.version > newest));
    for migration in pending {
        apply_with_a_word(connection, (&migrator, migration), setup.reminder).await?;
    }
    migrator.run(connection).await
}

async fn apply_with_a_word(
    connection: &mut SqliteConnection,
    (migrator, migration): (&Migrator, &Migration),
    reminder: Duration,
) -> Result<(), MigrateError> {
    let size = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
    let bytes: i64 = sqlx::query_scalar(size).fetch_one(&mut *connection).await?;
    let (name, version) = (&*migration.description, migration.version);
    tracing::info!(
        migration = name,
        version,
        database_mib = bytes >> 20,
        "the database of an earlier version is being migrated; nothing is answered meanwhile"
    );
    let begun = Instant::now();
    let mut again = tokio::time::interval_at((begun + reminder).into(), reminder);
    let applied = migrator.run_to(version, connection);
    tokio::pin!(applied);
    loop {
        tokio::select! {
            ended = &mut applied => {
                ended?;
                let seconds = begun.elapsed().as_secs_f64();
                tracing::info!(migration = name, version, seconds, "the database is up to date with this");
                return Ok(());
            }
            _ = again.tick() => {
                let seconds = begun.elapsed().as_secs();
                tracing::info!(migration = name, version, seconds, "the database is still being migrated");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_a_migration_and_they_are_numbered_from_one_without_a_gap() {
        let versions: Vec<i64> = migrations().iter().map(|migration| migration.version).collect();
        let numbers = 1..=FOLDER.entries().len() as i64;
        assert_eq!(versions, numbers.collect::<Vec<_>>(), "the name of a file is `NNNN_name.sql`");
    }
}
