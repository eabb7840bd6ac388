//! A stream of Server-Sent Events that is opened again when it breaks, after the last message that its reader
//! has taken.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::Method;

use crate::client::sse::{SseMessage, SseReader};
use crate::client::{ApiClient, ClientError};

/// The server sends something at least every few seconds; a stream that is silent for so long is dead.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long an open stream lasts before it is opened again.
const STREAM_LASTS: Duration = Duration::from_secs(24 * 3600);
/// Most attempts to open the stream again before its reader gets the error.
const RECONNECTS_MAX: u32 = 30;
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// The messages of one path of the API.
pub(super) struct MessageStream {
    client: ApiClient,
    path: &'static str,
    /// Names and values of the query.
    terms: Vec<(&'static str, String)>,
    last_id: Option<String>,
    open: Option<OpenStream>,
}

struct OpenStream {
    chunks: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    reader: SseReader,
}

impl MessageStream {
    /// Opens the stream after the message with `last_id`. When this returns, no later message is missed.
    pub(super) async fn open(
        client: &ApiClient,
        path: &'static str,
        terms: Vec<(&'static str, String)>,
        last_id: Option<String>,
    ) -> Result<Self, ClientError> {
        let mut stream = MessageStream { client: client.clone(), path, terms, last_id, open: None };
        stream.connect().await?;
        Ok(stream)
    }

    /// Records that the reader has taken the message with this id: a stream that is opened again continues
    /// after it.
    pub(super) fn taken(&mut self, id: String) {
        self.last_id = Some(id);
    }

    /// The next message; none if the stream broke and was opened again. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<SseMessage>, ClientError> {
        loop {
            let Some(open) = &mut self.open else {
                self.reconnect().await?;
                return Ok(None);
            };
            let too_long = unexpected(self.path, "a message is too long");
            if let Some(message) = open.reader.next().map_err(|_| too_long)? {
                return Ok(Some(message));
            }
            match tokio::time::timeout(SILENCE_MAX, open.chunks.next()).await {
                Ok(Some(Ok(chunk))) => open.reader.push(&chunk),
                // It makes no difference whether it ended, broke or was silent.
                _ => self.open = None,
            }
        }
    }

    /// The error for a message that does not belong to this stream.
    pub(super) fn unexpected(&self, what: &str) -> ClientError {
        unexpected(self.path, what)
    }

    async fn reconnect(&mut self) -> Result<(), ClientError> {
        let mut wait = BACKOFF_FIRST;
        for _ in 0..RECONNECTS_MAX {
            match self.connect().await {
                Err(error) if error.is_passing() => {}
                done => return done,
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BACKOFF_MAX);
        }
        self.connect().await
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let request = self.client.request(Method::GET, self.path).query(&self.terms);
        let mut request = request.timeout(STREAM_LASTS).header("accept", "text/event-stream");
        if let Some(last) = &self.last_id {
            request = request.header("last-event-id", last);
        }
        let answer = tokio::time::timeout(SILENCE_MAX, self.client.send(request)).await;
        let answer = answer.map_err(|_| self.unexpected("the stream does not start"))??;
        self.open =
            Some(OpenStream { chunks: answer.response.bytes_stream().boxed(), reader: SseReader::default() });
        Ok(())
    }
}

fn unexpected(path: &str, what: &str) -> ClientError {
    ClientError::Unexpected { request: format!("GET /api/v1{path}"), what: what.to_owned() }
}
