//! Tests of the result of a render, and of its provenance.

use super::*;
use crate::render::problem::ProblemKind;
use crate::render::{INLINE, InlineText, ParamRead};

const PLACE: &str = "site/boot_params";

fn inline(body: &str) -> InlineText<'_> {
    InlineText { place: PLACE, body, verbatim: false }
}

#[test]
fn an_undefined_name_lists_the_names_there_are() {
    let problem = problem("one\n{{ machin.name }}");
    assert_eq!((problem.line, problem.column), (Some(2), Some(4)), "{problem}");
    assert_eq!(problem.available, ["bootenv", "machine"]);
    assert!(problem.message.contains("Did you mean `machine`?"), "{problem}");
    let problem = super::problem("{{ machine.adress }}");
    assert_eq!(problem.available, ["address", "macs", "name"]);
}

#[test]
fn a_fault_in_an_include_names_the_include_and_the_place_that_included_it() {
    let engine = engine(&[
        ("base.ks", "top\n{% include \"mid.ks\" %}"),
        ("mid.ks", "{% include \"net.ks\" %}"),
        ("net.ks", "one\ntwo {{ nothing }}"),
    ]);
    let problem = engine.render("base.ks", input(), RenderLimits::default()).unwrap_err();
    assert_eq!((problem.template.as_str(), problem.line, problem.column), ("net.ks", Some(2), Some(8)));
    assert_eq!(problem.included_from, [("mid.ks".to_owned(), 1), ("base.ks".to_owned(), 2)]);
}

#[test]
fn a_param_that_is_read_is_in_the_provenance_with_its_level() {
    let body =
        "{{ param(name=\"disk\") }} {{ param(name=\"timezone\") }} {{ param(name=\"no\", default=1) }}";
    let rendered = render(body).unwrap();
    assert_eq!(rendered.text, "/dev/sda UTC 1");
    let read = |name: &str, level| ParamRead { name: name.into(), level };
    assert_eq!(
        rendered.provenance.params,
        [
            read("disk", Some(ParamLevel::Machine)),
            read("no", None),
            read("timezone", Some(ParamLevel::Default)),
        ]
    );
    assert!(!rendered.provenance.secret);
}

#[test]
fn the_provenance_names_every_template_that_can_have_part_in_it() {
    let templates =
        [("a", "{% include \"b\" %}"), ("b", "{% if false %}{% include \"c\" %}{% endif %}"), ("c", "")];
    let engine = engine(&templates);
    let names = |rendered: RenderedText| {
        rendered.provenance.templates.into_iter().map(|used| used.name).collect::<Vec<_>>()
    };
    assert_eq!(names(engine.render("a", input(), RenderLimits::default()).unwrap()), ["a", "b", "c"]);
    let inline =
        engine.render_inline(inline("{% include \"b\" %}"), input(), RenderLimits::default()).unwrap();
    assert_eq!(names(inline), [INLINE, "b", "c"]);
}

#[test]
fn a_sealed_secret_stops_the_render() {
    let problem = problem("{{ param(name=\"root_password\") }}");
    assert_eq!(problem.kind, ProblemKind::Sealed);
    assert!(problem.message.contains("`root_password` is secret"), "{problem}");
    assert!(!problem.to_string().contains("s3cret-Pa55"));
}

#[test]
fn an_open_secret_is_rendered_and_marks_the_document() {
    let engine = engine(&[("t", "{{ param(name=\"root_password\") }}")]);
    let rendered = engine.render("t", input_with_open_secrets(), RenderLimits::default()).unwrap();
    assert_eq!(rendered.text, "s3cret-Pa55");
    assert!(rendered.provenance.secret);
    assert!(!format!("{rendered:?}").contains("s3cret-Pa55"));
}

#[test]
fn asking_whether_a_secret_is_set_does_not_open_it() {
    assert_eq!(text("{{ has_param(name=\"root_password\") }}"), "true");
}

#[test]
fn no_message_contains_a_secret_or_what_was_made_from_it() {
    let bodies = [
        "{{ throw(message=param(name=\"root_password\")) }}",
        "{{ param(name=\"root_password\") | int }}",
        "{{ param(name=\"root_password\") | upper | int }}",
        "{{ range(end=param(name=\"root_password\")) }}",
        "{{ {\"a\": 1} | get(key=param(name=\"root_password\")) }}",
        "{{ callback_url(event=param(name=\"root_password\")) }}",
        "{{ throw(message=param(name=\"root_password\") | b64encode) }}",
        "{{ param(name=param(name=\"root_password\") | b64encode) }}",
        "{{ range(end=param(name=\"root_password\") | length * 1000000) }}",
    ];
    for body in bodies {
        let engine = engine(&[("t", body)]);
        let problem = engine.render("t", input_with_open_secrets(), RenderLimits::default()).unwrap_err();
        let said = format!("{problem} {problem:?}").to_lowercase();
        for made_of_it in ["s3cret-pa55", "cznjcmv0lvbhntu", "11000000"] {
            assert!(!said.contains(made_of_it), "{body}: {problem}");
        }
        assert!(said.contains("withheld") && problem.line == Some(1), "{body}: {problem}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let body = "{% for k, v in machine %}{{ k }}={{ v }} {% endfor %}{{ machine | yaml }}{{ machine | json }}\
        {{ param(name=\"root_password\") | password_hash }}\
        {% for k, v in [{\"a\":1},{\"a\":2},{\"a\":3},{\"a\":4}] | group_by(attribute=\"a\") %}\
        {{ k }}{% endfor %}";
    let documents: Vec<_> = (0..5)
        .map(|_| {
            engine(&[("t", body)]).render("t", input_with_open_secrets(), RenderLimits::default()).unwrap()
        })
        .collect();
    assert!(documents.iter().all(|document| document == &documents[0]));
    assert_eq!(documents[0].sha256.len(), 64);
}

#[test]
fn nothing_is_escaped_whatever_the_template_is_called() {
    let engine = engine(&[("page.html", "{{ \"<&>'\" }}"), ("unattend.xml", "{{ \"<&>\" }}")]);
    assert_eq!(engine.render("page.html", input(), RenderLimits::default()).unwrap().text, "<&>'");
    assert_eq!(engine.render("unattend.xml", input(), RenderLimits::default()).unwrap().text, "<&>");
}

#[test]
fn an_inline_body_has_problems_under_the_name_of_its_place() {
    let engine = engine(&[("net", "{{ nothing }}")]);
    let problem = engine.render_inline(inline("a\n{{ b. }}"), input(), RenderLimits::default()).unwrap_err();
    assert_eq!((problem.template.as_str(), problem.line), (PLACE, Some(2)));
    let problem =
        engine.render_inline(inline("{% include \"net\" %}"), input(), RenderLimits::default()).unwrap_err();
    assert_eq!((problem.template.as_str(), problem.included_from), ("net", vec![(PLACE.to_owned(), 1)]));
    let problem =
        engine.render_inline(inline("{% include \"nat\" %}"), input(), RenderLimits::default()).unwrap_err();
    assert_eq!((problem.template.as_str(), problem.line), (PLACE, Some(1)), "{problem}");
}

#[test]
fn renders_at_the_same_time_do_not_see_each_others_params() {
    let engine = engine(&[("t", "{% for n in range(end=50) %}{{ param(name=\"who\") }} {% endfor %}")]);
    std::thread::scope(|threads| {
        for who in 0..8 {
            let engine = &engine;
            threads.spawn(move || {
                for _ in 0..50 {
                    let own = layer(ParamLevel::Machine, json!({"who": who}));
                    let params = LayeredParams::new(vec![own], BTreeSet::new(), SecretAccess::Sealed);
                    let rendered = engine
                        .render("t", RenderInput { params, ..input() }, RenderLimits::default())
                        .unwrap();
                    assert_eq!(rendered.text, format!("{who} ").repeat(50));
                }
            });
        }
    });
}
