//! Counters in the text format of Prometheus.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

use super::ApiState;
use super::nouns::NOUNS;

/// Answers of the API, by the first digit of their status.
#[derive(Debug, Default)]
pub struct Requests {
    classes: [AtomicU64; 6],
}

impl Requests {
    pub fn count(&self, status: StatusCode) {
        if let Some(class) = self.classes.get(usize::from(status.as_u16() / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A number that a service counts.
pub struct Counter {
    pub name: &'static str,
    pub about: &'static str,
    /// A label and its value, where several counters have one name; those follow each other.
    pub label: Option<(&'static str, &'static str)>,
    pub read: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// What the services beside the API count.
#[derive(Clone, Default)]
pub struct Counters(Arc<Vec<Counter>>);

impl Counters {
    pub fn new(counters: Vec<Counter>) -> Self {
        Counters(Arc::new(counters))
    }
}

impl fmt::Debug for Counters {
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
    head(&mut text, "metalwright_objects", "gauge Objects of each noun.");
    for (row, count) in NOUNS.iter().zip(state.app.counts()) {
        let _ = writeln!(text, "metalwright_objects{{noun=\"{}\"}} {count}", row.kind);
    }
    head(&mut text, "metalwright_events_total", "counter Events since the database was made.");
    let _ = writeln!(text, "metalwright_events_total {}", state.app.last_event());
    let mut named = "";
    for counter in state.counters.0.iter() {
        if counter.name != named {
            head(&mut text, counter.name, &format!("counter {}", counter.about));
            named = counter.name;
        }
        let label = counter.label.map(|(name, value)| format!("{{{name}=\"{value}\"}}")).unwrap_or_default();
        let _ = writeln!(text, "{}{label} {}", counter.name, (counter.read)());
    }
    text
}

/// The two lines before a metric; `about` begins with its type.
fn head(text: &mut String, name: &str, about: &str) {
    let (kind, help) = about.split_once(' ').unwrap_or((about, ""));
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
