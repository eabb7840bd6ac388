//! The statements that every database understands, written once: `$1`, the tables of objects named as their
//! [`Kind`] is. What differs from one database to the next is in its own module.

use crate::model::Kind;

/// Every object of a kind: key, revision, document.
pub(super) fn load(kind: Kind) -> String {
    format!("SELECT key, revision, document FROM {kind}")
}

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
