//! Tests of includes by a computed name, of values that are templates, of texts that are none, and of the
//! time in templates. The page `docs/operating/templates.md` has a tested example of every function.

use super::*;
use crate::render::problem::ProblemKind;
use crate::render::{InlineText, TemplateSource};

/// Templates of a site with two ways to divide a disk, and one that is broken.
const SITE: [(&str, &str); 5] = [
    (
        "site.ks",
        "{{ include_from(folder=\"site/disks\", name=machine.name ~ \".ks\", default=\"plain.ks\") }}",
    ),
    ("site/disks/plain.ks", "plain {{ machine.name }} {{ size | default(value=\"all\") }}"),
    ("site/disks/lvm.ks", "lvm{% include \"site/volumes.ks\" %}"),
    ("site/disks/broken.ks", "{% include \"nothing\" %}"),
    ("site/volumes.ks", " /var"),
];

/// Renders a text in that site.
fn of_site(body: &str, input: RenderInput) -> Result<RenderedText, RenderProblem> {
    let (engine, broken) = RenderEngine::compile(&pool(), SITE);
    assert_eq!(broken.len(), 1, "{broken:?}");
    let text = InlineText { place: "site/text", body, verbatim: false };
    engine.render_inline(text, input, RenderLimits::default())
}

fn used(rendered: &RenderedText) -> Vec<&str> {
    rendered.provenance.templates.iter().map(|used| used.name.as_str()).collect()
}

#[test]
fn a_computed_include_takes_a_template_of_its_folder() {
    for (name, expected) in [("lvm", "lvm /var"), ("plain", "plain web1 all")] {
        let body = format!("{{{{ include_from(folder=\"site/disks\", name=\"{name}\" ~ \".ks\") }}}}");
        assert_eq!(of_site(&body, input()).unwrap().text, expected);
    }
    let with = "{{ include_from(folder=\"site/disks/\", name=\"plain.ks\", with={\"size\": 5}) }}";
    assert_eq!(of_site(with, input()).unwrap().text, "plain web1 5");
    assert_eq!(of_site("{% include \"site.ks\" %}", input()).unwrap().text, "plain web1 all");
}

#[test]
fn the_provenance_of_a_computed_include_has_all_templates_that_it_could_take() {
    let rendered = of_site("{% include \"site.ks\" %}", input()).unwrap();
    let expected = ["inline", "site.ks", "site/disks/lvm.ks", "site/disks/plain.ks", "site/volumes.ks"];
    assert_eq!(used(&rendered), expected);
}

#[test]
fn a_computed_include_of_what_is_not_there_names_what_is() {
    let problem =
        of_site("\n{{ include_from(folder=\"site/disks\", name=\"lvn.ks\") }}", input()).unwrap_err();
    assert_eq!((problem.kind, problem.line), (ProblemKind::Include, Some(2)));
    assert!(problem.message.contains("Did you mean `site/disks/lvm.ks`?"), "{problem}");
    assert_eq!(problem.available, ["site/disks/lvm.ks", "site/disks/plain.ks"]);
    let problem =
        of_site("{{ include_from(folder=\"site/disks\", name=\"broken.ks\") }}", input()).unwrap_err();
    assert!(problem.message.contains("there is no template `nothing`"), "{problem}");
    let outside = of_site("{{ include_from(folder=\"site/disks\", name=\"../site.ks\") }}", input());
    assert_eq!(outside.unwrap_err().kind, ProblemKind::Include);
}

#[test]
fn a_fault_in_a_computed_include_has_its_own_place_and_that_of_the_include() {
    let templates = [
        ("top", "\n{{ include_from(folder=\"part\", name=\"a\") }}"),
        ("part/a", "\n\n{{ param(name=\"nothing\") }}"),
    ];
    let problem = engine(&templates).render("top", input(), RenderLimits::default()).unwrap_err();
    assert_eq!((problem.template.as_str(), problem.line), ("part/a", Some(3)));
    assert_eq!(problem.kind, ProblemKind::Missing);
    assert_eq!(problem.included_from, [("top".to_owned(), 2)]);
}

#[test]
fn a_folder_that_is_known_only_at_the_render_is_refused_when_the_template_is_saved() {
    let body = "{% set f = \"part\" %}{{ include_from(folder=f, name=\"a\") }}";
    let (_, broken) = RenderEngine::compile(&pool(), [("t", body)]);
    assert!(broken[0].1.message.contains("takes its folder as a plain text"), "{broken:?}");
    assert_eq!(broken[0].1.line, Some(1));
    let inline = of_site(body, input()).unwrap_err();
    assert!(inline.message.contains("takes its folder as a plain text"), "{inline}");
}

#[test]
fn a_folder_whose_template_includes_from_it_is_a_circle() {
    let body = "{{ include_from(folder=\"part\", name=\"b\") }}";
    let (_, broken) = RenderEngine::compile(&pool(), [("part/a", body), ("part/b", "b")]);
    assert_eq!(broken.len(), 1);
    assert!(broken[0].1.message.contains("part/a → part/a"), "{broken:?}");
}

#[test]
fn a_component_that_calls_itself_through_a_computed_include_is_ended() {
    let component =
        "{% component Again() %}{{ include_from(folder=\"part\", name=\"a\") }}{% endcomponent %}";
    let templates = [("own", component), ("part/a", "{{ <Again/> }}")];
    let problem = engine(&templates).render("part/a", input(), RenderLimits::default()).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Limit);
    assert!(problem.message.contains("nest more than 4 deep"), "{problem}");
}

fn expanded(value: Value, mut input: RenderInput) -> Result<RenderedText, RenderProblem> {
    input.variables.insert("v".into(), value);
    of_site("{{ v | expand | json }}", input)
}

#[test]
fn a_value_is_expanded_with_all_texts_in_it_once() {
    let value = json!({
        "motd": "This is {{ machine.name }}.",
        "list": ["{% include \"site/volumes.ks\" %}", 5, true, "plain"],
        "once": "{{ \"{{ machine.name }}\" }}",
    });
    let rendered = expanded(value, input()).unwrap();
    let found: Value = serde_json::from_str(&rendered.text).unwrap();
    let expected = json!({
        "motd": "This is web1.",
        "list": [" /var", 5, true, "plain"],
        "once": "{{ machine.name }}",
    });
    assert_eq!(found, expected);
    assert_eq!(used(&rendered), ["inline", "site/volumes.ks"]);
}

#[test]
fn a_value_that_expands_itself_is_ended() {
    let mut input = input();
    let own = json!({"own": "{{ param(name=\"own\") | expand }}"}).as_object().unwrap().clone();
    input.params.layers.insert(0, ParamLayer::new(ParamLevel::Machine, own));
    let problem = of_site("{{ param(name=\"own\") | expand }}", input).unwrap_err();
    assert_eq!((problem.kind, problem.template.as_str()), (ProblemKind::Limit, "expanded value"));
    assert_eq!(problem.included_from.last(), Some(&("site/text".to_owned(), 1)));
}

#[test]
fn whoever_writes_a_value_reads_no_secret_with_it() {
    for call in ["param(name=\"root_password\")", "compose(name=\"root_password\")", "agent_token()"] {
        let given = RenderInput { agent_token: Some("t0ken".into()), ..input_with_open_secrets() };
        let problem = expanded(json!(format!("{{{{ {call} }}}}")), given.clone()).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Sealed, "{problem}");
        assert!(of_site(&format!("{{{{ {call} }}}}"), given).is_ok());
    }
}

#[test]
fn values_that_are_too_large_are_not_expanded() {
    let long = format!("{{{{ 1 }}}}{}", "x".repeat(70_000));
    assert_eq!(expanded(json!(long), input()).unwrap_err().kind, ProblemKind::Limit);
    let deep = (0..40).fold(json!("x"), |value, _| json!([value]));
    assert_eq!(expanded(deep, input()).unwrap_err().kind, ProblemKind::Limit);
}

#[test]
fn a_text_that_is_no_template_comes_out_as_it_is_and_line_by_line() {
    let script =
        "#!/bin/bash\r\nn=${#a[@]} # {{ x }}\n{% endraw %}{%- endraw -%}{% raw %} __tera_context\n{#\nend{";
    let source = TemplateSource { name: "count.sh".into(), body: script.into(), verbatim: true };
    let top = TemplateSource::from(("top", "<{% include \"count.sh\" %}>"));
    let (engine, broken) = RenderEngine::compile(&pool(), [source, top]);
    assert!(broken.is_empty(), "{broken:?}");
    let named = engine.render("count.sh", input(), RenderLimits::default()).unwrap();
    assert_eq!(named.text, script);
    assert_eq!(named.provenance.templates[0].sha256, named.sha256);
    let included = engine.render("top", input(), RenderLimits::default()).unwrap();
    assert_eq!((included.text, used(&named)), (format!("<{script}>"), vec!["count.sh"]));
    let inline = InlineText { place: "task/count", body: script, verbatim: true };
    let rendered = engine.render_inline(inline, input(), RenderLimits::default()).unwrap();
    assert_eq!((rendered.text.as_str(), &rendered.sha256), (script, &named.sha256));
    let few = RenderLimits { output_bytes_max: 10, ..RenderLimits::default() };
    assert_eq!(engine.render_inline(inline, input(), few).unwrap_err().kind, ProblemKind::Limit);
}

#[test]
fn the_time_is_that_of_the_input_and_is_noted_where_it_is_read() {
    let rendered = render("{{ now() }} {{ now() | date(format=\"%d.%m.%Y\") }}").unwrap();
    assert_eq!(rendered.text, "2026-11-30T14:05:00Z 30.11.2026");
    assert_eq!(rendered.provenance.now, Some(input().now));
    assert_eq!(render("{{ \"2026-01-01\" | date }}").unwrap().provenance.now, None);
}

#[test]
fn times_are_shown_in_time_zones_and_summed_as_seconds() {
    for (body, expected) in [
        ("{{ now() | date(format=\"%H:%M %Z\", timezone=\"Europe/Berlin\") }}", "15:05 CET"),
        ("{{ \"2026-07-01T12:00:00Z\" | date(format=\"%H\", timezone=\"europe/berlin\") }}", "14"),
        ("{{ ((now() | timestamp) + 86400) | date }}", "2026-12-01"),
        ("{{ 0 | date(format=\"%FT%T\") }}", "1970-01-01T00:00:00"),
    ] {
        assert_eq!(text(body), expected, "{body}");
    }
    assert!(problem("{{ now() | date(timezone=\"Europe/Berlim\") }}").message.contains("Europe/Berlin"));
    assert!(problem("{{ \"soon\" | date }}").message.contains("takes a time"));
    assert!(problem("{{ now() | date(format=\"%!\") }}").message.contains("cannot use this format"));
}

#[test]
fn patterns_that_could_take_long_are_refused_and_others_take_time_by_the_text() {
    let long = "x".repeat(2000);
    let refused =
        |pattern: &str| problem(&format!("{{{{ \"a\" | regex_match(pattern=\"{pattern}\") }}}}")).message;
    assert!(refused(&long).contains("may have 1024 bytes"));
    assert!(refused("(a").contains("unclosed group"), "{}", refused("(a"));
    assert!(refused("(a{1000}){1000}").contains("size limit"), "{}", refused("(a{1000}){1000}"));
    let nested = format!("{}a{}", "(".repeat(50), ")".repeat(50));
    assert!(refused(&nested).contains("nest"), "{}", refused(&nested));
    // An engine that backtracks does not come to an end here.
    let body = "{{ (a ~ \"!\") | regex_match(pattern=\"^(a|a)*(a+)+$\") }}";
    let mut input = input();
    input.variables.insert("a".into(), "a".repeat(100_000).into());
    let engine = engine(&[("t", body)]);
    assert_eq!(engine.render("t", input, RenderLimits::default()).unwrap().text, "false");
}

#[test]
fn groups_of_a_match_have_numbers_and_names() {
    let body = "{% set v = \"rocky-9.4-x\" | regex_capture(pattern=\"-(?<major>[0-9]+)[.]([0-9]+)(-y)?\") %}\
                {{ v.major }} {{ v[\"1\"] }} {{ v[\"2\"] }} [{{ v[\"3\"] }}] {{ v[\"0\"] }}";
    assert_eq!(text(body), "9 9 4 [] -9.4");
    assert_eq!(text("{{ \"x\" | regex_capture(pattern=\"y\") | length }}"), "0");
}
