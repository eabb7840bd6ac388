//! The statements that every database understands, written once: `$1`, the tables of objects named as their
//! [`Kind`] is. What differs from one database to the next is in its own module.

use crate::model::Kind;

/// Every object of a kind: key, version (in the column `revision`), document, and the commit that wrote it.
pub(super) fn load(kind: Kind) -> String {
    format!("SELECT key, revision, document, commit_number FROM {kind}")
}

/// Every epoch, the oldest first: the first commit, and the id.
pub(super) const LOAD_EPOCHS: &str = "SELECT first_commit, id FROM epoch ORDER BY first_commit";
/// Binds the first commit and the id.
pub(super) const ADD_EPOCH: &str = "INSERT INTO epoch (first_commit, id) VALUES ($1, $2)";
/// Binds how many of the newest to keep.
pub(super) const PRUNE_EPOCHS: &str = "DELETE FROM epoch WHERE first_commit < \
    (SELECT min(first_commit) FROM (SELECT first_commit FROM epoch ORDER BY first_commit DESC LIMIT $1))";

/// Every tombstone.
pub(super) const LOAD_TOMBSTONES: &str = "SELECT commit_number, kind, key, revision, time FROM tombstone";
/// Binds commit, kind, key, revision, microseconds since 1970.
pub(super) const ADD_TOMBSTONE: &str = "INSERT INTO tombstone (commit_number, kind, key, revision, time) \
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
/// The commit up to which tombstones are gone.
pub(super) const LOAD_PRUNED: &str = "SELECT upto FROM tombstones_pruned";
/// Both bind the commit up to which tombstones go.
pub(super) const PRUNE_TOMBSTONES: &str = "DELETE FROM tombstone WHERE commit_number <= $1";
pub(super) const SET_PRUNED: &str = "UPDATE tombstones_pruned SET upto = $1 WHERE upto < $1";

/// Binds a key; returns what the object holds that no other of its kind may, in JSON.
pub(super) fn load_held(kind: Kind) -> String {
    format!("SELECT held FROM {kind} WHERE key = $1")
}

/// Binds how many of the newest to keep, and how many to delete at most. The newest stays: it tells the
/// number of the next.
pub(super) const PRUNE_EVENTS: &str = "DELETE FROM event WHERE seq IN (SELECT seq FROM event \
    WHERE seq <= (SELECT max(seq) FROM event) - max($1, 1) ORDER BY seq LIMIT $2)";
/// Binds how many events are a part; deletes what events were looked up by of whose part none is left.
pub(super) const PRUNE_EVENT_KEYS: &str =
    "DELETE FROM event_key WHERE part < (SELECT min(seq) / $1 FROM event)";

/// Binds job; returns the offset of its log's end, or no row.
pub(super) const LOG_END: &str =
    "SELECT start + length(bytes) FROM job_log WHERE job = $1 ORDER BY start DESC LIMIT 1";

/// Binds job, start, bytes.
pub(super) const ADD_LOG: &str = "INSERT INTO job_log (job, start, bytes) VALUES ($1, $2, $3)";

/// Binds job, offset, end; returns start and bytes of every piece that has some of them, in order.
pub(super) const READ_LOG: &str = "SELECT start, bytes FROM job_log \
    WHERE job = $1 AND start < $3 AND start >= \
    COALESCE((SELECT max(start) FROM job_log WHERE job = $1 AND start <= $2), 0) ORDER BY start";
