//! Tests of which templates of a set are usable, and of the problems of the others.

use super::*;
use crate::render::compile;
use crate::render::problem::ProblemKind;

/// Compiles a set with broken templates; returns the usable names and the problems.
fn compile(templates: &[(&str, &str)]) -> (RenderEngine, Vec<(String, RenderProblem)>) {
    RenderEngine::compile(&pool(), templates.iter().copied())
}

fn only_problem(templates: &[(&str, &str)]) -> RenderProblem {
    let (_, mut broken) = compile(templates);
    assert_eq!(broken.len(), 1, "{broken:?}");
    broken.remove(0).1
}

#[test]
fn a_broken_template_gives_its_line_and_column() {
    let problem = only_problem(&[("net.ks", "network\n  --device={{ machine. }}\n")]);
    assert_eq!((problem.template.as_str(), problem.line), ("net.ks", Some(2)), "{problem}");
    assert!(problem.column.unwrap() > 10, "{problem}");
}

#[test]
fn one_broken_template_leaves_the_others_usable() {
    let (engine, broken) = compile(&[
        ("a", "{% include \"b\" %}!"),
        ("b", "fine"),
        ("c", "{% if %}"),
        ("d", "{{ 1 | no_such_filter }}"),
        ("e", "{{ no_such_function() }}"),
    ]);
    let names: Vec<_> = broken.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["c", "d", "e"]);
    assert_eq!(engine.names(), ["a", "b"]);
    assert_eq!(engine.render("a", input(), RenderLimits::default()).unwrap().text, "fine!");
}

#[test]
fn an_unknown_filter_is_named_with_its_place() {
    let problem = only_problem(&[("a", "one\n{{ machine | no_such_filter }}")]);
    assert_eq!((problem.line, problem.template.as_str()), (Some(2), "a"));
    assert!(problem.message.contains("`no_such_filter`"), "{problem}");
}

#[test]
fn what_includes_a_broken_template_is_broken_and_says_which_include_and_why() {
    let (engine, broken) = compile(&[
        ("base.ks", "%packages\n{% include \"packages.ks\" %}"),
        ("packages.ks", "{% include \"bad.ks\" %}"),
        ("bad.ks", "{% for %}"),
        ("other.ks", "fine"),
    ]);
    assert_eq!(engine.names(), ["other.ks"]);
    let base = &broken.iter().find(|(name, _)| name == "base.ks").unwrap().1;
    assert_eq!((base.line, base.column), (Some(2), Some(1)));
    assert!(base.message.contains("`packages.ks`"), "{base}");
    assert!(base.message.contains("bad.ks:1:"), "{base}");
    let again = engine.render("base.ks", input(), RenderLimits::default()).unwrap_err();
    assert_eq!(&again, base);
}

#[test]
fn a_missing_include_names_the_nearest_template() {
    let problem = only_problem(&[("a", "x\n {% include \"snippets/netwrok\" %}"), ("snippets/network", "")]);
    assert_eq!((problem.line, problem.column), (Some(2), Some(2)));
    assert!(problem.message.contains("`snippets/netwrok`"), "{problem}");
    assert!(problem.message.contains("Did you mean `snippets/network`?"), "{problem}");
}

#[test]
fn a_circle_of_includes_is_refused_and_spelt_out() {
    let (engine, broken) = compile(&[
        ("a", "{% include \"b\" %}"),
        ("b", "{% include \"a\" %}"),
        ("user", "{% include \"a\" %}"),
        ("fine", ""),
    ]);
    assert_eq!(engine.names(), ["fine"]);
    assert_eq!(broken.len(), 3);
    assert!(broken[0].1.message.contains("a → b → a"), "{}", broken[0].1);
}

#[test]
fn a_chain_of_400_includes_is_refused_and_its_shallow_end_stays_usable() {
    let chain: Vec<(String, String)> = (0..400)
        .map(|n| {
            (
                format!("t{n:03}"),
                if n == 0 { "end".into() } else { format!("{{% include \"t{:03}\" %}}", n - 1) },
            )
        })
        .collect();
    let (engine, broken) = RenderEngine::compile(&pool(), chain);
    assert_eq!((engine.names().len(), broken.len()), (32, 368));
    assert_eq!(engine.render("t031", input(), RenderLimits::default()).unwrap().text, "end");
    let refused = engine.render("t399", input(), RenderLimits::default()).unwrap_err();
    assert!(refused.message.contains("400 templates deep"), "{refused}");
}

#[test]
fn a_component_defined_in_a_later_template_is_found_beside_broken_ones() {
    let (engine, broken) = compile(&[
        ("a", "{{ <Disk name=\"sda\" /> }}"),
        ("b", "{% include \"a\" %}"),
        ("broken", "{% if %}"),
        ("broken too", "{{ 1 | no_such_filter }}"),
        ("z", "{% component Disk(name) %}[{{ name }}]{% endcomponent %}"),
    ]);
    assert_eq!(broken.len(), 2, "{broken:?}");
    let rendered = engine.render("b", input(), RenderLimits::default()).unwrap();
    assert_eq!(rendered.text, "[sda]");
    let templates: Vec<_> = rendered.provenance.templates.iter().map(|used| used.name.as_str()).collect();
    assert_eq!(templates, ["a", "b", "z"]);
}

#[test]
fn a_component_defined_twice_breaks_the_second_definition_only() {
    let body = "{% component Disk(name) %}{{ name }}{% endcomponent %}";
    let problem = only_problem(&[("a", body), ("b", body)]);
    assert_eq!(problem.template, "b");
    assert!(problem.message.contains("`a`"), "{problem}");
}

#[test]
fn a_dump_of_all_variables_is_refused_because_its_order_changes() {
    assert!(only_problem(&[("a", "{{ __tera_context }}")]).message.contains("not allowed"));
}

#[test]
fn an_unknown_template_names_its_neighbour() {
    let engine = engine(&[("kickstart/base.ks", "")]);
    let problem = engine.render("kickstart/bsae.ks", input(), RenderLimits::default()).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Template);
    assert!(problem.message.contains("`kickstart/base.ks`"), "{problem}");
}

/// Templates of which `count` are broken in one way, beside as many that are not.
fn half_broken(count: usize, broken: impl Fn(usize) -> String) -> Vec<(String, String)> {
    let fine = (0..count).map(|n| (format!("fine-{n:04}"), format!("{{{{ machine.name }}}}{n}")));
    fine.chain((0..count).map(|n| (format!("broken-{n:04}"), broken(n)))).collect()
}

/// What is wrong with a template, and its text by its number.
type BrokenBody = (&'static str, fn(usize) -> String);

#[test]
fn the_work_that_broken_templates_cause_grows_with_their_number_and_not_with_its_square() {
    let ways: [BrokenBody; 7] = [
        ("syntax", |_| "{% if %}".into()),
        ("filter", |_| "{{ 1 | no_such_filter }}".into()),
        ("include of nothing", |n| format!("{{% include \"none-{n}\" %}}")),
        ("include of a broken one", |n| match n {
            0 => "{{ no_such_function() }}".into(),
            n => format!("{{% include \"broken-{:04}\" %}}", (n - 1) / 25),
        }),
        ("component that is nowhere", |n| format!("{{{{ <None{n} /> }}}}")),
        ("component of a broken one", |n| {
            let needs =
                if n == 0 { "{{ 1 | no_such_filter }}".into() } else { format!("{{{{ <C{} /> }}}}", n - 1) };
            format!("{{% component C{n}() %}}{needs}{{% endcomponent %}}")
        }),
        ("circle", |n| format!("{{% include \"broken-{:04}\" %}}", (n + 1) % 200)),
    ];
    for (what, broken) in ways {
        let given = |count: usize| {
            let set = compile::compile(half_broken(count, broken).into_iter().map(Into::into));
            assert_eq!((set.known.len(), set.broken.len()), (count, count), "{what}");
            let said: usize = set.broken.values().map(|problem| problem.message.len()).sum();
            (set.given, said / count)
        };
        let ((few, _), (many, said)) = (given(200), given(400));
        assert!(many <= 2 * few + few / 10, "{what}: {few} for 200, {many} for 400");
        assert!(many <= 40 * 800, "{what}: {many}");
        assert!(said < 1000, "{what}: {said} bytes are said of each");
    }
}
