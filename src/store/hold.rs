//! A hold of the writer, for one decision.

use std::fmt;

use futures_util::future::BoxFuture;

use super::{Changeset, StoreError};
use crate::model::Event;

type CommitFn = dyn FnOnce(Changeset) -> BoxFuture<'static, Result<Vec<Event>, StoreError>> + Send;

/// While a task has this hold, the writer waits for the task's changeset, so everything that the task reads
/// in the world stays true until the commit. Dropping the hold releases the writer. The writer waits for a
/// bounded time only; a changeset that comes later is committed like any other, and may be stale.
pub struct WriterHold(Box<CommitFn>);

impl WriterHold {
    pub(super) fn new(
        commit: impl FnOnce(Changeset) -> BoxFuture<'static, Result<Vec<Event>, StoreError>> + Send + 'static,
    ) -> Self {
        WriterHold(Box::new(commit))
    }

    /// Commits the changeset and releases the writer.
    ///
    /// # Errors
    /// Those of [`Store::commit`](super::Store::commit).
    pub async fn commit(self, changeset: Changeset) -> Result<Vec<Event>, StoreError> {
        (self.0)(changeset).await
    }
}

impl fmt::Debug for WriterHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriterHold")
    }
}
