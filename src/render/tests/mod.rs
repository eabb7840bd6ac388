//! The promises of rendering, tested through [`Engine`](crate::render::Engine) as callers use it.

mod compiling;
mod functions;
mod limits;
mod rendering;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::render::{
    Callbacks, Engine, Input, Layer, Level, Limits, Params, Pool, RenderProblem, Rendered, SecretAccess,
};

fn pool() -> Arc<Pool> {
    static POOL: OnceLock<Arc<Pool>> = OnceLock::new();
    Arc::clone(POOL.get_or_init(|| Arc::new(Pool::of_tests(2))))
}

/// An engine of which every template must be usable.
fn engine(templates: &[(&str, &str)]) -> Engine {
    let (engine, broken) = Engine::compile(&pool(), templates.iter().copied());
    assert!(broken.is_empty(), "{broken:?}");
    engine
}

fn layer(level: Level, values: Value) -> Layer {
    Layer::new(level, values.as_object().unwrap().clone())
}

fn params(access: SecretAccess) -> Params {
    let layers = vec![
        layer(Level::Machine, json!({"disk": "/dev/sda", "packages": ["vim"]})),
        layer(Level::Profile("web".into()), json!({"root_password": "s3cret-Pa55", "packages": ["nginx"]})),
        layer(Level::Global, json!({"ntp_servers": ["10.0.0.1"], "packages": ["curl"]})),
        layer(Level::Default, json!({"timezone": "UTC", "disk": "auto"})),
    ];
    Params::new(layers, BTreeSet::from(["root_password".to_owned()]), access)
}

fn input() -> Input {
    let variables = json!({
        "machine": {"name": "web1", "macs": ["52:54:00:aa:00:01"], "address": "10.0.0.5"},
        "bootenv": {"name": "debian-12-install"},
    });
    Input {
        variables: variables.as_object().unwrap().clone(),
        params: params(SecretAccess::Sealed),
        callbacks: Some(Callbacks { base: "http://10.0.0.1:8080/m/c4p".into() }),
        repositories: Vec::new(),
        agent_token: None,
        salt_seed: "0198f000-0000-7000-8000-000000000001".into(),
    }
}

fn input_with_open_secrets() -> Input {
    Input { params: params(SecretAccess::Open), ..input() }
}

fn render(body: &str) -> Result<Rendered, RenderProblem> {
    engine(&[("t", body)]).render("t", input(), Limits::default())
}

#[track_caller]
fn text(body: &str) -> String {
    render(body).unwrap_or_else(|problem| panic!("{problem}")).text
}

#[track_caller]
fn problem(body: &str) -> RenderProblem {
    render(body).expect_err("the render should fail")
}
