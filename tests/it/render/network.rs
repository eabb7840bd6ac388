//! iPXE since 2021 runs `autoexec.ipxe` before it has configured a network interface, and cannot fetch
//! anything then. So every script that it may get configures an interface first.

use std::fs;
use std::path::PathBuf;

use super::{content, rendered};

/// The first command. `netX/ip` is empty while the interface is closed, even if `net0/ip` is set.
pub const OPENING: &str = "isset ${netX/ip} || ifconf || goto failed";
/// The same in a script that continues without a network.
const OPENING_AGAIN: &str = "isset ${netX/ip} || ifconf ||";

#[test]
fn every_template_for_ipxe_configures_an_interface_first() {
    let all = rendered();
    let scripts: Vec<_> = all.iter().filter(|(_, text)| text.starts_with("#!ipxe\n")).collect();
    for (name, text) in &scripts {
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], OPENING, "{name}");
        assert!(lines.contains(&":failed"), "{name}");
        for pair in lines.windows(2).filter(|pair| pair[0].starts_with("sleep ")) {
            assert_eq!(pair[1], OPENING_AGAIN, "{name}: the network may have come meanwhile");
        }
    }
    let templates = content::ipxe_templates();
    assert!(templates.len() >= 5, "{templates:?}");
    for template in templates {
        let suffix = format!("/{template}");
        assert!(scripts.iter().any(|(name, _)| name.ends_with(&suffix)), "{template} is not rendered here");
    }
}

#[test]
fn every_script_for_ipxe_inside_the_program_configures_an_interface_first() {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // The simulator runs scripts, but does not serve any.
                folders.extend((!path.ends_with("simulate")).then_some(path));
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (at, magic) in text.match_indices("#!ipxe\\n") {
                let rest = &text[at + magic.len()..];
                assert!(rest.starts_with(OPENING), "{}: {:.60}", path.display(), rest);
                found += 1;
            }
        }
    }
    assert!(found > 0, "the screen of last resort is one");
}
