//! Each lint finds what it is for at its place, and leaves alone what only looks like it.

use super::*;
use crate::catalog::content::core_files;

fn file(path: &str, body: &str) -> PackFile {
    PackFile { path: path.to_owned(), body: body.as_bytes().to_vec() }
}

/// The findings of a pack over `base`: `RULE PATH:LINE`.
fn told(files: &[PackFile], base: &[PackFile]) -> Vec<String> {
    let found = findings(LintedPack { files, base });
    let told = found.iter().map(|finding| {
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{} {}{line}", finding.rule, finding.path)
    });
    told.collect()
}

#[test]
fn a_param_that_nobody_declares_is_found_where_it_is_read_and_required() {
    let base = [file("workflows/params/all.yaml", "- name: timezone\n- name: users\n")];
    let files = [
        file("templates/a.cfg", "{{ param(name=\"timezone\") }}\n{{ param(name='timezon', default=1) }}\n"),
        file("workflows/stages/s.yaml", "name: s\nrequired_params:\n- users\n- user\n"),
        file("workflows/tasks/t.yaml", "name: t\ntemplates: [{name: run, template: a.cfg}]\n"),
    ];
    assert_eq!(
        told(&files, &base),
        ["undeclared-param templates/a.cfg:2", "undeclared-param workflows/stages/s.yaml:4"]
    );
    let found = findings(LintedPack { files: &files, base: &base });
    assert!(found[0].message.contains("did you mean `timezone`?"), "{found:?}");
}

#[test]
fn a_template_is_used_by_its_name_by_its_folder_or_in_place_of_another() {
    let base = [file("templates/kickstart/base.ks", "{% include \"site/hook.ks\" %}\n")];
    let files = [
        file("templates/site/hook.ks", "x\n"),
        file("templates/kickstart/base.ks", "mine\n"),
        file("templates/parts/one.cfg", "x\n"),
        file("templates/all.cfg", "{{ include_from(folder=\"parts\", name=machine.name) }}\n"),
        file("workflows/tasks/t.yaml", "name: t\ntemplates: [{name: run, template: all.cfg}]\n"),
        file("templates/lost.cfg", "lost.cfg is my own name\n"),
    ];
    assert_eq!(told(&files, &base), ["unused-template templates/lost.cfg"]);
}

#[test]
fn a_block_that_fills_nothing_is_an_error_and_a_hook_may_stay_empty() {
    let base = [file("templates/base.cfg", "{% block network %}x{% endblock %}\n")];
    let files = [
        file("templates/own.cfg", "{% extends \"base.cfg\" %}\n{% block netwrok %}y{% endblock %}\n"),
        file(
            "templates/two.cfg",
            "{% block before_x %}{% endblock %}{% block gap %}{% endblock gap %}{# own.cfg #}\n",
        ),
        file("workflows/tasks/t.yaml", "name: t\ntemplates: [{name: run, template: two.cfg}]\n"),
    ];
    assert_eq!(
        told(&files, &base),
        ["unknown-block templates/own.cfg:2", "unfilled-block templates/two.cfg:1"]
    );
}

#[test]
fn secrets_are_found_in_every_form_and_never_quoted() {
    let canary = "Hunter2Canary";
    let lines = [
        format!("d-i passwd/root-password password {canary}"),
        format!("rootpw --plaintext {canary}"),
        format!("user --name=a --password={canary}"),
        format!("api_key: {canary}"),
        format!("curl https://u:{canary}@mirror.example.org/"),
        format!("x $6$saltsalt${}", "a".repeat(40)),
        "-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(),
        format!("ghp_{}", "A1".repeat(18)),
    ];
    let harmless = [
        "d-i passwd/root-password-crypted password {{ param(name=\"root_password\") }}",
        "d-i passwd/root-password-crypted password !",
        "rootpw --lock",
        "rootpw --iscrypted {{ hash }}",
        "  root_password: the hash of a password",
        "secret: true",
        "user-fullname string token",
        "password=\"$1\"",
    ];
    for line in &lines {
        let found = findings(LintedPack { files: &[file("workflows/params/p.yaml", line)], base: &[] });
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert_eq!((found[0].rule, found[0].severity), ("literal-secret", LintSeverity::Error));
        assert!(!found[0].to_string().contains(canary), "{found:?}");
    }
    for line in harmless {
        let found = told(&[file("bootenvs/b.yaml", line)], &[]);
        assert!(!found.iter().any(|found| found.starts_with("literal-secret")), "{line}: {found:?}");
    }
}

#[test]
fn plain_http_to_a_foreign_host_is_found_and_to_an_own_one_is_not() {
    let of = |url: &str| told(&[file("bootenvs/b.yaml", url)], &[]).len();
    for foreign in ["http://deb.debian.org/debian", "x: http://8.8.8.8/", "http://mirror.acme.io:80/"] {
        assert_eq!(of(foreign), 1, "{foreign}");
    }
    for own in [
        "https://deb.debian.org/",
        "http://10.0.0.1:8080/x",
        "http://[fd00::1]/x",
        "http://mirror.example.org/",
        "http://repo/x",
        "http://repo.lan/x",
        "http://{{ server.address }}/x",
        "# see http://wiki.acme.io/",
        "$schema: http://json-schema.org/draft",
    ] {
        assert_eq!(of(own), 0, "{own}");
    }
}

#[test]
fn a_value_in_a_script_is_quoted_by_the_filter_or_harmless() {
    let script = "#!/bin/sh\necho {{ param(name=\"a\") | sh }} {{ machine.name }} {{ 5 }}\n\
                  echo \"{{ param(name='a') }}\"\n# {{ x }}\n";
    let kickstart = "url {{ tree }}\n%post\necho {{ x }}\n%end\nlang {{ y }}\n";
    let task = "name: t\ntemplates:\n- name: run\n  inline: |\n    #!/bin/sh\n    echo {{ x }}\n  path: \
                \"{{ y }}\"\n- {name: b, template: a.sh}\n- {name: c, template: b.ks}\n";
    let base = [file("workflows/params/a.yaml", "name: a\n")];
    let files = [
        file("templates/a.sh", script),
        file("templates/b.ks", kickstart),
        file("workflows/tasks/t.yaml", task),
    ];
    assert_eq!(
        told(&files, &base),
        [
            "unquoted-shell templates/a.sh:3",
            "unquoted-shell templates/b.ks:3",
            "unquoted-shell workflows/tasks/t.yaml:6",
        ]
    );
}

#[test]
fn the_pack_of_the_program_has_no_errors() {
    let core = core_files(None);
    let found = findings(LintedPack { files: &core, base: &[] });
    let errors: Vec<String> = found
        .iter()
        .filter(|finding| finding.severity == LintSeverity::Error)
        .map(ToString::to_string)
        .collect();
    assert_eq!(errors, [""; 0]);
}
