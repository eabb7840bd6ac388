//! DHCP exchanges per second, from socket to socket, compared with other installed servers.
//!
//! `make bench-dhcp` (as root) runs each server alone in a network namespace and a client in another, with a
//! veth between them, all in one sitting: only ratios of one sitting mean anything. The client acts as a
//! relay, so that one host stands for many clients, in closed loops: a constant number of exchanges is open.
//! Start at [`measure`]; `net` has the two namespaces, `servers` the measured servers, `load` the client,
//! which is this program again in the client's namespace. `METALWRIGHT_BENCH_SECONDS`,
//! `METALWRIGHT_BENCH_ROUNDS` and `METALWRIGHT_BENCH_PROGRAM` (another build of ours) change the run.

#[path = "../host/dhcp_reply.rs"]
mod dhcp_reply;
mod load;
#[path = "../host/net.rs"]
mod net;
#[path = "../host/running.rs"]
mod running;
mod servers;

use std::env;
use std::io;
use std::time::Duration;

use load::{Exchange, Figures, Load};
use net::Net;
use servers::Server;

const SECONDS: u64 = 3;
const ROUNDS: usize = 3;
/// How long a server may take until it answers.
const READY_MAX: Duration = Duration::from_secs(20);
/// The word that makes this program the client.
const CLIENT: &str = "client";

/// The rows of each server.
const ROWS: [(&str, Exchange, usize); 3] = [
    ("DORA, 1 open", Exchange::Dora, 1),
    ("DORA, 64 open", Exchange::Dora, 64),
    ("renewal, 64 open", Exchange::Renewal, 64),
];

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.split_first() {
        Some((first, rest)) if first == CLIENT => {
            println!("{}", Load::from_words(rest)?.run()?.to_words());
            Ok(())
        }
        _ => measure(),
    }
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn measure() -> io::Result<()> {
    let net = Net::up()?;
    let seconds = number("METALWRIGHT_BENCH_SECONDS", SECONDS);
    let rounds = number("METALWRIGHT_BENCH_ROUNDS", ROUNDS as u64);
    println!("| server | row | exchanges/s | p50 | p99 | unanswered | CPU us each | RSS | load |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for (row, exchange, open) in ROWS {
        for server in Server::installed() {
            let mut runs: Vec<Run> = Vec::new();
            for _ in 0..rounds {
                let load = Load { exchange, open, seconds, first_client: 0 };
                runs.push(run(&net, &server, &load)?);
            }
            runs.sort_by(|a, b| a.figures.per_second().total_cmp(&b.figures.per_second()));
            print_row((server.name(), row), &runs);
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
fn run(net: &Net, server: &Server, load: &Load) -> io::Result<Run> {
    let running = server.start(net)?;
    let begun = std::time::Instant::now();
    // The first exchange is not measured: it shows that the server is ready.
    while client(net, &Load { exchange: Exchange::Dora, open: 1, seconds: 0, first_client: 1 << 20 })?.done
        == 0
    {
        if begun.elapsed() > READY_MAX {
            return Err(io::Error::other(format!("{} does not answer", server.name())));
        }
    }
    let before = running.cpu_us()?;
    let figures = client(net, load)?;
    Ok(Run { figures, cpu_us: running.cpu_us()? - before, resident_kib: running.resident_kib()? })
}

fn client(net: &Net, load: &Load) -> io::Result<Figures> {
    let mut command = net.in_client(&env::current_exe()?);
    let output = command.arg(CLIENT).args(load.to_words()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Figures::from_words(&String::from_utf8_lossy(&output.stdout))
}

fn print_row((server, row): (&str, &str), runs: &[Run]) {
    let (Some(least), Some(most)) = (runs.first(), runs.last()) else { return };
    let median = &runs[runs.len() / 2];
    let figures = &median.figures;
    let all = figures.done + figures.prepared;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "| {server} | {row} | {:.0} ({:.0}-{:.0}) | {:.2} ms | {:.1} ms | {} | {} | {} MiB | {} |",
        figures.per_second(),
        least.figures.per_second(),
        most.figures.per_second(),
        f64::from(figures.p50_us) / 1000.0,
        f64::from(figures.p99_us) / 1000.0,
        figures.unanswered,
        median.cpu_us / all.max(1),
        median.resident_kib / 1024,
        load.split(' ').next().unwrap_or_default(),
    );
}
