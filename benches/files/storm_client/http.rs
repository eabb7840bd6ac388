//! HTTP as firmware and installers use it: a connection per request. Bodies are compared as they arrive and
//! not stored, except those that say what to do next.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::yield_now;
use tokio::time::timeout;

/// Longest silence.
const PATIENCE: Duration = Duration::from_secs(30);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const KEPT_BYTES_MAX: usize = 64 * 1024;

pub struct Request<'a> {
    pub from: Ipv4Addr,
    pub url: &'a str,
    /// The body to send; without one the URL is fetched.
    pub report: Option<&'a str>,
    pub body: Body<'a>,
}

/// What to do with the body of the response.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    Kept,
    Same(&'a [u8]),
}

/// Sends a request; returns the body if it is stored. `buffer` is shared: it is held only from the arrival of
/// bytes to their end.
pub async fn send(buffer: &RefCell<Vec<u8>>, request: Request<'_>) -> Result<String, String> {
    let (host, path) = split(request.url).ok_or_else(|| format!("not an http URL: {}", request.url))?;
    let mut stream = in_time(connect(request.from, host)).await?;
    let (method, said) = request.report.map_or(("GET", ""), |said| ("POST", said));
    let head = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    let head = match request.report {
        None => format!("{head}\r\n"),
        Some(_) => format!("{head}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{said}", said.len()),
    };
    in_time(stream.write_all(head.as_bytes())).await?;
    let mut answer =
        Answer { expected: request.body, head: Vec::new(), length: None, got: 0, kept: Vec::new() };
    while answer.length != Some(answer.got) {
        in_time(stream.readable()).await?;
        answer.take_from(&stream, &mut buffer.borrow_mut())?;
        // The other machines of this thread have sockets too.
        yield_now().await;
    }
    Ok(String::from_utf8_lossy(&answer.kept).into_owned())
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> Result<T, String> {
    let came = timeout(PATIENCE, work).await.map_err(|_| "silence")?;
    came.map_err(|error| error.to_string())
}

/// Host with port, and the path.
fn split(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("http://")?.split_once('/')
}

async fn connect(from: Ipv4Addr, host: &str) -> io::Result<TcpStream> {
    let server: SocketAddr = host.parse().map_err(io::Error::other)?;
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.bind((from, 0).into())?;
    socket.connect(server).await
}

struct Answer<'a> {
    expected: Body<'a>,
    head: Vec<u8>,
    /// How long the body is, when the head has come.
    length: Option<usize>,
    got: usize,
    kept: Vec<u8>,
}

impl Answer<'_> {
    /// Reads what has arrived, if anything has.
    fn take_from(&mut self, stream: &TcpStream, buffer: &mut [u8]) -> Result<(), String> {
        match stream.try_read(buffer) {
            Ok(0) => Err(format!("the answer ends after {} bytes", self.got)),
            Ok(length) => self.take(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.length.is_some() {
            return self.take_body(bytes);
        }
        let before = self.head.len();
        self.head.extend(bytes.iter().take(HEAD_BYTES_MAX));
        match self.head.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(end) => {
                self.length = Some(length(&self.head[..end])?);
                self.take_body(&bytes[end + 4 - before..])
            }
            None if self.head.len() < HEAD_BYTES_MAX => Ok(()),
            None => Err("a head without an end".to_owned()),
        }
    }

    fn take_body(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self.expected {
            Body::Same(all) if all.get(self.got..self.got + bytes.len()) != Some(bytes) => {
                return Err(format!("the body is another one, near byte {}", self.got));
            }
            Body::Kept if self.got + bytes.len() > KEPT_BYTES_MAX => {
                return Err("a body that is too long to be kept".to_owned());
            }
            Body::Kept => self.kept.extend(bytes),
            Body::Same(_) => {}
        }
        self.got += bytes.len();
        match (self.expected, self.length) {
            (Body::Same(all), Some(length)) if length != all.len() => {
                Err(format!("a body of {length} bytes, not {}", all.len()))
            }
            _ => Ok(()),
        }
    }
}

/// The length of the body of a successful response.
fn length(head: &[u8]) -> Result<usize, String> {
    let head = String::from_utf8_lossy(head);
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "204" {
        return Ok(0);
    }
    if !status.starts_with('2') {
        return Err(format!("status {status}"));
    }
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, value)| value.trim().parse().ok()).ok_or_else(|| "no Content-Length".to_owned())
}
