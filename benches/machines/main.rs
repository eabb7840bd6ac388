//! The performance with ten thousand machines: the table of the README.
//!
//! `make bench` starts the real program, as it ships, on a directory of its own, talks to it over one TLS
//! connection, and prints Markdown. Start at [`measure`]; `server` is the program, `caller` the connection,
//! `table` the output. Every loop has a time limit, so a slow server ends the benchmark.
//! `METALWRIGHT_BENCH_MACHINES` makes the crowd smaller for a quick look; `METALWRIGHT_BENCH_ONLY` is
//! `machines`, `leases` or `upgrade` for one of the stories.

mod caller;
mod crowd;
mod leases;
mod server;
mod table;
mod upgrade;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use caller::{Caller, Sample};
use server::Server;
use table::{Figures, Table};

const MACHINES: usize = 10_000;
const READS: usize = 3_000;
const CHANGES: usize = 2_000;
const LISTS: usize = 10;
const RESTARTS: usize = 3;
const STARTS: usize = 1_000;
const STARTED_TASKS: usize = 5;
const PAGE: usize = 1_000;
const CONNECTIONS: usize = 8;
/// Longest time of a single measurement.
const MEASURE_MAX: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    // Cargo's own arguments (`--bench`) mean nothing here.
    let only = std::env::var("METALWRIGHT_BENCH_ONLY").unwrap_or_default();
    match only.as_str() {
        "leases" => return leases::measure(),
        "upgrade" => return upgrade::measure(),
        "machines" => {}
        _ => {
            leases::measure()?;
            upgrade::measure()?;
        }
    }
    let machines = match std::env::var("METALWRIGHT_BENCH_MACHINES") {
        Ok(text) => text.parse().context("METALWRIGHT_BENCH_MACHINES is a number")?,
        Err(_) => MACHINES,
    };
    ensure!(machines >= PAGE, "at least {PAGE} machines are needed to compare the first with the last");
    let table = measure(machines)?;
    println!("\n{table}");
    Ok(())
}

/// The whole story, in the order of a real site.
fn measure(machines: usize) -> Result<Table> {
    let mut table = Table::new(machines);
    let folder = tempfile::tempdir().context("a directory for the data")?;
    table.flush(folder.path())?;
    let mut server = Server::start(folder.path())?;
    table.add("start until ready, empty", server.started_in.into(), "0.33 s");
    table.add("RSS, empty", Figures::bytes(server.resident_bytes()?), "76 MiB");
    let caller = server.caller()?;

    create_all(&mut table, &caller, machines)?;
    table.add("RSS as created", Figures::bytes(server.resident_bytes()?), "155 MiB");
    let keys = whole_list(&mut table, &caller, machines)?;
    table.add("RSS after the lists", Figures::bytes(server.resident_bytes()?), "273 MiB");
    filtered_lists(&mut table, &caller, machines)?;
    read_one(&mut table, &caller, &keys)?;
    change_one(&mut table, &caller, &keys)?;
    change_at_once(&mut table, &caller, &keys)?;
    start_at_once(&mut table, &caller, &keys)?;

    let mut ready = Sample::default();
    for _ in 0..RESTARTS {
        server.stop()?;
        server = Server::start(folder.path())?;
        ready.add(server.started_in);
    }
    table.add("restart until ready (median)", ready.percentile(50).into(), "352 s");
    table.add("RSS after the restart", Figures::bytes(server.resident_bytes()?), "249 MiB");
    let answered = server.caller()?.get(&format!("machines/{}", keys[0]))?;
    ensure!(answered["id"] == keys[0].as_str(), "the machines are there after the restart");
    table.add("disk", Figures::bytes(server.disk_bytes()?), "82 MB in 20,440 files");
    server.stop()?;
    Ok(table)
}

/// One machine of the crowd: a name, an interface, a serial number, a place.
fn machine(number: usize) -> Value {
    let [_, .., high, low] = number.to_be_bytes();
    json!({
        "name": format!("node-{number:05}"),
        "macs": [format!("52:54:00:00:{high:02x}:{low:02x}")],
        "serial": format!("SN{number:08}"),
        "params": {"rack": format!("a{}", number % 100)},
        "labels": {"role": if number.is_multiple_of(10) { "db" } else { "web" }},
    })
}

fn create_all(table: &mut Table, caller: &Caller, machines: usize) -> Result<()> {
    caller.post(
        "params",
        &json!({"name": "rack", "schema": {"type": "string"}, "description": "Where it is."}),
    )?;
    let mut thousands: Vec<Sample> = Vec::new();
    let begun = Instant::now();
    for number in 0..machines {
        if number.is_multiple_of(PAGE) {
            thousands.push(Sample::default());
        }
        let body = machine(number);
        let (_, took) = timed(|| caller.post("machines", &body))?;
        thousands.last_mut().context("a thousand")?.add(took);
        ensure!(begun.elapsed() < MEASURE_MAX, "{number} machines were created in {MEASURE_MAX:?}");
    }
    let rates: Vec<String> = thousands.iter().map(|sample| format!("{:.0}", sample.rate())).collect();
    table.note(format!("Creates a second, thousand by thousand: {}.", rates.join(", ")));
    let (first, last) = (&thousands[0], &thousands[thousands.len() - 1]);
    table.add("create, the first thousand", first.into(), "413/s");
    table.add("create, the last thousand", last.into(), "17/s");
    Ok(())
}

/// Reads all machines page by page; returns their ids.
fn whole_list(table: &mut Table, caller: &Caller, machines: usize) -> Result<Vec<String>> {
    let (mut lists, mut keys, mut bytes) = (Sample::default(), Vec::new(), 0);
    for _ in 0..LISTS {
        let begun = Instant::now();
        let pages = caller.pages(&format!("machines?limit={PAGE}"))?;
        lists.add(begun.elapsed());
        bytes = pages.iter().map(String::len).sum();
        keys = pages.iter().map(|page| ids(page)).collect::<Result<Vec<_>>>()?.concat();
        ensure!(keys.len() == machines, "the list has {} machines", keys.len());
    }
    let what = format!("whole list in pages of {PAGE} ({:.1} MB, median)", bytes as f64 / 1e6);
    table.add(what, lists.percentile(50).into(), "0.38 s (7.0 MB)");
    Ok(keys)
}

fn ids(page: &str) -> Result<Vec<String>> {
    let page: Value = serde_json::from_str(page)?;
    let items = page["items"].as_array().context("items")?;
    Ok(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect())
}

fn filtered_lists(table: &mut Table, caller: &Caller, machines: usize) -> Result<()> {
    let hundredth = machines / 100;
    let filters = [
        ("name=node-000*", 100, "7.6 ms (`Name=`)"),
        ("param.rack=a1", hundredth, ""),
        ("label.role=db&sort=-updated_at", machines / 10, ""),
        ("status.state=failed", 0, ""),
        ("sort=name&limit=100", machines, "15 ms (`limit=100&offset=5000`)"),
    ];
    for (filter, expected, before) in filters {
        let mut sample = Sample::default();
        for _ in 0..LISTS {
            let (page, took) = timed(|| caller.get(&format!("machines?{filter}")))?;
            ensure!(page["total"] == expected, "{filter}: {} machines, not {expected}", page["total"]);
            sample.add(took);
        }
        table.add(
            format!("list `?{filter}` (median, {expected} found)"),
            sample.percentile(50).into(),
            before,
        );
    }
    Ok(())
}

fn read_one(table: &mut Table, caller: &Caller, keys: &[String]) -> Result<()> {
    let mut sample = Sample::default();
    let begun = Instant::now();
    for key in scattered(keys).take(READS) {
        sample.add(timed(|| caller.get(&format!("machines/{key}")))?.1);
        ensure!(begun.elapsed() < MEASURE_MAX, "reads take too long");
    }
    table.add("GET one", (&sample).into(), "3,137/s, p50 0.29 ms, p99 2.1 ms");
    Ok(())
}

fn change_one(table: &mut Table, caller: &Caller, keys: &[String]) -> Result<()> {
    let mut sample = Sample::default();
    let begun = Instant::now();
    for (number, key) in scattered(keys).take(CHANGES).enumerate() {
        let patch = json!({"serial": format!("P{number}")});
        sample.add(timed(|| caller.patch(&format!("machines/{key}"), &patch))?.1);
        ensure!(begun.elapsed() < MEASURE_MAX, "changes take too long");
    }
    table.add("PATCH one field", (&sample).into(), "27/s, p50 31 ms, p99 118 ms");
    Ok(())
}

/// The same from several connections: their writes share a flush.
fn change_at_once(table: &mut Table, caller: &Caller, keys: &[String]) -> Result<()> {
    let calls: Vec<(String, Value)> = scattered(keys)
        .take(CHANGES)
        .enumerate()
        .map(|(number, key)| (format!("machines/{key}"), json!({"serial": format!("Q{number}")})))
        .collect();
    let begun = Instant::now();
    let sample = caller.patch_at_once(&calls, CONNECTIONS)?;
    let figures = Figures::rate_of(&sample, begun.elapsed());
    table.add(format!("PATCH one field, {CONNECTIONS} connections"), figures, "31/s, p50 253 ms, p99 409 ms");
    Ok(())
}

/// Begins a run of each of a thousand machines: a workflow with a few tasks, whose scripts are checked.
fn start_at_once(table: &mut Table, caller: &Caller, keys: &[String]) -> Result<()> {
    let tasks: Vec<String> = (0..STARTED_TASKS).map(|number| format!("task-{number}")).collect();
    for task in &tasks {
        let templates = json!([{"name": "run", "inline": "echo {{ machine.name }}"}]);
        caller.post("tasks", &json!({"name": task, "templates": templates}))?;
    }
    caller.post("stages", &json!({"name": "work", "tasks": tasks}))?;
    caller.post("workflows", &json!({"name": "work", "stages": ["work"]}))?;
    let path = |key: &String| format!("machines/{key}/actions/start");
    let calls = keys.iter().take(STARTS).map(|key| (path(key), json!({"workflow": "work"})));
    let begun = Instant::now();
    let sample = caller.post_at_once(&calls.collect::<Vec<_>>(), CONNECTIONS)?;
    let figures = Figures::rate_of(&sample, begun.elapsed());
    let what = format!("start of a run with {STARTED_TASKS} scripts, {CONNECTIONS} connections");
    table.add(what, figures, "");
    Ok(())
}

/// The keys in a shuffled order, over and over.
fn scattered(keys: &[String]) -> impl Iterator<Item = &String> {
    const STRIDE: usize = 7_919;
    (0..).map(move |step: usize| &keys[step * STRIDE % keys.len()])
}

fn timed<T>(what: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let begun = Instant::now();
    let done = what()?;
    Ok((done, begun.elapsed()))
}
