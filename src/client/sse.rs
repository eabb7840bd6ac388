//! Parses Server-Sent Events (HTML standard, 9.2.6): lines, fields, messages. No network here.

use bytes::{Buf, BytesMut};

/// Largest message, and largest incomplete part of one, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseMessage {
    /// The type of the message; empty for an ordinary one.
    pub event: String,
    pub id: Option<String>,
    pub data: String,
}

/// The error for a message longer than [`MESSAGE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTooLong;

/// Accepts bytes as they arrive and returns complete messages.
#[derive(Debug, Default)]
pub struct SseReader {
    bytes: BytesMut,
    /// How far `bytes` was searched for the end of a line.
    searched: usize,
    open: SseMessage,
    has_data: bool,
}

impl SseReader {
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
    }

    /// The next complete message. Comments and messages without data are skipped.
    ///
    /// # Errors
    /// [`MessageTooLong`]; afterwards the reader must not be used.
    pub fn next(&mut self) -> Result<Option<SseMessage>, MessageTooLong> {
        while let Some(line) = self.line()? {
            if !line.is_empty() {
                self.field(&line)?;
                continue;
            }
            let message = std::mem::take(&mut self.open);
            if std::mem::take(&mut self.has_data) {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn line(&mut self) -> Result<Option<String>, MessageTooLong> {
        let rest = self.bytes.get(self.searched..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            return if self.searched > MESSAGE_BYTES_MAX { Err(MessageTooLong) } else { Ok(None) };
        };
        let line = self.bytes.split_to(self.searched + end);
        self.bytes.advance(1);
        self.searched = 0;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        Ok(Some(String::from_utf8_lossy(line).into_owned()))
    }

    fn field(&mut self, line: &str) -> Result<(), MessageTooLong> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.open.event = value.to_owned(),
            "id" => self.open.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.open.data.push('\n');
                }
                self.open.data.push_str(value);
            }
            _ => {}
        }
        if self.open.data.len() > MESSAGE_BYTES_MAX { Err(MessageTooLong) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(chunks: &[&[u8]]) -> Vec<SseMessage> {
        let mut reader = SseReader::default();
        let mut found = Vec::new();
        for chunk in chunks {
            reader.push(chunk);
            while let Some(message) = reader.next().unwrap() {
                found.push(message);
            }
        }
        found
    }

    #[test]
    fn messages_are_whole_however_the_bytes_are_cut() {
        let text: &[u8] =
            b": hello\n\nid: 7\nevent: machine.updated\ndata: {\"a\":\ndata: 1}\n\ndata:x\r\n\r\nid: 9\n\n";
        let whole = messages(&[text]);
        assert_eq!(whole.len(), 2, "{whole:?}");
        let first =
            SseMessage { event: "machine.updated".into(), id: Some("7".into()), data: "{\"a\":\n1}".into() };
        assert_eq!(whole[0], first);
        assert_eq!(whole[1].data, "x");
        let cut: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(messages(&cut), whole);
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let mut reader = SseReader::default();
        let chunk = vec![b'x'; 1 << 20];
        let refused = (0..20).any(|_| {
            reader.push(&chunk);
            reader.next().is_err()
        });
        assert!(refused);
        let mut reader = SseReader::default();
        let refused = (0..20).any(|_| {
            reader.push(b"data:");
            reader.push(&chunk);
            reader.push(b"\n");
            reader.next().is_err()
        });
        assert!(refused);
    }
}
