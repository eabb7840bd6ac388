//! The writer, held for one decision.

use std::fmt;

use futures_util::future::BoxFuture;

use super::{Changeset, StoreError};
use crate::model::Event;

type CommitFn = dyn FnOnce(Changeset) -> BoxFuture<'static, Result<Vec<Event>, StoreError>> + Send;

/// The writer of a store waits for the changeset of whoever has this: what its holder sees in the world stays
/// so until the commit. Dropped, it lets the writer go on. The writer waits for a bounded time only; a
/// changeset that comes later is committed as any other, and may be stale.
pub struct WriterHold(Box<CommitFn>);

impl WriterHold {
    pub(super) fn new(
        commit: impl FnOnce(Changeset) -> BoxFuture<'static, Result<Vec<Event>, StoreError>> + Send + 'static,
    ) -> Self {
        WriterHold(Box::new(commit))
    }

    /// Commits, and lets the writer go on.
    ///
    /// # Errors
    /// As [`Store::commit`](super::Store::commit).
    pub async fn commit(self, changeset: Changeset) -> Result<Vec<Event>, StoreError> {
        (self.0)(changeset).await
    }
}

impl fmt::Debug for WriterHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriterHold")
    }
}
