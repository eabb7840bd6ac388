//! A file that is being fetched, as its readers see it.

use std::fs::File;
use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use super::MirrorMiss;

/// The stage of a fetch.
#[derive(Clone, Debug)]
pub enum DownloadStage {
    /// The upstream has not answered yet, or has not told the length.
    Asked,
    /// Bytes are arriving; so many have arrived.
    Coming(Arc<DownloadHead>, u64),
    /// The file is cached now.
    Kept,
    Missed(MirrorMiss),
}

/// What is known about a file before it is complete.
#[derive(Debug)]
pub struct DownloadHead {
    pub file: File,
    pub bytes: u64,
    pub id: String,
    pub modified: i64,
}

impl DownloadStage {
    /// Whether a waiting reader can be answered.
    pub fn is_news(&self) -> bool {
        !matches!(self, DownloadStage::Asked)
    }
}

/// The rest of a file that is not complete yet.
#[derive(Clone, Debug)]
pub struct DownloadRest(watch::Receiver<DownloadStage>);

impl DownloadRest {
    pub(super) fn new(stage: watch::Receiver<DownloadStage>) -> Self {
        DownloadRest(stage)
    }

    /// Waits until the byte at offset `at` has arrived; returns how many bytes have arrived from the
    /// beginning.
    ///
    /// # Errors
    /// The file does not become complete.
    pub async fn reach(&mut self, at: u64) -> io::Result<u64> {
        match &*self
            .0
            .wait_for(|stage: &DownloadStage| match stage {
                DownloadStage::Asked => false,
                DownloadStage::Coming(_, have) => *have > at,
                DownloadStage::Kept | DownloadStage::Missed(_) => true,
            })
            .await
            .map_err(|_| io::Error::other("the fetch ended by a fault in the server"))?
        {
            DownloadStage::Coming(_, have) => Ok(*have),
            DownloadStage::Missed(miss) => Err(io::Error::other(miss.clone())),
            DownloadStage::Kept | DownloadStage::Asked => Ok(u64::MAX),
        }
    }

    /// Waits for the whole file of `bytes` bytes.
    ///
    /// # Errors
    /// The file does not become complete.
    pub async fn whole(&mut self, bytes: u64) -> io::Result<()> {
        match bytes.checked_sub(1) {
            Some(last) => self.reach(last).await.map(drop),
            None => Ok(()),
        }
    }
}
