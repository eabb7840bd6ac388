//! The actions of operators on a machine's run: `POST /machines/{ref}/actions/{verb}`.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ApiState;
use super::body;
use super::error::ApiError;
use super::operation::Operation;
use super::resources::ROOT;
use super::schema;
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::model::Machine;
use crate::runs::actions::{REASON_BYTES_MAX, RunAction, StepReference};

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
}

/// The content with which `retry` continues.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Retry {
    /// Use the present content and params for the remaining steps, instead of those that the run kept.
    #[serde(default)]
    refresh: bool,
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

pub fn operations() -> Vec<Operation> {
    vec![
        row("start", "Begin a run of a workflow", |body: StartInput| RunAction::Start {
            workflow: body.workflow,
            reason: body.reason,
            stop_before: body.stop_before,
        }),
        row("restart", "Begin the last run again, with the present content", |body: Restart| {
            RunAction::Restart { from: body.from, reason: body.reason, stop_before: body.stop_before }
        }),
        row("pause", "Let the running job end and hand out no other, now or before a step", |body: Pause| {
            RunAction::Pause { before: body.before, reason: body.reason }
        }),
        plain("resume", "Continue after a pause", RunAction::Resume),
        row("retry", "Continue at the step that failed or was held", |body: Retry| match body.refresh {
            true => RunAction::RetryRefreshed,
            false => RunAction::Retry,
        }),
        row("skip", "Pass over the present step, or a later task", |body: Skip| RunAction::Skip {
            step: body.step,
            reason: body.reason,
        }),
        row("mark_done", "Continue as if the present step had ended well", |body: MarkDone| {
            RunAction::MarkDone { reason: body.reason }
        }),
        plain("cancel", "End the run and disarm the machine", RunAction::Cancel),
        plain("arm", "Allow the next destructive boot, once more", RunAction::Arm),
        plain("disarm", "Withdraw that permission", RunAction::Disarm),
    ]
}

/// A verb with details; `action` makes the action from them.
fn row<T: DeserializeOwned + JsonSchema + Send + 'static>(
    verb: &str,
    about: &str,
    action: impl Fn(T) -> RunAction + Clone + Send + Sync + 'static,
) -> Operation {
    operation(verb, about, action).takes(schema::of::<T>)
}

fn plain(verb: &str, about: &str, action: RunAction) -> Operation {
    operation(verb, about, move |_: NoDetails| action.clone())
}

fn operation<T: DeserializeOwned + JsonSchema + Send + 'static>(
    verb: &str,
    about: &str,
    action: impl Fn(T) -> RunAction + Clone + Send + Sync + 'static,
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
                  headers: HeaderMap,
                  body: Body| async move {
                let details: T = body::read_as(&headers, body).await?;
                act(&state, &caller, (&reference, action(details))).await
            },
        )
}

async fn act(
    state: &ApiState,
    caller: &Caller,
    (reference, action): (&str, RunAction),
) -> Result<Response, ApiError> {
    let machine = state.houses.runs.act(caller, reference, &action).await?;
    let view = state.houses.objects.show(&machine).await?;
    Ok(body::object(StatusCode::OK, &view))
}
