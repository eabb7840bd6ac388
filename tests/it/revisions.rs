//! A working machine and people who edit it do not disturb each other.

use reqwest::Method;
use serde_json::json;

use crate::scene::{self, MAC};
use crate::wire::BootSide;
use crate::world::World;

#[test]
fn a_machine_that_boots_breaks_nobodys_if_match() {
    let world = World::on_loopback();
    let api = world.api();
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    scene::start_web1(&api);
    let read = api.get("/machines/name:web1");
    let tag = read.header("etag").to_owned();
    let before = read.expect(200);
    let boot = BootSide::of(world.ready());
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    let capability = scene::capability(&script).to_owned();
    assert_eq!(boot.get(&format!("/m/{capability}/linux")).0, 200);
    let booted = api.get("/machines/name:web1").expect(200);
    assert!(booted["status_revision"].as_u64() > before["status_revision"].as_u64(), "{booted:#}");
    assert_eq!((&booted["revision"], &booted["updated_at"]), (&before["revision"], &before["updated_at"]));

    let edit = |serial: &str| {
        let headers = [("content-type", "application/merge-patch+json"), ("if-match", tag.as_str())];
        api.send_with(Method::PATCH, "/machines/name:web1", Some(json!({"serial": serial})), &headers)
    };
    let edited = edit("S1").expect(200);
    assert_eq!(edited["status"]["boot_attempt"], booted["status"]["boot_attempt"]);
    edit("S2").expect(412);
    assert_eq!(boot.post(&format!("/m/{capability}/done"), ""), (200, "web1: noted\n".to_owned()));
    assert_eq!(api.get("/machines/name:web1").expect(200)["serial"], "S1");
}
