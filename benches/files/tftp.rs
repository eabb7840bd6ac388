//! The rows of TFTP: a file, how firmware requests it, how many do so at the same time, and the link.

use std::io;
use std::time::{Duration, Instant};

use crate::servers::{INITRD, LOADER, TftpServer};
use crate::tftp_client::{Figures, Load};
use crate::{Place, TFTP_CLIENT, client, load, spread, with_memory};

/// How long a server may take until it answers.
const READY_MAX: Duration = Duration::from_secs(20);
/// Rounds with losses last so many times longer: timeouts are long, and chance needs many.
const LOSSY_FACTOR: u64 = 3;

struct Row {
    name: &'static str,
    file: &'static str,
    window: u16,
    sessions: u32,
    delay_us: u64,
    /// Packets in a thousand that are lost, in each direction.
    lost: u32,
}

const fn row(name: &'static str, window: u16, sessions: u32) -> Row {
    Row { name, file: LOADER, window, sessions, delay_us: 0, lost: 0 }
}

const ROWS: [Row; 10] = [
    row("1 MiB, window 1, 1 at a time", 1, 1),
    row("1 MiB, window 1, 32 at a time", 1, 32),
    row("1 MiB, window 1, 256 at a time", 1, 256),
    row("1 MiB, window 16, 1 at a time", 16, 1),
    row("1 MiB, window 16, 32 at a time", 16, 32),
    row("1 MiB, window 16, 256 at a time", 16, 256),
    Row { delay_us: 1000, ..row("1 MiB, window 16, 1 at a time, 1 ms away", 16, 1) },
    Row { lost: 5, ..row("1 MiB, window 1, 1 at a time, 0.5 % lost", 1, 1) },
    Row { lost: 5, ..row("1 MiB, window 16, 32 at a time, 0.5 % lost", 16, 32) },
    Row { file: INITRD, ..row("64 MiB, window 16, 32 at a time", 16, 32) },
];

impl Row {
    /// The floor sends a block for each ACK and supports neither windows nor losses.
    fn is_for(&self, server: TftpServer) -> bool {
        server != TftpServer::Floor || (self.window == 1 && self.lost == 0)
    }
}

pub fn measure(place: &Place) -> io::Result<()> {
    println!(
        "| TFTP, blksize 1468 | server | MB/s | files/s | p50 | p99 | failed | CPU us a MB | RSS | load |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for row in ROWS.iter().filter(|row| place.wants(row.name)) {
        for server in TftpServer::installed().into_iter().filter(|server| row.is_for(*server)) {
            let rounds: io::Result<Vec<Run>> = (0..place.rounds).map(|_| run(place, server, row)).collect();
            print_row(row, server, &mut rounds?);
        }
    }
    Ok(())
}

struct Run {
    figures: Figures,
    cpu_us: u64,
    resident_kib: u64,
}

/// One server from start to end, under one load.
fn run(place: &Place, server: TftpServer, row: &Row) -> io::Result<Run> {
    let running = server.start(place)?;
    let path = server.path(row.file);
    await_answer(place, &path, row)?;
    let seconds = place.seconds * if row.lost > 0 { LOSSY_FACTOR } else { 1 };
    let load = load_of(row, &path, seconds);
    let before = running.cpu_us()?;
    let (figures, resident_kib) = with_memory(|| running.resident_kib(), || read(place, (&load, row)))?;
    Ok(Run { figures, cpu_us: running.cpu_us()? - before, resident_kib })
}

fn load_of(row: &Row, path: &str, seconds: u64) -> Load {
    Load {
        path: path.to_owned(),
        window: row.window,
        sessions: row.sessions,
        seconds,
        delay_us: row.delay_us,
        lost: row.lost,
    }
}

/// The first read is not measured: it shows that the server is ready, and loads the file into memory.
fn await_answer(place: &Place, path: &str, row: &Row) -> io::Result<()> {
    let begun = Instant::now();
    let once = Load { sessions: 1, seconds: 0, delay_us: 0, lost: 0, ..load_of(row, path, 0) };
    while read(place, (&once, row))?.done == 0 {
        if begun.elapsed() > READY_MAX {
            return Err(io::Error::other(format!("{path} is not served")));
        }
    }
    Ok(())
}

fn read(place: &Place, (load, row): (&Load, &Row)) -> io::Result<Figures> {
    let output = client(place, TFTP_CLIENT)?.args(load.to_words()).arg(place.file(row.file)).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Figures::from_words(&String::from_utf8_lossy(&output.stdout))
}

fn print_row(row: &Row, server: TftpServer, runs: &mut [Run]) {
    let mut rates: Vec<f64> = runs.iter().map(|run| run.figures.megabytes_per_second()).collect();
    let (rate, least, most) = spread(&mut rates);
    runs.sort_by(|a, b| a.figures.megabytes_per_second().total_cmp(&b.figures.megabytes_per_second()));
    let Some(median) = runs.get(runs.len() / 2) else { return };
    let figures = &median.figures;
    println!(
        "| {} | {} | {rate:.1} ({least:.1}-{most:.1}) | {:.1} | {:.1} ms | {:.1} ms | {} | {:.0} | {} MiB | {} |",
        row.name,
        server.name(),
        figures.done as f64 * 1e6 / figures.elapsed_us.max(1) as f64,
        f64::from(figures.p50_us) / 1000.0,
        f64::from(figures.p99_us) / 1000.0,
        runs.iter().map(|run| run.figures.failed).sum::<u64>(),
        median.cpu_us as f64 * 1e6 / figures.bytes.max(1) as f64,
        runs.iter().map(|run| run.resident_kib).max().unwrap_or_default() / 1024,
        load(),
    );
}
