//! What still holds after the server was stopped or killed and started again.

use std::net::TcpStream;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::api::Api;
use crate::follower::Follower;
use crate::program::Program;
use crate::scene::{self, MAC};
use crate::wire::BootSide;
use crate::world::{World, program};

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
    assert!(answers.contains(&format!("/m/{capability}/early.sh")), "{answers}");
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

#[test]
fn a_follower_goes_on_over_a_restart_and_reads_again_after_a_restore() {
    let mut world = World::on_loopback();
    let profile = |name: &str| json!({"name": name});
    let mut follower = Follower::new(&world.api(), "profile");
    world.api().post("/profiles", profile("a")).expect(201);
    assert!(world.stop().success());
    let database = world.data().join("metalwright.db");
    let backup = world.scratch().join("backup.db");
    let connection = rusqlite::Connection::open(&database).expect("the database");
    connection.execute("VACUUM INTO ?1", [backup.to_str()]).expect("a backup");
    drop(connection);
    world.start();
    follower.follow(&world.api());
    for name in ["b", "c", "d"] {
        world.api().post("/profiles", profile(name)).expect(201);
    }
    world.api().delete("/profiles/a").expect(204);
    follower.follow(&world.api());
    follower.check(&world.api());
    assert!(world.stop().success());

    for left in ["metalwright.db-wal", "metalwright.db-shm"].map(|name| world.data().join(name)) {
        assert!(std::fs::remove_file(&left).is_ok() || !left.exists());
    }
    std::fs::copy(&backup, &database).expect("the backup");
    world.start();
    let refused = world.api().get(&follower.query()).expect(410);
    assert!(refused["detail"].as_str().is_some_and(|why| why.contains("which is before")), "{refused:#}");
    for number in 0..8 {
        world.api().post("/profiles", profile(&format!("x{number}"))).expect(201);
    }
    assert!(world.api().get("/changes").expect(200)["commit"].as_u64() > Some(follower.commit()));
    let refused = world.api().get(&follower.query()).expect(410);
    assert!(refused["detail"].as_str().is_some_and(|why| why.contains("an earlier state")), "{refused:#}");
    follower.read_list(&world.api());
    world.api().delete("/profiles/a").expect(204);
    follower.follow(&world.api());
    follower.check(&world.api());
}

#[test]
fn a_server_whose_database_does_not_open_yet_says_so() {
    let mut world = World::on_loopback();
    let base = world.ready()["api"].as_str().expect("an address").to_owned();
    let listener = base.trim_start_matches("https://").to_owned();
    world.listen_at(&listener);
    assert!(world.stop().success());
    let database = held(&world);
    let asking = std::thread::spawn(move || {
        await_listener(&listener);
        let api = Api::new(&base, "none");
        let told = api.get("//readyz").expect(503);
        let alive = api.get("//healthz").expect(200);
        drop(database);
        (told, alive)
    });
    world.start();
    let (told, alive) = asking.join().expect("answers while the database is held");
    assert!(told["detail"].as_str().is_some_and(|why| why.contains("database is being opened")), "{told:#}");
    assert_eq!(alive["status"], "ok");
    assert_eq!(world.api().get("//readyz").expect(200)["status"], "ok");
}

#[test]
fn a_server_that_is_told_to_stop_before_its_database_is_open_does_so() {
    let mut world = World::on_loopback();
    let listener = world.ready()["api"].as_str().expect("an address").replace("https://", "");
    assert!(world.stop().success());
    let _database = held(&world);
    let mut command = program();
    command.arg("serve").arg("--data").arg(world.data()).args(["--api-listen", &listener]);
    command.args(["--boot-http", "off", "--tftp-listen", "off"]);
    let mut server = Program::spawn("metalwright serve", command);
    await_listener(&listener);
    kill(Pid::from_raw(i32::try_from(server.id()).expect("a process id")), Signal::SIGTERM)
        .expect("a signal");
    assert!(
        server.wait_for_end(scene::EVENT_WITHIN).success(),
        "it would fail when it waited for the database"
    );
}

fn await_listener(address: &str) {
    let until = Instant::now() + scene::EVENT_WITHIN;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < until, "nobody listens at {address}");
        std::thread::yield_now();
    }
}

/// Opens the database exclusively, as another program may.
fn held(world: &World) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(world.data().join("metalwright.db")).expect("the database");
    let hold = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE held (n INTEGER)";
    database.execute_batch(hold).expect("the database for ourselves");
    database
}

fn fetched_at(world: &World) -> Value {
    let machine = world.api().get("/machines/name:web1").expect(200);
    let at = machine["status"]["boot_attempt"]["kernel_fetched_at"].clone();
    assert!(at.is_string(), "{machine:#}");
    at
}
