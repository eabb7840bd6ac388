//! The actions on channels: `POST /channels/{ref}/actions/{verb}`.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::operation::Operation;
use super::resources::ROOT;
use super::{ApiState, body, schema};
use crate::channels::moves::ChannelAction;
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::model::Channel;

/// The version of a pack that a channel gets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PromoteInput {
    /// The pack's name: `core`.
    pack: String,
    /// The version, which is there already.
    version: String,
}

/// The pack that a channel loses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WithdrawInput {
    /// The pack's name; not `core`, which every channel has.
    pack: String,
}

/// The move that is undone.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RollbackInput {
    /// The latest move of this pack; by default the latest of the channel.
    #[serde(default)]
    pack: Option<String>,
}

pub fn operations() -> Vec<Operation> {
    let promote = row("promote", "Give a channel another version of a pack", |input: PromoteInput| {
        ChannelAction::Promote { pack: input.pack, version: input.version }
    });
    let withdraw = row("withdraw", "Take a pack out of a channel", |input: WithdrawInput| {
        ChannelAction::Withdraw { pack: input.pack }
    });
    let rollback = row("rollback", "Undo the latest move of a channel", |input: RollbackInput| {
        ChannelAction::RollBack { pack: input.pack }
    });
    let about = "Runs that have begun keep the content that they began with; runs that begin from now on, \
                 and `retry` with `refresh`, get the new one. A move of `prod` changes the content that the \
                 lists show, with everything in one commit.";
    [promote, withdraw, rollback].map(|operation| operation.description(about)).into()
}

fn row<T: DeserializeOwned + JsonSchema + Send + 'static>(
    verb: &str,
    about: &str,
    action: impl Fn(T) -> ChannelAction + Clone + Send + Sync + 'static,
) -> Operation {
    let path = format!("{ROOT}/channels/{{ref}}/actions/{verb}");
    Operation::post(path, format!("{verb}_channel"))
        .tag("channels")
        .summary(about)
        .needs(RequiredScope::Write("channels"))
        .takes(schema::of::<T>)
        .answers(200, "The channel afterwards.", schema::view::<Channel>)
        .refuses(&[400, 404, 409, 413, 415, 422])
        .runs(
            move |State(state): State<ApiState>,
                  Extension(caller): Extension<Caller>,
                  Path(reference): Path<String>,
                  headers: HeaderMap,
                  body: Body| async move {
                let action = action(body::read_as(&headers, body).await?);
                act((&state, &caller), &reference, &action).await
            },
        )
}

async fn act(
    (state, caller): (&ApiState, &Caller),
    reference: &str,
    action: &ChannelAction,
) -> Result<Response, ApiError> {
    let channel = state.houses.channels.act(caller, reference, action).await?;
    let view = state.houses.objects.show(&channel).await?;
    Ok(body::object(StatusCode::OK, &view))
}
