//! Rows that cannot be read: they are moved out of the database, so that their names are free again and
//! nothing of them is lost.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};
use serde_json::{Map, Value, json};

use super::integer;
use crate::model::Kind;
use crate::store::sql;

type DamagedKeys = HashSet<(Kind, String)>;

/// A row that goes.
struct SetAsideRow {
    rowid: i64,
    key: String,
    revision: i64,
}

/// Moves the rows of these objects to a new file, and notes each as deleted by this commit.
pub(super) fn set_aside(
    database: &Path,
    (damaged, commit): (&DamagedKeys, u64),
    into: &Path,
) -> Result<usize> {
    let connection = Connection::open(database)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(into)?;
    let kinds: HashSet<Kind> = damaged.iter().map(|(kind, _)| *kind).collect();
    let mut count = 0;
    for kind in kinds {
        let rows = write_rows(&transaction, (kind, damaged), &mut file)?;
        for row in &rows {
            transaction.execute(&format!("DELETE FROM {kind} WHERE rowid = ?1"), [row.rowid])?;
            let time = Timestamp::now().as_microsecond();
            let tombstone = params![integer(commit), kind.as_str(), row.key, row.revision, time];
            transaction.execute(sql::ADD_TOMBSTONE, tombstone)?;
        }
        count += rows.len();
    }
    file.sync_all()?;
    transaction.commit()?;
    Ok(count)
}

/// Writes the damaged rows of a kind, and the logs of jobs, which go with them.
fn write_rows(
    transaction: &Transaction<'_>,
    (kind, damaged): (Kind, &DamagedKeys),
    file: &mut File,
) -> Result<Vec<SetAsideRow>> {
    let mut select = transaction.prepare(&format!("SELECT rowid AS row_number, * FROM {kind}"))?;
    let mut rows = select.query([])?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next()? {
        // It is told as it was when the store was opened.
        let key = String::from_utf8_lossy(row.get_ref("key")?.as_bytes()?).into_owned();
        if !damaged.contains(&(kind, key.clone())) {
            continue;
        }
        writeln!(file, "{}", json!({"table": kind.as_str(), "row": columns(row)?}))?;
        let revision = row.get("revision").unwrap_or_default();
        gone.push(SetAsideRow { rowid: row.get("row_number")?, key, revision });
    }
    if kind == Kind::Job {
        for row in &gone {
            write_log(transaction, &row.key, file)?;
        }
    }
    Ok(gone)
}

fn write_log(transaction: &Transaction<'_>, job: &str, file: &mut File) -> Result<()> {
    let mut select = transaction.prepare("SELECT * FROM job_log WHERE job = ?1 ORDER BY start")?;
    let mut rows = select.query([job])?;
    while let Some(row) = rows.next()? {
        writeln!(file, "{}", json!({"table": "job_log", "row": columns(row)?}))?;
    }
    Ok(())
}

fn columns(row: &Row<'_>) -> Result<Map<String, Value>> {
    let names: Vec<String> = row.as_ref().column_names().into_iter().map(str::to_owned).collect();
    let mut columns = Map::new();
    for name in names {
        let value = as_json(row.get_ref(name.as_str())?);
        columns.insert(name, value);
    }
    Ok(columns)
}

/// Text as text where it is UTF-8, other bytes as `{"base64": …}`.
fn as_json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => json!({"base64": STANDARD.encode(bytes)}),
        },
    }
}
