//! The HTTP client: a number of connections, each with one request after the other, on one thread, so that it
//! leaves the server the other core.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::net::SERVER;
use crate::servers::HTTP_PORT;

/// Bytes taken from a connection at a time.
const READ_BYTES: usize = 256 * 1024;

/// What to request, on how many connections, and for how long. No seconds: once.
#[derive(Clone, Debug)]
pub struct Load {
    pub path: String,
    pub connections: usize,
    pub seconds: u64,
}

/// The results.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub done: u64,
    pub failed: u64,
    pub bytes: u64,
    pub elapsed_us: u64,
    pub p50_us: u32,
    pub p99_us: u32,
}

impl Load {
    pub fn to_words(&self) -> Vec<String> {
        vec!["load".to_owned(), self.path.clone(), self.connections.to_string(), self.seconds.to_string()]
    }

    fn from_words(words: &[String]) -> Option<Load> {
        let [path, connections, seconds] = words else { return None };
        Some(Load {
            path: path.clone(),
            connections: connections.parse().ok()?,
            seconds: seconds.parse().ok()?,
        })
    }
}

impl Figures {
    pub fn per_second(&self) -> f64 {
        self.done as f64 * 1e6 / self.elapsed_us.max(1) as f64
    }

    fn to_words(&self) -> String {
        let Figures { done, failed, bytes, elapsed_us, p50_us, p99_us } = self;
        format!("{done} {failed} {bytes} {elapsed_us} {p50_us} {p99_us}")
    }

    pub fn from_words(text: &str) -> io::Result<Figures> {
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [done, failed, bytes, elapsed_us, p50, p99] = numbers.as_slice() else {
            return Err(io::Error::other(format!("no figures: {text}")));
        };
        let micros = |number: &u64| u32::try_from(*number).unwrap_or(u32::MAX);
        Ok(Figures {
            done: *done,
            failed: *failed,
            bytes: *bytes,
            elapsed_us: *elapsed_us,
            p50_us: micros(p50),
            p99_us: micros(p99),
        })
    }
}

/// `get PATH` prints a body; `load PATH CONNECTIONS SECONDS` prints figures.
///
/// Invalid words, or for `get` a server that cannot be reached.
/// Words that say nothing, or a server that is not there for `get`.
pub fn run(words: &[String]) -> io::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match words.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        Some(("get", [path])) => {
            let body = runtime.block_on(async { Connection::open().await?.get(path, Keep::All).await })?;
            Ok(String::from_utf8_lossy(&body.kept).into_owned())
        }
        Some(("load", rest)) => {
            let load =
                Load::from_words(rest).ok_or_else(|| io::Error::other("path, connections, seconds"))?;
            Ok(runtime.block_on(drive(load)).to_words())
        }
        _ => Err(io::Error::other("get or load")),
    }
}

#[derive(Default)]
struct Tally {
    took_us: Vec<u32>,
    failed: u64,
    bytes: u64,
}

async fn drive(load: Load) -> Figures {
    let begun = Instant::now();
    let end = begun + Duration::from_secs(load.seconds);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..load.connections {
        clients.spawn(one(load.path.clone(), end));
    }
    let mut all = Tally::default();
    while let Some(Ok(tally)) = clients.join_next().await {
        all.took_us.extend(tally.took_us);
        all.failed += tally.failed;
        all.bytes += tally.bytes;
    }
    all.took_us.sort_unstable();
    let at = |part: usize| all.took_us.get(all.took_us.len() * part / 100).copied().unwrap_or_default();
    Figures {
        done: all.took_us.len() as u64,
        failed: all.failed,
        bytes: all.bytes,
        elapsed_us: begun.elapsed().as_micros() as u64,
        p50_us: at(50),
        p99_us: at(99),
    }
}

/// One connection until `end`, and once at least.
async fn one(path: String, end: Instant) -> Tally {
    let mut tally = Tally::default();
    let Ok(mut connection) = Connection::open().await else {
        tally.failed = 1;
        return tally;
    };
    loop {
        let begun = Instant::now();
        match connection.get(&path, Keep::Nothing).await {
            Ok(body) if body.status == 200 => {
                tally.took_us.push(begun.elapsed().as_micros() as u32);
                tally.bytes += body.bytes;
            }
            _ => {
                tally.failed += 1;
                return tally;
            }
        }
        if Instant::now() >= end {
            return tally;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    All,
    Nothing,
}

struct Body {
    status: u16,
    bytes: u64,
    kept: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open() -> io::Result<Connection> {
        let stream = TcpStream::connect((SERVER, HTTP_PORT)).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: vec![0; READ_BYTES] })
    }

    async fn get(&mut self, path: &str, keep: Keep) -> io::Result<Body> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {SERVER}\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        let (status, length, first) = loop {
            let read = self.stream.read(&mut self.buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            head.extend_from_slice(self.buffer.get(..read).unwrap_or_default());
            if let Some((end, status, length)) = parse(&head) {
                break (status, length, head.split_off(end));
            }
        };
        let mut body = Body { status, bytes: first.len() as u64, kept: first };
        while body.bytes < length {
            let read = self.stream.read(&mut self.buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            body.bytes += read as u64;
            if keep == Keep::All {
                body.kept.extend_from_slice(self.buffer.get(..read).unwrap_or_default());
            }
        }
        Ok(body)
    }
}

/// Where the head ends, the status, and how long the body is.
fn parse(head: &[u8]) -> Option<(usize, u16, u64)> {
    let end = head.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(head.get(..end)?).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let mut lengths = text.lines().filter_map(|line| line.split_once(": "));
    let length = lengths.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1;
    Some((end, status, length.parse().ok()?))
}
