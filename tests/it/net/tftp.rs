//! The system's own TFTP client (`tftp-hpa`) against the server.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{SERVER_ADDRESS, dhcp, on_a_lan};
use crate::world::World;

const LOADER: &str = "/usr/lib/ipxe/undionly.kpxe";

/// Fetches `path` and returns the bytes, or what the client said.
pub fn fetch(path: &str, to: &Path) -> Result<Vec<u8>, String> {
    let (to, path) = (to.to_owned(), path.to_owned());
    let words = ["-m", "binary", SERVER_ADDRESS, "-c", "get", &path];
    let output = Command::new("tftp").args(words).arg(&to).output().expect("tftp (package tftp-hpa)");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if said.contains("Error") || !output.status.success() {
        return Err(said.into_owned());
    }
    Ok(fs::read(&to).expect("the fetched file"))
}

#[test]
fn the_systems_tftp_client_fetches_a_loader() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        world.api().post("/subnets", dhcp::subnet()).expect(201);
        let host = lan.plug_host("h1", "02:00:00:00:00:01");
        let folder = world.scratch().to_owned();
        let (loader, absent, outside) = host.run(move || {
            super::lan::ip("address add 10.77.0.100/24 dev eth0");
            let to = folder.join("fetched");
            (fetch("undionly.kpxe", &to), fetch("no-such-file", &to), fetch("../../../etc/passwd", &to))
        });
        assert_eq!(loader, Ok(fs::read(LOADER).expect("a loader (package ipxe)")));
        assert!(absent.as_ref().is_err_and(|said| said.contains("code 1")), "{absent:?}");
        assert!(outside.is_err(), "{outside:?}");
    });
}
