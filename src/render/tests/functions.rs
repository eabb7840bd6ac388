//! Tests of the functions and filters for templates.

use std::process::Command;

use super::*;
use crate::render::PackageRepository;
use crate::render::problem::ProblemKind;

/// Applies a filter to a value.
fn filtered(value: Value, filter: &str) -> Result<String, RenderProblem> {
    let mut input = input();
    input.variables.insert("v".into(), value);
    let engine = engine(&[("t", &format!("{{{{ v | {filter} }}}}"))]);
    engine.render("t", input, RenderLimits::default()).map(|rendered| rendered.text)
}

#[test]
fn a_missing_param_names_the_levels_searched_and_the_nearest_name() {
    let problem = problem("{{ param(name=\"ntp_server\") }}");
    assert_eq!(problem.kind, ProblemKind::Missing);
    for part in ["`ntp_server`", "machine, profile `web`, profile `global`, defaults", "`ntp_servers`"] {
        assert!(problem.message.contains(part), "{part}: {problem}");
    }
    assert_eq!(problem.available, ["disk", "ntp_servers", "packages", "root_password", "timezone"]);
}

#[test]
fn a_default_stands_in_for_a_missing_param() {
    assert_eq!(
        text("{{ param(name=\"no\", default=\"yes\") }} {{ compose(name=\"no\", default=[]) }}"),
        "yes []"
    );
}

#[test]
fn a_template_may_prefer_a_value_to_the_declared_default_and_to_nothing_else() {
    assert_eq!(text("{{ param(name=\"timezone\", unless_set=\"Mars\") }}"), "Mars");
    assert_eq!(text("{{ param(name=\"packages\", unless_set=[]) | join(sep=\" \") }}"), "vim");
}

#[test]
fn the_keys_of_a_secret_map_can_be_named_in_a_message() {
    let body = "{% for key in param_keys(name=\"root_password\") %}{{ throw(message=key) }}{% endfor %}";
    let mut input = input_with_open_secrets();
    let named = json!({"root_password": {"bob": "s3cret-Pa55"}}).as_object().unwrap().clone();
    input.params.layers.insert(0, ParamLayer::new(ParamLevel::Machine, named));
    let problem = engine(&[("t", body)]).render("t", input, RenderLimits::default()).unwrap_err();
    assert!(problem.message.contains("bob") && !problem.message.contains("Pa55"), "{problem}");
    let of_a_text = engine(&[("t", body)]).render("t", input_with_open_secrets(), RenderLimits::default());
    assert_eq!(of_a_text.unwrap().text, "");
    assert_eq!(super::problem(body).kind, ProblemKind::Sealed);
}

#[test]
fn compose_joins_all_levels_and_param_takes_the_highest() {
    assert_eq!(text("{{ compose(name=\"packages\") | join(sep=\" \") }}"), "curl nginx vim");
    assert_eq!(text("{{ param(name=\"packages\") | join(sep=\" \") }}"), "vim");
}

#[test]
fn an_argument_that_does_not_exist_is_refused() {
    let problem = problem("{{ param(name=\"disk\", defualt=1) }}");
    assert!(problem.message.contains("`defualt`"), "{problem}");
    assert!(problem.message.contains("name, default"), "{problem}");
    assert!(super::problem("{{ machine | json(prety=true) }}").message.contains("`prety`"));
}

#[test]
fn callbacks_and_files_are_under_the_machines_capability() {
    assert_eq!(text("{{ callback_url(event=\"done\") }}"), "http://10.0.0.1:8080/m/c4p/done");
    assert_eq!(text("{{ file_url(path=\"post/a b.sh\") }}"), "http://10.0.0.1:8080/m/c4p/post/a%20b.sh");
    assert!(problem("{{ callback_url(event=\"finished\") }}").message.contains("done, failed, log"));
    for path in ["../x", "a//b", "", "a/../b", "."] {
        assert!(
            problem(&format!("{{{{ file_url(path=\"{path}\") }}}}")).message.contains("not the path"),
            "{path}"
        );
    }
    let engine = engine(&[("t", "{{ callback_url(event=\"done\") }}")]);
    let problem =
        engine.render("t", RenderInput { callbacks: None, ..input() }, RenderLimits::default()).unwrap_err();
    assert!(problem.message.contains("no boot attempt"), "{problem}");
}

#[test]
fn repositories_are_chosen_by_tag() {
    let repository = |tag: &str| PackageRepository {
        tag: tag.into(),
        url: format!("http://m/{tag}"),
        ..PackageRepository::default()
    };
    let repositories = vec![repository("debian"), repository("site")];
    let engine = engine(&[(
        "t",
        "{% for r in repos() %}{{ r.tag }} {% endfor %}\
         {% for r in repos(tag=\"site\") %}{{ r.url }}{% endfor %}",
    )]);
    let rendered =
        engine.render("t", RenderInput { repositories, ..input() }, RenderLimits::default()).unwrap();
    assert_eq!(rendered.text, "debian site http://m/site");
}

#[test]
fn repositories_are_chosen_by_what_they_are_and_show_the_parts_of_their_url() {
    let repository = |tag: &str, kind: &str, install_source: bool| PackageRepository {
        tag: tag.into(),
        url: format!("https://m:8080/{tag}/x"),
        package_type: kind.into(),
        install_source,
        ..PackageRepository::default()
    };
    let repositories =
        vec![repository("a", "apt", true), repository("b", "yum", true), repository("c", "", false)];
    let engine = engine(&[(
        "t",
        "{% for r in repos(package_type=\"apt\") %}{{ r.tag }}{% endfor %} \
         {% for r in repos(install_source=true, package_type=\"yum\") %}{{ r.tag }}{% endfor %} \
         {% for r in repos(url=\"https://m:8080/c/x/\") %}{{ r.protocol }} \
         {{ r.host }} {{ r.directory }}{% endfor %}",
    )]);
    let rendered =
        engine.render("t", RenderInput { repositories, ..input() }, RenderLimits::default()).unwrap();
    assert_eq!(rendered.text, "ac b https m:8080 /c/x");
}

#[test]
fn throw_stops_with_its_message_and_place() {
    let problem = problem("\n{% if true %}{{ throw(message=\"needs two disks\") }}{% endif %}");
    assert_eq!((problem.message.as_str(), problem.line), ("needs two disks", Some(2)));
}

#[test]
fn range_counts_up_down_and_by_steps() {
    assert_eq!(
        text("{{ range(end=3) }}{{ range(start=5, end=1, step=-2) }}{{ range(start=3, end=1) }}"),
        "[0, 1, 2][5, 3][]"
    );
    assert!(problem("{{ range(end=3, step=0) }}").message.contains("steps of 0"));
}

#[test]
fn a_shell_reads_back_exactly_what_was_quoted() {
    let nasty = [
        "plain",
        "",
        "it's",
        "'; rm -rf / #",
        "$HOME `id` $(id) \\ \"x\" !!",
        "two\nlines\n",
        "-n",
        "tab\there é ☃ *?[a]~",
    ];
    for given in nasty {
        let word = filtered(json!(given), "sh").unwrap();
        let said = Command::new("sh").arg("-c").arg(format!("printf %s {word}")).output().unwrap();
        assert_eq!(String::from_utf8(said.stdout).unwrap(), given);
    }
    assert_eq!(filtered(json!(["a b", 1, true]), "sh").unwrap(), "'a b' '1' 'true'");
    assert!(filtered(json!("a\0b"), "sh").unwrap_err().message.contains("NUL"));
    assert!(filtered(json!({"a": 1}), "sh").is_err());
}

#[test]
fn json_and_yaml_can_be_read_back() {
    let value =
        json!({"a": [1, 2.5, null, true], "b": {"c": "two\nlines: \"x\" # no"}, "empty": [], "none": {}});
    let written = filtered(value.clone(), "json").unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
    let written = filtered(value.clone(), "yaml").unwrap();
    assert_eq!(serde_saphyr::from_str::<Value>(&written).unwrap(), value);
    assert_eq!(filtered(json!({"a": 1}), "json(pretty=true)").unwrap(), "{\n  \"a\": 1\n}");
}

#[test]
fn yaml_quotes_what_an_old_reader_would_take_for_something_else() {
    for text in
        ["yes", "no", "on", "0123", "1e3", "1:30", "52:54:00:12:34:56", "2024-01-01", "~", "", "a: b", "- x"]
    {
        let written = filtered(json!(text), "yaml").unwrap();
        assert!(written.starts_with(['"', '\'']), "{text} became {written}");
    }
    assert_eq!(filtered(json!("two\nlines"), "yaml").unwrap().lines().count(), 1);
}

#[test]
fn base64_goes_both_ways() {
    assert_eq!(filtered(json!("héllo"), "b64encode").unwrap(), "aMOpbGxv");
    assert_eq!(filtered(json!("aMOp\n bGxv"), "b64decode").unwrap(), "héllo");
    assert!(filtered(json!("%%"), "b64decode").is_err());
    assert!(filtered(json!("/w=="), "b64decode").unwrap_err().message.contains("UTF-8"));
}

#[test]
fn a_part_of_a_url_is_no_other_part_of_it() {
    assert_eq!(filtered(json!("p@ss:/w%é-._~"), "urlencode").unwrap(), "p%40ss%3A%2Fw%25%C3%A9-._~");
}

#[test]
fn a_password_is_hashed_the_same_way_each_time_and_a_hash_is_left_alone() {
    let hash = filtered(json!("hunter2"), "password_hash").unwrap();
    assert!(hash.starts_with("$6$") && !hash.contains("hunter2"), "{hash}");
    assert_eq!(filtered(json!("hunter2"), "password_hash").unwrap(), hash);
    assert_ne!(filtered(json!("hunter2"), "password_hash(salt=\"root\")").unwrap(), hash);
    assert_eq!(filtered(json!(hash), "password_hash").unwrap(), hash);
    assert!(filtered(json!(""), "password_hash").is_err());
}

#[test]
fn networks_give_their_mask_and_prefix() {
    for (value, mask, bits) in [
        (json!("10.1.0.0/16"), "255.255.0.0", "16"),
        (json!(24), "255.255.255.0", "24"),
        (json!("255.255.255.128"), "255.255.255.128", "25"),
        (json!("0.0.0.0/0"), "0.0.0.0", "0"),
        (json!("10.0.0.1/32"), "255.255.255.255", "32"),
    ] {
        assert_eq!(filtered(value.clone(), "netmask").unwrap(), mask);
        assert_eq!(filtered(value, "prefix_length").unwrap(), bits);
    }
    for wrong in [json!("10.0.0.0/33"), json!("255.0.255.0"), json!("x"), json!([])] {
        assert!(filtered(wrong, "netmask").is_err());
    }
}

#[test]
fn addresses_take_the_forms_boot_loaders_ask_for() {
    assert_eq!(text("{{ machine.address | hex_ip }}"), "0A000005");
    assert_eq!(text("01-{{ machine.macs[0] | dashed }}"), "01-52-54-00-aa-00-01");
    assert!(filtered(json!("fe80::1"), "hex_ip").is_err());
    assert!(filtered(json!("nonsense"), "dashed").is_err());
}

#[test]
fn lines_become_one() {
    assert_eq!(filtered(json!("auto=true\n  url=x\n"), "one_line").unwrap(), "auto=true url=x");
    assert_eq!(filtered(json!(["console=tty0", "quiet"]), "one_line").unwrap(), "console=tty0 quiet");
    assert_eq!(filtered(json!("a;\nb"), "preseed").unwrap(), "a; \\\n  b");
}

#[test]
fn groups_come_in_the_order_of_their_first_members() {
    let nics = json!([{"v": 20, "n": "a"}, {"v": 10, "n": "b"}, {"v": 20, "n": "c"}]);
    let grouped = filtered(nics, "group_by(attribute=\"v\") | json").unwrap();
    assert_eq!(grouped, r#"{"20":[{"n":"a","v":20},{"n":"c","v":20}],"10":[{"n":"b","v":10}]}"#);
}

#[test]
fn a_filter_of_something_undefined_says_so() {
    let problem = problem("\n{{ machine.nothing | sh }}");
    assert!(problem.message.contains("not defined"), "{problem}");
    assert_eq!(problem.line, Some(2));
}

#[test]
fn an_agents_token_is_a_secret_and_a_preview_has_none() {
    let body = [("agent.toml", "token = {{ agent_token() | json }}")];
    let given = RenderInput { agent_token: Some("t0ken".to_owned()), ..input() };
    let rendered = engine(&body).render("agent.toml", given, RenderLimits::default()).unwrap();
    assert_eq!(rendered.text, "token = \"t0ken\"");
    assert!(rendered.provenance.secret);
    let preview = engine(&body).render("agent.toml", input(), RenderLimits::default()).unwrap();
    assert_eq!(preview.text, "token = \"\"");
    assert!(!preview.provenance.secret);
}
