//! The boot side over HTTP with the real program: raw sockets for old clients, `curl` for present ones.
//! `vectors` has the HTTP cases by number, `limits` the limits between clients, `containment` the paths that
//! give no file on both protocols; `tls` and `handshakes` are the same over TLS.

mod containment;
mod handshakes;
mod limits;
mod raw;
mod tls;
mod vectors;

use std::fs;
use std::path::PathBuf;

use metalwright::proto::dhcp4::{DhcpPacket, codes};
use serde_json::json;

use crate::scene;
use crate::wire::BootSide;
use crate::world::World;

/// Length of the large file.
const LARGE: u64 = 50_000_000;

/// A message of UEFI HTTP boot firmware.
fn of_firmware(mut message: DhcpPacket) -> DhcpPacket {
    message.options.set(codes::VENDOR_CLASS, "HTTPClient:Arch:00016:UNDI:003016");
    message.options.set(codes::CLIENT_ARCHITECTURES, 16u16.to_be_bytes());
    message
}

/// A server on loopback with the artifact `files`.
struct Files {
    world: World,
    boot: BootSide,
    folder: PathBuf,
}

impl Files {
    fn new(flags: &[&str]) -> Files {
        let loopback = ["--api-listen", "127.0.0.1:0", "--boot-http", "127.0.0.1:0", "--tftp-listen"];
        Files::of(World::with(&[&loopback[..], &["127.0.0.1:0"], flags].concat()))
    }

    fn of(world: World) -> Files {
        let folder = world.scratch().join("files");
        fs::create_dir_all(folder.join("Boot")).expect("a folder");
        fs::write(folder.join("x.efi"), small()).expect("a file");
        fs::write(folder.join("empty"), "").expect("a file");
        fs::write(folder.join("a:b"), "colon").expect("a file");
        fs::write(folder.join("Boot/BCD"), "bcd").expect("a file");
        let large = fs::File::create(folder.join("large.img")).expect("a file");
        large.set_len(LARGE).expect("a long file");
        let files = Files { boot: BootSide::of(world.ready()), world, folder };
        files.add();
        files
    }

    fn add(&self) {
        let api = self.world.api();
        let mut events = api.events_after(0);
        api.post("/artifacts", json!({"name": "files", "path": self.folder})).expect(201);
        events.wait_for(scene::EVENT_WITHIN, |event| {
            event["kind"] == "artifact.state_changed" && event["data"]["state"] == "ready"
        });
    }

    /// A value of the metrics.
    fn metric(&self, name: &str) -> u64 {
        let page = self.world.api().get("//metrics").expect(200);
        let page = page.as_str().expect("text");
        let line = page.lines().find_map(|line| line.strip_prefix(name)).expect("the metric");
        line.trim().parse().expect("a number")
    }
}

/// The bytes of `x.efi`: longer than a TFTP block, and each block differs from its neighbour.
fn small() -> Vec<u8> {
    (0..4096u32).map(|number| (number % 251) as u8).collect()
}
