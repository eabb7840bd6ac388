//! The built-in shell scripts can be parsed by a shell. The choice of a disk is tested in `disks`.

use std::process::Command;

use super::content::{Case, cases, task_scripts};
use super::repositories;

/// The bodies of a kickstart's script sections.
pub fn sections(kickstart: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in kickstart.lines() {
        let begins = ["%pre", "%post", "%onerror"].iter().any(|name| line.starts_with(name));
        match (&mut open, line) {
            (None, _) if begins => open = Some(String::new()),
            (Some(_), "%end") => found.extend(open.take()),
            (Some(body), _) => *body += &format!("{line}\n"),
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a section does not end");
    found
}

fn scripts() -> Vec<(String, String)> {
    let mut scripts = task_scripts();
    let closed = ["debian-12-install", "rocky-9-install"]
        .map(|bootenv| Case::booting(bootenv, repositories::closed_site()));
    for case in cases().into_iter().chain(closed) {
        for (name, text) in case.documents() {
            let place = format!("{}/{}/{name}", case.bootenv, case.variant);
            if name.ends_with(".sh") {
                scripts.push((place, text));
            } else if name.ends_with(".ks") {
                scripts.extend(sections(&text).into_iter().map(|body| (place.clone(), body)));
            }
        }
    }
    scripts
}

#[test]
fn a_shell_can_read_every_script() {
    let scripts = scripts();
    assert!(scripts.len() > 20, "{}", scripts.len());
    for (name, text) in scripts {
        let done = Command::new("/bin/sh").args(["-n", "-c", &text]).output().unwrap();
        assert!(done.status.success(), "{name}: {}\n{text}", String::from_utf8_lossy(&done.stderr));
    }
}
