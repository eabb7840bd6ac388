//! The cost of a lease on disk: the writer of the database alone, without packets.
//!
//! One sender and then 64 of them commit changesets like the DHCP server, each with a lease and its event:
//! new leases in the order of a pool, then renewals in random order. After that the store is opened again,
//! and the program is started on the same directory with ten thousand machines in it. CPU is the time of this
//! process, including the senders. Start at [`measure`]. `METALWRIGHT_BENCH_LEASES` makes the crowd smaller
//! for a quick look.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use metalwright::store::{Changeset, SqliteStore, Store};
use tokio::task::JoinSet;

use crate::crowd;
use crate::server::Server;

const LEASES: usize = 100_000;
const MACHINES: usize = 10_000;
const SENDERS: usize = 64;
/// Changesets of the single sender.
const ALONE: usize = 2_000;
/// Machines that one changeset creates, to have them there soon.
const MACHINES_AT_ONCE: usize = 500;
/// The clock of `/proc/self/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

/// The whole story; prints the results.
pub fn measure() -> Result<()> {
    let leases = match std::env::var("METALWRIGHT_BENCH_LEASES") {
        Ok(text) => text.parse().context("METALWRIGHT_BENCH_LEASES is a number")?,
        Err(_) => LEASES,
    };
    ensure!(leases > 2 * ALONE, "at least {} leases are needed", 2 * ALONE);
    let folder = tempfile::tempdir().context("a directory for the data")?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(commit(&folder.path().join("data"), leases))?;
    drop(runtime);
    start(folder.path())
}

async fn commit(data: &Path, leases: usize) -> Result<()> {
    println!("| {leases} leases | changesets/s | CPU | p50 | p99 | longest |\n|---|---|---|---|---|---|");
    let store = SqliteStore::open(data).await?;
    let cpu = cpu_time()?;
    (0..leases).for_each(|lease| drop(std::hint::black_box(crowd::created(&store, lease))));
    let each = (cpu_time()? - cpu).as_secs_f64() / leases as f64;
    println!("| make and drop the changeset | | {:.1} µs | | | |", each * 1e6);
    run("create, 1 sender", &store, (1, (0..ALONE).collect(), crowd::created)).await?;
    run("create, 64 senders", &store, (SENDERS, (ALONE..leases).collect(), crowd::created)).await?;
    let (alone, many) = scattered(leases);
    run("renew, 1 sender", &store, (1, alone, crowd::renewed)).await?;
    run("renew, 64 senders", &store, (SENDERS, many, crowd::renewed)).await?;
    for first in (0..MACHINES).step_by(MACHINES_AT_ONCE) {
        let machines = (first..first + MACHINES_AT_ONCE).map(crowd::machine);
        store
            .commit(machines.fold(Changeset::default(), |changeset, machine| changeset.create(machine)))
            .await?;
    }
    store.close().await;
    drop(store);

    let begun = Instant::now();
    let store = SqliteStore::open(data).await?;
    let took = begun.elapsed();
    ensure!(store.world().leases.len() == leases, "all leases are there");
    println!("\nopened with {leases} leases and {MACHINES} machines in {:.2} s", took.as_secs_f64());
    store.close().await;
    Ok(())
}

/// The program on the same directory.
fn start(folder: &Path) -> Result<()> {
    let mut server = Server::start(folder)?;
    let (took, resident) = (server.started_in, server.resident_bytes()?);
    println!("the server was ready after {:.2} s, with {} MiB", took.as_secs_f64(), resident >> 20);
    let disk = server.disk_bytes()?;
    println!("the data directory has {} MiB", disk >> 20);
    server.stop()
}

/// The simultaneous senders, their leases, and what is done to each.
type Work = (usize, Vec<usize>, fn(&SqliteStore, usize) -> Changeset);

async fn run(what: &str, store: &Arc<SqliteStore>, (senders, leases, changeset): Work) -> Result<()> {
    let (leases, next) = (Arc::new(leases), Arc::new(AtomicUsize::new(0)));
    let (begun, cpu) = (Instant::now(), cpu_time()?);
    let mut tasks = JoinSet::new();
    for _ in 0..senders {
        let (store, leases, next) = (Arc::clone(store), Arc::clone(&leases), Arc::clone(&next));
        tasks.spawn(async move {
            let mut took = Vec::new();
            while let Some(lease) = leases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let changeset = changeset(&store, *lease);
                let begun = Instant::now();
                store.commit(changeset).await?;
                took.push(begun.elapsed());
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::with_capacity(leases.len());
    while let Some(done) = tasks.join_next().await {
        took.extend(done??);
    }
    let rate = leases.len() as f64 / begun.elapsed().as_secs_f64();
    let each = (cpu_time()? - cpu).as_secs_f64() / leases.len() as f64;
    took.sort_unstable();
    let at = |percent: usize| shown(took.get(took.len() * percent / 100));
    let (half, most, longest) = (at(50), at(99), shown(took.last()));
    println!("| {what} | {rate:.0} | {:.1} µs | {half} | {most} | {longest} |", each * 1e6);
    Ok(())
}

fn shown(took: Option<&Duration>) -> String {
    format!("{:.2} ms", took.copied().unwrap_or_default().as_secs_f64() * 1e3)
}

/// What this process used so far, in user and in kernel mode (`proc_pid_stat(5)`, fields 14 and 15).
fn cpu_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>()?;
    Ok(Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND))
}

/// Each lease once, in a shuffled order: a few for the single sender, and the others.
fn scattered(leases: usize) -> (Vec<usize>, Vec<usize>) {
    const STRIDE: usize = 7_919;
    let mut all: Vec<usize> = (0..leases).map(|step| step * STRIDE % leases).collect();
    let many = all.split_off(ALONE);
    (all, many)
}
