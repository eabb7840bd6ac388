//! What is done with the file of the database as a whole, beside the writer: a snapshot, and its check.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};

/// Lists at most 100 faults.
const INTEGRITY_CHECK: &str = "PRAGMA integrity_check(100)";

/// Writes a snapshot by one read transaction, in which no writer is held up. The online backup of SQLite
/// would begin anew with every write.
pub(super) fn snapshot(database: &Path, into: &Path) -> Result<()> {
    match fs::remove_file(into) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    // SQLite takes a file that is empty, and would make one that others may read.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(into)?;
    let text = into.to_str().context("the path of the data directory is not UTF-8")?;
    read_only(database)?.execute("VACUUM INTO ?1", [text])?;
    Ok(())
}

/// Number of the newest migration.
pub(super) fn schema(database: &Path) -> Result<u64> {
    let newest = "SELECT COALESCE(max(version), 0) FROM _sqlx_migrations";
    let newest: i64 = read_only(database)?.query_row(newest, [], |row| row.get(0))?;
    Ok(newest.unsigned_abs())
}

pub(super) fn has_tokens(database: &Path) -> Result<bool> {
    Ok(read_only(database)?.query_row("SELECT EXISTS (SELECT 1 FROM token)", [], |row| row.get(0))?)
}

/// What SQLite finds wrong, and rows that refer to no row.
pub(super) fn integrity(database: &Path) -> Result<Vec<String>> {
    let connection = read_only(database)?;
    let mut check = connection.prepare(INTEGRITY_CHECK)?;
    let found = check.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let mut faults: Vec<String> = found.into_iter().filter(|line| line != "ok").collect();
    let orphans = "SELECT \"table\", count(*), parent FROM pragma_foreign_key_check GROUP BY 1, 3";
    let mut orphans = connection.prepare(orphans)?;
    let rows = orphans.query_map([], |row| {
        let (table, count, parent): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("{count} rows of {table} refer to no row of {parent}"))
    })?;
    for row in rows {
        faults.push(row?);
    }
    Ok(faults)
}

fn read_only(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(20))?;
    Ok(connection)
}
