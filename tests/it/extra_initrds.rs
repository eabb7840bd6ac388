//! Initrds beside those of a bootenv: firmware that an installer lacks, given to each loader.

use std::fs;

use serde_json::json;

use crate::api::Api;
use crate::scene::{self, MAC};
use crate::wire::BootSide;
use crate::world::World;

/// A server with a small installer, and a folder with firmware as the artifact `nic-firmware`.
fn server() -> World {
    let world = World::on_loopback();
    let api = world.api();
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    let folder = world.scratch().join("nic-firmware");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("debian.cpio.gz"), "firmware").expect("a file");
    scene::add_artifact(&api, json!({"name": "nic-firmware", "path": folder}));
    world
}

fn add_web1(api: &Api, artifact: &str, path: &str) {
    let extra = json!([{"artifact": artifact, "path": path}]);
    let params = json!({"rehearse": true, "extra_initrds": extra});
    api.post("/machines", json!({"name": "web1", "macs": [MAC], "params": params})).expect(201);
}

const START: &str = "/machines/name:web1/actions/start";

#[test]
fn every_loader_is_given_them_after_those_of_the_bootenv() {
    let world = server();
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    add_web1(&api, "nic-firmware", "debian.cpio.gz");
    api.post(START, json!({"workflow": "install-debian-12"})).expect(200);
    let extra = "artifacts/nic-firmware/debian.cpio.gz";
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    let own = script.find("/initrd.gz").expect("the bootenv's own");
    assert!(script.contains(" initrd=initrd.gz initrd=extra1-debian.cpio.gz "), "{script}");
    assert!(script.contains("\ninitrd --name extra1-debian.cpio.gz http://"), "{script}");
    assert!(script.find(extra).is_some_and(|at| at > own), "{script}");
    let (_, grub) = boot.get("/grub.cfg-01-52-54-00-aa-00-01");
    let line = grub.lines().find(|line| line.contains(extra)).unwrap_or_else(|| panic!("{grub}"));
    assert!(line.find("/initrd.gz") < line.find(extra), "{line}");
    // Most readers of a menu of PXELINUX take one initrd only.
    let (_, menu) = boot.get("/pxelinux.cfg/01-52-54-00-aa-00-01");
    let line = menu.lines().find(|line| line.contains("INITRD ")).unwrap_or_else(|| panic!("{menu}"));
    let joined = line.trim_start().strip_prefix("INITRD ").expect("a path");
    assert_eq!(boot.get(joined), (200, "an initrd\0\0\0firmware".to_owned()), "{line}");
    assert_eq!(boot.get(&format!("/{extra}")), (200, "firmware".to_owned()));
    let files = api.get("/machines/name:web1/files").expect(200).to_string();
    assert!(files.contains(extra), "{files}");
}

#[test]
fn one_that_is_not_there_is_named_before_a_kernel_runs() {
    let world = server();
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    add_web1(&api, "firmware", "debian.cpio.gz");
    let refused = api.post(START, json!({"workflow": "install-debian-12"})).expect(409).to_string();
    assert!(refused.contains("extra_initrds") && refused.contains("no artifact firmware"), "{refused}");
    api.delete("/machines/name:web1").expect(204);
    add_web1(&api, "nic-firmware", "other.cpio.gz");
    let why = "the artifact nic-firmware has no file other.cpio.gz";
    let refused = api.post(START, json!({"workflow": "install-debian-12"})).expect(409).to_string();
    assert!(refused.contains(why), "{refused}");
    api.post(START, scene::start_anyway("install-debian-12")).expect(200);
    let (_, screen) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    assert!(screen.contains(why) && !screen.contains("kernel --name"), "{screen}");
}
