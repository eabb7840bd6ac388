//! Tests of marks and of what a traced render tells of the lines of a document.

use super::*;
use crate::model::{LineOrigin, ParamOrigin};
use crate::render::InlineText;
use crate::render::marking::{PointKind, TracePoint, marked};

fn points(body: &str) -> Vec<TracePoint> {
    let mut points = Vec::new();
    marked(("t", body), (0, &mut points)).expect("it can be read");
    points
}

#[test]
fn a_mark_takes_over_the_dashes_beside_it_and_leaves_the_text_alone() {
    let mut points = Vec::new();
    let marked = marked(("t", "a {{- x -}} b"), (0, &mut points)).unwrap();
    assert_eq!(marked, "{{ trace_mark(n=0) }}a {{- trace_mark(n=1) }}{{- x -}}{{ trace_mark(n=2) -}} b");
    let kinds: Vec<_> = points.into_iter().map(|point| point.what).collect();
    let value = PointKind::Value(vec!["x".to_owned()]);
    assert_eq!(kinds, [PointKind::Text(1), value, PointKind::Text(1)]);
}

#[test]
fn the_line_of_a_text_is_that_of_the_first_character_that_is_left() {
    let found = points("{% if a -%}\n\n  one\n{%- endif %}");
    assert_eq!((found[1].line, found[1].what.clone()), (3, PointKind::Text(3)));
}

#[test]
fn names_are_variables_and_no_functions_filters_tests_or_arguments() {
    let found = points("{{ f(name=a.b, other=\"c\") | join(sep=d) ~ e?.g if h is defined else 12 }}");
    let PointKind::Value(names) = &found[0].what else { panic!("{found:?}") };
    assert_eq!(names, &["a.b", "d", "e.g", "h"]);
}

#[test]
fn a_template_that_extends_another_is_marked_in_its_blocks_only() {
    let mut points = Vec::new();
    let body = "{# c #}\n{% extends \"base\" %}\n{% block late %}text{% endblock late %}\n";
    let marked = marked(("t", body), (0, &mut points)).unwrap();
    assert!(marked.starts_with("{# c #}\n{% extends \"base\" %}\n{% block late %}{{ trace_mark"), "{marked}");
    assert_eq!(points.len(), 1);
    assert_eq!(points[0].block.as_deref(), Some("late"));
}

#[test]
fn what_stands_between_the_comments_of_an_override_names_it() {
    let found = points("a\n{# override site-late #}b\n{# end of override #}c");
    let names: Vec<_> = found.iter().map(|point| point.override_name.as_deref()).collect();
    assert_eq!(names, [None, Some("site-late"), None]);
}

#[test]
fn texts_that_end_in_the_middle_are_not_marked_and_do_not_panic() {
    for body in ["{{", "{% if", "{#", "{% raw %}x", "{{ 'a", "{", "é{% set é\\"] {
        let _ = marked(("t", body), (0, &mut Vec::new()));
    }
}

/// A render of the first template, plain and traced, with secrets open.
#[track_caller]
fn traced(templates: &[(&str, &str)]) -> RenderedText {
    let engine = engine(templates);
    let name = templates[0].0;
    let plain = engine.render(name, input_with_open_secrets(), RenderLimits::default());
    let plain = plain.unwrap_or_else(|problem| panic!("{problem}"));
    let traced = engine.traced().render(name, input_with_open_secrets(), RenderLimits::default());
    let traced = traced.unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(traced.text, plain.text, "a trace changes no byte");
    assert_eq!(traced.provenance, plain.provenance);
    assert!(plain.lines.is_empty());
    assert_eq!(traced.lines.len(), traced.text.lines().count(), "{:#?}", traced.lines);
    traced
}

fn places(rendered: &RenderedText) -> Vec<String> {
    let lines = rendered.lines.iter();
    lines.map(|line: &LineOrigin| format!("{}:{}", line.place.template, line.place.line)).collect()
}

#[test]
fn each_line_has_its_template_and_its_line_in_it() {
    let rendered = traced(&[
        ("t", "one\n{% if true %}\n  two {{ machine.name }}\n{%- endif %}\n{% include \"b\" %}last\n"),
        ("b", "{# nothing #}\nin b\n{%- raw %}\n{{ raw }}\n{% endraw %}"),
    ]);
    assert_eq!(rendered.text, "one\n\n  two web1\n\nin b\n{{ raw }}\nlast\n");
    assert_eq!(places(&rendered), ["t:1", "t:2", "t:3", "b:1", "b:2", "b:4", "t:5"]);
    assert_eq!(rendered.lines[2].variables, ["machine.name"]);
}

#[test]
fn a_value_names_its_params_with_their_levels_also_through_variables() {
    let rendered = traced(&[(
        "t",
        "{{ param(name=\"disk\") }}\n{% set zone = param(name=\"timezone\") ~ machine.name -%}\n\
         x {{ zone | upper }}\n{{ param(name=\"absent\", default=\"own\") }}\n\
         {% for one in compose(name=\"packages\") %}{{ one }} {% endfor %}\n",
    )]);
    let disk = &rendered.lines[0].params;
    let of = |name: &str, level: Option<ParamLevel>, hides: Vec<ParamLevel>, merges: Vec<ParamLevel>| {
        vec![ParamOrigin { name: name.to_owned(), level, hides, merges }]
    };
    assert_eq!(*disk, of("disk", Some(ParamLevel::Machine), vec![ParamLevel::Default], Vec::new()));
    let zone = &rendered.lines[1];
    assert_eq!(zone.params, of("timezone", Some(ParamLevel::Default), Vec::new(), Vec::new()));
    assert_eq!(zone.variables, ["machine.name"]);
    assert_eq!(rendered.lines[2].params, of("absent", None, Vec::new(), Vec::new()));
    let merged = vec![ParamLevel::Profile("web".to_owned()), ParamLevel::Global];
    assert_eq!(rendered.lines[3].params, of("packages", Some(ParamLevel::Machine), Vec::new(), merged));
}

#[test]
fn no_value_of_a_param_is_in_what_is_told() {
    let rendered = traced(&[("t", "{{ param(name=\"root_password\") }}\n")]);
    assert_eq!(rendered.text, "s3cret-Pa55\n");
    let told = serde_json::to_string(&rendered.lines).unwrap();
    assert!(told.contains("root_password") && !told.contains("s3cret"), "{told}");
}

#[test]
fn what_is_gathered_first_comes_from_where_it_is_written() {
    let rendered = traced(&[(
        "t",
        "{% set text %}{{ param(name=\"disk\") }}\nb{% endset %}a\n{{ text }}\n\
         {% filter upper %}x {{ param(name=\"timezone\") }}\n{% endfilter %}end\n",
    )]);
    assert_eq!(rendered.text, "a\n/dev/sda\nb\nX UTC\nend\n");
    assert_eq!(places(&rendered), ["t:2", "t:3", "t:3", "t:4", "t:5"]);
    assert_eq!(rendered.lines[1].params[0].name, "disk");
    assert_eq!(rendered.lines[3].params[0].name, "timezone");
}

#[test]
fn blocks_overrides_and_what_a_block_had_before_are_told_apart() {
    let rendered = traced(&[
        ("site", "{% extends \"base\" %}\n{% block late %}mine\n{{ super() }}{% endblock late %}\n"),
        (
            "base",
            "head\n{% block late %}theirs\n{% endblock late %}\
             {# override ntp #}server ntp\n{# end of override #}tail\n",
        ),
    ]);
    assert_eq!(rendered.text, "head\nmine\ntheirs\nserver ntp\ntail\n");
    assert_eq!(places(&rendered), ["base:1", "site:2", "site:3", "base:3", "base:4"]);
    let blocks: Vec<_> = rendered.lines.iter().map(|line| line.block.as_deref()).collect();
    assert_eq!(blocks, [None, Some("late"), Some("late"), None, None]);
    assert_eq!(rendered.lines[3].override_name.as_deref(), Some("ntp"));
    assert_eq!(rendered.lines[4].override_name, None);
}

#[test]
fn a_template_that_is_included_by_a_computed_name_keeps_its_lines() {
    let rendered = traced(&[
        ("t", "a\n{{ include_from(folder=\"site\", name=\"x\") }}b {{ \"{{ machine.name }}\" | expand }}\n"),
        ("site/x", "\nx {{ param(name=\"disk\") }}\n"),
    ]);
    assert_eq!(rendered.text, "a\n\nx /dev/sda\nb web1\n");
    assert_eq!(places(&rendered), ["t:1", "site/x:1", "site/x:2", "t:2"]);
    assert_eq!(rendered.lines[2].params[0].name, "disk");
}

#[test]
fn components_and_their_bodies_render_the_same() {
    let rendered = traced(&[
        ("t", "{% <ui.Box title=\"a\"> %}in {{ machine.name }}\n{% </ui.Box> %}{{ <ui.Line n={3} /> }}end\n"),
        (
            "ui",
            "{% component ui.Box(title) %}<{{ title }}>\n{{ body }}</>\n{% endcomponent %}\
             {% component ui.Line(n) %}line {{ n }}\n{% endcomponent %}",
        ),
    ]);
    assert!(rendered.text.ends_with("line 3\nend\n"), "{}", rendered.text);
}

#[test]
fn white_space_is_trimmed_by_the_same_dashes() {
    for body in [
        "a  {%- if true -%}  b  {%- endif -%}  c\n",
        "a -%} {{- 1 -}} \n\n b {#- c -#}  d {# e #}  {%- set x = 1 -%}\n {# f #} g",
        "x {%- raw -%}  {{ y }} \n {%- endraw -%}  z\n",
        "{{- 1 -}}{% raw %}  a {% endraw %}{%- if true %} b{% endif %}",
        "{% for i in [1, 2] -%} {# c -#} {{ i }} {%- endfor %}\n\n",
        " {%- set a -%} x {%- endset -%} {{ a -}} \n y {{ \"}}%}\" }} {",
    ] {
        traced(&[("t", body)]);
    }
}

#[test]
fn a_text_that_is_no_stored_template_is_traced_under_its_place() {
    let engine = engine(&[("b", "of b\n")]).traced();
    let of = |body, verbatim| InlineText { place: "env/ks.cfg", body, verbatim };
    let limits = RenderLimits::default();
    let text = of("a {{ param(name=\"disk\") }}\n{% include \"b\" %}", false);
    let rendered = engine.render_inline(text, input(), limits).unwrap();
    assert_eq!(places(&rendered), ["env/ks.cfg:1", "b:1"]);
    assert_eq!(rendered.lines[0].params[0].name, "disk");
    let rendered = engine.render_inline(of("{{ no }}\nb", true), input(), limits).unwrap();
    assert_eq!(places(&rendered), ["env/ks.cfg:1", "env/ks.cfg:2"]);
}

#[test]
fn an_error_of_a_traced_render_has_the_place_of_the_plain_one() {
    let engine = engine(&[("t", "a {{ 1 }}\n  b {{ 2 }} {{ machine.hots }}\n")]);
    let plain = engine.render("t", input(), RenderLimits::default()).unwrap_err();
    let traced = engine.traced().render("t", input(), RenderLimits::default()).unwrap_err();
    assert_eq!(traced, plain);
    assert_eq!(plain.line, Some(2), "{plain}");
    assert!(plain.column.is_some());
}
