//! The statements that every database understands, written once: `$1`, `ON CONFLICT … RETURNING`, the tables
//! of objects named as their [`Kind`] is. What differs from one database to the next is in its own module.

use crate::model::Kind;

/// Binds key, revision, document. No row is written when the key is there.
pub(super) fn create(kind: Kind) -> String {
    format!("INSERT INTO {kind} (key, revision, document) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING")
}

/// Binds key, revision, document and the revision that must be there.
pub(super) fn update(kind: Kind) -> String {
    format!("UPDATE {kind} SET revision = $2, document = $3 WHERE key = $1 AND revision = $4")
}

/// Binds key and revision.
pub(super) fn delete(kind: Kind) -> String {
    format!("DELETE FROM {kind} WHERE key = $1 AND revision = $2")
}

/// Every object of a kind: key, revision, document.
pub(super) fn load(kind: Kind) -> String {
    format!("SELECT key, revision, document FROM {kind}")
}

/// Claims some values at once. Binds kind, name, value, owner of each; returns the same, the owner as it is
/// now: another one where the value is taken.
pub(super) fn claim(values: usize) -> String {
    let row = |first: usize| format!("(${first}, ${}, ${}, ${})", first + 1, first + 2, first + 3);
    let rows: Vec<String> = (0..values).map(|value| row(value * 4 + 1)).collect();
    format!(
        "INSERT INTO unique_value (kind, name, value, owner) VALUES {} ON CONFLICT (kind, name, value) \
         DO UPDATE SET owner = unique_value.owner RETURNING kind, name, value, owner",
        rows.join(", ")
    )
}

/// Binds kind, name, value, owner.
pub(super) const RELEASE: &str =
    "DELETE FROM unique_value WHERE kind = $1 AND name = $2 AND value = $3 AND owner = $4";

/// Binds time, kind, subject, actor, attempt, data; returns the number.
pub(super) const ADD_EVENT: &str = "INSERT INTO event (time, kind, subject, actor, attempt, data) \
    VALUES ($1, $2, $3, $4, $5, $6) RETURNING seq";

/// Binds how many of the newest to keep, and how many to delete at most.
pub(super) const PRUNE_EVENTS: &str = "DELETE FROM event WHERE seq IN (SELECT seq FROM event \
    WHERE seq <= (SELECT max(seq) FROM event) - $1 ORDER BY seq LIMIT $2)";

/// Binds job; returns the offset of its log's end, or no row.
pub(super) const LOG_END: &str =
    "SELECT start + length(bytes) FROM job_log WHERE job = $1 ORDER BY start DESC LIMIT 1";

/// Binds job, start, bytes.
pub(super) const ADD_LOG: &str = "INSERT INTO job_log (job, start, bytes) VALUES ($1, $2, $3)";

/// Binds job, offset, end; returns start and bytes of every piece that has some of them, in order.
pub(super) const READ_LOG: &str = "SELECT start, bytes FROM job_log \
    WHERE job = $1 AND start < $3 AND start >= \
    COALESCE((SELECT max(start) FROM job_log WHERE job = $1 AND start <= $2), 0) ORDER BY start";
