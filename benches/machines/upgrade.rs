//! The check of an upgrade: a thousand machines, half of each installer, and a `core` that changes a line of
//! both answer files, a script of one and nothing else.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::server::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_metalwright");
const MACHINES: usize = 1_000;
const NEXT: &str = "9.9.9";
/// The files of `core` that change, with the line that each gets.
const CHANGED: [(&str, &str); 3] = [
    ("templates/preseed/finish.cfg", "# upgraded\n"),
    ("templates/kickstart/rocky.ks", "# upgraded\n"),
    ("templates/preseed/early.sh", "# upgraded\n"),
];
/// Most pages of one check, and the longest time that it may take.
const PAGES_MAX: usize = 100;
const CHECK_MAX: Duration = Duration::from_secs(120);

/// Prints how long the check takes, and what it found.
pub fn measure() -> Result<()> {
    let folder = tempfile::tempdir().context("a directory for the data")?;
    let mut server = Server::start(folder.path())?;
    let caller = server.caller()?;
    push_next_core(folder.path())?;
    for number in 0..MACHINES {
        let workflow = ["install-debian-12", "install-rocky-9"][number % 2];
        let [.., high, low] = number.to_be_bytes();
        let machine = json!({
            "name": format!("node-{number:05}"),
            "macs": [format!("52:54:00:00:{high:02x}:{low:02x}")],
            "workflow": workflow,
            "params": {"rehearse": true},
        });
        caller.post("machines", &machine)?;
    }
    let (mut checked, mut unchanged, mut groups, mut pages) = (0, 0, 0, 0);
    let mut question = json!({"to": NEXT});
    let before = server.resident_bytes()?;
    let begun = Instant::now();
    for _ in 0..PAGES_MAX {
        let page: Value = serde_json::from_str(&caller.post("packs/core/actions/check", &question)?)?;
        pages += 1;
        checked += page["checked"].as_u64().context("checked")?;
        unchanged += page["unchanged"].as_u64().context("unchanged")?;
        groups = groups.max(page["groups"].as_array().context("groups")?.len());
        ensure!(begun.elapsed() < CHECK_MAX, "{checked} machines were checked in {CHECK_MAX:?}");
        match &page["next"] {
            Value::Null => break,
            next => question["after"] = next.clone(),
        }
    }
    let took = begun.elapsed();
    ensure!(checked as usize == MACHINES, "{checked} machines were checked");
    ensure!(unchanged == 0 && groups >= 2, "{unchanged} machines are unchanged, {groups} groups");
    let rate = checked as f64 / took.as_secs_f64();
    let after = server.resident_bytes()?;
    println!(
        "\ncheck of an upgrade of core: {checked} machines in {:.1} s ({rate:.0}/s), {pages} pages, {groups} \
         groups; RSS {} MiB before, {} MiB after",
        took.as_secs_f64(),
        before >> 20,
        after >> 20
    );
    server.stop()
}

/// Loads the program's own `core` with another version and a few lines more.
fn push_next_core(folder: &Path) -> Result<()> {
    let (data, next) = (folder.join("data"), folder.join("core"));
    let present = concat!("core@", env!("CARGO_PKG_VERSION"));
    run(&data, &["packs", "export", present, &next.display().to_string()])?;
    let manifest = next.join("pack.yaml");
    let text = fs::read_to_string(&manifest).context("pack.yaml")?;
    fs::write(&manifest, text.replace(concat!("version: ", env!("CARGO_PKG_VERSION")), "version: 9.9.9"))?;
    for (path, line) in CHANGED {
        let path = next.join(path);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        fs::write(&path, text + line)?;
    }
    run(&data, &["packs", "push", &next.display().to_string()])
}

fn run(data: &Path, words: &[&str]) -> Result<()> {
    let mut command = Command::new(PROGRAM);
    command.args(words).arg("--data").arg(data).stdout(Stdio::null());
    let ended = command.status().context(PROGRAM)?;
    ensure!(ended.success(), "{words:?}: {ended}");
    Ok(())
}
