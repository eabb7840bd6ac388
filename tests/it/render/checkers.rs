//! The installers' own checkers: `debconf-set-selections -c` and `ksvalidator`.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::content::cases;

/// The path of a tool: on the PATH, or among those that `make deps` puts into the target directory.
pub fn tool(name: &str, how_to_get_it: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let program = std::env::current_exe().unwrap();
    folders.extend(program.ancestors().nth(3).map(|target| target.join("tools/bin")));
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("`{name}` is needed and not installed: {how_to_get_it}"))
}

#[test]
fn debconf_accepts_every_preseed() {
    for case in cases().into_iter().filter(|case| case.bootenv.starts_with("debian-")) {
        let (name, answers) = case.answer_file();
        check_preseed(&name, &answers);
    }
}

/// Runs `debconf-set-selections -c` on a preseed. It locks the host's answers, and fails without a word where
/// another one has them.
pub fn check_preseed(name: &str, answers: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let checker = tool("debconf-set-selections", "install the Debian package debconf");
    let mut child = Command::new(&checker)
        .args(["--checkonly", "--verbose"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{name}: {said}");
    for complaint in ["warning:", "error:"] {
        assert!(!said.contains(complaint), "{name}: {said}");
    }
}

#[test]
fn pykickstart_accepts_every_kickstart() {
    for case in cases().into_iter().filter(|case| case.bootenv.starts_with("rocky-9")) {
        let (name, answers) = case.answer_file();
        check_kickstart(&name, &answers);
    }
}

/// Runs `ksvalidator` on a kickstart, with what its `%pre` section writes where it installs.
pub fn check_kickstart(name: &str, answers: &str) {
    let checker = tool(
        "ksvalidator",
        "run `make deps`, or put pykickstart into a virtual environment whose bin is on the PATH",
    );
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("metalwright-");
    let answers = answers.replace("/tmp/metalwright-", scratch.to_str().unwrap());
    if answers.contains("%include") {
        write_disk_choice(&answers);
        let chosen = std::fs::read_to_string(folder.path().join("metalwright-disk.ks")).unwrap();
        assert!(chosen.starts_with("ignoredisk --only-use=sda\n"), "{name}");
    }
    let path = folder.path().join("answers.ks");
    std::fs::write(&path, answers).unwrap();
    let checks = ["--firsterror", "--followincludes", "--version", "RHEL9"];
    let done = Command::new(&checker).args(checks).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{name}: {said}");
}

/// Does what the `%pre` section does after choosing /dev/sda: it writes the included file.
fn write_disk_choice(answers: &str) {
    let (_, rest) = answers.split_once("\nlist=").expect("%pre lists the chosen disks");
    let (script, _) = rest.split_once("%end").unwrap();
    let script = format!(
        "report() {{ :; }}\nspans() {{ :; }}\nchosen_disks() {{ :; }}\ndisks=/dev/sda\nlist={script}"
    );
    let done = Command::new("/bin/sh").args(["-eu", "-c", &script]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
