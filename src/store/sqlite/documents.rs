//! The texts that machines were served, each stored once, and the records of when they were served; and the
//! pruning of other details of runs.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use uuid::Uuid;

use super::integer;
use super::writer::WorkError;
use crate::model::ServedDocument;
use crate::store::{DocumentUsage, KeptDocument, RUN_DOCUMENTS_MAX, RunDocuments, sql};

/// A job of the writer on details of runs.
pub(super) enum Work {
    Keep(Vec<KeptDocument>),
    /// Deletes the logs of these jobs.
    PruneLogs(Vec<Uuid>),
    /// Deletes the texts of these runs, except texts that other runs share. The records of the documents
    /// stay.
    PruneDocuments(Vec<Uuid>),
    /// Like `PruneDocuments`, and deletes the records of the documents too.
    ForgetDocuments(Vec<Uuid>),
}

/// Does the work. Returns the bytes of texts that were added or deleted, or the number of deleted log pieces.
pub(super) fn run(connection: &Connection, work: &Work) -> Result<u64, WorkError> {
    match work {
        Work::Keep(documents) => documents.iter().map(|document| keep(connection, document)).sum(),
        Work::PruneLogs(jobs) => {
            let mut delete = connection.prepare_cached(sql::DELETE_LOG)?;
            let deleted = jobs.iter().map(|job| Ok(delete.execute([job.to_string()])? as u64));
            deleted.sum()
        }
        Work::PruneDocuments(runs) => runs.iter().map(|run| prune(connection, *run)).sum(),
        Work::ForgetDocuments(runs) => runs.iter().map(|run| forget(connection, *run)).sum(),
    }
}

/// Records a document. Nothing changes if it is recorded already for the same attempt or job.
fn keep(connection: &Connection, document: &KeptDocument) -> Result<u64, WorkError> {
    let KeptDocument { run, served, content } = document;
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let digest = served.digest.as_deref().unwrap_or_default();
    let length = integer(content.len() as u64);
    let added = connection.prepare_cached(sql::ADD_SERVED_DOCUMENT)?.execute(params![
        run.to_string(),
        served.path,
        id(served.attempt),
        id(served.job),
        digest,
        served.machine.to_string(),
        served.served_at.as_microsecond(),
        integer(served.bytes),
        length,
        served.covered,
        served.note,
        RUN_DOCUMENTS_MAX,
    ])?;
    if added == 0 || digest.is_empty() {
        return Ok(0);
    }
    let new = connection.prepare_cached(sql::ADD_DOCUMENT)?.execute(params![digest, length, content])?;
    Ok(if new == 0 { 0 } else { content.len() as u64 })
}

fn prune(connection: &Connection, run: Uuid) -> Result<u64, WorkError> {
    let run = run.to_string();
    let mut digests = connection.prepare_cached(sql::DIGESTS_OF_RUN)?;
    let digests: Vec<String> = digests.query_map([&run], |row| row.get(0))?.collect::<Result<_, _>>()?;
    connection.prepare_cached(sql::GIVE_UP_DOCUMENTS)?.execute([&run])?;
    let mut unused = connection.prepare_cached(sql::DELETE_UNUSED_DOCUMENT)?;
    let mut bytes = 0;
    for digest in digests {
        let freed: Result<Vec<i64>, _> = unused.query_map([digest], |row| row.get(0))?.collect();
        bytes += freed?.into_iter().map(i64::unsigned_abs).sum::<u64>();
    }
    Ok(bytes)
}

fn forget(connection: &Connection, run: Uuid) -> Result<u64, WorkError> {
    let freed = prune(connection, run)?;
    connection.prepare_cached(sql::DELETE_SERVED_DOCUMENTS)?.execute([run.to_string()])?;
    Ok(freed)
}

/// The documents of a run, by path and then by time.
pub(super) async fn of_run(readers: &SqlitePool, run: Uuid) -> sqlx::Result<Vec<ServedDocument>> {
    let rows = sqlx::query(sql::SERVED_DOCUMENTS).bind(run.to_string()).fetch_all(readers).await?;
    rows.iter().map(served).collect()
}

fn served(row: &SqliteRow) -> sqlx::Result<ServedDocument> {
    let id = |column| Ok::<_, sqlx::Error>(row.try_get::<&str, _>(column)?.parse::<Uuid>().ok());
    let digest: String = row.try_get("digest")?;
    Ok(ServedDocument {
        path: row.try_get("path")?,
        digest: (!digest.is_empty()).then_some(digest),
        bytes: row.try_get::<i64, _>("bytes")?.unsigned_abs(),
        served_at: time(row.try_get("served_at")?),
        machine: id("machine")?.unwrap_or_default(),
        attempt: id("attempt")?,
        job: id("job")?,
        covered: row.try_get::<i64, _>("covered")? != 0,
        note: row.try_get("note")?,
    })
}

/// The compressed text with this digest.
pub(super) async fn content(readers: &SqlitePool, digest: &str) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar(sql::DOCUMENT).bind(digest.to_owned()).fetch_optional(readers).await
}

pub(super) async fn usage(readers: &SqlitePool) -> sqlx::Result<DocumentUsage> {
    let kept_bytes: i64 = sqlx::query_scalar(sql::DOCUMENTS_KEPT_BYTES).fetch_one(readers).await?;
    let rows = sqlx::query(sql::DOCUMENTS_BY_RUN).fetch_all(readers).await?;
    let runs = rows
        .iter()
        .map(|row: &SqliteRow| {
            let run = row.try_get::<&str, _>("run")?.parse::<Uuid>().unwrap_or_default();
            Ok::<_, sqlx::Error>(RunDocuments {
                run,
                count: row.try_get::<i64, _>("count")?.unsigned_abs(),
                kept_bytes: row.try_get::<i64, _>("kept_bytes")?.unsigned_abs(),
                first_at: time(row.try_get("first_at")?),
                last_at: time(row.try_get("last_at")?),
            })
        })
        .collect::<sqlx::Result<_>>()?;
    Ok(DocumentUsage { kept_bytes: kept_bytes.unsigned_abs(), runs })
}

fn time(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or_default()
}
