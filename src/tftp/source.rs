//! The DATA packets of a body, ready to send: from memory, or from a file that is read some blocks ahead.
//!
//! Blocks are read directly into their packets, with room for the headers between them, so nothing is copied
//! twice and a window is one slice. Data in the page cache is read at once. Data on disk is read on the
//! blocking pool, so that a cold disk delays only one transfer.

use crate::proto::tftp::packet::DATA_HEADER_BYTES;
use crate::proto::tftp::{BlockSpan, TransferMode, netascii};
use crate::tftp::opener::ReadBody;
use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes that are read from a file at once, unless a window is longer.
const AHEAD_BYTES: usize = 32 * 1024;
/// Largest file that is sent as netascii, which is converted in memory.
const NETASCII_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A body, and the packets that were made of it last.
pub(super) struct BlockSource {
    body: SourceBody,
    bytes: u64,
    block_bytes: usize,
    /// Blocks that are framed at once.
    ahead: usize,
    /// The packets of the blocks from `first`, as they are sent.
    first: u64,
    framed: Vec<u8>,
}

enum SourceBody {
    Memory(Bytes),
    File(Arc<File>),
}

/// The blocks that are framed together.
#[derive(Clone, Copy)]
struct FramedBlocks {
    span: BlockSpan,
    blocks: usize,
    offset: u64,
    body_bytes: usize,
}

impl BlockSource {
    pub(super) async fn open(body: ReadBody, mode: TransferMode) -> io::Result<Self> {
        let (body, bytes) = match (body, mode) {
            (ReadBody::Bytes(bytes), TransferMode::Octet) => memory(bytes),
            (ReadBody::Bytes(bytes), TransferMode::Netascii) => memory(netascii::encode(&bytes).into()),
            (ReadBody::File { file, bytes }, TransferMode::Octet) => {
                (SourceBody::File(Arc::new(file)), bytes)
            }
            (ReadBody::File { file, bytes }, TransferMode::Netascii) => {
                if bytes > NETASCII_BYTES_MAX {
                    return Err(io::Error::other("too large for netascii, ask for octet"));
                }
                memory(netascii::encode(&text(file, bytes).await?).into())
            }
        };
        Ok(Self { body, bytes, block_bytes: 0, ahead: 0, first: 1, framed: Vec::new() })
    }

    /// Length as it is sent.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The packets of `span`, one after the other; `span.frame_bytes()` is the length of each except the last
    /// one of the file.
    pub(super) async fn frames(&mut self, span: &BlockSpan) -> io::Result<&[u8]> {
        if !self.has(span) && !self.fill_now(span)? {
            self.fill(span).await?;
        }
        self.framed(span)
    }

    /// Like `frames`, or none if the blocks have to be read from a disk first.
    pub(super) fn frames_now(&mut self, span: &BlockSpan) -> io::Result<Option<&[u8]>> {
        if !self.has(span) && !self.fill_now(span)? {
            return Ok(None);
        }
        self.framed(span).map(Some)
    }

    fn framed(&self, span: &BlockSpan) -> io::Result<&[u8]> {
        let start = self.place(span, span.first).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::from(span.blocks) * DATA_HEADER_BYTES + span.body_bytes);
        self.framed.get(start..end).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn has(&self, span: &BlockSpan) -> bool {
        let end = self.place(span, span.first).and_then(|start| {
            start.checked_add(usize::from(span.blocks) * DATA_HEADER_BYTES + span.body_bytes)
        });
        self.block_bytes == usize::from(span.block_bytes) && end.is_some_and(|end| end <= self.framed.len())
    }

    /// The offset of a block's packet.
    fn place(&self, span: &BlockSpan, block: u64) -> Option<usize> {
        usize::try_from(block.checked_sub(self.first)?).ok()?.checked_mul(span.frame_bytes())
    }

    /// Frames the span and what fits after it, if that is in memory; returns false otherwise.
    fn fill_now(&mut self, span: &BlockSpan) -> io::Result<bool> {
        let run = self.begin(span);
        let mut framed = std::mem::take(&mut self.framed);
        framed.resize(run.blocks * DATA_HEADER_BYTES + run.body_bytes, 0);
        let is_there = match &self.body {
            SourceBody::Memory(bytes) => {
                let start = usize::try_from(run.offset).unwrap_or(usize::MAX);
                let body = bytes.get(start..start.saturating_add(run.body_bytes));
                copy(&run, body.ok_or(io::ErrorKind::UnexpectedEof)?, &mut framed);
                true
            }
            SourceBody::File(file) => read_cached(file, &run, &mut framed),
        };
        if is_there {
            self.finish(span, framed);
        }
        Ok(is_there)
    }

    /// Frames the span and what fits after it, from the disk.
    async fn fill(&mut self, span: &BlockSpan) -> io::Result<()> {
        let SourceBody::File(file) = &self.body else { return Ok(()) };
        let file = file.clone();
        let run = self.begin(span);
        let framed = vec![0; run.blocks * DATA_HEADER_BYTES + run.body_bytes];
        let framed = read(file, run, framed).await?;
        self.finish(span, framed);
        Ok(())
    }

    /// What to read for a span.
    fn begin(&mut self, span: &BlockSpan) -> FramedBlocks {
        let window = usize::from(span.blocks).max(1);
        let ahead = (AHEAD_BYTES / span.frame_bytes() / window).max(1) * window;
        (self.block_bytes, self.ahead) = (usize::from(span.block_bytes), ahead);
        self.run(span)
    }

    /// Writes the headers between the payloads that were read.
    fn finish(&mut self, span: &BlockSpan, framed: Vec<u8>) {
        (self.first, self.framed) = (span.first, framed);
        for (at, frame) in self.framed.chunks_mut(span.frame_bytes()).enumerate() {
            if let Some(header) = frame.first_chunk_mut() {
                *header = span.header(at as u64);
            }
        }
    }

    fn run(&self, span: &BlockSpan) -> FramedBlocks {
        let left = self.bytes.saturating_sub(span.offset);
        // The last block is shorter than the others, and may be empty.
        let blocks_left = left / u64::from(span.block_bytes.max(1)) + 1;
        let blocks = self.ahead.min(usize::try_from(blocks_left).unwrap_or(usize::MAX));
        let body = blocks.saturating_mul(self.block_bytes);
        let body_bytes = body.min(usize::try_from(left).unwrap_or(usize::MAX));
        FramedBlocks { span: *span, blocks, offset: span.offset, body_bytes }
    }
}

impl FramedBlocks {
    /// The places of the payloads in their packets.
    fn payloads<'a>(&self, framed: &'a mut [u8]) -> impl Iterator<Item = &'a mut [u8]> {
        framed
            .chunks_mut(self.span.frame_bytes())
            .map(|frame| frame.get_mut(DATA_HEADER_BYTES..).unwrap_or_default())
    }
}

fn memory(bytes: Bytes) -> (SourceBody, u64) {
    let length = bytes.len() as u64;
    (SourceBody::Memory(bytes), length)
}

fn copy(run: &FramedBlocks, body: &[u8], framed: &mut [u8]) {
    let blocks = body.chunks(usize::from(run.span.block_bytes).max(1));
    run.payloads(framed).zip(blocks).for_each(|(payload, block)| {
        if let Some(payload) = payload.get_mut(..block.len()) {
            payload.copy_from_slice(block);
        }
    });
}

/// Reads data that is in memory already. Returns false if it is not, if the file system cannot tell, or after
/// an error, which the other read then reports.
fn read_cached(file: &File, run: &FramedBlocks, framed: &mut [u8]) -> bool {
    let mut slices: Vec<_> =
        run.payloads(framed).filter(|payload| !payload.is_empty()).map(IoSliceMut::new).collect();
    loop {
        match preadv2(file, &mut slices, run.offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => return read == run.body_bytes,
            Err(Errno::INTR) => {}
            Err(_) => return run.body_bytes == 0,
        }
    }
}

/// Fills the packets from the disk; a file that has become shorter is an error.
async fn read(file: Arc<File>, run: FramedBlocks, mut framed: Vec<u8>) -> io::Result<Vec<u8>> {
    let filled = tokio::task::spawn_blocking(move || {
        let mut offset = run.offset;
        for payload in run.payloads(&mut framed) {
            file.read_exact_at(payload, offset)?;
            offset += payload.len() as u64;
        }
        Ok(framed)
    });
    filled.await.map_err(io::Error::other)?
}

async fn text(file: File, bytes: u64) -> io::Result<Vec<u8>> {
    let read = tokio::task::spawn_blocking(move || {
        let mut text = vec![0; usize::try_from(bytes).unwrap_or(0)];
        file.read_exact_at(&mut text, 0)?;
        Ok(text)
    });
    read.await.map_err(io::Error::other)?
}
