//! What the server counts, for Prometheus. `docs/operating/metrics.md` lists every metric; a test holds it to
//! this page. How a page is written is in [`exposition`], the figures of the houses are in `figures`.

pub mod exposition;
mod figures;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{Method, StatusCode};

use super::ApiState;
use super::operation::Operation;
use crate::durations::{DurationCounts, DurationHistogram};
use exposition::{MetricLabels, MetricSource, NO_LABELS, PageEncoder};

/// Answers of the API: by the first digit of their status, refusals by the status, and how long each route
/// takes.
#[derive(Debug)]
pub struct RequestCounters {
    classes: [AtomicU64; 6],
    refused: [AtomicU64; REFUSALS.len()],
    routes: Vec<RouteDurations>,
}

/// Statuses that are counted one by one.
const REFUSALS: [u16; 15] = [400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415, 422, 429, 500, 503];

/// How long one operation takes, from its gate to the head of its answer.
#[derive(Debug)]
pub struct RouteDurations {
    method: Method,
    path: String,
    pub took: DurationHistogram,
}

impl RequestCounters {
    pub fn new(operations: &[Operation]) -> Self {
        let routes = operations.iter().map(|operation| RouteDurations {
            method: operation.method.clone(),
            path: operation.path.clone(),
            took: DurationHistogram::default(),
        });
        RequestCounters { classes: Default::default(), refused: Default::default(), routes: routes.collect() }
    }

    pub fn count(&self, status: StatusCode) {
        if let Some(class) = self.classes.get(usize::from(status.as_u16() / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        let refusal = REFUSALS.iter().position(|refusal| *refusal == status.as_u16());
        if let Some(refused) = refusal.and_then(|at| self.refused.get(at)) {
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Where the durations of an operation are.
    pub fn route_of(&self, operation: &Operation) -> Option<usize> {
        self.routes.iter().position(|route| route.method == operation.method && route.path == operation.path)
    }

    pub fn route(&self, at: usize) -> Option<&RouteDurations> {
        self.routes.get(at)
    }

    fn write(&self, page: &mut PageEncoder<'_>) -> fmt::Result {
        let classes = self.classes.iter().enumerate().skip(2);
        let classes = classes.map(|(class, count)| {
            (vec![("status", format!("{class}xx").into())], count.load(Ordering::Relaxed))
        });
        page.counters(("metalwright_api_requests_total", "Requests that the API answered."), classes)?;
        let refused = REFUSALS.iter().zip(&self.refused).map(|(status, count)| {
            (vec![("status", status.to_string().into())], count.load(Ordering::Relaxed))
        });
        page.counters(
            ("metalwright_api_refused_total", "Requests that the API refused, by the status."),
            refused,
        )?;
        let called = self.routes.iter().map(|route| (route, route.took.counts()));
        let called = called.filter(|(_, took)| took.count() > 0).map(|(route, took)| {
            let labels: MetricLabels =
                vec![("method", route.method.to_string().into()), ("route", route.path.clone().into())];
            (labels, took)
        });
        page.histograms(
            (
                "metalwright_api_request_duration_seconds",
                "From the arrival of a request of the API to the head of its answer.",
            ),
            called,
        )
    }
}

/// A figure that a service keeps.
pub struct ServiceCounter {
    pub name: &'static str,
    pub about: &'static str,
    /// A label and its value, where several counters have one name; those follow each other.
    pub label: Option<(&'static str, &'static str)>,
    pub read: CounterReader,
}

/// Reads a figure.
pub enum CounterReader {
    Count(Box<dyn Fn() -> u64 + Send + Sync>),
    Gauge(Box<dyn Fn() -> u64 + Send + Sync>),
    Durations(Box<dyn Fn() -> DurationCounts + Send + Sync>),
}

/// What the services beside the API count.
#[derive(Clone, Default)]
pub struct ServiceCounters(Arc<Vec<ServiceCounter>>);

impl ServiceCounters {
    pub fn new(counters: Vec<ServiceCounter>) -> Self {
        ServiceCounters(Arc::new(counters))
    }

    fn write(&self, page: &mut PageEncoder<'_>) -> fmt::Result {
        for family in self.0.chunk_by(|one, next| one.name == next.name) {
            let Some(first) = family.first() else { continue };
            let head = (first.name, first.about);
            match first.read {
                CounterReader::Count(_) => {
                    page.counters(head, family.iter().filter_map(ServiceCounter::count))?
                }
                CounterReader::Gauge(_) => {
                    page.gauges(head, family.iter().filter_map(ServiceCounter::count))?;
                }
                CounterReader::Durations(_) => {
                    page.histograms(head, family.iter().filter_map(ServiceCounter::durations))?;
                }
            }
        }
        Ok(())
    }
}

impl ServiceCounter {
    fn labels(&self) -> MetricLabels {
        self.label.map_or(NO_LABELS, |(name, value)| vec![(name, value.into())])
    }

    fn count(&self) -> Option<(MetricLabels, u64)> {
        match &self.read {
            CounterReader::Count(read) | CounterReader::Gauge(read) => Some((self.labels(), read())),
            CounterReader::Durations(_) => None,
        }
    }

    fn durations(&self) -> Option<(MetricLabels, DurationCounts)> {
        match &self.read {
            CounterReader::Durations(read) => Some((self.labels(), read())),
            CounterReader::Count(_) | CounterReader::Gauge(_) => None,
        }
    }
}

impl fmt::Debug for ServiceCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|counter| counter.name)).finish()
    }
}

impl MetricSource for ApiState {
    fn write(&self, page: &mut PageEncoder<'_>) -> fmt::Result {
        self.requests.write(page)?;
        self.access_log.write(page)?;
        figures::write(self, page)?;
        self.counters.write(page)
    }
}

/// All metrics.
///
/// # Errors
/// What the encoder says.
pub fn text(state: &ApiState) -> Result<String, fmt::Error> {
    exposition::page(state.clone())
}
