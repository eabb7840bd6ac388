//! The rows of HTTP: a small file, a document that is rendered for a machine, and a large file, compared with
//! nginx with `sendfile`. The rendered document is compared with nginx's small file, as a reference only.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::http_client::{Figures, Load};
use crate::running::{Running, program};
use crate::servers::{INITRD, NGINX, PREFIX_OF_OURS, metalwright, nginx};
use crate::{HTTP_CLIENT, Place, client, load, spread};

/// The small file.
const DOCUMENT: &str = "document.cfg";
const DOCUMENT_BYTES: usize = 4096;
/// How long a server may take until it answers.
const READY_MAX: Duration = Duration::from_secs(20);

/// A machine whose bootenv has one file of about 4 KiB.
const CONTENT: [(&str, &str); 5] = [
    (
        "bootenvs",
        "name: bench\nkind: live\narches: {amd64: {artifact: bench, kernel: document.cfg, initrds: []}}\n\
         templates:\n- name: answers\n  path: answers.cfg\n  inline: |\n    \
         {% for n in range(end=60) %}\n    \
         {{ machine.name }} {{ param(name='bench_word') }} of line {{ n }}: {{ server.http }}/{{ n }}/x\n    \
         {% endfor %}\n",
    ),
    ("stages", "name: bench\nbootenv: bench\n"),
    ("workflows", "name: bench\nstages: [bench]\n"),
    ("params", "name: bench_word\ndefault: a word\n"),
    ("machines", "name: bench\nmacs: ['52:54:00:be:00:01']\n"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Document,
    Rendered,
    Initrd,
}

struct Row {
    name: &'static str,
    what: What,
    connections: usize,
}

const ROWS: [Row; 5] = [
    Row { name: "HTTP 4 KiB, 1 connection", what: What::Document, connections: 1 },
    Row { name: "HTTP 4 KiB, 64 connections", what: What::Document, connections: 64 },
    Row { name: "HTTP 4 KiB, 512 connections", what: What::Document, connections: 512 },
    Row { name: "HTTP rendered, 64 connections", what: What::Rendered, connections: 64 },
    Row { name: "HTTP 64 MiB, 64 connections", what: What::Initrd, connections: 64 },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    Metalwright,
    Nginx,
}

/// Measures every row and prints a table.
///
/// # Errors
/// A server does not start or does not answer.
pub fn measure(place: &Place) -> io::Result<()> {
    std::fs::write(place.file(DOCUMENT), vec![b'#'; DOCUMENT_BYTES])?;
    println!("| HTTP | server | answers/s | MB/s | p50 | p99 | failed | CPU us each | RSS | load |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for row in ROWS.iter().filter(|row| place.wants(row.name)) {
        for server in [Server::Metalwright, Server::Nginx] {
            if server.program().exists() && (row.what != What::Rendered || server == Server::Metalwright) {
                let runs: io::Result<Vec<Run>> = (0..place.rounds).map(|_| run(place, server, row)).collect();
                print_row((row, server), &mut runs?);
            }
        }
    }
    Ok(())
}

struct Run {
    figures: Figures,
    cpu_us: u64,
    resident_kib: u64,
}

fn run(place: &Place, server: Server, row: &Row) -> io::Result<Run> {
    let running = server.start(place)?;
    let prefix = if server == Server::Metalwright { PREFIX_OF_OURS } else { "" };
    let path = match row.what {
        What::Document => format!("/{prefix}{DOCUMENT}"),
        What::Initrd => format!("/{prefix}{INITRD}"),
        What::Rendered => rendered(place, &running)?,
    };
    let all = Load { path, connections: row.connections, seconds: place.seconds };
    // The first one is not measured: it shows that the server is ready, and loads the file into memory.
    let begun = Instant::now();
    while drive(place, &Load { connections: 1, seconds: 0, ..all.clone() })?.done == 0 {
        if begun.elapsed() > READY_MAX {
            return Err(io::Error::other(format!("{} is not served", all.path)));
        }
    }
    let before = running.cpu_us()?;
    let figures = drive(place, &all)?;
    Ok(Run { figures, cpu_us: running.cpu_us()? - before, resident_kib: running.resident_kib()? })
}

/// Creates a machine that may fetch a rendered file; returns the file's path.
fn rendered(place: &Place, running: &Running) -> io::Result<String> {
    for (noun, body) in CONTENT {
        let file = running.folder().join(noun);
        std::fs::write(&file, body)?;
        running.cli(&place.net, &[noun, "create", "-f", &file.to_string_lossy()])?;
    }
    running.cli(&place.net, &["machines", "start", "bench", "bench"])?;
    let output = client(place, HTTP_CLIENT)?.args(["get", "/boot.ipxe?mac=52:54:00:be:00:01"]).output()?;
    let script = String::from_utf8_lossy(&output.stdout).into_owned();
    let capability = script.split_once("/m/").and_then(|(_, rest)| Some(rest.split_once('/')?.0.to_owned()));
    let capability = capability.ok_or_else(|| io::Error::other(format!("no boot script: {script}")))?;
    Ok(format!("/m/{capability}/answers.cfg"))
}

fn drive(place: &Place, load: &Load) -> io::Result<Figures> {
    let output = client(place, HTTP_CLIENT)?.args(load.to_words()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Figures::from_words(&String::from_utf8_lossy(&output.stdout))
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::Metalwright => "Metalwright",
            Server::Nginx => "nginx",
        }
    }

    fn program(self) -> PathBuf {
        match self {
            Server::Metalwright => program(),
            Server::Nginx => NGINX.into(),
        }
    }

    fn start(self, place: &Place) -> io::Result<Running> {
        if self == Server::Metalwright {
            return metalwright(place, &[]);
        }
        nginx(place, "")
    }
}

fn print_row((row, server): (&Row, Server), runs: &mut [Run]) {
    let mut rates: Vec<f64> = runs.iter().map(|run| run.figures.per_second()).collect();
    let (rate, least, most) = spread(&mut rates);
    runs.sort_by(|a, b| a.figures.per_second().total_cmp(&b.figures.per_second()));
    let Some(median) = runs.get(runs.len() / 2) else { return };
    let figures = &median.figures;
    println!(
        "| {} | {} | {rate:.0} ({least:.0}-{most:.0}) | {:.0} | {:.2} ms | {:.1} ms | {} | {:.0} | {} MiB | {} |",
        row.name,
        server.name(),
        figures.bytes as f64 / figures.elapsed_us.max(1) as f64,
        f64::from(figures.p50_us) / 1000.0,
        f64::from(figures.p99_us) / 1000.0,
        runs.iter().map(|run| run.figures.failed).sum::<u64>(),
        median.cpu_us as f64 / figures.done.max(1) as f64,
        runs.iter().map(|run| run.resident_kib).max().unwrap_or_default() / 1024,
        load(),
    );
}
