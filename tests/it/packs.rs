//! `packs test`, `lint`, `diff` and `files` on folders of this host, without a server.

use std::fs;
use std::path::{Path, PathBuf};

use crate::world::program;

const TASK: &str = "name: greet\ntemplates: [{name: run, template: greet/run.sh}]\n";
const SCRIPT: &str =
    "#!/bin/sh\necho {{ param(name=\"greeting\") | sh }} {{ machine.name | sh }} {{ now() | sh }}\n";

/// A folder that goes with what is in it.
struct PackFolder(tempfile::TempDir);

impl PackFolder {
    fn new() -> Self {
        let folder = PackFolder(tempfile::tempdir().expect("a folder"));
        folder.write("pack.yaml", "name: greet\nversion: 1.0.0\nrequires: {core: \">=0.1\"}\n");
        folder
            .write("workflows/params/greet.yaml", "name: greeting\nschema: {type: string}\ndefault: hello\n");
        folder.write("workflows/tasks/greet.yaml", TASK);
        folder.write("workflows/stages/greet.yaml", "name: greet\ntasks: [greet]\n");
        folder.write("workflows/workflows/greet.yaml", "name: greet\nstages: [greet]\n");
        folder.write("templates/greet/run.sh", SCRIPT);
        folder.write(
            "tests/machines/web1.yaml",
            "name: web1\nmacs: [\"52:54:00:aa:00:01\"]\nworkflow: greet\n",
        );
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, text: &str) {
        let place = self.path().join(path);
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::write(place, text).expect("a file");
    }

    fn golden(&self) -> PathBuf {
        self.path().join("tests/golden/web1/greet/tasks/greet/run")
    }

    /// Runs a verb of packs: whether it ended well, and what it said.
    fn run(&self, words: &[&str]) -> (bool, String) {
        let output = program().arg("packs").args(words).current_dir(self.path()).output().expect("it runs");
        let [out, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        (output.status.success(), format!("{out}{said}"))
    }
}

#[test]
fn a_test_of_a_pack_compares_what_machines_get_with_what_was_blessed() {
    let pack = PackFolder::new();
    let (is_well, said) = pack.run(&["test", ".", "--bless"]);
    assert!(is_well, "{said}");
    let golden = fs::read_to_string(pack.golden()).expect("it was written");
    assert!(golden.contains("echo 'hello' 'web1' '2026-01-01"), "{golden}");
    let (is_well, said) = pack.run(&["test", "."]);
    assert!(is_well && said.contains("1 texts rendered, 0 differ, 0 failed"), "{said}");
    pack.write("workflows/params/greet.yaml", "name: greeting\ndefault: good day\n");
    let (is_well, said) = pack.run(&["test", "."]);
    assert!(!is_well && said.contains("+echo 'good day' 'web1'"), "{said}");
    pack.write("templates/greet/run.sh", "{{ machine.nmae }}\n");
    let (is_well, said) = pack.run(&["test", "."]);
    assert!(!is_well && said.contains("greet/run.sh:1:"), "{said}");
    assert!(said.contains("greet/run: error: no machine gets it any more"), "{said}");
}

#[test]
fn a_lint_tells_file_and_line_and_ends_by_the_severity() {
    let pack = PackFolder::new();
    let (is_well, said) = pack.run(&["lint", "."]);
    assert!(is_well && said.contains("0 errors, 0 warnings"), "{said}");
    pack.write("templates/greet/lost.cfg", "deb http://deb.debian.org/debian stable main\n");
    let (is_well, said) = pack.run(&["lint", "."]);
    assert!(is_well && said.contains("templates/greet/lost.cfg:1: warning:"), "{said}");
    assert!(said.contains("[unused-template]") && said.contains("[plain-http]"), "{said}");
    let (is_well, _) = pack.run(&["lint", ".", "--strict"]);
    assert!(!is_well);
    pack.write("templates/greet/run.sh", "#!/bin/sh\necho {{ param(name=\"greetng\") | sh }}\n");
    let (is_well, said) = pack.run(&["lint", "."]);
    assert!(!is_well && said.contains("templates/greet/run.sh:2: error:"), "{said}");
    let (_, said) = pack.run(&["lint", ".", "-o", "json"]);
    assert!(said.contains("\"rule\": \"undeclared-param\""), "{said}");
    pack.write("workflows/stages/greet.yaml", "name: greet\ntaks: [greet]\n");
    let (is_well, said) = pack.run(&["lint", "."]);
    assert!(!is_well && said.contains("workflows/stages/greet.yaml:2"), "{said}");
}

#[test]
fn two_folders_are_compared_and_the_list_that_is_signed_is_printed_without_a_server() {
    let (before, after) = (PackFolder::new(), PackFolder::new());
    after.write("templates/greet/run.sh", "#!/bin/sh\necho changed\n");
    after.write("pack.yaml", "name: greet\nversion: 1.1.0\n");
    let other = after.path().display().to_string();
    let (is_well, said) = before.run(&["diff", ".", &other]);
    assert!(is_well && said.contains("~ template greet/run.sh") && said.contains("+echo changed"), "{said}");
    assert!(said.contains("~ file pack.yaml"), "{said}");
    let (is_well, said) = before.run(&["files", "."]);
    assert!(is_well && said.lines().all(|line| line.split(' ').count() == 3), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("pack.yaml ")).count(), 1, "{said}");
}
