//! What is still true after the server was stopped, or killed, and started again.

use serde_json::{Value, json};

use crate::scene::{self, MAC};
use crate::wire::BootSide;
use crate::world::World;

#[test]
fn a_run_goes_on_after_the_server_was_killed_in_the_middle_of_it() {
    let mut world = World::on_loopback();
    let api = world.api();
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    scene::start_web1(&api);
    let boot = BootSide::of(world.ready());
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    let capability = scene::capability(&script).to_owned();
    assert_eq!(boot.get(&format!("/m/{capability}/linux")), (200, "a kernel".to_owned()));
    let kernel = fetched_at(&world);
    world.kill();
    world.start();

    let boot = BootSide::of(world.ready());
    assert_eq!(fetched_at(&world), kernel, "the attempt is on disk before the kernel leaves");
    let (status, answers) = boot.get(&format!("/m/{capability}/preseed.cfg"));
    assert_eq!(status, 200, "{answers}");
    assert!(answers.contains(&format!("/m/{capability}/done")), "{answers}");
    assert_eq!(boot.post(&format!("/m/{capability}/done"), ""), (200, "web1: noted\n".to_owned()));
    let api = world.api();
    api.events_after(0).wait_for(scene::EVENT_WITHIN, |event| event["kind"] == "run.completed");
    assert_eq!(api.get("/machines/name:web1").expect(200)["status"]["state"], "complete");
}

#[test]
fn a_server_that_is_told_to_stop_ends_well_and_keeps_everything() {
    let mut world = World::on_loopback();
    let made = world.api().post("/machines", json!({"name": "web1", "macs": [MAC]})).expect(201);
    let token = std::fs::read_to_string(world.data().join("admin.token")).expect("the token");
    assert!(world.stop().success());
    world.start();
    assert_eq!(world.api().get("/machines/name:web1").expect(200), made);
    let again = std::fs::read_to_string(world.data().join("admin.token")).expect("the token");
    assert_eq!(again, token);
}

fn fetched_at(world: &World) -> Value {
    let machine = world.api().get("/machines/name:web1").expect(200);
    let at = machine["status"]["boot_attempt"]["kernel_fetched_at"].clone();
    assert!(at.is_string(), "{machine:#}");
    at
}
