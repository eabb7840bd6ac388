//! One verb on many objects: `POST /bulk`. Each object is treated as by a call of its own, with the same
//! rights, rules and events; the answer has a result for each. `work` carries out the verb on one object.

mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use super::error::ApiError;
use super::operation::Operation;
use super::resources::ROOT;
use super::{ApiState, body, schema};
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::bounds;
use crate::model::{Kind, MachineState, Problem, RefusalCode, with_noun};
use crate::objects::list::ListQuery;
use crate::objects::selection::SelectedObject;
use work::PreparedVerb;

/// Most objects of one call.
pub const BULK_MAX: usize = 1000;
/// Most objects that are worked on at once.
const CONCURRENCY_MAX: usize = 16;
const CONCURRENCY_DEFAULT: usize = 4;
/// Most calls at a time.
const CALLS_MAX: usize = 4;
/// How long objects are begun with. Those that are left are `not_tried`: a client sends them again.
const BEGIN_WITHIN: Duration = Duration::from_secs(20);
/// Most bytes of `details`: each of many objects may get them.
const DETAILS_BYTES_MAX: usize = 64 << 10;
/// Longest reference or filter, in bytes.
const TERM_BYTES_MAX: usize = 1024;
/// Most filters.
const FILTERS_MAX: usize = 32;
/// Most problems that one result lists, and most characters of a text of it.
const PROBLEMS_MAX: usize = 8;
const TEXT_CHARS_MAX: usize = 500;
/// Bytes of the answer after which results lack their problems.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What is done with each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkVerb {
    /// An action on a machine's run, with the body of `POST /machines/{ref}/actions/…` in `details`.
    Start,
    Restart,
    Retry,
    Pause,
    Resume,
    Skip,
    MarkDone,
    Cancel,
    Arm,
    Disarm,
    /// A JSON Merge Patch (RFC 7396), which is in `details`.
    Patch,
    Delete,
    /// The end of a lease.
    Release,
    Expire,
}

/// The verb, the objects, and how it is to be done.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BulkRequest {
    kind: Kind,
    verb: BulkVerb,
    /// The objects, each by its key or `index:value`. Either this or `filter`.
    #[serde(default)]
    #[schemars(length(max = BULK_MAX), inner(length(max = TERM_BYTES_MAX)))]
    refs: Vec<String>,
    /// The objects that pass all these filters, which are those of the list: `label.rack=r1`,
    /// `status.state[ne]=failed`.
    #[serde(default)]
    #[schemars(length(max = FILTERS_MAX), inner(length(max = TERM_BYTES_MAX)))]
    filter: Vec<String>,
    /// The body that the verb takes for one object.
    #[serde(default)]
    #[schemars(with = "Map<String, Value>")]
    details: Value,
    /// `false` carries it out. Otherwise the answer says what would be done with each object.
    #[serde(default = "only_report")]
    dry_run: bool,
    /// For `delete`, `release` and `expire`: also what is in use.
    #[serde(default)]
    force: bool,
    /// Most objects that are worked on at once.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = CONCURRENCY_MAX))]
    concurrency: usize,
}

fn only_report() -> bool {
    true
}

fn default_concurrency() -> usize {
    CONCURRENCY_DEFAULT
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkOutcome {
    /// It was done; with `dry_run`, it would be.
    Done,
    /// It was refused, as a call of its own would be.
    Refused,
    /// There was no time for it: send it again.
    NotTried,
}

impl BulkOutcome {
    pub const ALL: [BulkOutcome; 3] = [BulkOutcome::Done, BulkOutcome::Refused, BulkOutcome::NotTried];

    pub fn as_str(self) -> &'static str {
        match self {
            BulkOutcome::Done => "done",
            BulkOutcome::Refused => "refused",
            BulkOutcome::NotTried => "not_tried",
        }
    }
}

/// The result of one object.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BulkItem {
    /// The object as it was given, or its key.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The name that people use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub outcome: BulkOutcome,
    /// The state of a machine afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<MachineState>,
    /// What the next boot of a machine that is armed afterwards erases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erases: Option<String>,
    /// The status that a call of its own would have been refused with, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<RefusalCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The first faults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// The results, in the order of the references or keys.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BulkReport {
    pub dry_run: bool,
    pub kind: Kind,
    pub verb: BulkVerb,
    /// How many objects there are, and what became of them.
    pub total: usize,
    pub done: usize,
    pub refused: usize,
    pub not_tried: usize,
    pub items: Vec<BulkItem>,
}

/// The calls under way, and how many objects were worked on.
#[derive(Debug)]
pub struct BulkDesk {
    turns: Semaphore,
    counts: [AtomicU64; BulkOutcome::ALL.len()],
}

impl Default for BulkDesk {
    fn default() -> Self {
        BulkDesk { turns: Semaphore::new(CALLS_MAX), counts: Default::default() }
    }
}

impl BulkDesk {
    /// Objects by what became of them, dry runs aside.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = BulkOutcome::ALL.iter().zip(&self.counts);
        counts.map(|(outcome, count)| (outcome.as_str(), count.load(Ordering::Relaxed)))
    }

    fn count(&self, report: &BulkReport) {
        let counts = [report.done, report.refused, report.not_tried];
        for (counter, count) in self.counts.iter().zip(counts).filter(|_| !report.dry_run) {
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post(format!("{ROOT}/bulk"), "bulk")
            .tag("bulk")
            .summary("Do one thing with many objects, or say what would be done")
            .description(
                "Each object is treated as by a call of its own: with the same rights, rules and events. A \
                 refused object does not stop the others. The token needs the write scope of the kind. \
                 `dry_run` is true by default. Objects that are not begun with after 20 seconds are \
                 `not_tried`: send them again.",
            )
            .needs(RequiredScope::Token)
            .takes(schema::of::<BulkRequest>)
            .answers(200, "The result of each object.", schema::of::<BulkReport>)
            .refuses(&[400, 403, 413, 415, 422])
            .runs(bulk),
    ]
}

async fn bulk(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request: BulkRequest = body::read_as(&headers, body).await?;
    caller.needs(RequiredScope::Write(request.kind.plural()))?;
    let Ok(_turn) = state.bulk.turns.try_acquire() else {
        let why = format!("{CALLS_MAX} calls for many objects are under way: wait for the end of one");
        return Err(Error::Busy(why).into());
    };
    let verb = PreparedVerb::of(&request)?;
    let selected = select(&state, &caller, &request).await?;
    let report = carry_out((&state, &caller), &request, (verb, selected)).await;
    state.bulk.count(&report);
    Ok(body::json(StatusCode::OK, &json!(report)))
}

/// The objects, or the refusal of a reference that names none.
type Selection = Vec<Result<SelectedObject, Box<BulkItem>>>;

async fn select(state: &ApiState, caller: &Caller, request: &BulkRequest) -> Result<Selection, ApiError> {
    let objects = &state.houses.objects;
    match (request.refs.as_slice(), request.filter.as_slice()) {
        ([], []) | ([_, ..], [_, ..]) => {
            let what = "name the objects by `refs` or by `filter`, one of them";
            Err(Problem::new("/refs", what).coded(RefusalCode::Missing).into())
        }
        (refs, []) => {
            let mut seen = std::collections::HashSet::new();
            let found = refs.iter().map(|reference| {
                let found = with_noun!(request.kind, T => objects.find_selected::<T>(caller, reference));
                found.map_err(|refused| Box::new(refused_item((reference, None), refused.into())))
            });
            let first = found.filter(|found| match found {
                Ok(object) => seen.insert(object.key.clone()),
                Err(_) => true,
            });
            Ok(first.collect())
        }
        (_, filters) => {
            let pairs = filters.iter().enumerate().map(|(at, term)| filter_pair(at, term));
            let pairs = pairs.collect::<Result<Vec<_>, Problem>>()?;
            let selected = with_noun!(request.kind, T => {
                let query = ListQuery::parse::<T>(&pairs, caller.now)?;
                objects.select::<T>(caller.clone(), query).await?
            });
            if selected.len() > BULK_MAX {
                let passed = selected.len();
                let what =
                    format!("{passed} objects pass, at most {BULK_MAX} are admitted: narrow the filter");
                return Err(Problem::new("/filter", what).coded(RefusalCode::TooLarge).into());
            }
            Ok(selected.into_iter().map(Ok).collect())
        }
    }
}

/// `label.rack=r1` as a pair of a query.
fn filter_pair(at: usize, term: &str) -> Result<(String, String), Problem> {
    let pair = term.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or_else(|| {
        let what = "a filter is FIELD=VALUE or FIELD[OPERATOR]=VALUE, like label.rack=r1";
        Problem::new(format!("/filter/{at}"), what).coded(RefusalCode::Malformed)
    })?;
    // The other words of a list's query.
    if ["limit", "cursor", "sort", "fields"].contains(&name) {
        let what = format!("`{name}` is no field");
        return Err(Problem::new(format!("/filter/{at}"), what).coded(RefusalCode::UnknownField));
    }
    Ok((name.to_owned(), value.to_owned()))
}

async fn carry_out(
    (state, caller): (&ApiState, &Caller),
    request: &BulkRequest,
    (verb, selected): (PreparedVerb, Selection),
) -> BulkReport {
    let begun = Instant::now();
    let verb = Arc::new(verb);
    let work = selected.into_iter().enumerate().map(|(at, object)| {
        let verb = Arc::clone(&verb);
        async move {
            let item = match object {
                Err(item) => *item,
                Ok(object) if begun.elapsed() >= BEGIN_WITHIN => not_tried(&object),
                Ok(object) => match work::one((state, caller), &verb, &object).await {
                    Ok(done) => BulkItem { reference: object.key, name: Some(object.name), ..done },
                    Err(refused) => refused_item((&object.key, Some(object.name)), refused),
                },
            };
            (at, item)
        }
    });
    let concurrency = request.concurrency.clamp(1, CONCURRENCY_MAX);
    let mut items: Vec<(usize, BulkItem)> =
        futures_util::stream::iter(work).buffer_unordered(concurrency).collect().await;
    items.sort_by_key(|(at, _)| *at);
    let mut items: Vec<BulkItem> = items.into_iter().map(|(_, item)| item).collect();
    cut(&mut items);
    let count = |outcome| items.iter().filter(|item| item.outcome == outcome).count();
    BulkReport {
        dry_run: request.dry_run,
        kind: request.kind,
        verb: request.verb,
        total: items.len(),
        done: count(BulkOutcome::Done),
        refused: count(BulkOutcome::Refused),
        not_tried: count(BulkOutcome::NotTried),
        items,
    }
}

/// The result of an object that nothing more is said of.
fn done() -> BulkItem {
    BulkItem {
        reference: String::new(),
        name: None,
        outcome: BulkOutcome::Done,
        state: None,
        erases: None,
        status: None,
        code: None,
        detail: None,
        problems: Vec::new(),
    }
}

fn not_tried(object: &SelectedObject) -> BulkItem {
    let (reference, name) = (object.key.clone(), Some(object.name.clone()));
    BulkItem { reference, name, outcome: BulkOutcome::NotTried, ..done() }
}

fn refused_item((reference, name): (&str, Option<String>), refused: ApiError) -> BulkItem {
    let (status, code) = (Some(refused.status().as_u16()), Some(refused.code()));
    let (detail, problems) = refused.into_parts();
    let problems = problems.into_iter().take(PROBLEMS_MAX);
    let problems = problems.map(|problem| Problem { message: cut_text(&problem.message), ..problem });
    BulkItem {
        reference: reference.to_owned(),
        name,
        outcome: BulkOutcome::Refused,
        status,
        code,
        detail: Some(cut_text(&detail)),
        problems: problems.collect(),
        ..done()
    }
}

fn cut_text(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// Drops the problems of the results beyond the bound of the answer.
fn cut(items: &mut [BulkItem]) {
    let mut bytes = 0;
    for item in items {
        bytes += bounds::size(&json!(item), ANSWER_BYTES_MAX);
        if bytes > ANSWER_BYTES_MAX {
            item.problems = Vec::new();
        }
    }
}
