//! A disk that is full or read-only, and a database that another process holds: the server promises nothing
//! that is not on disk, operators are told, and it recovers by itself. The disk is in a mount namespace,
//! which needs root.
//!
//! The kernel refuses to remount a disk read-only while a file on it is open for writing, as the database is.
//! A disk becomes read-only under a running server when the file system detects an error, and that ends with
//! a repair. A fault that ends by itself, like that of a network file server, is simulated by the flag
//! `immutable` of the files: writes to them fail, through a descriptor or through memory.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use metalwright::model::Mac;
use metalwright::proto::dhcp4::{DhcpPacket, MessageType};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_WRLCK, SEEK_SET, flock};
use serde_json::Value;

use crate::net;
use crate::relay::{self, LISTENERS, Relay};
use crate::world::{World, run};

/// Room for a server without history, and little more.
const DISK_BYTES: u64 = 24 << 20;
/// Room for ext4 and the same.
const IMAGE_BYTES: u64 = 64 << 20;
/// How long an answer may take on a busy host, and how long silence must last.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// SQLite itself waits five seconds for the holder of the database.
const SILENT_FOR: Duration = Duration::from_secs(8);
/// The server checks every five seconds whether the database takes writes again.
const MENDED_WITHIN: Duration = Duration::from_secs(60);

/// A server with a subnet, on a small disk of its own.
fn on_a_small_disk(test: impl FnOnce(&mut World) + Send) {
    on_a_disk(|world| world.on_a_small_disk(DISK_BYTES), test);
}

/// A server with a subnet, on a disk that `prepare` makes. It runs on a thread of its own, for the mounts.
fn on_a_disk(prepare: impl FnOnce(&World) + Send, test: impl FnOnce(&mut World) + Send) {
    if !net::may_make_namespaces() {
        return;
    }
    let inside = || {
        let mut world = World::with(&LISTENERS);
        world.api().post("/subnets", relay::subnet()).expect(201);
        assert!(world.stop().success());
        prepare(&world);
        world.start();
        test(&mut world);
    };
    let outcome = thread::scope(|scope| scope.spawn(inside).join());
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Fills the disk to the last byte.
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
    fn offer(&mut self, mac: Mac) -> DhcpPacket {
        self.xid += 1;
        let discover = relay::message((mac, self.xid), MessageType::Discover);
        self.relay.ask(&discover, ANSWER_WITHIN).expect("an offer")
    }

    fn take(&mut self, mac: Mac, (offer, within): (&DhcpPacket, Duration)) -> Option<DhcpPacket> {
        self.xid += 1;
        self.relay.ask(&relay::request_of((mac, self.xid), offer), within)
    }
}

/// The whole story; `harm` makes the database refuse writes, `mend` undoes that.
fn silence_until_it_is_mended(world: &World, harm: impl FnOnce(&Path), mend: impl FnOnce(&Path)) {
    let mut clients = Clients { relay: Relay::to(world), xid: 1 };
    let api = world.api();
    let mut events = api.events_after(0);
    silence(world, (&mut clients, harm));

    mend(&world.data());
    let deadline = Instant::now() + MENDED_WITHIN;
    let ack = loop {
        let offer = clients.offer(SECOND);
        if let Some(ack) = clients.take(SECOND, (&offer, SILENT_FOR)) {
            break ack;
        }
        assert!(Instant::now() < deadline, "still silent");
    };
    assert_eq!(ack.message_type(), Some(MessageType::Ack));
    world.api().get("//readyz").expect(200);
    assert_eq!(metric(world, "metalwright_store_takes_writes"), Some(1));
    assert_eq!(leases(world), 2);
    let over = events.wait_for(MENDED_WITHIN, |event| event["kind"] == "server.store_recovered");
    assert!(!over["data"]["reason"].as_str().expect("a reason").is_empty(), "{over}");
}

const FIRST: Mac = Mac([2, 0, 0, 0, 0, 1]);
const SECOND: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// One client has its lease before `harm`; the other one gets none afterwards. Returns the lease.
fn silence(world: &World, (clients, harm): (&mut Clients, impl FnOnce(&Path))) -> DhcpPacket {
    let offer = clients.offer(FIRST);
    let held = clients.take(FIRST, (&offer, ANSWER_WITHIN)).expect("an ACK");
    assert_eq!(held.message_type(), Some(MessageType::Ack));

    harm(&world.data());
    let offer = clients.offer(SECOND);
    assert_eq!(clients.take(SECOND, (&offer, SILENT_FOR)), None, "nothing is promised that is not kept");
    let why = world.api().get("//readyz").expect(503);
    let why = why["detail"].as_str().expect("a reason").to_owned();
    assert!(why.contains("takes no writes since"), "{why}");
    assert_eq!(outages(world), 1, "{}", world.log());
    assert_eq!(metric(world, "metalwright_store_takes_writes"), Some(0));
    assert!(metric(world, "metalwright_store_failures_total") > Some(0));
    let doctor = world.try_cli(&["doctor", "dhcp"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(!doctor.status.success() && said.contains("the database takes no writes since"), "{said}");
    assert_eq!(leases(world), 1, "what was promised before is there still");
    held
}

/// How often the log reports the beginning of an outage.
fn outages(world: &World) -> usize {
    world.log().matches("the database takes no writes: nothing is promised").count()
}

/// A value of the metrics.
fn metric(world: &World, name: &str) -> Option<u64> {
    let text = world.api().get("//metrics").expect(200);
    let lines = text.as_str().expect("text").lines();
    lines.filter_map(|line| line.split_once(' ')).find(|(of, _)| *of == name)?.1.parse().ok()
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
fn a_disk_that_is_almost_full_is_a_warning() {
    on_a_small_disk(|world| {
        let ready = world.api().get("//readyz").expect(200);
        assert!(ready["warnings"].to_string().contains("the disk of the database is almost full"), "{ready}");
        let free = metric(world, "metalwright_store_free_bytes").expect("a figure");
        assert!(free < DISK_BYTES, "{free}");
        let said = String::from_utf8_lossy(&world.try_cli(&["doctor", "dhcp"]).stdout).into_owned();
        assert!(said.contains("the disk of the database is almost full"), "{said}");
        assert_eq!(
            world.log().matches("the disk of the database is almost full").count(),
            1,
            "{}",
            world.log()
        );
    });
}

/// The readiness as soon as it has this status.
fn wait_for_readiness(world: &World, status: u16) -> Value {
    let deadline = Instant::now() + MENDED_WITHIN;
    loop {
        let ready = world.api().get("//readyz");
        if ready.status == status {
            return ready.body;
        }
        assert!(Instant::now() < deadline, "{}", ready.body);
        thread::yield_now();
    }
}

#[test]
fn a_database_that_takes_no_writes_is_noticed_though_nobody_writes() {
    on_a_small_disk(|world| {
        // The first outage is noticed when old events are pruned at the start, the second only by the probe.
        for times in 1..=2 {
            let held = held_for_writing(&world.data());
            let why = wait_for_readiness(world, 503);
            assert!(why["detail"].to_string().contains("takes no writes since"), "{why}");
            drop(held);
            wait_for_readiness(world, 200);
            assert_eq!(outages(world), times, "{}", world.log());
        }
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

#[test]
fn files_that_take_no_writes_for_a_while_are_silence_and_a_warning_until_they_do() {
    let prepare = |world: &World| world.on_an_image(IMAGE_BYTES);
    on_a_disk(prepare, |world| {
        silence_until_it_is_mended(world, |data| set_immutable("+i", data), |data| set_immutable("-i", data));
    });
}

/// Sets or clears `immutable` on the folder and the files of the database, except the index of the log, which
/// is mapped into memory: the kernel sends SIGBUS to a process that writes to such a page
/// (`docs/operating/leases.md`).
fn set_immutable(change: &str, data: &Path) {
    let file = |name| data.join(name).to_str().expect("a path in UTF-8").to_owned();
    let files = ["metalwright.db", "metalwright.db-wal", ""].map(file);
    run("chattr", &[&[change][..], &files.each_ref().map(String::as_str)].concat());
}

#[test]
fn a_disk_that_turns_read_only_is_silence_and_a_warning_and_loses_nothing() {
    let prepare = |world: &World| world.on_an_image(IMAGE_BYTES);
    on_a_disk(prepare, |world| {
        let mut clients = Clients { relay: Relay::to(world), xid: 1 };
        let held = silence(world, (&mut clients, find_an_error));
        assert!(world.stop().success(), "it ends as it is told to");
        let why = world.refused_start();
        assert!(
            why.contains("its file system is read-only") && why.contains("mount it for writing"),
            "{why}"
        );
        world.repair_the_image();
        world.start();
        world.api().get("//readyz").expect(200);
        assert_eq!(leases(world), 1);
        clients.relay = Relay::to(world);
        let again = clients.take(FIRST, (&held, ANSWER_WITHIN)).expect("an ACK");
        assert_eq!((again.message_type(), again.yiaddr), (Some(MessageType::Ack), held.yiaddr));
        let offer = clients.offer(SECOND);
        let ack = clients.take(SECOND, (&offer, ANSWER_WITHIN)).expect("an ACK");
        assert_eq!(ack.message_type(), Some(MessageType::Ack));
    });
}

/// Makes the kernel detect an error in the file system, which then becomes read-only.
fn find_an_error(data: &Path) {
    let words = ["--noheadings", "--output", "SOURCE", "--target", data.to_str().expect("a path in UTF-8")];
    let source = Command::new("findmnt").args(words).output().expect("findmnt");
    let source = String::from_utf8(source.stdout).expect("text");
    let device = source.trim().strip_prefix("/dev/").expect("a device");
    fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "a test").expect("an error");
    let refused = File::create(data.join("new")).expect_err("a disk that is read-only");
    assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem);
}

/// Takes the lock of SQLite's writers, like a tool that never ends: byte 120 of the log's index.
fn held_for_writing(data: &Path) -> File {
    let path = data.join("metalwright.db-shm");
    let file = File::options().read(true).write(true).open(path).expect("the index of the log");
    let lock = flock { l_type: F_WRLCK as i16, l_whence: SEEK_SET as i16, l_start: 120, l_len: 1, l_pid: 0 };
    fcntl(&file, FcntlArg::F_SETLKW(&lock)).expect("the lock");
    file
}
