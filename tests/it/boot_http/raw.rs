//! A connection whose bytes the test writes itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(60);

pub struct Raw {
    pub stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut named = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.next().map_or("", |(_, value)| value)
    }

    /// All headers except the date.
    pub fn headers(&self) -> Vec<&str> {
        self.head.lines().skip(1).filter(|line| !line.starts_with("Date: ")).collect()
    }
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Raw {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a deadline");
        Raw { stream, read: Vec::new() }
    }

    /// Sends exactly these bytes.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("bytes that are sent");
    }

    /// A request and its answer.
    pub fn get(&mut self, path: &str, headers: &str) -> Reply {
        self.say(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"));
        self.reply()
    }

    /// The next response, with a body of the announced length.
    pub fn reply(&mut self) -> Reply {
        let (status, head) = self.head();
        let length = length(&head);
        while self.read.len() < length {
            assert_ne!(self.more(), 0, "the answer ends early: {head}");
        }
        let body = self.read.drain(..length).collect();
        Reply { status, head, body }
    }

    /// The next response to a HEAD, which has no body.
    pub fn reply_to_head(&mut self) -> Reply {
        let (status, head) = self.head();
        Reply { status, head, body: Vec::new() }
    }

    /// Whether the other side has closed the connection.
    pub fn is_over(&mut self) -> bool {
        self.read.is_empty() && self.more() == 0
    }

    fn head(&mut self) -> (u16, String) {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                let head = String::from_utf8(head).expect("a head in ASCII");
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                return (status.expect("a status"), head);
            }
            assert_ne!(self.more(), 0, "no answer but {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    fn more(&mut self) -> usize {
        let mut buffer = [0; 64 * 1024];
        let bytes = self.stream.read(&mut buffer).unwrap_or(0);
        self.read.extend_from_slice(&buffer[..bytes]);
        bytes
    }
}

fn length(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    line.map_or(0, |line| line.parse().expect("a length"))
}
