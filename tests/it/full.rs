//! A disk that is full, and a database that somebody else holds: what is not on disk is not promised,
//! operators are told, and it mends itself. On a small disk in a mount namespace, which needs root.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use metalwright::model::Mac;
use metalwright::proto::dhcp4::{MessageType, Packet};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_WRLCK, SEEK_SET, flock};
use serde_json::Value;

use crate::net;
use crate::relay::{self, LISTENERS, Relay};
use crate::world::World;

/// Room for a server without history, and not for much more.
const DISK_BYTES: u64 = 24 << 20;
/// How long an answer may take on a busy host, and how long silence must last to be one.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// SQLite itself waits five seconds for whoever holds the database.
const SILENT_FOR: Duration = Duration::from_secs(8);
/// The server looks every five seconds whether the database takes writes again.
const MENDED_WITHIN: Duration = Duration::from_secs(60);

/// A server with a subnet, on a disk of its own. Runs on a thread of its own, for the mounts.
fn on_a_small_disk(test: impl FnOnce(&World) + Send) {
    if !net::may_make_namespaces() {
        return;
    }
    let inside = || {
        let mut world = World::with(&LISTENERS);
        world.api().post("/subnets", relay::subnet()).expect(201);
        assert!(world.stop().success());
        world.on_a_small_disk(DISK_BYTES);
        world.start();
        test(&world);
    };
    let outcome = thread::scope(|scope| scope.spawn(inside).join());
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Takes all the room there is, to the last byte.
fn fill(folder: &Path) {
    let mut file = File::create(folder.join("filler")).expect("a file");
    let mut piece = 1 << 20;
    while piece > 0 {
        while file.write_all(&vec![0; piece]).is_ok() {}
        piece /= 2;
    }
}

struct Clients {
    relay: Relay,
    xid: u32,
}

impl Clients {
    fn offer(&mut self, mac: Mac) -> Packet {
        self.xid += 1;
        let discover = relay::message((mac, self.xid), MessageType::Discover);
        self.relay.ask(&discover, ANSWER_WITHIN).expect("an offer")
    }

    fn take(&mut self, mac: Mac, (offer, within): (&Packet, Duration)) -> Option<Packet> {
        self.xid += 1;
        self.relay.ask(&relay::request_of((mac, self.xid), offer), within)
    }
}

/// The whole story; `harm` makes the database one that takes no writes, `mend` takes that back.
fn silence_until_it_is_mended(world: &World, harm: impl FnOnce(&Path), mend: impl FnOnce(&Path)) {
    let mut clients = Clients { relay: Relay::to(world), xid: 1 };
    let [first, second] = [1, 2].map(|last| Mac([2, 0, 0, 0, 0, last]));
    let offer = clients.offer(first);
    let ack = clients.take(first, (&offer, ANSWER_WITHIN)).expect("an ACK");
    assert_eq!(ack.message_type(), Some(MessageType::Ack));

    harm(&world.data());
    let offer = clients.offer(second);
    assert_eq!(clients.take(second, (&offer, SILENT_FOR)), None, "nothing is promised that is not kept");
    let why = world.api().get("//readyz").expect(503);
    let why = why["detail"].as_str().expect("a reason").to_owned();
    assert!(why.contains("takes no writes since"), "{why}");
    assert!(world.log().contains("the database takes no writes"), "{}", world.log());
    assert_eq!(leases(world), 1, "what was promised before is there still");

    mend(&world.data());
    let deadline = Instant::now() + MENDED_WITHIN;
    let ack = loop {
        let offer = clients.offer(second);
        if let Some(ack) = clients.take(second, (&offer, SILENT_FOR)) {
            break ack;
        }
        assert!(Instant::now() < deadline, "still silent");
    };
    assert_eq!(ack.message_type(), Some(MessageType::Ack));
    world.api().get("//readyz").expect(200);
    assert_eq!(leases(world), 2);
}

fn leases(world: &World) -> Value {
    world.api().get("/leases?limit=1").expect(200)["total"].take()
}

#[test]
fn a_full_disk_is_silence_and_a_warning_until_there_is_room() {
    on_a_small_disk(|world| {
        let room = |data: &Path| fs::remove_file(data.join("filler")).expect("room");
        silence_until_it_is_mended(world, fill, room);
    });
}

#[test]
fn a_database_that_another_process_holds_is_silence_and_a_warning_until_it_lets_go() {
    on_a_small_disk(|world| {
        let held = Cell::new(None);
        let hold = |data: &Path| held.set(Some(held_for_writing(data)));
        silence_until_it_is_mended(world, hold, |_| drop(held.take()));
    });
}

/// Takes the lock of SQLite's writers, as a tool does that never ends: byte 120 of the index of the log.
fn held_for_writing(data: &Path) -> File {
    let path = data.join("metalwright.db-shm");
    let file = File::options().read(true).write(true).open(path).expect("the index of the log");
    let lock = flock { l_type: F_WRLCK as i16, l_whence: SEEK_SET as i16, l_start: 120, l_len: 1, l_pid: 0 };
    fcntl(&file, FcntlArg::F_SETLKW(&lock)).expect("the lock");
    file
}
