//! Tests that a bad template cannot take the server down.

use std::time::Duration;

use super::*;
use crate::render::compile::{COMPONENT_DEPTH_MAX, INCLUDE_DEPTH_MAX};
use crate::render::pool::{LANES_MAX, SUSPECTS_AT_ONCE_MAX};
use crate::render::problem::ProblemKind;
use crate::render::{InlineText, LaneCounts, PoolHealth, PoolUse, WorkerProgram};

/// Nested loops over one list: uses no fuel, calls nothing, writes nothing. It would run for days.
fn endless() -> String {
    let opened: String = ["a", "b", "c", "d"].map(|name| format!("{{% for {name} in l %}}")).concat();
    format!("{{% set l = range(end=10000) %}}{opened}{}", "{% endfor %}".repeat(4))
}

fn short() -> RenderLimits {
    RenderLimits { deadline: Duration::from_millis(50), ..RenderLimits::default() }
}

#[test]
fn ranges_inside_ranges_run_out_of_fuel() {
    let body = "{% for a in range(end=1000) %}\n{% for b in range(end=1000) %}{% for c in range(end=1000) %}\
                {% endfor %}{% endfor %}{% endfor %}";
    let problem = problem(body);
    assert_eq!(problem.kind, ProblemKind::Limit);
    assert_eq!(problem.line, Some(2), "{problem}");
    assert!(problem.message.contains("range"), "{problem}");
}

#[test]
fn one_range_is_bounded() {
    assert_eq!(problem("{{ range(end=100001) | length }}").kind, ProblemKind::Limit);
    assert_eq!(
        problem("{{ range(start=-9223372036854775807, end=9223372036854775807) }}").kind,
        ProblemKind::Limit
    );
    assert_eq!(text("{{ range(end=100000) | length }}"), "100000");
}

#[test]
fn an_output_bomb_is_capped() {
    let body = "{% set l = range(end=10000) %}{% for a in l %}{% for b in l %}xxxxxxxxxxxxxxxx\
                {% endfor %}{% endfor %}";
    let problem = problem(body);
    assert_eq!(problem.kind, ProblemKind::Limit);
    assert!(problem.message.contains("4194304 bytes"), "{problem}");
}

/// A gigabyte that a template collects is nowhere written; the bound on memory ends it, or the deadline.
#[test]
fn a_gigabyte_that_is_collected_in_a_variable_or_a_block_ends_at_a_limit() {
    let loops =
        format!("{{% for a in l %}}{{% for b in l %}}{}{{% endfor %}}{{% endfor %}}", "x".repeat(100));
    let set =
        format!("{{% set l = range(end=4000) %}}{{% set all %}}{loops}{{% endset %}}{{{{ all | length }}}}");
    let block = format!("{{% set l = range(end=4000) %}}{{% block all %}}{loops}{{% endblock %}}");
    let child = "{% extends \"block\" %}{% block all %}{{ super() | length }}{% endblock %}".to_owned();
    let pool = one_lane();
    let (engine, broken) = RenderEngine::compile(&pool, [("set", set), ("block", block), ("child", child)]);
    assert!(broken.is_empty(), "{broken:?}");
    let limits = RenderLimits { deadline: Duration::from_secs(20), ..RenderLimits::default() };
    for name in ["set", "block", "child"] {
        let problem = engine.render(name, input(), limits).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Limit, "{name}: {problem}");
    }
}

#[test]
fn an_output_of_exactly_the_bound_passes() {
    let engine = engine(&[("t", "12345678")]);
    let limits = |output_bytes_max| RenderLimits { output_bytes_max, ..RenderLimits::default() };
    assert_eq!(engine.render("t", input(), limits(8)).unwrap().text, "12345678");
    assert_eq!(engine.render("t", input(), limits(7)).unwrap_err().kind, ProblemKind::Limit);
}

#[test]
fn functions_stop_a_render_whose_time_is_up_and_give_the_line() {
    let body = "{% set l = range(end=1000) %}{% for a in l %}{% for b in l %}\n\
                {% set x = has_param(name=\"x\") %}{% endfor %}{% endfor %}";
    let engine = engine(&[("t", body)]);
    let limits = RenderLimits {
        deadline: Duration::from_millis(300),
        output_bytes_max: usize::MAX,
        ..RenderLimits::default()
    };
    let problem = engine.render("t", input(), limits).unwrap_err();
    assert_eq!((problem.kind, problem.line), (ProblemKind::Limit, Some(2)), "{problem}");
}

fn of_lanes(usual: usize, most: usize) -> RenderPool {
    RenderPool::new(WorkerProgram::of_tests(), LaneCounts { usual, most }, PoolUse::Boots)
}

/// A pool of its own, with one lane.
fn one_lane() -> Arc<RenderPool> {
    Arc::new(RenderPool::of_tests(1))
}

#[test]
fn a_render_that_cannot_be_stopped_is_killed_and_its_worker_replaced() {
    let pool = one_lane();
    let (engine, broken) =
        RenderEngine::compile(&pool, [("endless", endless()), ("fine", "fine".to_owned())]);
    assert!(broken.is_empty());
    let problem = engine.render("endless", input(), short()).unwrap_err();
    assert_eq!((problem.kind, problem.template.as_str()), (ProblemKind::Limit, "endless"));
    assert!(problem.message.contains("50ms"), "{problem}");
    let condition = pool.condition();
    assert_eq!((condition.lost, condition.outage), ([1, 0, 0, 0], None));
    assert!(condition.warning.unwrap().contains("endless"));
    assert_eq!(engine.render("fine", input(), RenderLimits::default()).unwrap().text, "fine");
    assert_eq!(pool.condition().started, 2);
}

#[test]
fn a_text_that_is_doubled_again_and_again_ends_at_the_bound_on_memory() {
    let pool = one_lane();
    let doubled = "{% set_global s = s ~ s %}".repeat(34);
    let bomb = format!("{{% set_global s = \"aaaaaaaa\" %}}{doubled}{{{{ s | length }}}}");
    let (engine, broken) = RenderEngine::compile(&pool, [("bomb", bomb.as_str()), ("fine", "fine")]);
    assert!(broken.is_empty(), "{broken:?}");
    let limits = RenderLimits { deadline: Duration::from_secs(20), ..RenderLimits::default() };
    for problem in [
        engine.render("bomb", input(), limits),
        engine.render_inline(
            InlineText { place: "site/net.cfg", body: &bomb, verbatim: false },
            input(),
            limits,
        ),
    ] {
        let problem = problem.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Limit, "{problem}");
        assert!(problem.message.contains("128 MiB of memory"), "{problem}");
    }
    let condition = pool.condition();
    assert_eq!(condition.lost, [0, 2, 0, 0]);
    // The last one was a text of a bootenv: its place is told, and what it was for.
    let warning = condition.warning.unwrap();
    assert!(warning.contains("workers of boots") && warning.contains("site/net.cfg"), "{warning}");
    assert_eq!(engine.render("fine", input(), RenderLimits::default()).unwrap().text, "fine");
}

#[test]
fn ten_endless_renders_at_once_leave_lanes_to_the_others() {
    let pool = Arc::new(of_lanes(1, LANES_MAX));
    let (engine, _) = RenderEngine::compile(&pool, [("endless", endless()), ("fine", "fine".to_owned())]);
    let limits = RenderLimits { deadline: Duration::from_secs(20), ..RenderLimits::default() };
    let endless = RenderLimits { deadline: Duration::from_secs(5), ..RenderLimits::default() };
    std::thread::scope(|threads| {
        let running: Vec<_> =
            (0..10).map(|_| threads.spawn(|| engine.render("endless", input(), endless))).collect();
        assert_eq!(engine.render("fine", input(), limits).unwrap().text, "fine");
        for render in running {
            assert!(render.join().unwrap().is_err());
        }
    });
    assert_eq!(engine.render("fine", input(), limits).unwrap().text, "fine");
}

#[test]
fn of_what_was_ended_at_a_limit_only_two_are_tried_at_once() {
    let pool = Arc::new(of_lanes(4, 4));
    let (engine, _) = RenderEngine::compile(&pool, [("endless", endless())]);
    assert_eq!(engine.render("endless", input(), short()).unwrap_err().kind, ProblemKind::Limit);
    let slow = RenderLimits { deadline: Duration::from_secs(2), ..RenderLimits::default() };
    std::thread::scope(|threads| {
        let running: Vec<_> = (0..SUSPECTS_AT_ONCE_MAX + 1)
            .map(|_| threads.spawn(|| engine.render("endless", input(), slow).unwrap_err().kind))
            .collect();
        let kinds: Vec<ProblemKind> = running.into_iter().map(|render| render.join().unwrap()).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == ProblemKind::Busy).count(), 1, "{kinds:?}");
    });
}

#[test]
fn a_worker_renders_from_the_content_that_it_is_asked_for() {
    let pool = one_lane();
    let (engine, _) = RenderEngine::compile(&pool, [("id", "{{ machine.name }}")]);
    assert_eq!(engine.render("id", input(), RenderLimits::default()).unwrap().text, "web1");
    let (newer, _) = RenderEngine::compile(&pool, [("id", "{{ machine.address }}")]);
    assert_eq!(newer.render("id", input(), RenderLimits::default()).unwrap().text, "10.0.0.5");
    assert_eq!(engine.render("id", input(), RenderLimits::default()).unwrap().text, "web1");
    assert_eq!(pool.condition(), PoolHealth { started: 1, lanes: 1, ..PoolHealth::default() });
}

#[test]
fn where_no_worker_can_be_started_renders_are_refused_and_the_pool_says_so() {
    let pool = Arc::new(RenderPool::new(
        WorkerProgram::at("/nowhere/metalwright"),
        LaneCounts { usual: 1, most: 1 },
        PoolUse::Boots,
    ));
    let (engine, _) = RenderEngine::compile(&pool, [("fine", "fine")]);
    let problem = engine.render("fine", input(), RenderLimits::default()).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Busy, "{problem}");
    assert!(pool.condition().outage.unwrap().contains("no render worker can be started"));
}

/// A component that goes through `depth` includes before it calls itself again.
fn recursive_component(depth: usize) -> Vec<(String, String)> {
    let call = "{% if n > 0 %}{{ <Deep n={n - 1} /> }}{% endif %}";
    let component = format!("{{% component Deep(n) %}}{{% include \"t{depth:02}\" %}}{{% endcomponent %}}");
    let includes = (2..=depth).map(|n| (format!("t{n:02}"), format!("{{% include \"t{:02}\" %}}", n - 1)));
    let mut templates = vec![("c".to_owned(), component), ("t01".to_owned(), call.to_owned())];
    templates.extend(includes);
    templates
}

#[test]
fn the_deepest_recursion_there_can_be_fits_the_stack() {
    let deepest = COMPONENT_DEPTH_MAX - 1;
    let mut templates = recursive_component(deepest);
    let top = INCLUDE_DEPTH_MAX;
    templates.push(("i01".to_owned(), "{{ <Deep n={19} /> }}bottom".to_owned()));
    templates.extend((2..=top).map(|n| (format!("i{n:02}"), format!("{{% include \"i{:02}\" %}}", n - 1))));
    let (engine, broken) = RenderEngine::compile(&pool(), templates);
    assert!(broken.is_empty(), "{broken:?}");
    let limits = RenderLimits { deadline: Duration::from_secs(20), ..RenderLimits::default() };
    assert_eq!(engine.render(&format!("i{top}"), input(), limits).unwrap().text, "bottom");
}

#[test]
fn a_component_below_which_includes_nest_deeper_is_refused() {
    let (_, broken) = RenderEngine::compile(&pool(), recursive_component(COMPONENT_DEPTH_MAX));
    assert!(broken[0].1.message.contains("components may have 8"), "{}", broken[0].1);
    let user = &broken.iter().find(|(name, _)| name == "t01").unwrap().1;
    assert!(user.message.contains("component `Deep` of template `c`, which is broken"), "{user}");
}

#[test]
fn a_pool_has_at_least_one_lane() {
    let pool = Arc::new(of_lanes(0, 0));
    let (engine, _) = RenderEngine::compile(&pool, [("t", "x")]);
    assert_eq!(engine.render("t", input(), RenderLimits::default()).unwrap().text, "x");
}
