//! What keeps a bad template from taking the server with it.

use std::time::{Duration, Instant};

use super::*;
use crate::render::compile::{COMPONENT_DEPTH_MAX, INCLUDE_DEPTH_MAX};
use crate::render::pool::{STUCK_MAX, THREADS_MAX};
use crate::render::problem::ProblemKind;

/// Loops over one list inside itself: takes no fuel, calls nothing, writes nothing. Runs for a second
/// or more, far beyond the deadline of these tests.
fn endless() -> String {
    let laps = if cfg!(debug_assertions) { 80 } else { 200 };
    let opened: String = ["a", "b", "c", "d"].map(|name| format!("{{% for {name} in l %}}")).concat();
    format!("{{% set l = range(end={laps}) %}}{opened}{}", "{% endfor %}".repeat(4))
}

fn short() -> Limits {
    Limits { deadline: Duration::from_millis(50), ..Limits::default() }
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

#[test]
fn an_output_of_exactly_the_bound_passes() {
    let engine = engine(&[("t", "12345678")]);
    let limits = |output_bytes_max| Limits { output_bytes_max, ..Limits::default() };
    assert_eq!(engine.render("t", input(), limits(8)).unwrap().text, "12345678");
    assert_eq!(engine.render("t", input(), limits(7)).unwrap_err().kind, ProblemKind::Limit);
}

#[test]
fn functions_stop_a_render_whose_time_is_up_and_give_the_line() {
    let body = "{% set l = range(end=1000) %}{% for a in l %}{% for b in l %}\n\
                {% set x = has_param(name=\"x\") %}{% endfor %}{% endfor %}";
    let engine = engine(&[("t", body)]);
    let limits =
        Limits { deadline: Duration::from_millis(20), output_bytes_max: usize::MAX, ..Limits::default() };
    let problem = engine.render("t", input(), limits).unwrap_err();
    assert_eq!((problem.kind, problem.line), (ProblemKind::Limit, Some(2)), "{problem}");
}

#[test]
fn a_render_that_cannot_be_stopped_is_given_up_and_its_thread_replaced() {
    let pool = Arc::new(Pool::new(1).unwrap());
    let (engine, broken) = Engine::compile(&pool, [("endless", endless().as_str()), ("fine", "fine")]);
    assert!(broken.is_empty());
    let asked = Instant::now();
    let problem = engine.render("endless", input(), short()).unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!((problem.kind, problem.template.as_str()), (ProblemKind::Limit, "endless"));
    assert_eq!(pool.stuck(), 1);
    assert_eq!(engine.render("fine", input(), Limits::default()).unwrap().text, "fine");
}

#[test]
fn when_every_thread_is_stuck_renders_are_refused_at_once_and_later_work_again() {
    let pool = Arc::new(Pool::new(1).unwrap());
    let (engine, _) = Engine::compile(&pool, [("fine", "fine")]);
    let mut gates = Vec::new();
    for _ in 0..=STUCK_MAX {
        let (gate, opened) = std::sync::mpsc::channel::<()>();
        gates.push(gate);
        let unfinished = Err(RenderProblem::new(ProblemKind::Template, "endless", "nobody reads this"));
        let problem = pool
            .run("endless", Instant::now(), move || opened.recv().map_or(unfinished, |()| unreachable!()));
        assert_eq!(problem.unwrap_err().kind, ProblemKind::Limit);
    }
    assert_eq!(pool.stuck(), STUCK_MAX + 1);
    let asked = Instant::now();
    let problem = engine.render("fine", input(), Limits::default()).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Busy);
    assert!(problem.message.contains("endless"), "{problem}");
    assert!(asked.elapsed() < Duration::from_millis(500));
    drop(gates);
    let given_up = Instant::now() + Duration::from_secs(60);
    while pool.stuck() > 0 {
        assert!(Instant::now() < given_up, "no thread came back");
        std::thread::yield_now();
    }
    assert_eq!(engine.render("fine", input(), Limits::default()).unwrap().text, "fine");
}

#[test]
fn a_render_that_waits_too_long_for_a_thread_is_told_so_and_never_started() {
    let pool = Arc::new(Pool::new(1).unwrap());
    let (gate, opened) = std::sync::mpsc::channel::<()>();
    let (engine, _) = Engine::compile(&pool, [("fine", "fine")]);
    let holding = Arc::clone(&pool);
    let (started, has_started) = std::sync::mpsc::channel();
    let holder = std::thread::spawn(move || {
        let rendered = Err(RenderProblem::new(ProblemKind::Template, "slow", "slow"));
        holding.run("slow", Instant::now() + Duration::from_secs(60), move || {
            started.send(()).unwrap();
            opened.recv().unwrap();
            rendered
        })
    });
    has_started.recv().unwrap();
    let problem = engine.render("fine", input(), short()).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Busy, "{problem}");
    gate.send(()).unwrap();
    assert_eq!(holder.join().unwrap().unwrap_err().message, "slow");
    assert_eq!(engine.render("fine", input(), Limits::default()).unwrap().text, "fine");
}

#[test]
fn a_panic_in_a_render_is_a_problem_and_the_thread_lives_on() {
    let pool = Arc::new(Pool::new(1).unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    let problem = pool.run("t", deadline, || panic!("a fault of the engine")).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Template);
    let (engine, _) = Engine::compile(&pool, [("fine", "fine")]);
    assert_eq!(engine.render("fine", input(), Limits::default()).unwrap().text, "fine");
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
    let (engine, broken) = Engine::compile(&pool(), templates);
    assert!(broken.is_empty(), "{broken:?}");
    let limits = Limits { deadline: Duration::from_secs(20), ..Limits::default() };
    assert_eq!(engine.render(&format!("i{top}"), input(), limits).unwrap().text, "bottom");
}

#[test]
fn a_component_below_which_includes_nest_deeper_is_refused() {
    let (_, broken) = Engine::compile(&pool(), recursive_component(COMPONENT_DEPTH_MAX));
    assert!(broken[0].1.message.contains("components may have 8"), "{}", broken[0].1);
    let user = &broken.iter().find(|(name, _)| name == "t01").unwrap().1;
    assert!(user.message.contains("component `Deep` of template `c`, which is broken"), "{user}");
}

#[test]
fn a_pool_has_at_least_one_thread_and_at_most_its_bound() {
    for threads in [0, THREADS_MAX * 10] {
        let pool = Arc::new(Pool::new(threads).unwrap());
        let (engine, _) = Engine::compile(&pool, [("t", "x")]);
        assert_eq!(engine.render("t", input(), Limits::default()).unwrap().text, "x");
    }
}
