//! The figures of the houses as they are when the page is asked for.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ApiState;
use super::exposition::{MetricLabels, NO_LABELS, PageEncoder};
use crate::model::{BackgroundWork, Kind, MirrorStatus, SubnetStatus};
use crate::render::PoolHealth;
use crate::runs::kept_runs::RunTally;

/// Most trees that are passed on with figures of their own, the first by name.
const MIRRORS_MAX: usize = 100;
/// Most subnets with figures of their own, the first by name. The others are added up as `other`.
const SUBNETS_MAX: usize = 250;

/// All of them.
pub(super) fn write(state: &ApiState, page: &mut PageEncoder<'_>) -> fmt::Result {
    let houses = &state.houses;
    objects(state, page)?;
    bulk(state, page)?;
    logins(state, page)?;
    store(state, page)?;
    runs(&houses.runs.tallies(), page)?;
    subnets(&houses.dhcp.subnet_counts(), page)?;
    renders(&houses.catalog.render_conditions(), page)?;
    background(&houses.background.status().items, page)?;
    history(state, page)?;
    mirrors(&houses.artifacts.mirror_statuses(), page)
}

fn one(label: &'static str, value: impl Into<std::borrow::Cow<'static, str>>) -> MetricLabels {
    vec![(label, value.into())]
}

fn objects(state: &ApiState, page: &mut PageEncoder<'_>) -> fmt::Result {
    let kernel = &state.houses.kernel;
    let counts = Kind::ALL.into_iter().zip(kernel.counts());
    let counts = counts.map(|(kind, count)| (one("noun", kind.to_string()), count as u64));
    page.gauges(("metalwright_objects", "Objects of each noun."), counts)?;
    let machines = state.houses.runs.machine_counts();
    page.gauges(
        ("metalwright_machines", "Machines, by the state that they are in."),
        machines.states.map(|(state, count)| (one("state", state), count)),
    )?;
    page.gauges(
        (
            "metalwright_machines_unattended",
            "Machines whose installer `asks` at its console, and those that are `overdue`.",
        ),
        machines.unattended.map(|(reason, count)| (one("reason", reason), count)),
    )?;
    page.counters(
        ("metalwright_events_total", "Events since the database was made."),
        [(NO_LABELS, kernel.last_event())],
    )?;
    page.gauges(
        ("metalwright_event_queue_events", "Events that wait to be written; beyond 65,536 they are dropped."),
        [(NO_LABELS, kernel.queued_events())],
    )?;
    page.gauges(
        ("metalwright_api_event_streams", "Streams of events and changes that are open."),
        [(NO_LABELS, state.streams.open() as u64)],
    )?;
    page.counters(
        (
            "metalwright_api_event_streams_refused_total",
            "Streams of events and changes refused because there were too many, in all or of one token.",
        ),
        [(NO_LABELS, state.streams.refused())],
    )
}

/// What became of logins. The sessions are among the objects.
fn logins(state: &ApiState, page: &mut PageEncoder<'_>) -> fmt::Result {
    let counts = state.houses.access.login_counts().map(|(result, count)| (one("result", result), count));
    page.counters(("metalwright_logins_total", "Logins of browsers, by what became of them."), counts)
}

/// What became of the objects of calls for many.
fn bulk(state: &ApiState, page: &mut PageEncoder<'_>) -> fmt::Result {
    let counts = state.bulk.counts().map(|(outcome, count)| (one("outcome", outcome), count));
    page.counters(
        ("metalwright_bulk_objects_total", "Objects of calls for many, by what became of them."),
        counts,
    )
}

/// Whether the database takes writes, how long they take, and the room on its disk.
fn store(state: &ApiState, page: &mut PageEncoder<'_>) -> fmt::Result {
    let kernel = &state.houses.kernel;
    let status = kernel.store_status();
    page.gauges(
        ("metalwright_store_takes_writes", "1 when the database took the last write."),
        [(NO_LABELS, u64::from(status.takes_writes))],
    )?;
    page.counters(
        ("metalwright_store_failures_total", "Writes to the database that failed."),
        [(NO_LABELS, kernel.store_failures())],
    )?;
    page.histograms(
        (
            "metalwright_store_commit_duration_seconds",
            "From the request for a commit until it is on the disk.",
        ),
        [(NO_LABELS, kernel.commit_durations())],
    )?;
    let (commit, tombstones) = kernel.commit_counts();
    page.counters(
        ("metalwright_store_commits_total", "The number of the last commit."),
        [(NO_LABELS, commit)],
    )?;
    page.gauges(
        ("metalwright_store_tombstones", "Deletions that followers of changes can be told of."),
        [(NO_LABELS, tombstones as u64)],
    )?;
    page.gauges(
        ("metalwright_store_free_bytes", "Bytes that are free on the disk of the database."),
        status.free_bytes.map(|free| (NO_LABELS, free)),
    )?;
    page.gauges(
        (
            "metalwright_last_backup_timestamp_seconds",
            "When the last backup was made, in seconds since 1970; 0 where none is known.",
        ),
        [(NO_LABELS, state.houses.maintenance.last_backup())],
    )
}

/// The runs that are kept, by workflow and how they ended, and how long those took.
fn runs(tallies: &[RunTally], page: &mut PageEncoder<'_>) -> fmt::Result {
    let labels =
        |tally: &RunTally| vec![("result", tally.result.into()), ("workflow", tally.workflow.clone().into())];
    page.gauges(
        ("metalwright_runs", "Runs that are kept, by workflow and result; `open` are under way."),
        tallies.iter().map(|tally| (labels(tally), tally.runs)),
    )?;
    page.gauges(
        ("metalwright_runs_seconds", "Seconds from start to end of those runs, together."),
        tallies.iter().filter_map(|tally| Some((labels(tally), tally.seconds?.unsigned_abs()))),
    )
}

/// What the addresses of the pools are.
fn subnets(subnets: &[SubnetStatus], page: &mut PageEncoder<'_>) -> fmt::Result {
    type Part = (&'static str, fn(&SubnetStatus) -> u64);
    const PARTS: [Part; 4] = [
        ("free", |subnet| subnet.free),
        ("leased", |subnet| subnet.leased),
        ("reserved", |subnet| subnet.reserved),
        ("quarantined", |subnet| subnet.quarantined),
    ];
    let (named, others) = subnets.split_at(subnets.len().min(SUBNETS_MAX));
    let labels = |name: &str, part| vec![("state", part), ("subnet", name.to_owned().into())];
    let named = named
        .iter()
        .flat_map(|subnet| PARTS.map(|(part, count)| (labels(&subnet.name, part.into()), count(subnet))));
    let others = (!others.is_empty())
        .then(|| PARTS.map(|(part, count)| (labels("other", part.into()), others.iter().map(count).sum())));
    page.gauges(
        ("metalwright_dhcp_addresses", "Addresses in the pools of each subnet, by what they are."),
        named.chain(others.into_iter().flatten()),
    )
}

/// The workers that render documents for machines, and those of previews.
fn renders([serve, preview]: &[PoolHealth; 2], page: &mut PageEncoder<'_>) -> fmt::Result {
    let rows = |count: fn(&PoolHealth) -> u64| {
        [(one("pool", "serve"), count(serve)), (one("pool", "preview"), count(preview))]
    };
    page.gauges(("metalwright_render_workers", "Render workers that there are."), rows(|pool| pool.lanes))?;
    page.gauges(("metalwright_render_queue", "Renders that wait for a worker."), rows(|pool| pool.queued))
}

/// How the server's own work went.
fn background(work: &[BackgroundWork], page: &mut PageEncoder<'_>) -> fmt::Result {
    let name = |work: &BackgroundWork| one("work", work.name.clone());
    page.counters(
        ("metalwright_background_rounds_total", "Rounds of the server's own work that ended."),
        work.iter().map(|work| (name(work), work.rounds)),
    )?;
    page.counters(
        ("metalwright_background_failures_total", "Rounds of the server's own work that failed."),
        work.iter().map(|work| (name(work), work.failures)),
    )?;
    let ended = || work.iter().filter_map(|work| Some((work, work.last.as_ref()?)));
    page.gauges(
        (
            "metalwright_background_last_succeeded",
            "1 when the last round of the server's own work succeeded.",
        ),
        ended().map(|(work, last)| (name(work), u64::from(last.ok))),
    )?;
    page.gauges(
        ("metalwright_background_last_seconds", "How long the last round of the server's own work took."),
        ended().map(|(work, last)| (name(work), Duration::from_millis(last.duration_ms).as_secs_f64())),
    )
}

/// The room that history takes.
fn history(state: &ApiState, page: &mut PageEncoder<'_>) -> fmt::Result {
    let records = &state.houses.records;
    page.gauges(
        ("metalwright_documents_kept_bytes", "Bytes of the documents of runs, compressed."),
        [(NO_LABELS, records.counters.kept_bytes.load(Ordering::Relaxed))],
    )?;
    page.gauges(
        ("metalwright_job_logs_bytes", "Bytes of the logs of jobs, once they were counted."),
        records.known_log_bytes().map(|bytes| (NO_LABELS, bytes)),
    )?;
    let memory = &state.houses.netboot.memory;
    page.gauges(
        (
            "metalwright_unknown_clients",
            "Clients that asked within a week and are not registered; 1,024 at most.",
        ),
        [(NO_LABELS, memory.unknown_clients.count())],
    )?;
    page.counters(
        (
            "metalwright_unknown_clients_forgotten_total",
            "Unknown clients that went from their list to make room for others.",
        ),
        [(NO_LABELS, memory.unknown_clients.forgotten.load(Ordering::Relaxed))],
    )?;
    page.counters(
        (
            "metalwright_machine_writes_refused_total",
            "Pieces of boot logs and of logs of jobs that were beyond a budget and not taken.",
        ),
        [
            (one("what", "boot_log"), memory.budgets.log_pieces_refused.load(Ordering::Relaxed)),
            (one("what", "job_log"), records.log_budget.refused.load(Ordering::Relaxed)),
        ],
    )
}

/// A figure of a tree that is passed on: its name, what it is, and where it stands.
type MirrorRow = (&'static str, &'static str, fn(&MirrorStatus) -> u64);

#[rustfmt::skip]
const MIRROR_ROWS: [MirrorRow; 12] = [
    ("metalwright_mirror_hits_total", "Requests answered from what is kept or just being fetched.",
        |of| of.hits),
    ("metalwright_mirror_misses_total", "Files that had to be fetched.", |of| of.misses),
    ("metalwright_mirror_revalidated_total", "Hits of which the upstream said that they are as they were.",
        |of| of.revalidated),
    ("metalwright_mirror_stale_total", "Hits given out though the upstream gave no answer.", |of| of.stale),
    ("metalwright_mirror_failures_total", "Files that could not be had, or found no place.",
        |of| of.failures),
    ("metalwright_mirror_evicted_total", "Files that went to make room.", |of| of.evicted),
    ("metalwright_mirror_fetched_bytes_total", "Bytes that came from the upstream.", |of| of.fetched_bytes),
    ("metalwright_mirror_served_bytes_total", "Bytes that went to clients.", |of| of.served_bytes),
    ("metalwright_mirror_kept_bytes", "Bytes of the files that are kept.", |of| of.cached_bytes),
    ("metalwright_mirror_kept_files", "Files that are kept.", |of| of.cached_files),
    ("metalwright_mirror_kept_bytes_max", "Bytes that may be kept.", |of| of.bytes_max),
    ("metalwright_mirror_upstream_answers", "1 when the upstream gave an answer when it was last asked.",
        |of| u64::from(of.upstream_answers)),
];

fn mirrors(statuses: &[(String, MirrorStatus)], page: &mut PageEncoder<'_>) -> fmt::Result {
    for (name, about, read) in MIRROR_ROWS {
        let rows = statuses.iter().take(MIRRORS_MAX);
        let rows = rows.map(|(artifact, status)| (one("artifact", artifact.clone()), read(status)));
        if name.ends_with("_total") {
            page.counters((name, about), rows)?;
        } else {
            page.gauges((name, about), rows)?;
        }
    }
    Ok(())
}
