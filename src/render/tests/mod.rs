//! Tests of rendering through [`RenderEngine`](crate::render::RenderEngine), as callers use it.

mod compiling;
mod functions;
mod inheritance;
mod language;
mod limits;
mod marks;
mod optional;
mod page;
mod rendering;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::render::{
    CallbackUrls, LayeredParams, ParamLayer, ParamLevel, RenderEngine, RenderInput, RenderLimits, RenderPool,
    RenderProblem, RenderedText, SecretAccess,
};

fn pool() -> Arc<RenderPool> {
    static POOL: OnceLock<Arc<RenderPool>> = OnceLock::new();
    Arc::clone(POOL.get_or_init(|| Arc::new(RenderPool::of_tests(2))))
}

/// An engine whose templates must all be usable.
fn engine(templates: &[(&str, &str)]) -> RenderEngine {
    let (engine, broken) = RenderEngine::compile(&pool(), templates.iter().copied());
    assert!(broken.is_empty(), "{broken:?}");
    engine
}

fn layer(level: ParamLevel, values: Value) -> ParamLayer {
    ParamLayer::new(level, values.as_object().unwrap().clone())
}

fn params(access: SecretAccess) -> LayeredParams {
    let layers = vec![
        layer(ParamLevel::Machine, json!({"disk": "/dev/sda", "packages": ["vim"]})),
        layer(
            ParamLevel::Profile("web".into()),
            json!({"root_password": "s3cret-Pa55", "packages": ["nginx"]}),
        ),
        layer(ParamLevel::Global, json!({"ntp_servers": ["10.0.0.1"], "packages": ["curl"]})),
        layer(ParamLevel::Default, json!({"timezone": "UTC", "disk": "auto"})),
    ];
    LayeredParams::new(layers, BTreeSet::from(["root_password".to_owned()]), access)
}

fn input() -> RenderInput {
    let variables = json!({
        "machine": {"name": "web1", "macs": ["52:54:00:aa:00:01"], "address": "10.0.0.5"},
        "bootenv": {"name": "debian-12-install"},
    });
    RenderInput {
        variables: variables.as_object().unwrap().clone(),
        params: params(SecretAccess::Sealed),
        callbacks: Some(CallbackUrls { base: "http://10.0.0.1:8080/m/c4p".into() }),
        repositories: Vec::new(),
        agent_token: None,
        salt_seed: "0198f000-0000-7000-8000-000000000001".into(),
        now: "2026-11-30T14:05:00Z".parse().unwrap(),
    }
}

fn input_with_open_secrets() -> RenderInput {
    RenderInput { params: params(SecretAccess::Open), ..input() }
}

fn render(body: &str) -> Result<RenderedText, RenderProblem> {
    engine(&[("t", body)]).render("t", input(), RenderLimits::default())
}

#[track_caller]
fn text(body: &str) -> String {
    render(body).unwrap_or_else(|problem| panic!("{problem}")).text
}

#[track_caller]
fn problem(body: &str) -> RenderProblem {
    render(body).expect_err("the render should fail")
}
