//! How many documents a render worker makes in a second, and how long one takes: a kickstart of 600
//! expressions, as machines get it, and with the origins of its lines, as previews have it.
//!
//! `cargo bench --locked --bench renders` prints Markdown. The worker is the program as it ships.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use metalwright::render::{
    CallbackUrls, LaneCounts, LayeredParams, ParamLayer, ParamLevel, PoolUse, RenderEngine, RenderInput,
    RenderLimits, RenderPool, SecretAccess, WorkerProgram,
};

const EXPRESSIONS: usize = 600;
/// Renders of one measurement, and those before it that are not counted.
const RENDERS: usize = 2_000;
const WARM_UP: usize = 100;
/// Measurements of each kind; they take turns.
const ROUNDS: usize = 3;
/// Longest time of one measurement.
const MEASURE_MAX: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let program = WorkerProgram::at(env!("CARGO_BIN_EXE_metalwright"));
    let lanes = LaneCounts { usual: 1, most: 1 };
    let pool = Arc::new(RenderPool::new(program, lanes, PoolUse::Boots));
    let (engine, broken) = RenderEngine::compile(&pool, templates());
    ensure!(broken.is_empty(), "{broken:?}");
    let input = input()?;
    let text = engine.render("kickstart", &input, RenderLimits::default())?.text;
    let traced = engine.clone().traced();
    let rendered = traced.render("kickstart", &input, RenderLimits::default())?;
    ensure!(rendered.text == text, "a trace changes the document");
    println!("{EXPRESSIONS} expressions, {} lines, {} bytes", text.lines().count(), text.len());
    ensure!(rendered.lines.len() == text.lines().count(), "each line has an origin");
    println!("\n| render | per second | median | p99 |\n|---|---:|---:|---:|");
    for round in 1..=ROUNDS {
        for (what, engine) in [("plain", &engine), ("with origins", &traced)] {
            let mut times = measure(engine, &input)?;
            times.sort_unstable();
            let all: Duration = times.iter().sum();
            let rate = times.len() as f64 / all.as_secs_f64();
            let at =
                |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
            println!("| {what}, round {round} | {rate:.0} | {:.2} ms | {:.2} ms |", at(50), at(99));
        }
    }
    Ok(())
}

fn measure(engine: &RenderEngine, input: &RenderInput) -> Result<Vec<Duration>> {
    let ends = Instant::now() + MEASURE_MAX;
    let mut times = Vec::with_capacity(RENDERS);
    for number in 0..WARM_UP + RENDERS {
        let begun = Instant::now();
        engine.render("kickstart", input, RenderLimits::default())?;
        if number >= WARM_UP {
            times.push(begun.elapsed());
        }
        if Instant::now() > ends && !times.is_empty() {
            break;
        }
    }
    Ok(times)
}

/// A kickstart with an include, loops and conditions around its expressions.
fn templates() -> Vec<(String, String)> {
    let line = |number: usize| match number % 4 {
        0 => format!("option{number} --name={{{{ machine.name | sh }}}}\n"),
        1 => format!("option{number} {{{{ param(name=\"value{}\") }}}}\n", number % 50),
        2 => format!("option{number} {{{{ param(name=\"none{number}\", default=\"{number}\") | upper }}}}\n"),
        _ => format!("{{% if machine.arch == \"amd64\" %}}option{number} {{{{ zone }}}}{{% endif %}}\n"),
    };
    let (first, second) = (0..EXPRESSIONS).partition::<Vec<_>, _>(|number| *number < EXPRESSIONS / 2);
    let first: String = first.into_iter().map(line).collect();
    let second: String = second.into_iter().map(line).collect();
    let body = format!(
        "{{% set zone = param(name=\"timezone\") %}}{first}{{% include \"second\" %}}%packages\n\
         {{% for one in compose(name=\"packages\") -%}}\n{{{{ one }}}}\n{{% endfor -%}}\n%end\n"
    );
    vec![("kickstart".to_owned(), body), ("second".to_owned(), second)]
}

fn input() -> Result<RenderInput> {
    let values: serde_json::Map<String, Value> =
        (0..50).map(|number| (format!("value{number}"), json!(format!("text {number}")))).collect();
    let layer =
        |level, values: Value| ParamLayer::new(level, values.as_object().cloned().unwrap_or_default());
    let layers = vec![
        layer(ParamLevel::Machine, json!({"packages": ["vim"]})),
        layer(ParamLevel::Profile("web".into()), json!({"timezone": "Europe/Berlin", "packages": ["nginx"]})),
        ParamLayer::new(ParamLevel::Global, values.clone()),
        ParamLayer::new(ParamLevel::Default, values),
    ];
    let variables = json!({"machine": {"name": "web1", "arch": "amd64"}});
    Ok(RenderInput {
        variables: variables.as_object().cloned().unwrap_or_default(),
        params: LayeredParams::new(layers, BTreeSet::new(), SecretAccess::Sealed),
        callbacks: Some(CallbackUrls { base: "http://10.0.0.1:8080/m/c4p".into() }),
        repositories: Vec::new(),
        agent_token: None,
        salt_seed: "0198f000-0000-7000-8000-000000000001".into(),
        now: "2026-11-30T14:05:00Z".parse()?,
    })
}
