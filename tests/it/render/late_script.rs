//! The site's own script at the end of an installation: it runs under the interpreter that it names, and no
//! line of it means anything to the document that carries it.

use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::accounts::SHELLS;
use super::content::Case;
use super::scripts::sections;

/// The new system is the test's own; only the script itself is inside of its root.
const CHROOT: &str = r#"
chroot() {
    for last; do :; done
    if [ "$2" = "$last" ]; then
        "$root$last"
    else
        "$2" "$3" "$root$last"
    fi
}
"#;

/// What a script writes to $RESULT, and its exit status.
fn result(shell: &[&str], late_script: &str) -> (Option<i32>, String) {
    let case = Case::booting("debian-12-install", json!({"late_script": late_script}));
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join("root")).unwrap();
    let script = format!("set -eu\n{CHROOT}\n{}", case.template("snippets/shell/late-script.sh"));
    let result = root.path().join("result");
    let done = Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", &script])
        .env("root", root.path())
        .env("RESULT", &result)
        .output()
        .unwrap();
    let text = std::fs::read_to_string(result).unwrap_or_default();
    (done.status.code(), text + &String::from_utf8_lossy(&done.stderr))
}

#[test]
fn a_script_runs_under_the_interpreter_that_it_names() {
    for shell in SHELLS {
        for (script, expected) in [
            ("echo plain >$RESULT", "plain\n"),
            ("#!/bin/bash\n[[ x == x ]] && echo \"${BASH##*/}\" >$RESULT\n", "bash\n"),
            ("#!/usr/bin/env python3\nimport os\nopen(os.environ['RESULT'], 'w').write('py')\n", "py"),
            ("#!/bin/bash\r\necho crlf >\"$RESULT\"\r\n", "crlf\n"),
            ("cat >$RESULT <<'END'\n|bar\n\ttab \\\n$x `y`\nEND\n", "|bar\n\ttab \\\n$x `y`\n"),
        ] {
            assert_eq!(result(shell, script), (Some(0), expected.to_owned()), "{shell:?}: {script}");
        }
    }
}

#[test]
fn a_shell_script_ends_at_the_first_command_that_fails() {
    for script in ["false\necho on >$RESULT", "#!/bin/sh\nfalse\necho on >$RESULT"] {
        assert_eq!(result(SHELLS[0], script), (Some(1), String::new()), "{script}");
    }
    let bash = "#!/bin/bash\nfalse\necho on >$RESULT\nexit 3";
    assert_eq!(result(SHELLS[0], bash), (Some(3), "on\n".to_owned()));
}

/// Lines that begin or end something in a kickstart.
const KICKSTART_LINES: &str =
    "cat >$RESULT <<'X'\n%end\n%include /tmp/x\n%ksappend /tmp/x\n%packages\nEND\nX";

#[test]
fn no_line_of_a_script_ends_a_section_of_the_kickstart() {
    let case = Case::booting("rocky-9-install", json!({"late_script": KICKSTART_LINES}));
    let (_, kickstart) = case.answer_file();
    let posts: Vec<_> = sections(&kickstart).into_iter().filter(|body| body.contains("|%end")).collect();
    let [post] = posts.as_slice() else { panic!("{kickstart}") };
    assert!(post.contains("|%ksappend /tmp/x\n") && post.contains("report done"), "{post}");
    super::checkers::check_kickstart("late_script", &kickstart);
    let expected = "%end\n%include /tmp/x\n%ksappend /tmp/x\n%packages\nEND\n".to_owned();
    assert_eq!(result(SHELLS[1], KICKSTART_LINES), (Some(0), expected));
}
