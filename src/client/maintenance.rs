//! The server's data as a whole: backups and checks.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Method;
use serde_json::Value;

use crate::archive::ArtifactContents;
use crate::client::http::{BaseUrl, transport_error};
use crate::client::{ApiClient, ClientError};

/// How long a backup or a check may take: hundreds of gigabytes are read.
const FINISHED_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// A backup as it comes.
pub struct BackupDownload {
    pieces: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    base: BaseUrl,
}

impl BackupDownload {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// The connection broke, or the server could not go on.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let piece = self.pieces.next().await.transpose();
        piece.map_err(|error| transport_error(&self.base, "POST /api/v1/server/backup", &error))
    }
}

impl ApiClient {
    /// Has the server make a backup and send it.
    ///
    /// # Errors
    /// What the server or the network says.
    pub async fn backup(&self, contents: ArtifactContents) -> Result<BackupDownload, ClientError> {
        let artifacts = (contents == ArtifactContents::Included).to_string();
        let request = self.request(Method::POST, "/server/backup").query(&[("artifacts", artifacts)]);
        let answer = self.send(request.timeout(FINISHED_WITHIN)).await?;
        let pieces = Box::pin(answer.response.bytes_stream());
        Ok(BackupDownload { pieces, base: answer.base })
    }

    /// Has the server look for what is broken in everything that is stored.
    ///
    /// # Errors
    /// What the server or the network says.
    pub async fn check(&self) -> Result<Value, ClientError> {
        let request = self.request(Method::GET, "/server/check").query(&[("artifacts", "true")]);
        self.fetch(request.timeout(FINISHED_WITHIN)).await
    }
}
