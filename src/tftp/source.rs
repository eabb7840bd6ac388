//! The bytes of a body, by span: from memory, or from a file through a small read-ahead buffer that is filled
//! on the blocking pool, so that a cold disk stalls one transfer and not the runtime.

use crate::proto::tftp::{Mode, Span, netascii};
use crate::tftp::opener::Body;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes read from a file at once, unless a span is longer.
const CHUNK_BYTES: usize = 64 * 1024;
/// Largest file that is sent as netascii, which is converted in memory.
const NETASCII_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub(super) enum Source {
    Memory(Bytes),
    File { file: Arc<File>, bytes: u64, chunk: Chunk },
}

/// A piece of the file in memory.
#[derive(Default)]
pub(super) struct Chunk {
    offset: u64,
    bytes: Vec<u8>,
}

impl Chunk {
    fn get(&self, span: &Span) -> Option<&[u8]> {
        let start = usize::try_from(span.offset.checked_sub(self.offset)?).ok()?;
        self.bytes.get(start..start.checked_add(span.body_bytes)?)
    }
}

impl Source {
    pub(super) async fn open(body: Body, mode: Mode) -> io::Result<Self> {
        match (body, mode) {
            (Body::Bytes(bytes), Mode::Octet) => Ok(Self::Memory(bytes)),
            (Body::Bytes(bytes), Mode::Netascii) => Ok(Self::Memory(netascii::encode(&bytes).into())),
            (Body::File { file, bytes }, Mode::Octet) => {
                Ok(Self::File { file: Arc::new(file), bytes, chunk: Chunk::default() })
            }
            (Body::File { file, bytes }, Mode::Netascii) => {
                let length = usize::try_from(bytes.min(NETASCII_BYTES_MAX + 1)).unwrap_or(usize::MAX);
                if bytes > NETASCII_BYTES_MAX {
                    return Err(io::Error::other("too large for netascii, ask for octet"));
                }
                let text = read(Arc::new(file), 0, vec![0; length]).await?;
                Ok(Self::Memory(netascii::encode(&text).into()))
            }
        }
    }

    /// Length on the wire.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { bytes, .. } => *bytes,
        }
    }

    /// The bytes of `span`, which lies within the body.
    pub(super) async fn read(&mut self, span: &Span) -> io::Result<&[u8]> {
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(span.offset).unwrap_or(usize::MAX);
                bytes.get(start..start.saturating_add(span.body_bytes))
            }
            Self::File { file, bytes, chunk } => {
                if chunk.get(span).is_none() {
                    let left = usize::try_from(bytes.saturating_sub(span.offset)).unwrap_or(usize::MAX);
                    let mut buffer = std::mem::take(&mut chunk.bytes);
                    buffer.resize(left.min(CHUNK_BYTES.max(span.body_bytes)), 0);
                    chunk.bytes = read(file.clone(), span.offset, buffer).await?;
                    chunk.offset = span.offset;
                }
                chunk.get(span)
            }
        }
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Fills `buffer` from `offset`; a file that has become shorter is an error.
async fn read(file: Arc<File>, offset: u64, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    let filled = tokio::task::spawn_blocking(move || {
        file.read_exact_at(&mut buffer, offset)?;
        Ok(buffer)
    });
    filled.await.map_err(io::Error::other)?
}
