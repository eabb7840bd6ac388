//! What a site puts into documents without a template of its own: params for further answers, commands and
//! packages, and snippets that are included where they exist.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::accounts::SHELLS;
use super::content::{self, Case};
use super::scripts::sections;

const DEBIAN: &str = "debian-12-install";
const ROCKY: &str = "rocky-9-install";

/// What a site puts into documents itself, with texts that mean something to what carries them.
pub fn all_hooks() -> Value {
    let script = "cat >/tmp/own <<'END'\r\n%end\r\n  %end # it's \"{{ here }}\" ${#a[@]} `x` \\\r\n\
                  |bar\nEND\n%include /tmp/none\n";
    json!({
        "preseed_extra": "# The site's own.\r\nd-i pkgsel/upgrade select none\r\n\
                          d-i netcfg/get_domain string it's \"{{ here }}\"\n\n",
        "kickstart_extra": "services --disabled=cups\r\n%post --log=/root/own.log\r\n\
                            echo \"{{ here }}\" ${#a[@]} `x`\r\n%end\r\n",
        "autoinstall_extra": {
            "timezone": "Europe/Berlin", "ssh": {"install-server": true, "note": "it's\n%end"},
        },
        "packages": ["vim", "nano"],
        "packages_remove": ["nano", "telnet", "sudo"],
        "early_script": format!("#!/bin/bash\r\n{script}"),
        "late_script": script,
        "kernel_options": "mitigations=off",
        "installer_options": "DEBCONF_DEBUG=5",
    })
}

/// What an early script writes to $RESULT and what it is stopped with.
fn result(shell: &[&str], early_script: &str) -> String {
    let case = Case::booting(DEBIAN, json!({"early_script": early_script}));
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let snippet = case.template("snippets/shell/early-script.sh");
    let snippet = snippet.replace("/tmp/metalwright-early-script", &path("script"));
    let script =
        format!("set -eu\nstop_here() {{\n\techo \"stopped: $1\"\n\texit 1\n}}\n{snippet}\necho went on");
    let mut run = Command::new(shell[0]);
    let done = run.args(&shell[1..]).args(["-c", &script]).env("RESULT", path("result")).output().unwrap();
    let written = std::fs::read_to_string(path("result")).unwrap_or_default();
    written + &String::from_utf8_lossy(&done.stdout) + &String::from_utf8_lossy(&done.stderr)
}

#[test]
fn an_early_script_runs_under_the_interpreter_that_it_names_whatever_is_in_it() {
    for shell in SHELLS {
        for (script, expected) in [
            ("echo plain >$RESULT", "plain\n"),
            ("#!/bin/bash\r\n[[ x == x ]] && echo \"${BASH##*/}\" >\"$RESULT\"\r\n", "bash\n"),
            (
                "cat >$RESULT <<'END'\n|bar\n%end\n  %end\n\ttab \\\n$x `y` it's \"{{ z }}\"\nEND\n",
                "|bar\n%end\n  %end\n\ttab \\\n$x `y` it's \"{{ z }}\"\n",
            ),
        ] {
            assert_eq!(result(shell, script), format!("{expected}went on\n"), "{shell:?}: {script}");
        }
    }
}

#[test]
fn an_early_script_that_fails_stops_the_installation_with_what_it_said_last() {
    for shell in SHELLS {
        let said = result(shell, "echo no controller >&2\nfalse\necho on >$RESULT");
        assert_eq!(said, "stopped: early_script ended with 1: no controller\n", "{shell:?}");
        let said = result(shell, "#!/bin/bash\nfalse\necho on >$RESULT\nexit 3");
        assert_eq!(said, "on\nstopped: early_script ended with 3: \n", "{shell:?}");
    }
}

#[test]
fn an_early_script_runs_before_a_disk_is_chosen() {
    let params = json!({"early_script": "modprobe megaraid_sas\n"});
    let early = Case::booting(DEBIAN, params.clone()).rendered_file("early.sh").unwrap();
    assert!(early.contains("|modprobe megaraid_sas\n"), "{early}");
    let (_, kickstart) = Case::booting(ROCKY, params).answer_file();
    let chooses = |body: &String| body.contains("if ! disks=$(choose_disks");
    let choice = sections(&kickstart).into_iter().find(chooses).unwrap();
    let (before, _) = choice.split_once("if ! disks=$(choose_disks").unwrap();
    assert!(before.contains("|modprobe megaraid_sas\n"), "{before}");
}

#[test]
fn further_answers_come_last_and_keep_their_text() {
    let (_, preseed) = Case::booting(DEBIAN, all_hooks()).answer_file();
    let own = "# The site's own.\nd-i pkgsel/upgrade select none\n\
               d-i netcfg/get_domain string it's \"{{ here }}\"\n";
    assert!(preseed.ends_with(own), "{preseed}");
    let why = Case::booting(DEBIAN, json!({"preseed_extra": "d-i a/b string c \\\n"})).refusal("preseed.cfg");
    assert!(why.contains("the last line ends in a backslash"), "{why}");
}

#[test]
fn further_lines_of_a_kickstart_stand_before_the_section_that_reports() {
    let (_, kickstart) = Case::booting(ROCKY, all_hooks()).answer_file();
    let own = "services --disabled=cups\n%post --log=/root/own.log\necho \"{{ here }}\" ${#a[@]} `x`\n%end\n";
    let (_, after) = kickstart.split_once(own).unwrap_or_else(|| panic!("{kickstart}"));
    assert!(after.contains("insist done"), "{after}");
}

/// A section that does not end would take in what follows: the accounts, the agent, the report.
#[test]
fn further_lines_of_a_kickstart_must_end_the_sections_that_they_begin() {
    for (lines, why) in [
        ("%post\necho x", "the section `%post` has no `%end`"),
        ("lang C\n%end", "line 2: no section has begun that `%end` could end"),
        ("%post --nochroot\n%pre\n%end", "line 2: `%pre` stands inside of the section `%post`"),
    ] {
        let params = json!({"kickstart_extra": lines, "root_password": "x"});
        let refused = Case::booting(ROCKY, params).refusal("rocky.ks");
        assert!(refused.contains(why), "{lines}: {refused}");
    }
    for lines in
        ["%post\r\necho x\r\n%end\t# it ends\r\n%include /tmp/x", "%addon a b\n%end\n%packages\nx\n%end"]
    {
        Case::booting(ROCKY, json!({"kickstart_extra": lines})).answer_file();
    }
}

#[test]
fn a_package_that_is_not_wanted_is_left_out_of_both_systems() {
    let params = json!({"packages": ["vim", "nano"], "packages_remove": ["nano", "sudo", "telnet"]});
    let (_, kickstart) = Case::booting(ROCKY, params.clone()).answer_file();
    let (_, packages) = kickstart.split_once("%packages\n").unwrap();
    let expected = "@^minimal-environment\nchrony\nopenssh-server\nvim\n-nano\n-sudo\n-telnet\n%end\n";
    assert!(packages.starts_with(expected), "{packages}");
    let debian = Case::booting(DEBIAN, params);
    let (_, preseed) = debian.answer_file();
    assert!(preseed.contains("pkgsel/include string openssh-server ca-certificates vim\n"), "{preseed}");
    // Of the new system's packages, those that it has.
    let script = debian.template("snippets/shell/debian-packages-remove.sh");
    let chroot = "chroot() {\n\tcase $* in\n\t*dpkg-query*sudo) echo installed ;;\n\
                  \t*dpkg-query*nano) echo config-files ;;\n\
                  \t*dpkg-query*) return 1 ;;\n\t*) echo \"$@\" ;;\n\tesac\n}\n";
    for shell in SHELLS {
        let script = format!("set -eu\nroot=/target\n{chroot}{script}");
        let done = Command::new(shell[0]).args(&shell[1..]).args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert_eq!(said, "/target apt-get -y -q purge sudo\n", "{shell:?}: {done:?}");
    }
}

#[test]
fn a_rehearsal_has_nothing_of_it() {
    let Value::Object(mut params) = all_hooks() else { unreachable!() };
    params.insert("rehearse".to_owned(), json!(true));
    for bootenv in [DEBIAN, ROCKY] {
        let case = Case::booting(bootenv, Value::Object(params.clone()));
        let documents = case.documents().into_iter().filter(|(name, _)| name != "late.sh");
        let all: String = documents.map(|(_, text)| text).collect();
        for own in ["metalwright-early-script", "metalwright-late-script", "The site's own.", "cups"] {
            assert!(!all.contains(own), "{bootenv}: {own}");
        }
    }
}

#[test]
fn an_autoinstall_file_gets_the_same_hooks() {
    let case = Case::booting("debian-12-install", all_hooks());
    let sections = |case: &Case| -> Value {
        let text = case.template("autoinstall/hooks.yaml");
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let all = sections(&case);
    assert_eq!(all["packages"], json!(["openssh-server", "vim"]));
    assert_eq!(all["timezone"], "Europe/Berlin");
    assert_eq!(all["ssh"], json!({"install-server": true, "note": "it's\n%end"}));
    for (commands, own) in
        [("early-commands", "\n|  %end # it's \"{{ here }}\""), ("late-commands", "purge \"$@\"\n")]
    {
        let script = all[commands][0][2].as_str().unwrap();
        assert!(script.contains(own), "{script}");
        let done = Command::new("/bin/sh").args(["-n", "-c", script]).output().unwrap();
        assert!(done.status.success(), "{done:?}\n{script}");
    }
    let none = sections(&Case::booting("debian-12-install", json!({})));
    assert_eq!(none, json!({"packages": ["openssh-server", "sudo"]}));
}

/// The snippets of a site, each with one line.
const SNIPPETS: [(&str, &str); 5] = [
    ("preseed.cfg", "# own {{ machine.name }}"),
    ("kickstart.ks", "# own {{ machine.name }}\n"),
    ("early.sh", "echo own early >&2"),
    ("late.sh", "echo own {{ param(name=\"packages\") }}\n\n"),
    ("autoinstall.yaml", "own: true"),
];

#[test]
fn a_snippet_of_the_site_is_in_the_document_and_in_its_provenance_once_it_exists() {
    let site = SNIPPETS.map(|(name, body)| (format!("site/hooks/{name}"), body.to_owned()));
    let (without, with) = (content::engine_with(&[]), content::engine_with(&site));
    for (bootenv, document, expected) in [
        (DEBIAN, "preseed/debian.cfg", vec!["preseed.cfg"]),
        (DEBIAN, "preseed/early.sh", vec!["early.sh"]),
        (DEBIAN, "preseed/late.sh", vec!["late.sh"]),
        (DEBIAN, "preseed/disk.sh", vec![]),
        (ROCKY, "kickstart/rocky.ks", vec!["early.sh", "kickstart.ks", "late.sh"]),
    ] {
        let case = Case::booting(bootenv, json!({}));
        let [without, with] = [&without, &with].map(|engine| case.rendered_by(engine, document));
        let added = with.text.lines().count() - without.text.lines().count();
        let own = |text: &str| text.lines().filter(|line| line.contains("own ")).count();
        assert_eq!(
            (added, own(&with.text) - own(&without.text)),
            (expected.len(), expected.len()),
            "{document}"
        );
        let used = with.provenance.templates.iter().filter_map(|used| used.name.strip_prefix("site/hooks/"));
        assert_eq!(used.collect::<Vec<_>>(), expected, "{document}");
        let used = |used: &metalwright::render::TemplateUse| used.name.starts_with("site/");
        assert!(!without.provenance.templates.iter().any(used), "{document}");
    }
    let sections = Case::booting(DEBIAN, json!({})).rendered_by(&with, "autoinstall/hooks.yaml").text;
    assert!(sections.contains("\nown: true\n") && sections.contains("echo own early >&2\\n"), "{sections}");
}
