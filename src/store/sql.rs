//! The statements that all databases understand: parameters are `$1`, and the tables of objects have the name
//! of their [`Kind`]. The module of each database has the statements that differ.

use crate::model::Kind;

/// Every object of a kind: key, version (in the column `revision`), document, and the commit that wrote it
/// last.
pub(super) fn load(kind: Kind) -> String {
    format!("SELECT key, revision, document, commit_number FROM {kind}")
}

/// Every epoch, the oldest first: the first commit, and the id.
pub(super) const LOAD_EPOCHS: &str = "SELECT first_commit, id FROM epoch ORDER BY first_commit";
/// Binds the first commit and the id.
pub(super) const ADD_EPOCH: &str = "INSERT INTO epoch (first_commit, id) VALUES ($1, $2)";
/// Binds how many of the newest epochs to keep.
pub(super) const PRUNE_EPOCHS: &str = "DELETE FROM epoch WHERE first_commit < \
    (SELECT min(first_commit) FROM (SELECT first_commit FROM epoch ORDER BY first_commit DESC LIMIT $1))";

/// Every tombstone.
pub(super) const LOAD_TOMBSTONES: &str = "SELECT commit_number, kind, key, revision, time FROM tombstone";
/// Binds commit, kind, key, revision, microseconds since 1970.
pub(super) const ADD_TOMBSTONE: &str = "INSERT INTO tombstone (commit_number, kind, key, revision, time) \
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
/// The commit up to which tombstones were pruned.
pub(super) const LOAD_PRUNED: &str = "SELECT upto FROM tombstones_pruned";
/// Both bind the commit up to which tombstones are pruned.
pub(super) const PRUNE_TOMBSTONES: &str = "DELETE FROM tombstone WHERE commit_number <= $1";
pub(super) const SET_PRUNED: &str = "UPDATE tombstones_pruned SET upto = $1 WHERE upto < $1";

/// Binds a key; returns the unique values of the object, as JSON.
pub(super) fn load_held(kind: Kind) -> String {
    format!("SELECT held FROM {kind} WHERE key = $1")
}

/// Binds how many of the newest events to keep, and how many to delete at most. The newest event always
/// stays, because the next number follows from it.
pub(super) const PRUNE_EVENTS: &str = "DELETE FROM event WHERE seq IN (SELECT seq FROM event \
    WHERE seq <= (SELECT max(seq) FROM event) - max($1, 1) ORDER BY seq LIMIT $2)";
/// Binds how many events form a part; deletes the keys of parts of which no event is left.
pub(super) const PRUNE_EVENT_KEYS: &str =
    "DELETE FROM event_key WHERE part < (SELECT min(seq) / $1 FROM event)";

/// Binds job; returns the offset of the end of its log, or no row.
pub(super) const LOG_END: &str =
    "SELECT start + length(bytes) FROM job_log WHERE job = $1 ORDER BY start DESC LIMIT 1";

/// Every job that has a log, with its bytes.
pub(super) const LOG_SIZES: &str = "SELECT job, sum(length(bytes)) FROM job_log GROUP BY job";

/// Binds job, start, bytes.
pub(super) const ADD_LOG: &str = "INSERT INTO job_log (job, start, bytes) VALUES ($1, $2, $3)";

/// Binds job, offset, end; returns start and bytes of every piece that overlaps this range, in order.
pub(super) const READ_LOG: &str = "SELECT start, bytes FROM job_log \
    WHERE job = $1 AND start < $3 AND start >= \
    COALESCE((SELECT max(start) FROM job_log WHERE job = $1 AND start <= $2), 0) ORDER BY start";

/// Binds job.
pub(super) const DELETE_LOG: &str = "DELETE FROM job_log WHERE job = $1";

/// Binds run, path, attempt, job, digest, machine, time, bytes, kept bytes, covered, note, and the most
/// documents that a run may have.
pub(super) const ADD_SERVED_DOCUMENT: &str = "INSERT INTO served_document \
    (run, path, attempt, job, digest, machine, served_at, bytes, kept_bytes, covered, note) \
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 \
    WHERE (SELECT count(*) FROM served_document WHERE run = $1) < $12 \
    ON CONFLICT (run, path, attempt, job, digest) DO NOTHING";
/// Binds digest, kept bytes, content.
pub(super) const ADD_DOCUMENT: &str = "INSERT INTO document (digest, kept_bytes, content) \
    VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING";
/// Binds run.
pub(super) const SERVED_DOCUMENTS: &str = "SELECT path, attempt, job, digest, machine, served_at, bytes, \
    covered, note FROM served_document WHERE run = $1 ORDER BY path, served_at";
pub(super) const DIGESTS_OF_RUN: &str =
    "SELECT DISTINCT digest FROM served_document WHERE run = $1 AND kept_bytes > 0";
/// Binds run; marks its texts as not kept for this run.
pub(super) const GIVE_UP_DOCUMENTS: &str =
    "UPDATE served_document SET kept_bytes = 0 WHERE run = $1 AND kept_bytes > 0";
pub(super) const DELETE_SERVED_DOCUMENTS: &str = "DELETE FROM served_document WHERE run = $1";
/// Binds digest.
pub(super) const DOCUMENT: &str = "SELECT content FROM document WHERE digest = $1";
/// Binds digest; returns the freed bytes, or no row if the text is still in use.
pub(super) const DELETE_UNUSED_DOCUMENT: &str = "DELETE FROM document WHERE digest = $1 \
    AND NOT EXISTS (SELECT 1 FROM served_document WHERE digest = $1 AND kept_bytes > 0) RETURNING kept_bytes";
pub(super) const DOCUMENTS_KEPT_BYTES: &str = "SELECT COALESCE(sum(kept_bytes), 0) FROM document";
pub(super) const DOCUMENTS_BY_RUN: &str = "SELECT run, count(*) AS count, sum(kept_bytes) AS kept_bytes, \
    min(served_at) AS first_at, max(served_at) AS last_at FROM served_document \
    WHERE kept_bytes > 0 GROUP BY run ORDER BY last_at";
