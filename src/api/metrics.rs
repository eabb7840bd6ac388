//! Counters in the text format of Prometheus.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

use super::ApiState;
use crate::model::{Kind, MirrorStatus};

/// Most trees that are passed on with figures of their own, the first by name.
const MIRRORS_MAX: usize = 100;

/// Answers of the API, by the first digit of their status.
#[derive(Debug, Default)]
pub struct RequestCounters {
    classes: [AtomicU64; 6],
}

impl RequestCounters {
    pub fn count(&self, status: StatusCode) {
        if let Some(class) = self.classes.get(usize::from(status.as_u16() / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A number that a service counts.
pub struct ServiceCounter {
    pub name: &'static str,
    pub about: &'static str,
    /// A label and its value, where several counters have one name; those follow each other.
    pub label: Option<(&'static str, &'static str)>,
    pub read: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// What the services beside the API count.
#[derive(Clone, Default)]
pub struct ServiceCounters(Arc<Vec<ServiceCounter>>);

impl ServiceCounters {
    pub fn new(counters: Vec<ServiceCounter>) -> Self {
        ServiceCounters(Arc::new(counters))
    }
}

impl fmt::Debug for ServiceCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|counter| counter.name)).finish()
    }
}

/// All metrics.
pub fn text(state: &ApiState) -> String {
    let mut text = String::new();
    head(&mut text, "metalwright_api_requests_total", "counter Requests that the API answered.");
    for (class, count) in state.requests.classes.iter().enumerate().skip(2) {
        let count = count.load(Ordering::Relaxed);
        let _ = writeln!(text, "metalwright_api_requests_total{{status=\"{class}xx\"}} {count}");
    }
    let refused = "counter Requests without a valid token, by the reason.";
    head(&mut text, "metalwright_api_tokens_refused_total", refused);
    for (reason, count) in state.access_log.refused_tokens() {
        let _ = writeln!(text, "metalwright_api_tokens_refused_total{{reason=\"{reason}\"}} {count}");
    }
    head(&mut text, "metalwright_objects", "gauge Objects of each noun.");
    for (kind, count) in Kind::ALL.into_iter().zip(state.houses.kernel.counts()) {
        let _ = writeln!(text, "metalwright_objects{{noun=\"{kind}\"}} {count}");
    }
    head(&mut text, "metalwright_events_total", "counter Events since the database was made.");
    let _ = writeln!(text, "metalwright_events_total {}", state.houses.kernel.last_event());
    head(&mut text, "metalwright_api_event_streams", "gauge Streams of events and changes that are open.");
    let _ = writeln!(text, "metalwright_api_event_streams {}", state.streams.open());
    let refused =
        "counter Streams of events and changes refused because there were too many, in all or of one token.";
    head(&mut text, "metalwright_api_event_streams_refused_total", refused);
    let _ = writeln!(text, "metalwright_api_event_streams_refused_total {}", state.streams.refused());
    store(&mut text, state);
    runs(&mut text, state);
    documents(&mut text, state);
    let mut named = "";
    for counter in state.counters.0.iter() {
        if counter.name != named {
            head(&mut text, counter.name, &format!("counter {}", counter.about));
            named = counter.name;
        }
        let label = counter.label.map(|(name, value)| format!("{{{name}=\"{value}\"}}")).unwrap_or_default();
        let _ = writeln!(text, "{}{label} {}", counter.name, (counter.read)());
    }
    mirrors(&mut text, &state.houses.artifacts.mirror_statuses());
    text
}

/// The runs that are kept, by how they ended, and how long those took.
fn runs(text: &mut String, state: &ApiState) {
    let tallies = state.houses.runs.tallies();
    head(text, "metalwright_runs", "gauge Runs that are kept, by result; `open` are under way.");
    for tally in &tallies {
        let _ = writeln!(text, "metalwright_runs{{result=\"{}\"}} {}", tally.result, tally.runs);
    }
    head(text, "metalwright_runs_seconds", "gauge Seconds from start to end of those runs, together.");
    for tally in tallies.iter().filter(|tally| tally.seconds.is_some()) {
        let seconds = tally.seconds.unwrap_or_default();
        let _ = writeln!(text, "metalwright_runs_seconds{{result=\"{}\"}} {seconds}", tally.result);
    }
}

/// Whether the database takes writes, and the room on its disk.
fn store(text: &mut String, state: &ApiState) {
    let status = state.houses.kernel.store_status();
    head(text, "metalwright_store_takes_writes", "gauge 1 when the database took the last write.");
    let _ = writeln!(text, "metalwright_store_takes_writes {}", u64::from(status.takes_writes));
    head(text, "metalwright_store_failures_total", "counter Writes to the database that failed.");
    let _ = writeln!(text, "metalwright_store_failures_total {}", state.houses.kernel.store_failures());
    let (commit, tombstones) = state.houses.kernel.commit_counts();
    head(text, "metalwright_store_commits_total", "counter The number of the last commit.");
    let _ = writeln!(text, "metalwright_store_commits_total {commit}");
    head(text, "metalwright_store_tombstones", "gauge Deletions that followers of changes can be told of.");
    let _ = writeln!(text, "metalwright_store_tombstones {tombstones}");
    if let Some(free) = status.free_bytes {
        head(text, "metalwright_store_free_bytes", "gauge Bytes that are free on the disk of the database.");
        let _ = writeln!(text, "metalwright_store_free_bytes {free}");
    }
}

/// The room that the texts of served documents take.
fn documents(text: &mut String, state: &ApiState) {
    let bytes = state.houses.records.counters.kept_bytes.load(Ordering::Relaxed);
    head(text, "metalwright_documents_kept_bytes", "gauge Bytes of the documents of runs, compressed.");
    let _ = writeln!(text, "metalwright_documents_kept_bytes {bytes}");
}

/// A figure of a tree that is passed on: its name, its type with what it is, and where it stands.
type MirrorRow = (&'static str, &'static str, fn(&MirrorStatus) -> u64);

const MIRROR_ROWS: [MirrorRow; 12] = [
    ("hits_total", "counter Requests answered from what is kept or just being fetched.", |of| of.hits),
    ("misses_total", "counter Files that had to be fetched.", |of| of.misses),
    ("revalidated_total", "counter Hits of which the upstream said that they are as they were.", |of| {
        of.revalidated
    }),
    ("stale_total", "counter Hits given out though the upstream gave no answer.", |of| of.stale),
    ("failures_total", "counter Files that could not be had, or found no place.", |of| of.failures),
    ("evicted_total", "counter Files that went to make room.", |of| of.evicted),
    ("fetched_bytes_total", "counter Bytes that came from the upstream.", |of| of.fetched_bytes),
    ("served_bytes_total", "counter Bytes that went to clients.", |of| of.served_bytes),
    ("kept_bytes", "gauge Bytes of the files that are kept.", |of| of.cached_bytes),
    ("kept_files", "gauge Files that are kept.", |of| of.cached_files),
    ("kept_bytes_max", "gauge Bytes that may be kept.", |of| of.bytes_max),
    ("upstream_answers", "gauge 1 when the upstream gave an answer when it was last asked.", |of| {
        u64::from(of.upstream_answers)
    }),
];

/// The names of artifacts need no quoting.
fn mirrors(text: &mut String, statuses: &[(String, MirrorStatus)]) {
    for (name, about, read) in MIRROR_ROWS {
        head(text, &format!("metalwright_mirror_{name}"), about);
        for (artifact, status) in statuses.iter().take(MIRRORS_MAX) {
            let _ = writeln!(text, "metalwright_mirror_{name}{{artifact=\"{artifact}\"}} {}", read(status));
        }
    }
}

/// The two lines before a metric; `about` begins with its type.
fn head(text: &mut String, name: &str, about: &str) {
    let (kind, help) = about.split_once(' ').unwrap_or((about, ""));
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
