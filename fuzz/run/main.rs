//! Fuzzing without a tool besides the stable compiler: the stored packets, then mutations of them for some
//! time. `make fuzz SECONDS=60` runs it with and without debug assertions.
//!
//! `fuzz [--http] [--seconds N] [--seed N] [--keep]`. With `--http` it compares the boot side's reader of
//! requests with hyper's; else it sends DHCP packets. Inputs that take a new path through the decisions are
//! mutated further, and with `--keep` become part of the corpus. An input that breaks a rule is written to a
//! file before the program ends with 101; `fuzz FILE…` tries only those files.

mod dhcp;
mod http;
mod http_text;
mod mutate;
mod world;

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use metalwright::proto::dhcp4::{encode_listed, from_text};
use mutate::Random;

const SECONDS: u64 = 60;
/// Most packets that are mutated at the same time.
const POOL_MAX: usize = 20_000;
/// Fewest packets that are kept.
const CORPUS_MIN: usize = 300;
/// Most packets that one run adds to the corpus.
const KEPT_MAX: usize = 400;

struct Flags {
    seconds: u64,
    seed: u64,
    keep: bool,
    http: bool,
    files: Vec<PathBuf>,
}

/// Makes an input of two that are kept.
type Mutation = fn(&mut Random, (&[u8], &[u8])) -> Vec<u8>;

/// What is fuzzed: how an input is tried, and how another one is made of two.
struct Target {
    check: fn(&[u8]) -> Vec<u64>,
    mutate: Mutation,
}

const DHCP: Target = Target { check: dhcp::check, mutate: mutate::mutated };
const HTTP: Target = Target { check: http::check, mutate: http_text::mutated };

fn main() -> ExitCode {
    let flags = flags();
    let target = if flags.http { HTTP } else { DHCP };
    let mut pool = match (flags.files.as_slice(), flags.http) {
        ([], true) => http_text::SEEDS.iter().map(|seed| seed.to_vec()).collect(),
        ([], false) => [corpus(flags.keep), vectors()].concat(),
        (files, _) => files.iter().map(|path| fs::read(path).expect("a file that can be read")).collect(),
    };
    let (mut ways, mut broken) = (HashSet::new(), None);
    for packet in &pool {
        match tried((&target, packet), &mut ways) {
            Err(packet) => broken = broken.or(Some(packet)),
            Ok(true) if flags.keep && !flags.http => drop(write(&folder(), packet)),
            Ok(_) => {}
        }
    }
    let began = Instant::now();
    let until = if flags.files.is_empty() { Duration::from_secs(flags.seconds) } else { Duration::ZERO };
    let mut random = Random(flags.seed);
    let (known, mut tries, mut kept) = (ways.len(), pool.len(), 0);
    println!("{} inputs, {known} ways through the decisions, seed {}", pool.len(), flags.seed);
    while broken.is_none() && began.elapsed() < until {
        let (one, other) = (random.below(pool.len()), random.below(pool.len()));
        let packet = (target.mutate)(&mut random, (&pool[one], &pool[other]));
        tries += 1;
        match tried((&target, &packet), &mut ways) {
            Err(why) => broken = Some(why),
            Ok(false) => {}
            Ok(true) => {
                if flags.keep && !flags.http && kept < KEPT_MAX {
                    kept += 1;
                    write(&folder(), &packet);
                }
                if pool.len() < POOL_MAX {
                    pool.push(packet);
                }
            }
        }
    }
    let assertions = if cfg!(debug_assertions) { "with" } else { "without" };
    println!("{tries} inputs {assertions} debug assertions, {} more ways, {kept} kept", ways.len() - known);
    match broken {
        None => ExitCode::SUCCESS,
        Some(packet) => {
            let path = write(&std::env::temp_dir(), &packet);
            eprintln!("this input breaks a rule: {}", path.display());
            ExitCode::from(101)
        }
    }
}

fn flags() -> Flags {
    let mut flags = Flags { seconds: SECONDS, seed: 1, keep: false, http: false, files: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number =
            || words.next().and_then(|text| text.parse().ok()).expect("a number behind the flag");
        match word.as_str() {
            "--seconds" => flags.seconds = number(),
            "--seed" => flags.seed = number() | 1,
            "--keep" => flags.keep = true,
            "--http" => flags.http = true,
            file => flags.files.push(file.into()),
        }
    }
    flags
}

/// Whether an input took a path that none before it did; the input itself if it breaks a rule.
fn tried((target, input): (&Target, &[u8]), ways: &mut HashSet<u64>) -> Result<bool, Vec<u8>> {
    let seen = catch_unwind(AssertUnwindSafe(|| (target.check)(input))).map_err(|_| input.to_vec())?;
    Ok(seen.into_iter().filter(|way| ways.insert(*way)).count() > 0)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/dhcp_packet")
}

fn corpus(keep: bool) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder()).expect("the corpus");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    let packets: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("a packet")).collect();
    assert!(keep || packets.len() >= CORPUS_MIN, "the corpus has only {} packets", packets.len());
    packets
}

/// The requests of the text cases in `tests/vectors/dhcp`.
fn vectors() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/dhcp");
    let cases = fs::read_dir(root).expect("the text cases").map(|case| case.expect("a case").path());
    let mut packets = Vec::new();
    for case in cases.filter(|case| case.is_dir()) {
        let texts = (0..).map_while(|step| fs::read_to_string(case.join(format!("{step}.request"))).ok());
        packets.extend(texts.filter_map(|text| packet_of(&text)));
    }
    packets.sort();
    packets
}

/// The packet of a request, without the lines about how it arrived.
fn packet_of(text: &str) -> Option<Vec<u8>> {
    let arrival = ["interface ", "from ", "to ", "after ", "port ", "datagram"];
    let lines = text.lines().filter(|line| !arrival.iter().any(|word| line.starts_with(word)));
    let text: Vec<&str> = lines.collect();
    from_text(&text.join("\n")).ok().map(|packet| encode_listed(&packet))
}

/// Named by its content, so that the same packet is kept once.
fn write(folder: &Path, packet: &[u8]) -> PathBuf {
    let digest = metalwright::model::sha256_hex(packet);
    let path = folder.join(format!("made-{}", &digest[..16]));
    fs::write(&path, packet).expect("a packet that is kept");
    path
}
