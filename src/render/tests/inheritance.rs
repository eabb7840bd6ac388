//! Tests of blocks: in a document, in what it includes, and in a template that extends another.

use std::time::Duration;

use super::*;
use crate::render::InlineText;
use crate::render::compile::{COMPONENT_DEPTH_MAX, INCLUDE_DEPTH_MAX};
use crate::render::problem::ProblemKind;

fn rendered(engine: &RenderEngine, name: &str) -> RenderedText {
    engine.render(name, input(), RenderLimits::default()).unwrap_or_else(|problem| panic!("{problem}"))
}

fn broken_of(templates: Vec<(String, String)>) -> Vec<(String, RenderProblem)> {
    RenderEngine::compile(&pool(), templates).1
}

fn owned(templates: &[(&str, &str)]) -> Vec<(String, String)> {
    templates.iter().map(|(name, body)| ((*name).to_owned(), (*body).to_owned())).collect()
}

#[test]
fn blocks_change_nothing_in_a_document_nor_in_what_it_includes() {
    let engine = engine(&[
        (
            "doc",
            "{% block before_a %}{% endblock -%}\n{% block a -%}\n{% set x = 1 -%}\n{% include \"in\" -%}\n\
                 {% endblock -%}\n{% set y %}{% block b %}<{{ x }}>{% endblock %}{% endset %}{{ y }}{{ y }}",
        ),
        ("in", "{% block a %}in {{ machine.name }} {{ x }}\n{% endblock %}"),
        ("plain", "{% set x = 1 -%}\n{% include \"in\" -%}\n{% set y %}<{{ x }}>{% endset %}{{ y }}{{ y }}"),
    ]);
    assert_eq!(rendered(&engine, "doc").text, "in web1 1\n<1><1>");
    assert_eq!(rendered(&engine, "doc").text, rendered(&engine, "plain").text);
}

#[test]
fn a_template_replaces_blocks_of_the_one_that_it_extends_and_adds_to_them() {
    let engine = engine(&[
        (
            "base",
            "one\n{% block a %}base a{% endblock %}\n{% block b %}base b{% endblock %}\n\
                  {% block c %}c{% endblock %}",
        ),
        ("middle", "{% extends \"base\" %}{% block a %}{{ super() }}, middle a{% endblock %}"),
        (
            "site",
            "{% extends \"middle\" %}{% block a %}{{ super() }}, site a{% endblock %}\
                  {% block b %}{% include \"in\" %}{% endblock %}",
        ),
        ("in", "in {{ param(name=\"disk\") }}"),
    ]);
    let document = rendered(&engine, "site");
    assert_eq!(document.text, "one\nbase a, middle a, site a\nin /dev/sda\nc");
    let names: Vec<&str> = document.provenance.templates.iter().map(|used| used.name.as_str()).collect();
    assert_eq!(names, ["base", "in", "middle", "site"]);
    assert_eq!(document.provenance.params[0].name, "disk");
    assert_eq!(rendered(&engine, "base").text, "one\nbase a\nbase b\nc");
}

#[test]
fn a_fault_in_a_block_has_the_place_of_the_template_that_it_is_written_in() {
    let engine = engine(&[
        ("base", "\n{% block a %}\n  {{ machine.nmae }}{% endblock %}"),
        ("child", "{% extends \"base\" %}\n\n\n{% block a %}{{ machine.adress }}{% endblock %}"),
        ("above", "{% extends \"base\" %}\n{% block a %}{{ super() }}{% endblock %}"),
        ("doc", "\n{% block x %}\n{% include \"base\" %}{% endblock %}"),
    ]);
    let place = |name: &str| {
        let problem = engine.render(name, input(), RenderLimits::default()).unwrap_err();
        assert!(problem.message.contains("Did you mean"), "{problem}");
        (problem.template, problem.line, problem.column, problem.included_from)
    };
    let (name, line, column, from) = place("child");
    assert_eq!((name.as_str(), line, from), ("child", Some(4), vec![]));
    assert!(column > Some(10));
    assert_eq!(place("above").0, "base");
    assert_eq!(place("above").1, Some(3));
    let (name, line, _, from) = place("doc");
    assert_eq!((name.as_str(), line, from), ("base", Some(3), vec![("doc".to_owned(), 3)]));
}

#[test]
fn a_block_that_nothing_below_has_and_one_that_comes_twice_are_refused_with_their_place() {
    let found = broken_of(owned(&[
        ("base", "{% block a %}{% endblock %}"),
        ("child", "{% extends \"base\" %}\n  {% block b %}{% endblock %}"),
        ("twice", "{% block a %}{% endblock %}\n{% block a %}{% endblock %}"),
        ("text", "{% extends \"base\" %}\nlost"),
        ("nothing", "{% extends \"bse\" %}"),
    ]));
    let problem = |name: &str| &found.iter().find(|(broken, _)| broken == name).expect(name).1;
    assert_eq!(found.len(), 4);
    assert!(problem("child").message.contains("Block `b` is not defined"), "{}", problem("child"));
    assert_eq!(problem("child").line, Some(2));
    assert_eq!(problem("twice").line, Some(2));
    assert!(problem("text").message.contains("would be ignored"), "{}", problem("text"));
    assert!(problem("nothing").message.contains("Did you mean `base`?"), "{}", problem("nothing"));
}

/// The engine's include of such a template gives its blocks without what is around them.
#[test]
fn an_include_of_a_template_that_extends_another_is_refused_and_a_computed_one_gives_it_whole() {
    let base = ("site/base", "<{% block a %}base{% endblock %}>");
    let child = ("site/child", "{% extends \"site/base\" %}{% block a %}child{% endblock %}");
    let found = broken_of(owned(&[base, child, ("doc", "\n{% include \"site/child\" %}")]));
    let [(name, problem)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((name.as_str(), problem.kind, problem.line), ("doc", ProblemKind::Template, Some(2)));
    let way_out = "{{ include_from(folder=\"site\", name=\"child\") }}";
    assert!(problem.message.contains(way_out), "{problem}");
    let engine =
        engine(&[base, child, ("doc", way_out), ("two", "{{ include_optional(name=\"site/child\") }}")]);
    assert_eq!(rendered(&engine, "doc").text, "<child>");
    assert_eq!(rendered(&engine, "two").text, "<child>");
}

#[test]
fn a_text_without_a_name_has_no_blocks() {
    let engine = engine(&[("base", "{% block a %}{% endblock %}")]);
    for (body, line) in [("x\n{% block a %}{% endblock %}", 2), ("{% extends \"base\" %}", 1)] {
        let text = InlineText { place: "debian/boot_params", body, verbatim: false };
        let problem = engine.render_inline(text, input(), RenderLimits::default()).unwrap_err();
        assert_eq!(
            (problem.template.as_str(), problem.line),
            ("debian/boot_params", Some(line)),
            "{problem}"
        );
        assert!(problem.message.contains("a template with a name"), "{problem}");
    }
}

#[test]
fn blocks_that_stand_inside_of_one_another_are_refused() {
    let base = ("base", "{% block x %}{% block y %}{% endblock %}{% endblock %}");
    let child =
        "{% extends \"base\" %}\n{% block y %}\n{% block x %}{{ super() }}{% endblock %}{% endblock %}";
    let found =
        broken_of(owned(&[base, ("child", child), ("user", "{{ include_from(folder=\"c\", name=\"x\") }}")]));
    let [(name, problem)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((name.as_str(), problem.line), ("child", Some(2)), "{problem}");
    assert!(problem.message.contains("the blocks `x`, `y` stand inside of one another"), "{problem}");
}

/// A chain of templates of which each extends the last, and adds to its block.
fn extending(count: usize) -> Vec<(String, String)> {
    let base = ("e000".to_owned(), "{% block a %}end{% endblock %}".to_owned());
    let body = |n: usize| {
        format!("{{% extends \"e{:03}\" %}}{{% block a %}}{{{{ super() }}}}.{{% endblock %}}", n - 1)
    };
    std::iter::once(base).chain((1..count).map(|n| (format!("e{n:03}"), body(n)))).collect()
}

#[test]
fn templates_that_extend_one_another_400_deep_are_refused_and_the_shallow_end_stays_usable() {
    let (engine, broken) = RenderEngine::compile(&pool(), extending(400));
    assert_eq!((engine.names().len(), broken.len()), (INCLUDE_DEPTH_MAX, 400 - INCLUDE_DEPTH_MAX));
    let deepest = rendered(&engine, &format!("e{:03}", INCLUDE_DEPTH_MAX - 1));
    assert_eq!(deepest.text, format!("end{}", ".".repeat(INCLUDE_DEPTH_MAX - 1)));
}

/// Templates that include one another, each within blocks that nest so deep.
fn nested(count: usize, blocks: usize) -> Vec<(String, String)> {
    let within = |n: usize, inside: String| {
        let opened: String = (0..blocks).map(|block| format!("{{% block b{n}_{block} %}}")).collect();
        format!("{opened}{inside}{}", "{% endblock %}".repeat(blocks))
    };
    let inside = |n: usize| if n == 0 { "end".into() } else { format!("{{% include \"n{:03}\" %}}", n - 1) };
    (0..count).map(|n| (format!("n{n:03}"), within(n, inside(n)))).collect()
}

#[test]
fn blocks_count_for_the_depth_of_includes() {
    let fine = INCLUDE_DEPTH_MAX;
    let (engine, broken) = RenderEngine::compile(&pool(), nested(fine, 1));
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(rendered(&engine, &format!("n{:03}", fine - 1)).text, "end");
    let deep = broken_of(nested(fine, 7));
    assert_eq!(deep.len(), fine - 8, "eight in eight each");
    assert!(deep[0].1.message.contains("includes and blocks nest 72 deep"), "{}", deep[0].1);
}

/// A component that goes through so many blocks before it calls itself again, below 32 includes with a block
/// each.
fn recursive_through_blocks(blocks: usize) -> Vec<(String, String)> {
    let opened: String = (0..blocks).map(|block| format!("{{% block d{block} %}}")).collect();
    let call = "{% if n > 0 %}{{ <Deep n={n - 1} /> }}{% endif %}";
    let mut templates = nested(INCLUDE_DEPTH_MAX, 1);
    templates[0].1 = "{% block b0_0 %}{{ <Deep n={19} /> }}bottom{% endblock %}".to_owned();
    templates
        .push(("c".to_owned(), "{% component Deep(n) %}{% include \"t\" %}{% endcomponent %}".to_owned()));
    templates.push(("t".to_owned(), format!("{opened}{call}{}", "{% endblock %}".repeat(blocks))));
    templates
}

#[test]
fn the_deepest_recursion_through_blocks_fits_the_stack_and_a_deeper_one_is_refused() {
    let (engine, broken) = RenderEngine::compile(&pool(), recursive_through_blocks(COMPONENT_DEPTH_MAX - 2));
    assert!(broken.is_empty(), "{broken:?}");
    let limits = RenderLimits { deadline: Duration::from_secs(20), ..RenderLimits::default() };
    let top = format!("n{:03}", INCLUDE_DEPTH_MAX - 1);
    assert_eq!(engine.render(&top, input(), limits).unwrap().text, "bottom");
    let deeper = broken_of(recursive_through_blocks(COMPONENT_DEPTH_MAX - 1));
    assert!(deeper[0].1.message.contains("nest 9 deep: a template that defines components"), "{deeper:?}");
}
