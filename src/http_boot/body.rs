//! Reads the body of a report, within its bound: by its length, or in chunks (RFC 9112 §7.1).

use bytes::{Buf, Bytes, BytesMut};
use httparse::Status;

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

/// Reads a body: the bytes that have arrived, and the socket for more.
pub struct BodyReader<'a> {
    pub wire: &'a mut ClientSocket,
    pub buffer: &'a mut BytesMut,
}

impl BodyReader<'_> {
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

    async fn trailers(&mut self) -> Result<(), BodyFault> {
        for _ in 0..TRAILERS_MAX {
            let end = loop {
                match self.buffer.iter().position(|byte| *byte == b'\n') {
                    Some(end) => break end,
                    None if self.buffer.len() < LINE_BYTES_MAX => self.more().await?,
                    None => return Err(BodyFault::Malformed),
                }
            };
            match &*self.buffer.split_to(end + 1) {
                b"\r\n" => return Ok(()),
                line if line.ends_with(b"\r\n") => {}
                _ => return Err(BodyFault::Malformed),
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
        match self.wire.read(self.buffer).await {
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

#[cfg(test)]
mod tests {
    use super::*;

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
