//! The unit for systemd that is shipped: what it lets the server have is enough, and no more than it says.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{BRIDGE, on_a_lan};
use crate::program::Program;
use crate::world::PROGRAM;

const UNIT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd/metalwright.service"));
const NOBODY: u32 = 65_534;
/// What `systemd-analyze security` may find at most, in tenths.
const EXPOSURE_MAX: u32 = 25;

/// The value of a setting of the unit.
fn setting(name: &str) -> &'static str {
    let value = UNIT.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the unit has no {name}"))
}

/// The capabilities of the unit, as `setpriv` takes them.
fn capabilities() -> String {
    let names = setting("AmbientCapabilities").split(' ');
    names.map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase())).collect()
}

#[test]
fn the_server_runs_as_its_own_user_with_the_capabilities_of_the_shipped_unit() {
    assert_eq!(setting("AmbientCapabilities"), setting("CapabilityBoundingSet"));
    on_a_lan(|_| {
        let folder = TempDir::new().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        // As StateDirectory= makes it. The program is where that user may read it.
        let (data, program) = (folder.path().join("data"), folder.path().join("metalwright"));
        fs::create_dir(&data).expect("a folder");
        chown(&data, Some(NOBODY), Some(NOBODY)).expect("an owner");
        if fs::hard_link(PROGRAM, &program).is_err() {
            fs::copy(PROGRAM, &program).expect("a copy of the program");
        }
        let (only, added) = (format!("-all{}", capabilities()), capabilities());
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
        command.args([
            "--bounding-set",
            &only,
            "--inh-caps",
            &only,
            "--ambient-caps",
            &format!("-all{added}"),
        ]);
        command.arg(&program).arg("serve").arg("--data").arg(&data);
        command.args([
            "--api-listen",
            "127.0.0.1:0",
            "--dhcp-interface",
            BRIDGE,
            "--boot-http",
            "0.0.0.0:80",
        ]);
        let mut server = Program::spawn("metalwright as nobody", command);
        let line = server.wait_for_line("{", Duration::from_secs(60));
        let ready: Value = serde_json::from_str(&line).expect("one line of JSON");
        assert_eq!(ready["event"], "ready", "{line}");
        assert_eq!(fs::metadata(data.join("metalwright.db")).expect("a database").uid(), NOBODY);
        let mut doctor = Command::new(PROGRAM);
        let said =
            doctor.args(["doctor", "dhcp", BRIDGE, "--data"]).arg(&data).output().expect("the program");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let lacking = said.lines().filter(|line| line.contains("capabilities") && !line.starts_with("ok"));
        assert_eq!(lacking.count(), 0, "{said}");
    });
}

/// Seen with a systemd that runs: files of artifacts are opened by openat2(2) alone, and this setting makes
/// the kernel answer that there is no such call.
#[test]
fn the_shipped_unit_leaves_the_call_that_files_are_opened_with() {
    assert!(!UNIT.lines().any(|line| line.starts_with("RestrictSUIDSGID=")));
}

#[test]
fn the_shipped_unit_exposes_little() {
    let folder = TempDir::new().expect("a folder");
    let unit = folder.path().join("metalwright.service");
    let text = UNIT.lines().map(|line| match line.strip_prefix("ExecStart=") {
        Some(command) => format!("ExecStart={PROGRAM} {}\n", command.split_once(' ').expect("words").1),
        None => format!("{line}\n"),
    });
    fs::write(&unit, text.collect::<String>()).expect("a unit");
    let run = |words: &[&str]| Command::new("systemd-analyze").args(words).arg(&unit).output();
    let verified = run(&["verify"]).expect("systemd-analyze");
    assert!(verified.status.success(), "{verified:?}");
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let judged = run(&["security", "--offline=yes", "--no-pager", &threshold]).expect("systemd-analyze");
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}
