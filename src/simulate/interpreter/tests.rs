//! Tests of the scripts that this project's templates render, and of iPXE's rules for which command runs.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// The settings of a machine whose interface is closed and has no address.
fn offline(platform: &str) -> ScriptSettings {
    ScriptSettings::from([
        ("platform".to_owned(), platform.to_owned()),
        ("netX/mac".to_owned(), "52:54:00:aa:00:01".to_owned()),
        ("uuid".to_owned(), "00112233-4455-6677-8899-aabbccddeeff".to_owned()),
    ])
}

/// Runs a script to its end. Fetches of URLs that contain `fails` fail; a chained script ends the run.
fn run(text: &str, platform: &str, fails: &str) -> Result<Vec<ScriptEffect>, ScriptFault> {
    let mut settings = offline(platform);
    settings.insert("netX/ip".to_owned(), "10.0.0.9".to_owned());
    run_with(settings, text, fails)
}

fn run_with(settings: ScriptSettings, text: &str, fails: &str) -> Result<Vec<ScriptEffect>, ScriptFault> {
    let platform = settings["platform"].clone();
    let mut interpreter = ScriptInterpreter::new(IpxeScript::parse(text)?, settings);
    let mut effects = Vec::new();
    let mut succeeded = true;
    loop {
        let effect =
            interpreter.next(if succeeded { EffectOutcome::Succeeded } else { EffectOutcome::Failed })?;
        succeeded = match &effect {
            ScriptEffect::Fetch { url, .. } | ScriptEffect::Chain { url, .. } => {
                fails.is_empty() || !url.contains(fails)
            }
            _ => true,
        };
        let ends = match &effect {
            ScriptEffect::Say(_) | ScriptEffect::Sleep { .. } | ScriptEffect::Fetch { .. } => false,
            ScriptEffect::Chain { .. } => succeeded,
            ScriptEffect::Disk => platform != "no disk",
            _ => true,
        };
        effects.push(effect);
        if ends {
            return Ok(effects);
        }
        succeeded &= !(platform == "no disk" && effects.last() == Some(&ScriptEffect::Disk));
    }
}

fn last(text: &str, platform: &str) -> ScriptEffect {
    run(&format!("#!ipxe\n{text}\n"), platform, "").unwrap().pop().unwrap()
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/render")
}

fn rendered(path: &str) -> String {
    fs::read_to_string(vectors().join(path)).unwrap()
}

/// Every recorded script for iPXE, by its path.
fn recorded_scripts() -> Vec<(PathBuf, String)> {
    let (mut scripts, mut folders) = (Vec::new(), vec![vectors()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "ipxe") {
                scripts.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    scripts
}

#[test]
fn every_script_configures_a_closed_interface_before_it_fetches_anything() {
    let scripts = recorded_scripts();
    assert!(scripts.len() > 15, "{}", scripts.len());
    for (path, text) in scripts {
        let mut settings = offline("efi");
        settings.insert("net0/ip".to_owned(), "10.0.0.9".to_owned());
        let mut interpreter = ScriptInterpreter::new(IpxeScript::parse(&text).unwrap(), settings);
        // The menu is a command that the simulator does not know, and comes first in its script.
        while let Ok(ScriptEffect::Say(_) | ScriptEffect::Sleep { .. }) =
            interpreter.next(EffectOutcome::Succeeded)
        {}
        assert_eq!(interpreter.settings["netX/ip"], "10.0.0.9", "{}", path.display());
    }
}

#[test]
fn without_a_network_the_disk_is_booted_and_every_other_script_says_why_it_failed_and_reboots() {
    for (path, text) in recorded_scripts() {
        let is_local = ["local.ipxe", "menu.ipxe", "unknown.ipxe"].iter().any(|name| path.ends_with(name));
        for platform in ["efi", "pcbios"] {
            let effects = run_with(offline(platform), &text, "http").unwrap();
            let end = match (is_local, platform) {
                (true, "efi") => ScriptEffect::Exit { code: 1 },
                (true, _) => ScriptEffect::Disk,
                (false, _) => ScriptEffect::Reboot,
            };
            assert_eq!(effects.last(), Some(&end), "{} {platform}: {effects:?}", path.display());
            let says_why = effects.iter().any(
                |effect| matches!(effect, ScriptEffect::Say(text) if text.contains("no network interface")),
            );
            assert_eq!(says_why, !is_local, "{} {platform}: {effects:?}", path.display());
        }
    }
}

#[test]
fn every_rendered_install_script_starts_its_kernel_with_the_rendered_command_line() {
    for bootenv in ["debian-12-install", "rocky-9-install"] {
        for case in ["bios", "uefi", "bios-rehearsal", "uefi-rehearsal", "uefi-site"] {
            let script = rendered(&format!("{bootenv}/{case}/ipxe/boot.ipxe"));
            let effects = run(&script, "efi", "").unwrap();
            let Some(ScriptEffect::Boot(boot)) = effects.last() else { panic!("{case}: {effects:?}") };
            let line = rendered(&format!("{bootenv}/{case}/cmdline"));
            let initrd = format!("initrd={} ", boot.initrds.concat());
            assert_eq!(boot.command_line.strip_prefix(&initrd).map(str::trim), Some(line.trim()), "{case}");
            assert_eq!(boot.initrds.len(), 1, "{case}");
        }
    }
}

#[test]
fn an_install_script_whose_kernel_does_not_come_asks_the_server_again() {
    let script = rendered("debian-12-install/bios/ipxe/boot.ipxe");
    let effects = run(&script, "pcbios", "/linux").unwrap();
    assert!(effects.contains(&ScriptEffect::Sleep { seconds: 30 }));
    let who = "mac=52:54:00:aa:00:01&uuid=00112233-4455-6677-8899-aabbccddeeff";
    let url = format!("http://10.0.0.1:8080/boot.ipxe?{who}");
    assert_eq!(effects.last(), Some(&ScriptEffect::Chain { url, place: ChainMode::Instead }));
    let dead = run(&script, "pcbios", "http").unwrap();
    assert_eq!(dead.last(), Some(&ScriptEffect::Reboot), "{dead:?}");
}

#[test]
fn the_local_script_leaves_to_the_disk_as_each_firmware_can() {
    let local = "iseq ${platform} efi && goto efi ||\n\
                 sanboot --no-describe --drive 0x80 || exit\n\
                 :efi\n\
                 exit 1";
    assert_eq!(last(local, "pcbios"), ScriptEffect::Disk);
    assert_eq!(last(local, "efi"), ScriptEffect::Exit { code: 1 });
    assert_eq!(last(local, "no disk"), ScriptEffect::Exit { code: 0 });
}

#[test]
fn conditions_work_as_in_ipxe() {
    let says = |line: &str| {
        let effects = run(&format!("#!ipxe\nset a 1\n{line}\nexit\n"), "efi", "").unwrap();
        effects
            .into_iter()
            .filter_map(|effect| match effect {
                ScriptEffect::Say(text) => Some(text),
                _ => None,
            })
            .collect::<Vec<_>>()
            .join(",")
    };
    assert_eq!(says("isset ${a} && echo set || echo unset"), "set");
    assert_eq!(says("isset ${b} && echo set || echo unset"), "unset");
    assert_eq!(says("iseq ${a} 2 || iseq ${a} 1 && echo one"), "one");
    assert_eq!(says("isset ${b} ; echo on"), "on");
    assert_eq!(says("isset ${b} ||\necho on # off"), "on");
    assert_eq!(says("set b ${a}${a}\necho ${b}\nclear b\nisset ${b} || echo gone"), "11,gone");
}

#[test]
fn images_take_their_name_from_the_url_and_their_arguments_late() {
    let ScriptEffect::Boot(boot) = last(
        "kernel http://h/a/vmlinuz?x=1 one\ninitrd http://h/i.img\nimgargs vmlinuz two three\nboot",
        "efi",
    ) else {
        panic!("it boots")
    };
    assert_eq!((boot.kernel.as_str(), boot.command_line.as_str()), ("vmlinuz", "two three"));
    assert_eq!(boot.initrds, ["i.img"]);
    assert!(run("#!ipxe\nboot\n", "efi", "").unwrap_err().reason.contains("`boot` failed"));
}

#[test]
fn what_is_not_known_or_does_not_end_names_its_line() {
    let fault = |text: &str| run(&format!("#!ipxe\n{text}\n"), "efi", "").unwrap_err();
    assert_eq!(fault("echo a\nmenu Choose").line, 3);
    assert!(fault("menu Choose").reason.contains("does not know `menu`"));
    assert!(fault("kernel --fast http://h/k").reason.contains("--fast"));
    assert!(fault("goto nowhere").reason.contains(":nowhere"));
    assert!(fault("sleep long").reason.contains("long"));
    assert!(fault(":a\ngoto a").reason.contains("does not end"));
    assert_eq!(fault("isset ${nothing}").line, 2);
}

#[test]
fn a_chained_script_returns_to_the_one_before_it_unless_it_replaces_it() {
    for (chain, said) in [("chain http://h/s", "outer"), ("chain --replace http://h/s", "inner")] {
        let script = IpxeScript::parse(&format!("#!ipxe\n{chain} && echo outer\nexit 7\n")).unwrap();
        let mut interpreter = ScriptInterpreter::new(script, ScriptSettings::new());
        let ScriptEffect::Chain { place, .. } = interpreter.next(EffectOutcome::Succeeded).unwrap() else {
            panic!("it chains")
        };
        let inner = IpxeScript::parse("#!ipxe\necho inner\nexit\n").unwrap();
        interpreter.enter(inner, place).unwrap();
        let mut last = String::new();
        while let ScriptEffect::Say(text) = interpreter.next(EffectOutcome::Succeeded).unwrap() {
            last = text;
        }
        assert_eq!(last, said);
    }
    let deep = IpxeScript::parse("#!ipxe\necho\n").unwrap();
    let mut interpreter = ScriptInterpreter::new(deep.clone(), ScriptSettings::new());
    assert!((0..100).any(|_| interpreter.enter(deep.clone(), ChainMode::Inside).is_err()));
}
