//! The results as a Markdown table, compared with the server that was measured in 2019's version.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::caller::Sample;

const FLUSHES: usize = 200;
const FLUSH_BYTES: usize = 4096;

/// One cell.
pub struct Figures(String);

impl Figures {
    pub fn bytes(bytes: u64) -> Figures {
        Figures(format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)))
    }

    /// Simultaneous calls during `elapsed`.
    pub fn rate_of(sample: &Sample, elapsed: Duration) -> Figures {
        Figures::of_calls(sample, sample.count() as f64 / elapsed.as_secs_f64())
    }

    fn of_calls(sample: &Sample, rate: f64) -> Figures {
        let (half, most) = (sample.percentile(50), sample.percentile(99));
        Figures(format!("{rate:.0}/s, p50 {}, p99 {}", shown(half), shown(most)))
    }
}

impl From<&Sample> for Figures {
    fn from(sample: &Sample) -> Figures {
        Figures::of_calls(sample, sample.rate())
    }
}

impl From<Duration> for Figures {
    fn from(took: Duration) -> Figures {
        Figures(shown(took))
    }
}

fn shown(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds >= 0.1 => format!("{seconds:.2} s"),
        seconds if seconds >= 0.01 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{:.2} ms", seconds * 1e3),
    }
}

struct Row {
    what: String,
    ours: Figures,
    before: &'static str,
    load: String,
}

/// The rows in the order they were measured.
pub struct Table {
    machines: usize,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Table {
    pub fn new(machines: usize) -> Table {
        Table { machines, rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a result; `before` is the older server's figure, or empty.
    pub fn add(&mut self, what: impl Into<String>, ours: Figures, before: &'static str) {
        let row = Row { what: what.into(), ours, before, load: load() };
        eprintln!("{}: {} (load {})", row.what, row.ours.0, row.load);
        self.rows.push(row);
    }

    pub fn note(&mut self, note: String) {
        eprintln!("{note}");
        self.notes.push(note);
    }

    /// The speed of the disk: a small overwrite of existing data, as in a write-ahead log, with a flush.
    pub fn flush(&mut self, folder: &Path) -> Result<()> {
        let file = File::create(folder.join("flush"))?;
        file.write_all_at(&[1; FLUSHES * FLUSH_BYTES], 0)?;
        file.sync_all()?;
        let mut sample = Sample::default();
        for number in 0..FLUSHES {
            let begun = Instant::now();
            file.write_all_at(&[2; FLUSH_BYTES], (number * FLUSH_BYTES) as u64)?;
            file.sync_data()?;
            sample.add(begun.elapsed());
        }
        let (half, most) = (shown(sample.percentile(50)), shown(sample.percentile(99)));
        self.note(format!("A flush of 4 KiB to this disk: p50 {half}, p99 {most}; a write waits for one."));
        Ok(())
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "| {} machines | Metalwright | load | Digital Rebar of 2019 |", self.machines)?;
        writeln!(f, "|---|---|---|---|")?;
        for Row { what, ours, before, load } in &self.rows {
            writeln!(f, "| {what} | {} | {load} | {before} |", ours.0)?;
        }
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        writeln!(f, "\n{cores} cores, shared by the server and the client that measures.")?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// The load average of the last minute.
fn load() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split_whitespace().next().unwrap_or("?").to_owned()
}
