//! The agent's side of the API: asking for a job, reporting on it, writing its log, renewing the token.
//!
//! Each call is simple enough for a shell with `curl`; see `docs/operating/agent.md`.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::SchemaGenerator;
use serde::Serialize;
use serde_json::{Value, json};

use super::ApiState;
use super::body;
use super::error::ApiError;
use super::operation::{BodyContent, Operation, QueryParameter, QueryPlace, number};
use super::query::UrlQuery;
use super::resources::ROOT;
use super::schema;
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::{AgentReport, AgentTokenReissue, Job, JobOffer, JobReport, LogEnd, TokenGrant};
use crate::runs::job_reports::LOG_PIECE_BYTES_MAX;
use crate::runs::jobs::WorkRequest;

/// When an agent that got no work may ask again, in seconds.
const ASK_AGAIN_SECONDS: &str = "5";
const OCTETS: &str = "application/octet-stream";

pub fn operations() -> Vec<Operation> {
    let job = format!("{ROOT}/jobs/{{ref}}");
    let log = format!("{job}/log");
    vec![
        Operation::post(format!("{ROOT}/machines/{{ref}}/jobs/next"), "next_job")
            .tag("jobs")
            .summary("Ask for work: a job, or the order to reboot; the answer is delayed while there is none")
            .needs(RequiredScope::Agent)
            .takes(schema::of::<AgentReport>)
            .answers(200, "What to do.", schema::of::<JobOffer>)
            .answers_empty(204, "Nothing now; `Retry-After` says when to ask again.")
            .refuses(&[400, 404, 413, 415, 422, 503])
            .runs(next),
        Operation::new(Method::PATCH, job, "report_job")
            .tag("jobs")
            .summary("Report that a job runs, or how it ended; a repeated report changes nothing")
            .needs(RequiredScope::Agent)
            .takes(report_schema)
            .answers(200, "The job afterwards.", schema::view::<Job>)
            .refuses(&[400, 404, 409, 413, 415, 422, 503])
            .runs(report),
        Operation::new(Method::PUT, log.clone(), "write_job_log")
            .tag("jobs")
            .summary("Write a piece of a job's log; bytes that the log has already are skipped")
            .needs(RequiredScope::Agent)
            .query_parameter(QueryParameter {
                name: "offset",
                about: "Where the piece begins, in bytes.",
                schema: number(0, i64::MAX.unsigned_abs()),
                place: QueryPlace::Required,
            })
            .takes_media(OCTETS, octets)
            .answers(200, "The length of the log.", schema::of::<LogEnd>)
            .refuses(&[400, 404, 409, 413, 503])
            .runs(write_log),
        Operation::get(log, "read_job_log")
            .tag("jobs")
            .summary("Read a job's log; the answer is empty if there is nothing beyond the offset yet")
            .needs(RequiredScope::Read("jobs"))
            .query(
                "offset",
                number(0, i64::MAX.unsigned_abs()),
                "Where to begin, in bytes; 0 when not given.",
            )
            .query("limit", number(1, LOG_PIECE_BYTES_MAX as u64), "Most bytes to read.")
            .answers_media(200, "The bytes.", BodyContent { media: OCTETS, schema: octets })
            .refuses(&[400, 404, 409])
            .runs(read_log),
        Operation::post(format!("{ROOT}/machines/{{ref}}/token"), "renew_agent_token")
            .tag("jobs")
            .summary("Exchange an agent's token for a fresh one")
            .needs(RequiredScope::Agent)
            .answers(
                200,
                "The new token; the old one stays valid until its own end.",
                schema::of::<TokenGrant>,
            )
            .refuses(&[400, 404, 409, 429, 503])
            .runs(renew),
        reissue_operation(),
    ]
}

fn reissue_operation() -> Operation {
    Operation::post(format!("{ROOT}/machines/{{ref}}/agent_token"), "reissue_agent_token")
        .tag("jobs")
        .summary("Make a new token for a machine's agent, and end those that it has")
        .needs(RequiredScope::Write("jobs"))
        .answers(
            200,
            "The new token, which no other answer has; it goes into the agent's configuration.",
            schema::of::<AgentTokenReissue>,
        )
        .refuses(&[400, 403, 404, 409, 503])
        .runs(reissue)
}

/// A report has a state or an exit code, and where it has both, the code means the state.
fn report_schema(generator: &mut SchemaGenerator) -> Value {
    let both = |state: &str, exits: Value| {
        json!({
            "if": {"properties": {"state": {"const": state}}, "required": ["state", "exit"]},
            "then": {"properties": {"exit": exits}},
        })
    };
    let of_both = [
        both("finished", json!({"enum": [0, 16, 32, 64]})),
        both("incomplete", json!({"enum": [128, 144, 160, 192]})),
        both("running", json!({"type": "null"})),
    ];
    let one = schema::one_of(&["state", "exit"]);
    schema::with_rules::<JobReport>(generator, &[("anyOf", one), ("allOf", json!(of_both))])
}

fn octets(_: &mut SchemaGenerator) -> Value {
    json!({"type": "string", "format": "binary"})
}

fn answer(body: &impl Serialize) -> Result<Response, ApiError> {
    let value = serde_json::to_value(body).map_err(|error| Error::Failed(error.to_string()))?;
    Ok(body::json(StatusCode::OK, &value))
}

async fn next(
    State(state): State<ApiState>,
    Path(reference): Path<String>,
    Extension(caller): Extension<Caller>,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, ApiError> {
    let report: AgentReport = body::read_as(&headers, body).await?;
    state.houses.access.begin_life(&caller, report.environment).await?;
    let asking = WorkRequest { machine: &reference, report: &report, renderer: &state.houses.runs };
    let offer = tokio::select! {
        offer = state.houses.runs.await_job(&caller, &asking) => offer?,
        () = state.shutdown.cancelled() => None,
    };
    match offer {
        Some(offer) => answer(&offer),
        None => Ok((StatusCode::NO_CONTENT, [(RETRY_AFTER, ASK_AGAIN_SECONDS)]).into_response()),
    }
}

async fn report(
    State(state): State<ApiState>,
    Path(reference): Path<String>,
    Extension(caller): Extension<Caller>,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, ApiError> {
    let report: JobReport = body::read_as(&headers, body).await?;
    let job = state.houses.runs.report_job(&caller, &reference, &report).await?;
    let view = state.houses.objects.show(&job).await?;
    Ok(body::object(StatusCode::OK, &view))
}

async fn write_log(
    State(state): State<ApiState>,
    Path(reference): Path<String>,
    (Extension(caller), Extension(query)): (Extension<Caller>, Extension<UrlQuery>),
    (headers, body): (HeaderMap, Body),
) -> Result<Response, ApiError> {
    let offset = query.get_as::<u64>("offset", "a number of bytes")?;
    let offset =
        offset.ok_or_else(|| Error::BadRequest("give `offset`, where the piece begins".to_owned()))?;
    let piece = body::read_bytes(&headers, body, LOG_PIECE_BYTES_MAX).await?;
    let end = state.houses.runs.write_job_log(&caller, &reference, (offset, piece)).await?;
    answer(&end)
}

async fn read_log(
    State(state): State<ApiState>,
    Path(reference): Path<String>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let offset = query.get_as::<u64>("offset", "a number of bytes")?.unwrap_or(0);
    let limit = query.get_as::<u32>("limit", "a number of bytes")?;
    let most = limit.unwrap_or(u32::MAX).min(LOG_PIECE_BYTES_MAX as u32);
    let bytes = state.houses.runs.read_job_log(&caller, &reference, (offset, most)).await?;
    Ok(([(CONTENT_TYPE, OCTETS)], bytes).into_response())
}

async fn renew(
    State(state): State<ApiState>,
    Path(reference): Path<String>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    answer(&state.houses.access.renew_agent_token(&caller, &reference).await?)
}

async fn reissue(
    State(state): State<ApiState>,
    Path(reference): Path<String>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    answer(&state.houses.access.reissue_agent_token(&caller, &reference).await?)
}
