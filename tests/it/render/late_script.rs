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

/// Whether a new system with these files, under BIOS or UEFI, counts as one that boots.
fn boots(shell: &[&str], bootenv: &str, files: &[&str]) -> (bool, String) {
    let root = TempDir::new().unwrap();
    for file in files {
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    let script = Case::booting(bootenv, json!({})).template("snippets/shell/bootable.sh");
    let script = format!("set -eu\n{}", script.replace("/sys/firmware/efi", "$root/efi"));
    let mut checked = Command::new(shell[0]);
    checked.args(&shell[1..]).args(["-c", &script]).env("root", root.path());
    let done = checked.output().unwrap();
    (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
}

#[test]
fn a_new_system_without_a_kernel_or_boot_loader_is_not_done() {
    const KERNEL: &str = "boot/vmlinuz-6.1.0-50-amd64";
    const GRUB: &str = "boot/grub/grub.cfg";
    for shell in SHELLS {
        let debian = |files: &[&str]| boots(shell, "debian-12-install", files);
        assert!(debian(&[KERNEL, GRUB]).0);
        assert!(debian(&[KERNEL, "efi/vars"]).0, "UEFI has its loader in a partition of its own");
        let (is_done, why) = debian(&[KERNEL]);
        assert!(!is_done && why.contains("GRUB has no configuration"), "{why}");
        let (is_done, why) = debian(&[GRUB]);
        assert!(!is_done && why.contains("there is no kernel"), "{why}");
        assert!(boots(shell, "rocky-9-install", &[KERNEL]).0);
        assert!(!boots(shell, "rocky-9-install", &[GRUB]).0);
    }
}

#[test]
fn no_line_of_a_recipe_ends_the_script_that_carries_it() {
    for line in ["%end", "%end ", "  %end", "END"] {
        for rehearse in [false, true] {
            let recipe = format!("part / --size=1 --grow\n{line}\n");
            let params =
                json!({"partitioning": "custom", "partitioning_recipe": recipe, "rehearse": rehearse});
            let why = Case::booting("rocky-9-install", params).refusal("rocky.ks");
            assert!(why.contains("would end the script"), "{why}");
        }
    }
}
