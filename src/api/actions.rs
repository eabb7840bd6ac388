//! What operators do to a machine's run, as `POST /machines/{ref}/actions/{verb}`.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;

use super::ApiState;
use super::body;
use super::error::ApiError;
use super::operation::Operation;
use super::resources::ROOT;
use super::schema;
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::Machine;
use crate::runs::actions::RunAction;

/// Which workflow `start` runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StartInput {
    /// Its name; without it the machine's own, else the setting `default_workflow`.
    #[serde(default)]
    workflow: Option<String>,
}

/// The verbs, with what each does.
const VERBS: [(&str, &str); 7] = [
    ("start", "Begin a run of a workflow"),
    ("pause", "Let the running job end and hand out no other"),
    ("resume", "Go on after a pause"),
    ("retry", "Go on at the step that failed or was held"),
    ("cancel", "End the run and disarm the machine"),
    ("arm", "Allow the destructive boot that is next, once more"),
    ("disarm", "Take that permission away"),
];

pub fn operations() -> Vec<Operation> {
    VERBS.iter().map(|(verb, about)| row(verb, about)).collect()
}

fn row(verb: &'static str, about: &str) -> Operation {
    let path = format!("{ROOT}/machines/{{ref}}/actions/{verb}");
    let operation = Operation::post(path, format!("{verb}_machine"))
        .tag("machines")
        .summary(about)
        .needs(RequiredScope::Write("machines"))
        .answers(200, "The machine as it is now.", schema::view::<Machine>)
        .refuses(&[400, 404, 409, 413, 415, 422]);
    let operation = if verb == "start" { operation.takes(schema::of::<StartInput>) } else { operation };
    operation.runs(
        move |State(state): State<ApiState>,
              Extension(caller): Extension<Caller>,
              Path(reference): Path<String>,
              headers: HeaderMap,
              body: Body| async move {
            let start: StartInput = body::read_as(&headers, body).await?;
            act(&state, &caller, (&reference, action(verb, start)?)).await
        },
    )
}

async fn act(
    state: &ApiState,
    caller: &Caller,
    (reference, action): (&str, RunAction),
) -> Result<Response, ApiError> {
    let machine = state.app.runs.act(caller, reference, &action).await?;
    let view = state.app.objects.show(&machine).await?;
    Ok(body::object(StatusCode::OK, &view))
}

fn action(verb: &str, start: StartInput) -> Result<RunAction, ApiError> {
    Ok(match verb {
        "start" => RunAction::Start { workflow: start.workflow },
        "pause" => RunAction::Pause,
        "resume" => RunAction::Resume,
        "retry" => RunAction::Retry,
        "cancel" => RunAction::Cancel,
        "arm" => RunAction::Arm,
        "disarm" => RunAction::Disarm,
        other => return Err(Error::BadRequest(format!("there is no action `{other}`")).into()),
    })
}
