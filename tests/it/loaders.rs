//! The boot side as loaders see it: the files they probe for, the scripts they look for, and the menu of an
//! unknown machine.

use std::fs;
use std::time::Duration;

use metalwright::model::Mac;
use metalwright::proto::dhcp4::{MessageType, codes};
use serde_json::{Value, json};

use crate::relay::{self, Relay};
use crate::scene;
use crate::wire::BootSide;
use crate::world::World;

/// A MAC of no machine.
const STRANGER: &str = "02:00:00:00:00:07";

/// A server with two chains of tiny signed loaders: `site`, and `debian` in place of the packages'.
fn world_with_chain() -> World {
    let mut world = World::on_loopback();
    world.stop();
    for chain in ["site", "debian"] {
        let chain = world.data().join("loaders").join(chain);
        fs::create_dir_all(&chain).expect("a folder for loaders");
        for file in ["shimx64.efi", "grubx64.efi", "mmx64.efi"] {
            fs::write(chain.join(file), file).expect("a loader");
        }
    }
    world.start();
    world
}

#[test]
fn secure_boot_is_a_setting_of_the_site_and_a_param_of_a_machine() {
    let world = world_with_chain();
    let api = world.api();
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    scene::start_web1(&api);
    // A run keeps the params with which it started.
    let refresh = || api.post("/machines/name:web1/actions/retry", json!({"refresh": true})).expect(200);
    let loader = || {
        let explained = api.get(&format!("/explain?mac={}", scene::MAC)).expect(200);
        explained["name"].as_str().unwrap_or_else(|| panic!("no loader: {explained:#}")).to_owned()
    };
    assert_eq!(loader(), "snponly.efi");
    api.patch("/settings/secure_boot", json!({"value": true})).expect(200);
    assert_eq!(loader(), "debian/shimx64.efi");
    api.patch("/machines/name:web1", json!({"params": {"secure_boot": false}})).expect(200);
    refresh();
    assert_eq!(loader(), "snponly.efi", "the machine's param wins");
    api.patch("/settings/secure_boot", json!({"value": false})).expect(200);
    api.patch("/machines/name:web1", json!({"params": {"secure_boot": true}})).expect(200);
    refresh();
    assert_eq!(loader(), "debian/shimx64.efi");
}

#[test]
fn what_shim_and_grub_probe_for_is_there_or_is_not_found_at_once() {
    let world = world_with_chain();
    let boot = BootSide::of(world.ready());
    for (path, body) in [
        ("site/shimx64.efi", "shimx64.efi"),
        ("site//grubx64.efi", "grubx64.efi"),
        ("\\site\\grubx64.efi", "grubx64.efi"),
        ("site/mmx64.efi", "mmx64.efi"),
    ] {
        assert_eq!(boot.read(path), Ok(body.as_bytes().to_vec()), "{path}");
    }
    for probe in [
        "site/revocations.efi",
        "site/shim_certificate.efi",
        "site/shim_certificate_0.efi",
        "grub/x86_64-efi/command.lst",
        "debian-installer/amd64/grub/x86_64-efi/fs.lst",
    ] {
        let (code, _) = boot.read(probe).expect_err(probe);
        assert_eq!(code, 1, "{probe}");
        assert_eq!(boot.get(&format!("/{probe}")).0, 404, "{probe}");
    }
    assert!(!world.log().contains("WARN"), "{}", world.log());
}

#[test]
fn a_loader_that_has_gone_since_the_start_is_told_with_its_place() {
    let world = world_with_chain();
    let boot = BootSide::of(world.ready());
    assert_eq!(boot.get("/site/grubx64.efi").0, 200);
    let place = world.data().join("loaders/site/grubx64.efi");
    fs::remove_file(&place).expect("the loader goes");
    let (status, why) = boot.get("/site/grubx64.efi");
    assert!(status == 503 && why.contains(place.to_str().expect("a name")), "{status} {why}");
    assert_eq!(boot.read("site/grubx64.efi").expect_err("over TFTP").0, 0);
    let event =
        world.api().events_after(0).wait_for(scene::EVENT_WITHIN, |event| event["kind"] == "boot.no_loader");
    let reason = event["data"]["reason"].as_str().expect("a reason");
    assert!(reason.contains(place.to_str().expect("a name")) && reason.contains("put it back"), "{reason}");
    fs::write(&place, "grubx64.efi").expect("the loader is back");
    assert_eq!(boot.get("/site/grubx64.efi").0, 200);
}

#[test]
fn autoexec_and_boot_are_one_script_in_every_folder() {
    let world = world_with_chain();
    let boot = BootSide::of(world.ready());
    let (status, script) = boot.get(&format!("/boot.ipxe?mac={STRANGER}"));
    assert_eq!(status, 200);
    assert!(script.starts_with("#!ipxe\n") && script.contains("sanboot"), "{script}");
    for path in ["/autoexec.ipxe", "/site/autoexec.ipxe", "//site/autoexec.ipxe"] {
        assert_eq!(boot.get(&format!("{path}?mac={STRANGER}")), (200, script.clone()), "{path}");
    }
}

#[test]
fn an_image_is_a_disk_and_the_same_each_time() {
    let world = world_with_chain();
    let boot = BootSide::of(world.ready());
    let image = boot.read("site/efi.img").expect("the image over TFTP");
    assert_eq!(
        (image.len() % 512, &image[510..512]),
        (0, &[0x55, 0xaa][..]),
        "sectors, the first of them to boot"
    );
    let (status, whole) = boot.get("/site/efi.img");
    assert_eq!(status, 200);
    assert!(whole.contains("net_bootp") && whole.contains("configfile \"(tftp,127.0.0.1)/grub/grub.cfg\""));
    assert_eq!(boot.get("/site/efi.img").1, whole);
    assert_eq!(boot.get("/other/efi.img").0, 404);
}

#[test]
fn a_strangers_menu_boots_what_does_no_harm_and_shows_how_to_start_the_rest() {
    let world = world_with_chain();
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    let folder = scene::small_installer(world.scratch());
    scene::add_installer(&api, &folder);
    let mut events = api.events_after(0);
    api.post("/artifacts", json!({"name": "rescue", "path": folder})).expect(201);
    events.wait_for(scene::EVENT_WITHIN, |event| {
        event["kind"] == "artifact.state_changed" && event["subject"] == "artifact:rescue"
    });
    let files = json!({"artifact": "rescue", "kernel": "linux", "initrds": ["initrd.gz"]});
    let rescue: Value = json!({"name": "site/rescue", "kind": "live", "boot_params": "quiet",
        "arches": {"amd64": files}});
    api.post("/bootenvs", rescue).expect(201);
    let get = |path: &str| boot.get(&format!("{path}?mac={STRANGER}")).1;
    assert!(get("/menu/site/rescue/boot.ipxe").contains("sanboot"), "without the setting there is no menu");

    api.patch("/settings/unknown_machine", json!({"value": "menu"})).expect(200);
    let menu = get("/boot.ipxe");
    assert!(menu.contains("\nitem entry1 site/rescue\n"), "{menu}");
    assert!(menu.contains("debian-12-install (erases disks: how to start it)"), "{menu}");
    let grub = String::from_utf8(boot.read("grub/grub.cfg").expect("a menu for GRUB")).expect("text");
    assert!(grub.contains("menuentry 'site/rescue'"), "{grub}");

    let script = get("/menu/site/rescue/boot.ipxe");
    assert!(script.contains("/artifacts/rescue/linux initrd=initrd.gz quiet"), "{script}");
    assert_eq!(boot.get("/artifacts/rescue/linux").0, 200);
    let screen = get("/menu/debian-12-install/boot.ipxe");
    assert!(screen.contains("cannot boot yet") && screen.contains("metalwright machines start"), "{screen}");
    assert!(!screen.contains("kernel "), "{screen}");
    assert_ne!(boot.get("/artifacts/debian-12-amd64/linux").0, 200, "the kernel of an installer");
}

#[test]
fn ipxe_that_reads_autoexec_before_it_asks_for_an_address_is_one_power_on() {
    let world = World::with(&relay::LISTENERS);
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    api.post("/subnets", relay::subnet()).expect(201);
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    scene::start_web1(&api);
    let relay = Relay::to(&world);
    let discover = |xid: u32, from_ipxe: bool| {
        let mac: Mac = scene::MAC.parse().expect("a MAC");
        let mut packet = relay::message((mac, xid), MessageType::Discover);
        packet.options.set(codes::VENDOR_CLASS, *b"PXEClient:Arch:00007:UNDI:003016");
        packet.options.set(codes::CLIENT_ARCHITECTURES, [0, 7]);
        if from_ipxe {
            packet.options.set(codes::USER_CLASS, *b"iPXE");
        }
        relay.ask(&packet, Duration::from_secs(20)).expect("an offer")
    };
    discover(1, false);
    let script = boot.get(&format!("/autoexec.ipxe?mac={}", scene::MAC)).1;
    discover(2, true);

    let kernel = format!("/m/{}/linux", scene::capability(&script));
    assert_eq!(boot.get(&kernel), (200, "a kernel".to_owned()));
    api.events_after(0).wait_for(scene::EVENT_WITHIN, |event| event["kind"] == "boot.kernel_fetched");
    let timeline = scene::timeline(&api);
    let count = |kind: &str| timeline.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!(count("boot.attempt_started"), 1, "{timeline:#?}");
    assert_eq!(count("boot.script_fetched"), 1, "{timeline:#?}");
    discover(3, true);
    let ended = scene::timeline(&api).into_iter().find(|event| event["kind"] == "boot.attempt_ended");
    assert!(ended.is_some_and(|event| event["data"]["result"] == "superseded"), "a reset is another one");
}
