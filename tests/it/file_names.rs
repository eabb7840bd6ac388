//! Names that firmware gets wrong, or chooses itself: over TFTP and HTTP, with an artifact mounted where it
//! looks, and on the machine's timeline.

use std::fs;
use std::net::{SocketAddr, UdpSocket};

use serde_json::{Value, json};

use crate::api::Api;
use crate::scene::{self, EVENT_WITHIN, MAC};
use crate::wire::BootSide;
use crate::world::World;

/// The address of `web1`, which has a lease of it.
const ADDRESS: &str = "127.9.0.1";

/// A server with the installer's artifact and a folder of firmware, and `web1` at its address.
struct FirmwareSite {
    world: World,
    boot: BootSide,
}

impl FirmwareSite {
    fn new() -> FirmwareSite {
        let world = World::on_loopback();
        let (api, boot) = (world.api(), BootSide::of(world.ready()));
        scene::add_installer(&api, &scene::small_installer(world.scratch()));
        let pools = json!([{"start": "127.9.0.1", "end": "127.9.0.9"}]);
        api.post("/subnets", json!({"name": "lan", "cidr": "127.9.0.0/24", "pools": pools})).expect(201);
        let web1 = json!({"name": "web1", "macs": [MAC], "serial": "34695052"});
        api.post("/machines", web1).expect(201);
        let lease = format!(
            "lease {ADDRESS} {{ starts epoch 1700000000; ends never; binding state active; \
             hardware ethernet {MAC}; }}"
        );
        let files = json!([{"name": "x", "text": lease}]);
        api.post("/leases/import", json!({"format": "isc", "files": files})).expect(200);
        FirmwareSite { world, boot }
    }

    /// Reads a small file over TFTP from an address: its bytes, or the code of the error.
    fn read(&self, from: &str, name: &[u8]) -> Result<Vec<u8>, u8> {
        let socket = UdpSocket::bind((from, 0)).expect("a socket");
        socket.set_read_timeout(Some(EVENT_WITHIN)).expect("a deadline");
        let request = [b"\0\x01", name, b"\0octet\0blksize\x00512\xff7\0"].concat();
        socket.send_to(&request, self.boot.tftp).expect("a request");
        let hear = || -> (Vec<u8>, SocketAddr) {
            let mut packet = vec![0; 2048];
            let (length, from) = socket.recv_from(&mut packet).expect("an answer");
            packet.truncate(length);
            (packet, from)
        };
        let (mut packet, port) = hear();
        if packet[1] == 6 {
            assert_eq!(packet, b"\0\x06blksize\x00512\0", "the number ends before the rubbish");
            socket.send_to(b"\0\x04\0\0", port).expect("an ACK");
            packet = hear().0;
        }
        match packet[1] {
            3 => {
                socket.send_to(&[0, 4, packet[2], packet[3]], port).expect("an ACK");
                Ok(packet.split_off(4))
            }
            _ => Err(packet[3]),
        }
    }

    fn add_firmware(&self, name: &str, mounts: &Value) {
        let folder = self.world.scratch().join(name);
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("config.txt"), name).expect("a file");
        scene::add_artifact(&self.world.api(), json!({"name": name, "path": folder, "mounts": mounts}));
    }

    /// The names of absent files on the timeline, once `last` is there.
    fn absent(&self, api: &Api, last: &str) -> Vec<String> {
        let mut events = api.events_after(0);
        events.wait_for(EVENT_WITHIN, |event| {
            event["kind"] == "boot.file_absent" && event["data"]["path"] == last
        });
        let named = scene::timeline(api).into_iter().filter(|event| event["kind"] == "boot.file_absent");
        named.map(|event| event["data"]["path"].as_str().expect("a path").to_owned()).collect()
    }
}

#[test]
fn a_name_with_rubbish_behind_it_is_found_over_tftp_and_http() {
    let site = FirmwareSite::new();
    fs::write(site.world.scratch().join("installer/version"), "12").expect("a file for anybody");
    let file = "artifacts/debian-12-amd64/version";
    for tail in [&b""[..], b"\xff", b"\x11", b"\x04junk", b"\xfe\xffx", b" "] {
        let name = [file.as_bytes(), tail].concat();
        assert_eq!(site.read(ADDRESS, &name), Ok(b"12".to_vec()), "{tail:?}");
    }
    for path in [format!("/{file}%ff"), format!("/pxe//{file}"), format!("/::{file}")] {
        assert_eq!(site.boot.get(&path), (200, "12".to_owned()), "{path}");
    }
    for name in [&b"\xff"[..], b"none\xff", b"..//..\xff", b"artifacts/debian-12-amd64/../x\xff"] {
        assert!(matches!(site.read(ADDRESS, name), Err(1 | 2)), "{name:?}");
    }
}

#[test]
fn a_menu_of_pxelinux_leads_every_reader_to_the_kernel_and_to_one_initrd() {
    let site = FirmwareSite::new();
    let api = site.world.api();
    site.add_firmware("nic-firmware", &json!([]));
    let extra = json!([{"artifact": "nic-firmware", "path": "config.txt"}]);
    api.patch("/machines/name:web1", json!({"params": {"rehearse": true, "extra_initrds": extra}}))
        .expect(200);
    api.post("/machines/name:web1/actions/start", json!({"workflow": "install-debian-12"})).expect(200);
    let menu = site.read(ADDRESS, b"pxelinux.cfg/01-52-54-00-aa-00-01").expect("a menu");
    let menu = String::from_utf8(menu).expect("text");
    let path = |word: &str| {
        let line = menu.lines().find_map(|line| line.trim().strip_prefix(word));
        line.unwrap_or_else(|| panic!("{word} in {menu}")).trim().to_owned()
    };
    let (kernel, initrd) = (path("KERNEL "), path("INITRD "));
    for spelled in [kernel.clone(), format!("::{}", &kernel[1..]), format!("boot/{kernel}")] {
        assert_eq!(site.read(ADDRESS, spelled.as_bytes()), Ok(b"a kernel".to_vec()), "{spelled}");
    }
    let joined = b"an initrd\0\0\0nic-firmware".to_vec();
    assert!(initrd.ends_with("/joined-initrds.img"), "{initrd}");
    for _ in 0..2 {
        assert_eq!(site.read(ADDRESS, initrd.as_bytes()), Ok(joined.clone()));
    }
    assert_eq!(site.read("127.9.0.2", initrd.as_bytes()), Err(2), "nobody's address");
}

#[test]
fn an_artifact_is_found_where_it_is_mounted_and_by_the_machines_it_is_for() {
    let site = FirmwareSite::new();
    site.add_firmware("pi-firmware", &json!([{"path": ""}, {"path": "etc"}]));
    for name in ["config.txt", "etc/config.txt", "34695052/config.txt", "52-54-00-aa-00-01/etc/config.txt"] {
        assert_eq!(site.read(ADDRESS, name.as_bytes()), Ok(b"pi-firmware".to_vec()), "{name}");
    }
    assert_eq!(site.boot.get("/config.txt"), (200, "pi-firmware".to_owned()), "everybody finds it");
    for outside in ["etc/../../secret", "../config.txt", "config.txt/x", "other/config.txt"] {
        assert!(site.read(ADDRESS, outside.as_bytes()).is_err(), "{outside}");
    }
    site.add_firmware("pi-worker", &json!([{"machines": ["34695052"]}]));
    assert_eq!(site.read(ADDRESS, b"config.txt"), Ok(b"pi-worker".to_vec()), "by its address");
    assert_eq!(site.boot.get("/34695052/config.txt"), (200, "pi-worker".to_owned()), "by the folder");
    assert_eq!(site.boot.get("/config.txt"), (200, "pi-firmware".to_owned()), "the others");
    let taken = json!({"name": "x", "path": "/srv/x", "mounts": [{"path": "artifacts/debian-12-amd64"}]});
    let refused = site.world.api().post("/artifacts", taken).expect(422).to_string();
    assert!(refused.contains("/mounts/0/path"), "{refused}");
}

#[test]
fn a_mount_does_not_lead_to_the_kernel_of_an_installer() {
    let site = FirmwareSite::new();
    let api = site.world.api();
    api.patch("/artifacts/debian-12-amd64", json!({"mounts": [{"path": "netboot"}]})).expect(200);
    assert_eq!(site.read(ADDRESS, b"netboot/linux"), Err(2), "the machine is not armed");
    let by_name = api.get("/artifacts/name:debian-12-amd64").expect(200);
    assert_eq!(by_name["mounts"], json!([{"path": "netboot"}]));
}

#[test]
fn names_that_a_machine_asked_for_in_vain_are_on_its_timeline() {
    let site = FirmwareSite::new();
    let api = site.world.api();
    for name in ["34695052/start4.elf", "config.txt", "config.txt", "grub/x86_64-efi/fs.lst", "../x"] {
        assert!(site.read(ADDRESS, name.as_bytes()).is_err(), "{name}");
    }
    assert_eq!(site.absent(&api, "../x"), ["34695052/start4.elf", "config.txt", "../x"]);
    // They are bounded; others of a stranger are on nobody's timeline.
    for number in 0..20 {
        assert!(site.read(ADDRESS, format!("x{number}").as_bytes()).is_err());
        assert!(site.read("127.9.0.7", format!("y{number}").as_bytes()).is_err());
    }
    assert_eq!(site.absent(&api, "x4").len(), 8);
    let shown = site.world.cli(&["timeline", "web1"]);
    assert!(shown.contains("34695052/start4.elf over tftp: there is no such file"), "{shown}");
    assert!(shown.contains("x4 over tftp: there is no such file; further ones are not recorded"), "{shown}");
}
