//! The cost of boot files compared with other servers: `make bench-files`, as root. It produces the table of
//! `docs/performance.md`.
//!
//! Each server runs alone, one after the other, and serves the same files. Two namespaces, as in
//! `benches/dhcp`: `servers` has the measured servers; `tftp` and `http` the rows of one protocol, `beside`
//! the boot storm compared with dnsmasq and nginx, `storm` the storm of the simulator. The clients, and the
//! floor of TFTP, are this program again, in their namespaces. `METALWRIGHT_BENCH_SECONDS`,
//! `METALWRIGHT_BENCH_ROUNDS`, `METALWRIGHT_BENCH_PROGRAM` (another build of ours) and
//! `METALWRIGHT_BENCH_ROWS` (parts of the names of the wanted rows: `storm of 64 beside|window 1, 32`) change
//! the run.

mod beside;
#[path = "../host/dhcp_reply.rs"]
mod dhcp_reply;
mod http;
mod http_client;
#[path = "../host/net.rs"]
mod net;
#[path = "../host/running.rs"]
mod running;
mod servers;
mod storm;
mod storm_client;
mod tftp;
mod tftp_client;
mod tftp_floor;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The words that make this program a client, or the floor.
const TFTP_CLIENT: &str = "tftp-client";
const HTTP_CLIENT: &str = "http-client";
const STORM_CLIENT: &str = "storm-client";
const TFTP_FLOOR: &str = "tftp-floor";
const SECONDS: u64 = 2;
const ROUNDS: u64 = 3;
/// How often the memory of a server is read.
const LOOK_EVERY: Duration = Duration::from_millis(200);

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let Some((first, rest)) = words.split_first() else { return measure() };
    match (first.as_str(), rest) {
        (TFTP_CLIENT, rest) => println!("{}", tftp_client::run(rest)?),
        (HTTP_CLIENT, rest) => println!("{}", http_client::run(rest)?),
        (STORM_CLIENT, rest) => println!("{}", storm_client::run(rest)?),
        (TFTP_FLOOR, [file]) => tftp_floor::run(Path::new(file))?,
        // What Cargo says to a bench.
        _ => measure()?,
    }
    Ok(())
}

fn measure() -> io::Result<()> {
    let place = Place::make()?;
    tftp::measure(&place)?;
    http::measure(&place)?;
    beside::measure(&place)?;
    storm::measure(&place)
}

/// The environment: the two namespaces, the served files, how long and how often.
pub struct Place {
    pub net: net::Net,
    pub files: PathBuf,
    pub seconds: u64,
    pub rounds: u64,
    rows: Vec<String>,
}

impl Place {
    fn make() -> io::Result<Place> {
        let files = env::temp_dir().join(format!("metalwright-bench-served-{}", std::process::id()));
        fs::create_dir_all(&files)?;
        for (name, bytes) in servers::FILES {
            fs::write(files.join(name), noise(bytes))?;
        }
        let rows = env::var("METALWRIGHT_BENCH_ROWS").unwrap_or_default();
        Ok(Place {
            net: net::Net::up()?,
            files,
            seconds: number("METALWRIGHT_BENCH_SECONDS", SECONDS),
            rounds: number("METALWRIGHT_BENCH_ROUNDS", ROUNDS).max(1),
            rows: rows.split('|').map(str::trim).filter(|row| !row.is_empty()).map(str::to_owned).collect(),
        })
    }

    /// Whether a row of this name is wanted.
    pub fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|part| row.contains(part.as_str()))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Leftovers are in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.files);
    }
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Bytes that do not compress and differ from block to block.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut out: Vec<u8> = std::iter::repeat_with(&mut next).flatten().take(bytes).collect();
    out.truncate(bytes);
    out
}

/// The load of this host, shown beside a figure.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// The median, the least and the most.
pub fn spread(figures: &mut [f64]) -> (f64, f64, f64) {
    figures.sort_by(f64::total_cmp);
    let at = |place: usize| figures.get(place).copied().unwrap_or_default();
    (at(figures.len() / 2), at(0), at(figures.len().saturating_sub(1)))
}

/// Does the work; returns the most memory seen meanwhile.
pub fn with_memory<T: Send>(
    resident_kib: impl Fn() -> io::Result<u64>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<(T, u64)> {
    thread::scope(|scope| {
        let working = scope.spawn(work);
        let mut most = 0;
        while !working.is_finished() {
            most = most.max(resident_kib()?);
            thread::park_timeout(LOOK_EVERY);
        }
        let done = working.join().map_err(|_| io::Error::other("the measurement panicked"))??;
        Ok((done, most))
    })
}

/// This program again, in the client's namespace.
pub fn client(place: &Place, word: &str) -> io::Result<std::process::Command> {
    let mut command = place.net.in_client(Path::new(&env::current_exe()?));
    command.arg(word);
    Ok(command)
}
