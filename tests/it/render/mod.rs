//! The built-in content, rendered: every bootenv with both kinds of firmware and all three loaders, compared
//! with the recorded files in `tests/vectors/render`, and checked by the installers' own checkers.
//!
//! `METALWRIGHT_BLESS=1` records the present output; read the difference before committing it.

mod accounts;
mod blocks;
mod checkers;
mod content;
mod disk_table;
mod disks;
mod hooks;
mod late_script;
mod loaders;
mod made_up;
mod network;
mod partitioner;
mod question_list;
mod questions;
mod readers;
mod repositories;
mod scripts;
mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use content::{Case, cases};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/render")
}

/// Every file below a folder, by its path there.
fn recorded(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn rendered() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for case in cases() {
        for (name, text) in case.documents() {
            all.insert(format!("{}/{}/{name}", case.bootenv, case.variant), text);
        }
    }
    for (name, params) in [("hooks", hooks::all_hooks()), ("plain", serde_json::json!({}))] {
        let text = Case::booting("debian-12-install", params).template("autoinstall/hooks.yaml");
        all.insert(format!("autoinstall/{name}.yaml"), text);
    }
    all.extend(loaders::screens().into_iter().map(|(name, text)| (format!("screens/{name}"), text)));
    all.extend(loaders::strangers().into_iter().map(|(name, text)| (format!("strangers/{name}"), text)));
    all
}

/// The first line that differs, for a message.
fn first_difference(recorded: &str, rendered: &str) -> String {
    let pairs = recorded.lines().zip(rendered.lines()).enumerate();
    for (i, (was, is)) in pairs {
        if was != is {
            return format!("line {}:\n    recorded {was}\n    rendered {is}", i + 1);
        }
    }
    format!("recorded {} lines, rendered {}", recorded.lines().count(), rendered.lines().count())
}

#[test]
fn repositories_are_the_apt_section_of_an_autoinstall_file() {
    let [full, empty] = content::autoinstall_apt().map(|text| {
        let parsed: Result<serde_json::Value, _> = serde_saphyr::from_str(&text);
        parsed.unwrap_or_else(|error| panic!("{error}: {text}"))
    });
    let apt = &full["apt"];
    assert_eq!(apt["primary"][0]["uri"], "http://10.0.0.1:8080/artifacts/debian-12-amd64");
    assert_eq!(apt["sources"]["tools-deb"]["source"], "deb http://10.0.0.4/tools-deb bookworm main");
    assert!(apt["sources"].get("tools-rpm").is_none());
    assert_eq!(empty, serde_json::json!({"apt": {"preserve_sources_list": false}}));
}

#[test]
fn every_shipped_bootenv_renders_as_recorded() {
    let (now, before) = (rendered(), recorded(&vectors()));
    if std::env::var_os("METALWRIGHT_BLESS").is_some() {
        let _ = fs::remove_dir_all(vectors());
        for (name, text) in &now {
            let path = vectors().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        return;
    }
    let names: BTreeSet<&String> = now.keys().chain(before.keys()).collect();
    let differences: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (before.get(name), now.get(name)) {
            (Some(was), Some(is)) if was == is => None,
            (Some(was), Some(is)) => Some(format!("{name}: {}", first_difference(was, is))),
            (None, _) => Some(format!("{name}: rendered and not recorded")),
            (_, None) => Some(format!("{name}: recorded and no longer rendered")),
        })
        .collect();
    assert!(
        differences.is_empty(),
        "{} documents differ; if they should, record them with METALWRIGHT_BLESS=1\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn a_second_render_gives_the_same_bytes() {
    assert!(rendered() == rendered());
}

#[test]
fn a_rehearsal_names_no_disk() {
    let rehearsals: Vec<Case> = cases().into_iter().filter(|case| case.rehearses()).collect();
    assert_eq!(rehearsals.len(), 4, "two installers under two kinds of firmware");
    for case in rehearsals {
        let none = |question: &str| format!("d-i {question} string /dev/metalwright-none");
        let allowed = [
            none("partman-auto/disk"),
            none("grub-installer/bootdev"),
            "d-i partman/early_command string sh /tmp/metalwright-disk.sh".to_owned(),
        ];
        let (name, answers) = case.answer_file();
        let answered = answers.lines().filter(|line| !allowed.iter().any(|allowed| allowed == line));
        for line in answered.filter(|line| !line.trim_start().starts_with('#')) {
            for word in
                ["partman", "grub-installer", "clearpart", "autopart", "ignoredisk", "bootloader", "zerombr"]
            {
                assert!(!line.contains(word), "{name}: {line}");
            }
        }
        let all = case.documents().into_iter().filter(|(name, _)| name != "late.sh");
        let all = all.map(|(_, text)| text).collect::<String>();
        for word in ["debconf-set", "if=/dev/zero", "vgchange", "metalwright-disk.ks"] {
            assert!(!all.contains(word), "{name}: {word}");
        }
        let (_, end) = all.split_once("end_rehearsal done").unwrap_or_else(|| panic!("{name} reports done"));
        assert!(end.contains("$(chosen_disks)"), "{name} says which disk it would be");
    }
}

#[test]
fn an_installation_reports_failure_and_success() {
    for case in cases().into_iter().filter(|case| case.is_install() && !case.rehearses()) {
        let all = case.documents().into_iter().map(|(_, text)| text).collect::<String>();
        for report in ["insist done", "insist failed", "report log"] {
            assert!(all.contains(report), "{} {}: {report}", case.bootenv, case.variant);
        }
    }
}

/// The first stage of Rocky's installer takes a static address from the kickstart, whatever `--no-activate`
/// says, unless the command line has `ip=` (anaconda's branch rhel-9, dracut/parse-kickstart). The second
/// stage heeds `--no-activate`.
#[test]
fn the_rocky_installer_keeps_the_address_of_its_boot() {
    for case in cases().into_iter().filter(|case| case.bootenv == "rocky-9-install") {
        assert!(case.cmdline().split(' ').any(|word| word == "ip=dhcp"), "{}", case.variant);
        let (name, answers) = case.answer_file();
        let network = answers.lines().find(|line| line.starts_with("network ")).unwrap();
        let is_activated = network.contains(" --activate ");
        assert_ne!(network.contains("--bootproto=static"), is_activated, "{name}: {network}");
        assert_ne!(network.contains(" --no-activate "), is_activated, "{name}: {network}");
    }
}

#[test]
fn secrets_are_hashed_before_they_are_written() {
    for case in cases() {
        for (name, text) in case.documents() {
            for secret in content::SECRETS {
                assert!(!text.contains(secret), "{} {name} carries `{secret}`", case.bootenv);
            }
        }
    }
}
