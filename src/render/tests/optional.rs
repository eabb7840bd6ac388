//! Tests of `include_optional`: a template that may be absent.

use super::*;
use crate::render::compile::INCLUDE_DEPTH_MAX;
use crate::render::included;
use crate::render::problem::ProblemKind;

const DOC: &str = "{% set x = 1 -%}\n[{{ include_optional(name=\"site/own\", with={\"n\": 7}) }}]";

fn used(document: &RenderedText) -> Vec<&str> {
    document.provenance.templates.iter().map(|used| used.name.as_str()).collect()
}

#[test]
fn a_template_that_is_absent_gives_nothing_and_is_no_fault() {
    let engine = engine(&[("doc", DOC)]);
    let document = engine.render("doc", input(), RenderLimits::default()).unwrap();
    assert_eq!((document.text.as_str(), used(&document)), ("[]", vec!["doc"]));
}

#[test]
fn one_that_appears_is_in_the_document_and_in_its_provenance() {
    let own = "{{ machine.name }} {{ n }} {{ param(name=\"disk\") }}{% include \"site/more\" %}";
    let engine =
        engine(&[("doc", DOC), ("site/own", own), ("site/more", "!"), ("user", "{% include \"doc\" %}")]);
    for name in ["doc", "user"] {
        let document = engine.render(name, input(), RenderLimits::default()).unwrap();
        assert_eq!(document.text, "[web1 7 /dev/sda!]", "{name}");
        let expected = ["doc", "site/more", "site/own", "user"];
        let expected: Vec<&str> =
            expected.into_iter().filter(|used| name == "user" || *used != "user").collect();
        assert_eq!(used(&document), expected);
        assert_eq!(document.provenance.params[0].name, "disk");
    }
    assert_eq!(included(DOC).names, ["site/own"]);
}

#[test]
fn one_that_is_broken_fails_where_it_is_included_and_leaves_the_rest_usable() {
    let templates = [
        ("doc", "{% if machine.name == \"web2\" %}\n{{ include_optional(name=\"site/own\") }}{% endif %}."),
        ("other", "\n{{ include_optional(name=\"site/own\") }}"),
        ("site/own", "{% if %}"),
    ];
    let (engine, broken) = RenderEngine::compile(&pool(), templates);
    assert_eq!(broken.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["site/own"]);
    assert_eq!(engine.render("doc", input(), RenderLimits::default()).unwrap().text, ".");
    let problem = engine.render("other", input(), RenderLimits::default()).unwrap_err();
    assert_eq!((problem.kind, problem.line), (ProblemKind::Include, Some(2)), "{problem}");
    assert!(problem.message.starts_with("includes `site/own`, which is broken: site/own:1:"), "{problem}");
}

#[test]
fn a_fault_inside_of_it_has_its_place_and_says_where_it_was_included() {
    let engine = engine(&[("doc", DOC), ("site/own", "\n\n{{ machine.nmae }}")]);
    let problem = engine.render("doc", input(), RenderLimits::default()).unwrap_err();
    assert_eq!((problem.template.as_str(), problem.line), ("site/own", Some(3)), "{problem}");
    assert_eq!(problem.included_from, [("doc".to_owned(), 2)]);
}

#[test]
fn it_counts_for_circles_and_for_the_depth() {
    let circle = [("doc", DOC), ("site/own", "{% include \"doc\" %}"), ("fine", "")];
    let (engine, broken) = RenderEngine::compile(&pool(), circle);
    assert_eq!((engine.names(), broken.len()), (vec!["fine"], 2));
    assert!(broken[0].1.message.contains("doc → site/own → doc"), "{}", broken[0].1);
    let body = |n: usize| format!("{{{{ include_optional(name=\"o{:03}\") }}}}", n + 1);
    let (engine, broken) = RenderEngine::compile(&pool(), (0..400).map(|n| (format!("o{n:03}"), body(n))));
    assert_eq!((engine.names().len(), broken.len()), (INCLUDE_DEPTH_MAX, 400 - INCLUDE_DEPTH_MAX));
    assert!(broken[0].1.message.contains("400 templates deep"), "{}", broken[0].1);
    let problem = engine.render("o368", input(), RenderLimits::default()).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Limit, "renders inside of one another: {problem}");
}

#[test]
fn its_name_is_a_plain_text_that_comes_first() {
    for body in
        ["\n{{ include_optional(name=machine.name) }}", "\n{{ include_optional(with={}, name=\"a\") }}"]
    {
        let (_, broken) = RenderEngine::compile(&pool(), [("doc", body)]);
        let problem = &broken[0].1;
        assert_eq!((problem.kind, problem.line), (ProblemKind::Template, Some(2)), "{problem}");
        assert!(problem.message.contains("write `include_optional(name=\"site/motd.sh\")`"), "{problem}");
    }
}

#[test]
fn a_site_without_the_template_pays_no_render_for_it() {
    // More calls than there may be renders inside of one another, or than a deadline has room for.
    let body = "{% for n in range(end=20000) %}{{ include_optional(name=\"site/own\") }}{% endfor %}";
    let engine = engine(&[("doc", body)]);
    let limits = RenderLimits { deadline: std::time::Duration::from_secs(20), ..RenderLimits::default() };
    assert_eq!(engine.render("doc", input(), limits).unwrap().text, "");
}
