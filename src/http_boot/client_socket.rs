//! The socket of one client: plain, where the kernel sends files itself, or TLS.
//!
//! The memory per connection does not depend on the file: nothing, or one chunk under TLS. A peer that
//! accepts no byte for [`STALL_MAX`] is given up; it may be as slow as it likes otherwise.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::BytesMut;
use rustix::fs::sendfile;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::net::{SendFlags, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::ranges::ByteRange;
use crate::artifacts::opened::DownloadRest;

/// How long a client may accept no byte of an answer.
pub const STALL_MAX: Duration = Duration::from_secs(300);
/// How long a closed connection is still read, so that the last answer is not lost.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// Most bytes that are discarded in that time.
const LINGER_BYTES_MAX: usize = 2 << 20;
/// Bytes of a file that are sent to one client before the others get their turn.
const TURN_BYTES: u64 = 1 << 20;
/// Bytes of a file that are in memory if the kernel does not send the file itself.
const CHUNK_BYTES: u64 = 64 * 1024;
/// Bytes of a request that one read returns.
const READ_BYTES: usize = 2048;

/// The server's end of a connection.
#[derive(Debug)]
pub enum ClientSocket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A part of a file.
#[derive(Debug)]
pub struct FilePart {
    pub file: File,
    pub span: ByteRange,
    /// Progress of a file that is still being downloaded.
    pub coming: Option<DownloadRest>,
}

impl ClientSocket {
    /// Appends received bytes to `buffer`; 0 bytes mean the end.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        buffer.reserve(READ_BYTES);
        match self {
            ClientSocket::Plain(stream) => stream.read_buf(buffer).await,
            ClientSocket::Tls(stream) => stream.read_buf(buffer).await,
        }
    }

    /// Sends the last bytes of an answer.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.push(bytes, SendFlags::NOSIGNAL).await
    }

    /// Sends bytes and then the part of the file; `sent` counts the bytes of the file.
    pub async fn write_file(&mut self, head: &[u8], part: &FilePart, sent: &mut u64) -> io::Result<()> {
        self.push(head, SendFlags::NOSIGNAL | SendFlags::MORE).await?;
        let mut coming = part.coming.clone();
        while *sent < part.span.length {
            let (first, mut left) = (part.span.first + *sent, part.span.length - *sent);
            if let Some(coming) = &mut coming {
                left = left.min(coming.reach(first).await?.saturating_sub(first));
            }
            match self {
                ClientSocket::Plain(stream) => {
                    let span = ByteRange { first, length: TURN_BYTES.min(left) };
                    send_turn(stream, (part.file.try_clone()?, span), sent).await?;
                }
                ClientSocket::Tls(stream) => {
                    let chunk = read(&part.file, ByteRange { first, length: CHUNK_BYTES.min(left) }).await?;
                    in_time(stream.write_all(&chunk)).await?;
                    *sent += chunk.len() as u64;
                }
            }
            tokio::task::yield_now().await;
        }
        if let ClientSocket::Tls(stream) = self {
            in_time(stream.flush()).await?;
        }
        Ok(())
    }

    async fn push(&mut self, bytes: &[u8], flags: SendFlags) -> io::Result<()> {
        match self {
            ClientSocket::Plain(stream) => {
                let mut left = bytes;
                while !left.is_empty() {
                    let stream = &*stream;
                    let pushed = stream.async_io(Interest::WRITABLE, || Ok(send(stream, left, flags)?));
                    left = left.get(in_time(pushed).await?..).unwrap_or_default();
                }
                Ok(())
            }
            ClientSocket::Tls(stream) => {
                in_time(stream.write_all(bytes)).await?;
                in_time(stream.flush()).await
            }
        }
    }

    /// Closes the sending side. Further bytes of the client are read for a while, because an unread request
    /// would make the system discard the answer.
    pub async fn close(mut self) {
        let said = match &mut self {
            ClientSocket::Plain(stream) => in_time(stream.shutdown()).await,
            ClientSocket::Tls(stream) => in_time(stream.shutdown()).await,
        };
        let rest = async {
            let mut buffer = BytesMut::new();
            let mut thrown = 0;
            while thrown < LINGER_BYTES_MAX {
                match self.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => thrown += bytes,
                }
                buffer.clear();
            }
        };
        if said.is_ok() {
            let _ = tokio::time::timeout(LINGER_MAX, rest).await;
        }
    }
}

/// Sends one turn's bytes from the page cache. Bytes that are only on disk are read on a thread for blocking
/// work, so that a cold disk delays no other client.
async fn send_turn(
    stream: &TcpStream,
    (mut file, span): (File, ByteRange),
    sent: &mut u64,
) -> io::Result<()> {
    if !is_in_memory(&file, span) {
        let warmed = tokio::task::spawn_blocking(move || warm(&file, span).map(|()| file));
        file = warmed.await.map_err(io::Error::other)??;
    }
    let mut at = span.first;
    while at < span.end() {
        let count = usize::try_from(span.end() - at).unwrap_or(usize::MAX);
        let mut offset = at;
        let moved =
            stream.async_io(Interest::WRITABLE, || Ok(sendfile(stream, &file, Some(&mut offset), count)?));
        match in_time(moved).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => {
                at += bytes as u64;
                *sent += bytes as u64;
            }
        }
    }
    Ok(())
}

/// Whether a read would not wait for the disk; tested at both ends of the range.
fn is_in_memory(file: &File, span: ByteRange) -> bool {
    [span.first, span.end().saturating_sub(1)].into_iter().all(|at| {
        let byte = &mut [0];
        let read = preadv2(file, &mut [IoSliceMut::new(byte)], at, ReadWriteFlags::NOWAIT);
        read != Err(Errno::AGAIN)
    })
}

fn warm(file: &File, span: ByteRange) -> io::Result<()> {
    let mut buffer = vec![0; usize::try_from(CHUNK_BYTES).unwrap_or(usize::MAX)];
    let mut at = span.first;
    while at < span.end() {
        match file.read_at(&mut buffer, at)? {
            0 => break,
            bytes => at += bytes as u64,
        }
    }
    Ok(())
}

/// Reads bytes of a file, without waiting if they are in memory.
///
/// # Errors
/// The file cannot be read, or has become shorter.
pub async fn read(file: &File, span: ByteRange) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(span.length).map_err(io::Error::other)?];
    let now = preadv2(file, &mut [IoSliceMut::new(&mut bytes)], span.first, ReadWriteFlags::NOWAIT);
    if now == Ok(bytes.len()) {
        return Ok(bytes);
    }
    let file = file.try_clone()?;
    let read =
        tokio::task::spawn_blocking(move || file.read_exact_at(&mut bytes, span.first).map(|()| bytes));
    read.await.map_err(io::Error::other)?
}

async fn in_time<T>(write: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    within(STALL_MAX, write).await
}

async fn within<T>(limit: Duration, write: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(limit, write).await {
        Ok(written) => written,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up_and_one_that_takes_anything_is_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        let (mut client, mut wire) = (client.unwrap(), ClientSocket::Plain(server.unwrap().0));
        let block = vec![1; 1 << 20];
        // Every write succeeds until the buffers of both ends are full.
        let mut stalled = None;
        for _ in 0..64 {
            if let Err(error) = within(Duration::from_millis(50), wire.write(&block)).await {
                stalled = Some(error.kind());
                break;
            }
        }
        assert_eq!(stalled, Some(io::ErrorKind::TimedOut));
        // The time counts from the last byte that was accepted, not from the first.
        let drain = async {
            let mut room = vec![0; 1 << 16];
            while client.read(&mut room).await.unwrap() > 0 {}
        };
        tokio::select! {
            written = within(STALL_MAX, wire.write(&block)) => assert!(written.is_ok()),
            () = drain => panic!("the connection ended"),
        }
    }

    #[tokio::test]
    async fn a_file_that_has_become_shorter_is_an_error_and_not_a_wait() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 1000]).unwrap();
        let part = |first, length| read(&file, ByteRange { first, length });
        assert_eq!(part(10, 990).await.unwrap(), [1; 990]);
        assert!(part(10, 991).await.is_err());
        assert!(part(2000, 1).await.is_err());
        assert!(part(1000, 0).await.unwrap().is_empty());

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        let (_client, mut wire) = (client.unwrap(), ClientSocket::Plain(server.unwrap().0));
        let mut sent = 0;
        let part = FilePart { file, span: ByteRange { first: 0, length: 2000 }, coming: None };
        let error = wire.write_file(b"head", &part, &mut sent).await.unwrap_err();
        assert_eq!((error.kind(), sent), (io::ErrorKind::UnexpectedEof, 1000));
    }
}
