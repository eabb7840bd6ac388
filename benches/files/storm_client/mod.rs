//! The client of the storm compared with other servers: simulated machines that do what firmware and an
//! installer do, with the server at [`crate::net::SERVER`]. The DHCP reply and the script say what to fetch,
//! so the client is the same for every server. [`machine`] is one boot; `dhcp`, `tftp` and `http` are its
//! steps.
//!
//! It shares the processors with the server, so it has to be cheap: a thread per processor, each with its
//! share of the machines as tasks, and one buffer into which all of them read.

mod dhcp;
mod http;
mod machine;
mod tftp;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::{LocalSet, spawn_local};

use crate::running::cpu_us_of;
use crate::servers::{INITRD, KERNEL, LOADER};
use dhcp::Relay;

/// Bytes that one read takes from a socket: they are still in the processor's cache when they are compared.
const READ_BYTES: usize = 256 * 1024;
/// Most reasons of failures that are printed.
const REASONS_MAX: usize = 20;

/// The steps of a boot that are timed, in order; the last is all of it.
pub const STEPS: [&str; 8] =
    ["DHCP", "loader", "script", "kernel", "initrd", "answer file", "report", "whole boot"];

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Dhcp,
    Loader,
    Script,
    Kernel,
    Initrd,
    AnswerFile,
    Report,
    Boot,
}

/// How many machines are switched on, and within what time.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub machines: u32,
    pub within: Duration,
}

/// The results.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub booted: u64,
    pub failed: u64,
    /// Addresses that more than one machine got.
    pub duplicates: u64,
    pub elapsed_us: u64,
    /// Of this client.
    pub cpu_us: u64,
    /// p50, p95 and p99 of each step, in microseconds.
    pub steps: Vec<[u64; 3]>,
}

impl Load {
    /// The words after the client's, before the folder with the files that are compared.
    pub fn to_words(self) -> [String; 2] {
        [self.machines.to_string(), self.within.as_millis().to_string()]
    }

    fn from_words(machines: &str, within: &str) -> Option<Load> {
        let within = Duration::from_millis(within.parse().ok()?);
        Some(Load { machines: machines.parse().ok()?, within })
    }
}

impl Figures {
    pub fn per_second(&self) -> f64 {
        self.booted as f64 * 1e6 / self.elapsed_us.max(1) as f64
    }

    fn to_words(&self) -> String {
        let Figures { booted, failed, duplicates, elapsed_us, cpu_us, steps } = self;
        let mut words = vec![booted, failed, duplicates, elapsed_us, cpu_us];
        words.extend(steps.iter().flatten());
        words.into_iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
    }

    pub fn from_words(text: &str) -> io::Result<Figures> {
        let bad = || io::Error::other(format!("the client of the storm said: {text}"));
        let numbers: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(|_| bad())?;
        let [booted, failed, duplicates, elapsed_us, cpu_us, steps @ ..] = numbers.as_slice() else {
            return Err(bad());
        };
        let (steps, rest) = steps.as_chunks();
        if steps.len() != STEPS.len() || !rest.is_empty() {
            return Err(bad());
        }
        Ok(Figures {
            booted: *booted,
            failed: *failed,
            duplicates: *duplicates,
            elapsed_us: *elapsed_us,
            cpu_us: *cpu_us,
            steps: steps.to_vec(),
        })
    }
}

/// The served files, to compare with.
struct Files {
    loader: Vec<u8>,
    kernel: Vec<u8>,
    initrd: Vec<u8>,
}

impl Files {
    fn read(folder: &Path) -> io::Result<Files> {
        let read = |name| fs::read(folder.join(name));
        Ok(Files { loader: read(LOADER)?, kernel: read(KERNEL)?, initrd: read(INITRD)? })
    }
}

/// The results of the machines of one thread.
#[derive(Default)]
struct Tally {
    took_us: [Vec<u64>; STEPS.len()],
    addresses: Vec<Ipv4Addr>,
    failures: BTreeMap<String, u64>,
}

/// The state that the machines of one thread share.
struct Desk {
    files: Arc<Files>,
    relay: Relay,
    /// No task holds it while waiting.
    buffer: RefCell<Vec<u8>>,
    tally: RefCell<Tally>,
}

/// `MACHINES MILLISECONDS FOLDER`: runs the storm and prints the figures as words, and on standard error why
/// machines failed.
///
/// # Errors
/// Invalid words, no files to compare with, or no port for a relay.
pub fn run(words: &[String]) -> io::Result<String> {
    let usage = || io::Error::other("storm-client MACHINES MILLISECONDS FOLDER");
    let [machines, within, folder] = words else { return Err(usage()) };
    let load = Load::from_words(machines, within).ok_or_else(usage)?;
    let files = Arc::new(Files::read(&PathBuf::from(folder))?);
    let threads = thread::available_parallelism().map_or(1, usize::from) as u32;
    let (begun, before) = (Instant::now(), cpu_us_of(std::process::id())?);
    let shares: Vec<_> = (0..threads)
        .map(|share| {
            let files = Arc::clone(&files);
            thread::spawn(move || play(files, load, (share, threads, begun)))
        })
        .collect();
    let mut all = Tally::default();
    for share in shares {
        all.add(share.join().map_err(|_| io::Error::other("a thread of the client panicked"))??);
    }
    let elapsed_us = begun.elapsed().as_micros() as u64;
    for (reason, count) in all.failures.iter().take(REASONS_MAX) {
        eprintln!("{count} x {reason}");
    }
    let cpu_us = cpu_us_of(std::process::id())? - before;
    Ok(Figures { elapsed_us, cpu_us, ..all.figures() }.to_words())
}

/// Switches on the machines of one thread, each when its time has come, and waits for all of them.
fn play(files: Arc<Files>, load: Load, (share, threads, begun): (u32, u32, Instant)) -> io::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let desk = Rc::new(Desk {
            files,
            relay: Relay::open(share).await?,
            buffer: RefCell::new(vec![0; READ_BYTES]),
            tally: RefCell::default(),
        });
        let hearing = Rc::clone(&desk);
        let ear = spawn_local(async move { hearing.relay.hear().await });
        let mine = (share..load.machines).step_by(threads as usize);
        let boots: Vec<_> = mine
            .map(|number| {
                let switched_on = begun + load.within * number / load.machines;
                spawn_local(machine::boot(Rc::clone(&desk), number, switched_on))
            })
            .collect();
        for boot in boots {
            boot.await?;
        }
        ear.abort();
        Ok(desk.tally.take())
    })
}

impl Tally {
    fn add(&mut self, other: Tally) {
        for (times, more) in self.took_us.iter_mut().zip(other.took_us) {
            times.extend(more);
        }
        self.addresses.extend(other.addresses);
        for (reason, count) in other.failures {
            *self.failures.entry(reason).or_default() += count;
        }
    }

    fn figures(&mut self) -> Figures {
        let booted = self.took_us[Step::Boot as usize].len() as u64;
        let different: HashSet<_> = self.addresses.iter().collect();
        let steps = self.took_us.iter_mut().map(|times| {
            times.sort_unstable();
            [50, 95, 99]
                .map(|part| times.get(times.len() * part / 100).or(times.last()).copied().unwrap_or(0))
        });
        Figures {
            booted,
            failed: self.failures.values().sum(),
            duplicates: (self.addresses.len() - different.len()) as u64,
            steps: steps.collect(),
            ..Figures::default()
        }
    }
}
