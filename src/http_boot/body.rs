//! Reads the body of a report, within its bound: by its length, or in chunks (RFC 9112 §7.1).

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use httparse::{EMPTY_HEADER, Status, parse_headers};

use super::client_socket::ClientSocket;
use super::request::BodyLength;

/// Largest report of an installer, in bytes.
pub const REPORT_BYTES_MAX: usize = 1 << 20;
/// Longest line with the size of a chunk, and most lines after the last chunk.
const LINE_BYTES_MAX: usize = 1024;
const TRAILERS_MAX: usize = 32;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    TooLong,
    Malformed,
    /// The client closed the connection.
    Gone,
}

/// Where the bytes of a client come from.
pub trait ByteSource {
    /// Adds what has come to `buffer`; 0 bytes are the end.
    fn read_more(&mut self, buffer: &mut BytesMut) -> impl Future<Output = io::Result<usize>> + Send;
}

impl ByteSource for ClientSocket {
    fn read_more(&mut self, buffer: &mut BytesMut) -> impl Future<Output = io::Result<usize>> + Send {
        self.read(buffer)
    }
}

/// Reads a body: the bytes that have arrived, and the source of more.
pub struct BodyReader<'a, S> {
    pub wire: &'a mut S,
    pub buffer: &'a mut BytesMut,
}

impl<S: ByteSource> BodyReader<'_, S> {
    /// Reads a body, and nothing that comes after it.
    ///
    /// # Errors
    /// Why there is no body.
    pub async fn read(&mut self, length: BodyLength) -> Result<Bytes, BodyFault> {
        match length {
            BodyLength::Chunked => self.chunks().await,
            BodyLength::Bytes(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length > REPORT_BYTES_MAX {
                    return Err(BodyFault::TooLong);
                }
                self.fill(length).await?;
                Ok(self.buffer.split_to(length).freeze())
            }
        }
    }

    async fn chunks(&mut self) -> Result<Bytes, BodyFault> {
        let mut body = BytesMut::new();
        loop {
            let (line, size) = self.chunk_line().await?;
            self.buffer.advance(line);
            if size == 0 {
                self.trailers().await?;
                return Ok(body.freeze());
            }
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size > REPORT_BYTES_MAX - body.len() {
                return Err(BodyFault::TooLong);
            }
            self.fill(size + 2).await?;
            body.extend_from_slice(&self.buffer.split_to(size));
            if *self.buffer.split_to(2) != *b"\r\n" {
                return Err(BodyFault::Malformed);
            }
        }
    }

    async fn chunk_line(&mut self) -> Result<(usize, u64), BodyFault> {
        loop {
            match httparse::parse_chunk_size(self.buffer) {
                Ok(Status::Complete((length, size))) => {
                    let line = self.buffer.get(..length).unwrap_or_default();
                    return if is_chunk_line(line) { Ok((length, size)) } else { Err(BodyFault::Malformed) };
                }
                Ok(Status::Partial) if self.buffer.len() < LINE_BYTES_MAX => self.more().await?,
                _ => return Err(BodyFault::Malformed),
            }
        }
    }

    /// Reads the lines after the last chunk. What they say is passed over; that they are header lines is not.
    async fn trailers(&mut self) -> Result<(), BodyFault> {
        let mut lines = BytesMut::new();
        for _ in 0..=TRAILERS_MAX {
            let end = loop {
                match self.buffer.iter().position(|byte| *byte == b'\n') {
                    Some(end) => break end,
                    None if self.buffer.len() < LINE_BYTES_MAX => self.more().await?,
                    None => return Err(BodyFault::Malformed),
                }
            };
            let line = self.buffer.split_to(end + 1);
            let returns = line.iter().filter(|byte| **byte == b'\r').count();
            if returns != 1 || !line.ends_with(b"\r\n") {
                return Err(BodyFault::Malformed);
            }
            lines.extend_from_slice(&line);
            if end == 1 {
                return if are_header_lines(&lines) { Ok(()) } else { Err(BodyFault::Malformed) };
            }
        }
        Err(BodyFault::Malformed)
    }

    async fn fill(&mut self, length: usize) -> Result<(), BodyFault> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<(), BodyFault> {
        match self.wire.read_more(self.buffer).await {
            Ok(0) | Err(_) => Err(BodyFault::Gone),
            Ok(_) => Ok(()),
        }
    }
}

/// Whether the line of a chunk has a size and exactly one line end. `httparse` reads a line without digits as
/// the last chunk, and ignores a line feed in an extension, which other programs read as the end.
fn is_chunk_line(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    line.first().is_some_and(u8::is_ascii_hexdigit) && !line.contains(&b'\n') && !line.contains(&b'\r')
}

/// Whether the lines of a trailer, the empty one at its end among them, are header lines.
fn are_header_lines(lines: &[u8]) -> bool {
    let mut headers = [EMPTY_HEADER; TRAILERS_MAX];
    matches!(parse_headers(lines, &mut headers), Ok(Status::Complete((length, _))) if length == lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_is_made_of_header_lines() {
        for lines in [&b"\r\n"[..], b"x: y\r\n\r\n", b"x: \xff\r\ny:\r\n\r\n"] {
            assert!(are_header_lines(lines), "{}", lines.escape_ascii());
        }
        for lines in [
            &b"x\r\n\r\n"[..],
            b" x: y\r\n\r\n",
            b"x : y\r\n\r\n",
            b"x: \0\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
        ] {
            assert!(!are_header_lines(lines), "{}", lines.escape_ascii());
        }
    }

    #[test]
    fn a_chunk_has_a_size_and_one_line_end() {
        for line in [&b"5\r\n"[..], b"5;x=y\r\n", b"00aF \r\n"] {
            assert!(is_chunk_line(line), "{}", line.escape_ascii());
        }
        for line in [&b"\r\n"[..], b";x\r\n", b" 5\r\n", b"5;x\n0\r\n", b"5;\r0\r\n"] {
            assert!(!is_chunk_line(line), "{}", line.escape_ascii());
        }
    }
}
