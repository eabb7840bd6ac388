//! The actions of operators on a machine's run: `POST /machines/{ref}/actions/{verb}`.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::ApiState;
use super::body;
use super::bulk::BulkVerb;
use super::error::ApiError;
use super::operation::Operation;
use super::query::UrlQuery;
use super::resources::ROOT;
use super::schema;
use crate::insight::preflight::PreflightScope;
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::{ACCEPTABLE_FAULTS, Machine, Problem, RefusalCode, Stored, parse_typed};
use crate::runs::actions::{
    AcceptedFaults, REASON_BYTES_MAX, RunAction, RunCheck, StepReference, check_reason,
};

/// Most times that a run is checked because it was changed during the check.
const CHECKS_MAX: usize = 3;
/// Most codes that one action accepts.
const ACCEPT_MAX: usize = 32;

/// The workflow that `start` runs, and how far.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StartInput {
    /// The workflow's name. By default it is the machine's own, or the setting `default_workflow`.
    #[serde(default)]
    workflow: Option<String>,
    /// The reason for the run's record, in one line.
    #[serde(default)]
    #[schemars(length(max = REASON_BYTES_MAX))]
    reason: String,
    /// The run pauses before this step, given by its number, counted from 0, or its name.
    #[serde(default)]
    stop_before: Option<StepReference>,
    /// Codes of faults that the check before the run finds, in spite of which it begins: `no_login`. They
    /// need a `reason`.
    #[serde(default)]
    #[schemars(length(max = ACCEPT_MAX), with = "Vec<String>")]
    accept: Vec<RefusalCode>,
}

/// The content with which `retry` continues.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Retry {
    /// Use the present content and params for the remaining steps, instead of those that the run kept.
    #[serde(default)]
    refresh: bool,
    /// Why faults are accepted, in one line.
    #[serde(default)]
    #[schemars(length(max = REASON_BYTES_MAX))]
    reason: String,
    /// Codes of faults that the check before the run finds, in spite of which it begins: `no_login`. They
    /// need a `reason`.
    #[serde(default)]
    #[schemars(length(max = ACCEPT_MAX), with = "Vec<String>")]
    accept: Vec<RefusalCode>,
}

/// Where `restart` begins, and how far it runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Restart {
    /// The first step, given by its number, counted from 0, or its name. By default the run begins at its
    /// first step.
    #[serde(default)]
    from: Option<StepReference>,
    /// Why, for the run's record, in one line.
    #[serde(default)]
    #[schemars(length(max = REASON_BYTES_MAX))]
    reason: String,
    /// The run pauses before this step.
    #[serde(default)]
    stop_before: Option<StepReference>,
    /// Codes of faults that the check before the run finds, in spite of which it begins: `no_login`. They
    /// need a `reason`.
    #[serde(default)]
    #[schemars(length(max = ACCEPT_MAX), with = "Vec<String>")]
    accept: Vec<RefusalCode>,
}

/// When and why a run pauses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pause {
    /// A later step, given by its number, counted from 0, or its name. By default the run pauses now.
    #[serde(default)]
    before: Option<StepReference>,
    /// The reason, in one line.
    #[serde(default)]
    #[schemars(length(max = REASON_BYTES_MAX))]
    reason: String,
}

/// The step to pass over, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Skip {
    /// A later task, given by its number, counted from 0, or its name. By default it is the present step.
    #[serde(default)]
    step: Option<StepReference>,
    /// The reason, in one line.
    #[schemars(length(min = 1, max = REASON_BYTES_MAX))]
    reason: String,
}

/// Why a step counts as done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MarkDone {
    /// The reason, in one line.
    #[schemars(length(min = 1, max = REASON_BYTES_MAX))]
    reason: String,
}

/// The body of an action without details.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("additionalProperties" = false))]
struct NoDetails {}

/// An action, and the check before it.
#[derive(Clone, Debug)]
pub(super) struct ActionRequest {
    action: RunAction,
    /// What is checked before the action; none for an action that begins nothing.
    scope: Option<PreflightScope>,
    accepted: Vec<RefusalCode>,
    reason: String,
}

impl From<RunAction> for ActionRequest {
    fn from(action: RunAction) -> Self {
        ActionRequest { action, scope: None, accepted: Vec::new(), reason: String::new() }
    }
}

fn start(body: StartInput) -> ActionRequest {
    let StartInput { workflow, reason, stop_before, accept } = body;
    let scope = Some(PreflightScope::Workflow(workflow.clone()));
    let action = RunAction::Start { workflow, reason: reason.clone(), stop_before };
    ActionRequest { action, scope, accepted: accept, reason }
}

fn restart(body: Restart) -> ActionRequest {
    let Restart { from, reason, stop_before, accept } = body;
    let action = RunAction::Restart { from, reason: reason.clone(), stop_before };
    ActionRequest { action, scope: Some(PreflightScope::LastWorkflow), accepted: accept, reason }
}

/// The content that a run kept was checked when it began.
fn retry(body: Retry) -> ActionRequest {
    let (action, scope) = match body.refresh {
        true => (RunAction::RetryRefreshed, Some(PreflightScope::StepsToCome)),
        false => (RunAction::Retry, None),
    };
    ActionRequest { action, scope, accepted: body.accept, reason: body.reason }
}

fn pause(body: Pause) -> ActionRequest {
    RunAction::Pause { before: body.before, reason: body.reason }.into()
}

fn skip(body: Skip) -> ActionRequest {
    RunAction::Skip { step: body.step, reason: body.reason }.into()
}

fn mark_done(body: MarkDone) -> ActionRequest {
    RunAction::MarkDone { reason: body.reason }.into()
}

/// The request of a verb with its details; none for a verb that is no action.
pub(super) fn parse(verb: BulkVerb, details: &Value) -> Option<Result<ActionRequest, Vec<Problem>>> {
    let plain = |action: RunAction| parse_typed(details).map(|_: NoDetails| action.into());
    Some(match verb {
        BulkVerb::Start => parse_typed(details).map(start),
        BulkVerb::Restart => parse_typed(details).map(restart),
        BulkVerb::Retry => parse_typed(details).map(retry),
        BulkVerb::Pause => parse_typed(details).map(pause),
        BulkVerb::Skip => parse_typed(details).map(skip),
        BulkVerb::MarkDone => parse_typed(details).map(mark_done),
        BulkVerb::Resume => plain(RunAction::Resume),
        BulkVerb::Cancel => plain(RunAction::Cancel),
        BulkVerb::Arm => plain(RunAction::Arm),
        BulkVerb::Disarm => plain(RunAction::Disarm),
        BulkVerb::Patch | BulkVerb::Delete | BulkVerb::Release | BulkVerb::Expire => return None,
    })
}

pub fn operations() -> Vec<Operation> {
    let checked = [
        row("start", "Begin a run of a workflow", start),
        row("restart", "Begin the last run again, with the present content", restart),
        row("retry", "Continue at the step that failed or was held", retry),
    ];
    let dry_run = json!({"type": "boolean", "default": false});
    let about = "`true` changes nothing: the answer is the refusal, or the machine as it would be.";
    let checked = checked.map(|operation| operation.query("dry_run", dry_run.clone(), about));
    let others = vec![
        row("pause", "Let the running job end and hand out no other, now or before a step", pause),
        plain("resume", "Continue after a pause", RunAction::Resume),
        row("skip", "Pass over the present step, or a later task", skip),
        row("mark_done", "Continue as if the present step had ended well", mark_done),
        plain("cancel", "End the run and disarm the machine", RunAction::Cancel),
        plain("arm", "Allow the next destructive boot, once more", RunAction::Arm),
        plain("disarm", "Withdraw that permission", RunAction::Disarm),
    ];
    checked.into_iter().chain(others).collect()
}

/// A verb with details; `action` makes the action from them.
fn row<T: DeserializeOwned + JsonSchema + Send + 'static>(
    verb: &str,
    about: &str,
    action: impl Fn(T) -> ActionRequest + Clone + Send + Sync + 'static,
) -> Operation {
    operation(verb, about, action).takes(schema::of::<T>)
}

fn plain(verb: &str, about: &str, action: RunAction) -> Operation {
    operation(verb, about, move |_: NoDetails| action.clone().into())
}

fn operation<T: DeserializeOwned + JsonSchema + Send + 'static>(
    verb: &str,
    about: &str,
    action: impl Fn(T) -> ActionRequest + Clone + Send + Sync + 'static,
) -> Operation {
    let path = format!("{ROOT}/machines/{{ref}}/actions/{verb}");
    Operation::post(path, format!("{verb}_machine"))
        .tag("machines")
        .summary(about)
        .needs(RequiredScope::Write("machines"))
        .answers(200, "The machine afterwards.", schema::view::<Machine>)
        .refuses(&[400, 404, 409, 413, 415, 422])
        .runs(
            move |State(state): State<ApiState>,
                  Extension(caller): Extension<Caller>,
                  Path(reference): Path<String>,
                  Extension(query): Extension<UrlQuery>,
                  headers: HeaderMap,
                  body: Body| async move {
                let details: T = body::read_as(&headers, body).await?;
                act((&state, &caller), (&reference, action(details)), &query).await
            },
        )
}

async fn act(
    (state, caller): (&ApiState, &Caller),
    (reference, request): (&str, ActionRequest),
    query: &UrlQuery,
) -> Result<Response, ApiError> {
    let mode = match query.get_as::<bool>("dry_run", "`true` or `false`")? {
        Some(true) => ActMode::Trial,
        _ => ActMode::CarryOut,
    };
    let machine = carry_out((state, caller), (reference, &request), mode).await?;
    let view = state.houses.objects.show(&machine).await?;
    Ok(body::object(StatusCode::OK, &view))
}

/// Whether an action is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ActMode {
    CarryOut,
    /// Nothing is changed.
    Trial,
}

/// Checks what is about to begin, and carries out the action or finds out whether it would be refused.
/// Returns the machine afterwards.
pub(super) async fn carry_out(
    (state, caller): (&ApiState, &Caller),
    (reference, request): (&str, &ActionRequest),
    mode: ActMode,
) -> Result<Arc<Stored<Machine>>, ApiError> {
    let (runs, action) = (&state.houses.runs, &request.action);
    for _ in 0..CHECKS_MAX {
        let check = match &request.scope {
            None => None,
            Some(scope) => {
                runs.refuse_now(caller, reference, action)?;
                Some(check((state, caller), (reference, scope), request).await?)
            }
        };
        let machine = match mode {
            ActMode::Trial => Some(runs.try_out(caller, reference, action).await?),
            ActMode::CarryOut => runs.act_checked(caller, reference, (action, check.as_ref())).await?,
        };
        if let Some(machine) = machine {
            return Ok(machine);
        }
    }
    let what = "the machine or its content was changed during each check of the run; try again";
    Err(Error::Busy(what.to_owned()).into())
}

/// Checks what is about to begin. Returns what was checked, with the faults that the caller accepts.
async fn check(
    (state, caller): (&ApiState, &Caller),
    of: (&str, &PreflightScope),
    request: &ActionRequest,
) -> Result<RunCheck, ApiError> {
    let (codes, reason) = (&request.accepted, request.reason.trim().to_owned());
    check_reason(&reason)?;
    if let Some(at) = codes.iter().position(|code| !ACCEPTABLE_FAULTS.contains(code)) {
        let known: Vec<&str> = ACCEPTABLE_FAULTS.iter().map(|code| code.name()).collect();
        let what = format!("this is no fault that can be accepted; there are: {}", known.join(", "));
        return Err(Problem::new(format!("/accept/{at}"), what).coded(RefusalCode::NotOneOf).into());
    }
    if !codes.is_empty() && reason.is_empty() {
        let what = "say why the faults are accepted: the run keeps the reason";
        return Err(Problem::new("/reason", what).coded(RefusalCode::Missing).into());
    }
    let found = state.houses.insight.preflight(caller, of).await?;
    let (faults, problems): (Vec<Problem>, Vec<Problem>) =
        found.faults.into_iter().partition(|fault| codes.contains(&fault.code));
    if problems.is_empty() {
        return Ok(RunCheck { basis: found.basis, accepted: AcceptedFaults { faults, reason } });
    }
    let count = problems.len();
    let what = format!(
        "the run cannot begin, because of {count} {}. Each says what to do; `--accept CODE --reason TEXT` \
         begins in spite of one",
        if count == 1 { "fault" } else { "faults" }
    );
    Err(Error::Unready { what, problems }.into())
}
