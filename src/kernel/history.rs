//! The parts of history that are not in the world: documents that machines were served, logs, and old events.

use uuid::Uuid;

use crate::kernel::{Error, Kernel};
use crate::model::ServedDocument;
use crate::store::{DocumentUsage, EventCut, KeptDocument, OldEvents};

impl Kernel {
    /// The oldest events, up to a cut.
    ///
    /// # Errors
    /// The database failed.
    pub async fn old_events(&self, cut: EventCut) -> Result<OldEvents, Error> {
        Ok(self.store.old_events(cut).await?)
    }

    /// The oldest audit events that outlived the other events, up to a cut, and the number of the last.
    ///
    /// # Errors
    /// The database failed.
    pub async fn old_audit_events(&self, cut: EventCut) -> Result<(OldEvents, u64), Error> {
        Ok(self.store.old_audit_events(cut).await?)
    }

    /// Deletes those up to a number, a bounded number at a time; gives how many.
    ///
    /// # Errors
    /// What the store says.
    pub async fn prune_audit_events(&self, upto: u64) -> Result<u64, Error> {
        Ok(self.store.prune_audit_events(upto).await?)
    }

    /// The length of each job's log, in bytes.
    ///
    /// # Errors
    /// The database failed.
    pub async fn log_sizes(&self) -> Result<Vec<(Uuid, u64)>, Error> {
        Ok(self.store.log_sizes().await?)
    }

    /// Records documents that were served. Returns by how many bytes the kept texts grew.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keep_documents(&self, documents: Vec<KeptDocument>) -> Result<u64, Error> {
        Ok(self.store.keep_documents(documents).await?)
    }

    /// The documents of a run, by path and then by time.
    ///
    /// # Errors
    /// The database failed.
    pub async fn served_documents(&self, run: Uuid) -> Result<Vec<ServedDocument>, Error> {
        Ok(self.store.served_documents(run).await?)
    }

    /// The compressed text with this digest, if it is kept.
    ///
    /// # Errors
    /// The database failed.
    pub async fn document_content(&self, digest: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.store.document_content(digest.to_owned()).await?)
    }

    /// The documents that exist, by run.
    ///
    /// # Errors
    /// The database failed.
    pub async fn document_usage(&self) -> Result<DocumentUsage, Error> {
        Ok(self.store.document_usage().await?)
    }

    /// Like [`Kernel::prune_documents`], and deletes the records of the documents too.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_documents(&self, runs: Vec<Uuid>) -> Result<u64, Error> {
        Ok(self.store.forget_documents(runs).await?)
    }

    /// Deletes the texts of the documents of these runs. Returns the freed bytes.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prune_documents(&self, runs: Vec<Uuid>) -> Result<u64, Error> {
        Ok(self.store.prune_documents(runs).await?)
    }

    /// Deletes the logs of jobs.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prune_logs(&self, jobs: Vec<Uuid>) -> Result<(), Error> {
        self.store.prune_logs(jobs).await?;
        Ok(())
    }
}
