//! The logs of jobs: agents send pieces, possibly twice; they are stored without gaps or overlaps.

use futures_util::TryStreamExt;
use rusqlite::{Connection, OptionalExtension, ffi, params};
use sqlx::{Row, SqlitePool};
use uuid::Uuid;

use super::integer;
use super::writer::WorkError;
use crate::model::Kind;
use crate::store::{LOG_BYTES_MAX, LOG_READ_BYTES_MAX, StoreError, sql};

/// A piece of a job's log.
pub(super) struct LogChunk {
    pub(super) job: Uuid,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// Appends the new bytes of a piece. Returns the length of the log.
pub(super) fn write(connection: &Connection, piece: &LogChunk) -> Result<u64, WorkError> {
    let job = piece.job.to_string();
    let mut end = connection.prepare_cached(sql::LOG_END)?;
    let end: Option<i64> = end.query_row([&job], |row| row.get(0)).optional()?;
    let end = end.unwrap_or(0).unsigned_abs();
    let Some(known) = end.checked_sub(piece.offset) else {
        return Err(WorkError::Refused(StoreError::LogGap { bytes: end }));
    };
    let tail = usize::try_from(known).ok().and_then(|known| piece.bytes.get(known..)).unwrap_or_default();
    if tail.is_empty() {
        return Ok(end);
    }
    let length = end.saturating_add(tail.len() as u64);
    if length > LOG_BYTES_MAX {
        return Err(WorkError::Refused(StoreError::LogFull { bytes: end }));
    }
    match connection.prepare_cached(sql::ADD_LOG)?.execute(params![job, integer(end), tail]) {
        Ok(_) => Ok(length),
        Err(error) if is_of_no_job(&error) => {
            Err(WorkError::Refused(StoreError::Stale { kind: Kind::Job, key: job }))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_of_no_job(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY)
}

/// Bytes of the log of each job that has one.
pub(super) async fn sizes(readers: &SqlitePool) -> sqlx::Result<Vec<(Uuid, u64)>> {
    let rows: Vec<(String, i64)> = sqlx::query_as(sql::LOG_SIZES).fetch_all(readers).await?;
    Ok(rows.into_iter().filter_map(|(job, bytes)| Some((job.parse().ok()?, bytes.unsigned_abs()))).collect())
}

/// At most `length` bytes from `offset`.
pub(super) async fn read(
    readers: &SqlitePool,
    job: Uuid,
    (offset, length): (u64, u32),
) -> sqlx::Result<Vec<u8>> {
    let end = offset.saturating_add(u64::from(length.min(LOG_READ_BYTES_MAX)));
    let query = sqlx::query(sql::READ_LOG).bind(job.to_string()).bind(integer(offset)).bind(integer(end));
    let mut pieces = query.fetch(readers);
    let mut read = Vec::new();
    while let Some(row) = pieces.try_next().await? {
        let (start, bytes): (i64, &[u8]) = (row.try_get("start")?, row.try_get("bytes")?);
        let from = index(offset.saturating_sub(start.unsigned_abs()));
        let to = index(end.saturating_sub(start.unsigned_abs())).min(bytes.len());
        read.extend_from_slice(bytes.get(from..to).unwrap_or_default());
    }
    Ok(read)
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
