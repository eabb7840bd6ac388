//! Previews of a boot: explain, files, render.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};

use super::ApiState;
use super::body;
use super::error::ApiError;
use super::operation::{Operation, QueryParameter, QueryPlace, number, text};
use super::query::UrlQuery;
use super::resources::ROOT;
use super::schema;
use crate::houses::Houses;
use crate::insight::explain::{ExplainQuestion, ExplainRequest, ExplainResult, ExplainSubject};
use crate::insight::explain_packet::{PacketExplanation, PacketQuestion};
use crate::insight::preflight::PreflightScope;
use crate::insight::preview::{FileRow, ParamRow, ParamScope, PreviewRequest, PreviewResult};
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::{Mac, Problem};

/// The files of a machine.
#[derive(Serialize, JsonSchema)]
struct FileList {
    items: Vec<FileRow>,
}

/// The params of a machine.
#[derive(Serialize, JsonSchema)]
struct MachineParams {
    params: BTreeMap<String, ParamRow>,
}

pub fn operations() -> Vec<Operation> {
    let of_machine = Operation::get(format!("{ROOT}/machines/{{ref}}/explain"), "explain_machine")
        .summary("The answer that the machine would get now, and why")
        .refuses(&[400, 404])
        .runs(explain_machine);
    let anybody = Operation::get(format!("{ROOT}/explain"), "explain")
        .summary("The answer that a client would get now, and why")
        .query_parameter(QueryParameter {
            name: "who",
            about: "One of the three.",
            schema: somebody(),
            place: QueryPlace::Spread,
        })
        .refuses(&[400, 404])
        .runs(explain);
    let files = Operation::get(format!("{ROOT}/machines/{{ref}}/files"), "files_of_machine")
        .summary("Every path that the machine may fetch under its capability, and whether it may now")
        .answers(200, "The paths.", schema::of::<FileList>)
        .refuses(&[404])
        .runs(files);
    let render = Operation::post(format!("{ROOT}/render"), "render")
        .summary("Render a document as a machine would get it; secret params stay sealed")
        .description(
            "An `inline` text needs the scope `templates:write` besides; without it the answer is 403, as it \
             is for each kind of object in `content` without the scope to write it. Nothing is saved. \
             `lines` says of each line which template and line it comes from, and which params, of which \
             levels, it shows. The URLs in a preview open nothing: in place of the machine's capability they \
             have the word `preview`. A render that reaches a limit of time, memory, loops or output is \
             answered with 422 and the limit; 503 means that no render worker was free.",
        )
        .takes(preview_schema)
        .answers(200, "The document, and its sources.", schema::of::<PreviewResult>)
        .refuses(&[400, 404, 413, 415, 422])
        .runs(render);
    let params = Operation::get(format!("{ROOT}/machines/{{ref}}/params"), "params_of_machine")
        .summary("The params of a machine, with the level that each value comes from")
        .query("aggregate", json!({"type": "boolean"}), "Those of all levels, not only the machine's own.")
        .query(
            "explain",
            json!({"type": "boolean"}),
            "Those of all levels, each with the value of each level.",
        )
        .answers(200, "The params by name.", schema::of::<MachineParams>)
        .refuses(&[400, 404])
        .runs(params);
    let explained = [of_machine, anybody].map(|operation| {
        operation
            .query("stage", stages(), "The program that asks; `firmware` by default.")
            .query(
                "arch",
                number(0, u64::from(u16::MAX)),
                "The architecture code that it sends (DHCP option 93).",
            )
            .query("vendor_class", text(), "The vendor class that it sends (option 60).")
            .query("user_class", text(), "A user class that it sends (option 77).")
            .answers(
                200,
                "The verdict, the answer, the rules in their order, the client classes and the DHCP options.",
                schema::of::<ExplainResult>,
            )
    });
    let all = explained.into_iter().chain([of_packet(), files, params, render]);
    all.map(|operation| operation.tag("machines").needs(RequiredScope::Read("machines"))).collect()
}

/// Explains a packet that somebody pasted.
fn of_packet() -> Operation {
    Operation::post(format!("{ROOT}/explain/packet"), "explain_packet")
        .summary("The answer that a packet would get now, with each option, and why")
        .description(
            "The packet is hex, a hex dump or text, of a DISCOVER, REQUEST, INFORM … of a client. Nothing is \
             written, held or sent. The URL of a boot script has the word `preview` in place of the \
             machine's capability.",
        )
        .takes(schema::of::<PacketQuestion>)
        .answers(200, "The packet, the rules and the reply.", schema::of::<PacketExplanation>)
        .refuses(&[400, 413, 415, 422])
        .runs(explain_packet)
}

/// Who is asked about: a MAC address, a machine or an IP address.
fn somebody() -> Value {
    json!({
        "type": "object",
        "properties": {
            "mac": {
                "type": "string",
                "pattern": "^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$",
                "description": "A MAC address.",
            },
            "machine": {"type": "string", "description": "A machine's id, or `name:web1`."},
            "address": {"type": "string", "format": "ipv4", "description": "An IP address."},
        },
        "oneOf": schema::one_of(&["mac", "machine", "address"]),
        "additionalProperties": false,
    })
}

/// Exactly one text is rendered.
fn preview_schema(generator: &mut SchemaGenerator) -> Value {
    let rule = schema::one_of(&["file", "template", "inline"]);
    schema::with_rules::<PreviewRequest>(generator, &[("oneOf", rule)])
}

fn stages() -> Value {
    json!({"enum": ["firmware", "http_firmware", "ipxe", "script"]})
}

async fn explain_machine(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    decision((&state, caller), ExplainSubject::Machine(reference), &query).await
}

async fn explain(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let mac = query.get_as::<Mac>("mac", "a MAC address")?.map(ExplainSubject::Mac);
    let machine = query.get("machine").map(|reference| ExplainSubject::Machine(reference.to_owned()));
    let address = query.get_as::<IpAddr>("address", "an IP address")?.map(ExplainSubject::Address);
    let mut given = [mac, machine, address].into_iter().flatten();
    let (Some(who), None) = (given.next(), given.next()) else {
        return Err(Error::BadRequest("say who: one of `mac`, `machine`, `address`".to_owned()).into());
    };
    decision((&state, caller), who, &query).await
}

async fn explain_packet(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let asked: PacketQuestion = body::read_as(&headers, body).await?;
    shown(&state, move |houses| houses.insight.explain_packet(&caller, &asked)).await
}

async fn decision(
    (state, caller): (&ApiState, Caller),
    who: ExplainSubject,
    query: &UrlQuery,
) -> Result<Response, ApiError> {
    let question = match query.get("stage") {
        None => ExplainQuestion::default(),
        Some(stage) => serde_json::from_value(Value::from(stage)).map_err(|_| {
            let known = "firmware, http_firmware, ipxe or script";
            Error::BadRequest(format!("`stage` is one of {known}, not `{stage}`"))
        })?,
    };
    let arch = query.get_as::<u16>("arch", "an architecture code")?;
    let asks = ExplainRequest {
        question,
        arch,
        vendor_class: query.get("vendor_class").map(str::to_owned),
        user_class: query.get("user_class").map(str::to_owned),
    };
    let faults = start_faults((state, &caller), &who).await?;
    shown(state, move |houses| {
        let explained = houses.insight.explain(&caller, &who, &asks)?;
        Ok(ExplainResult { start_faults: faults, ..explained })
    })
    .await
}

/// The faults of a start of the machine's own workflow. What was not found out in time is left out.
async fn start_faults(
    (state, caller): (&ApiState, &Caller),
    who: &ExplainSubject,
) -> Result<Vec<Problem>, Error> {
    let ExplainSubject::Machine(reference) = who else { return Ok(Vec::new()) };
    match state.houses.insight.preflight(caller, (reference, &PreflightScope::NextStart)).await {
        Err(Error::Busy(_)) => Ok(Vec::new()),
        found => found.map(|found| found.faults),
    }
}

/// Answers with what is worked out on a thread that nothing else waits for: what it is made of is as large as
/// its writers chose.
pub(super) async fn shown<T: Serialize + Send + 'static>(
    state: &ApiState,
    work: impl FnOnce(&Houses) -> Result<T, Error> + Send + 'static,
) -> Result<Response, ApiError> {
    let houses = Arc::clone(&state.houses);
    let body = state.houses.objects.lanes.reads.run(move || {
        let shown = work(&houses)?;
        serde_json::to_value(&shown).map_err(|error| Error::Failed(error.to_string()))
    });
    Ok(body::json(StatusCode::OK, &body.await??))
}

async fn files(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
) -> Result<Response, ApiError> {
    shown(&state, move |houses| houses.insight.files(&caller, &reference).map(|items| FileList { items }))
        .await
}

async fn params(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let scope = match query.get_as::<bool>("aggregate", "`true` or `false`")? {
        Some(true) => ParamScope::AllLevels,
        _ => ParamScope::Machine,
    };
    let explain = query.get_as::<bool>("explain", "`true` or `false`")? == Some(true);
    shown(&state, move |houses| {
        let params = match explain {
            true => houses.insight.param_levels(&caller, &reference),
            false => houses.insight.params(&caller, &reference, scope),
        };
        params.map(|params| MachineParams { params })
    })
    .await
}

async fn render(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let preview: PreviewRequest = body::read_as(&headers, body).await?;
    Ok(body::json(StatusCode::OK, &json!(state.houses.insight.preview(&caller, preview).await?)))
}
