//! Limits that protect clients from each other; being slow alone is allowed.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::raw::Raw;
use super::{Files, LARGE, small};
use crate::world::{World, allow_many_sockets, run};

/// Very slow readers, on the listener at the same time.
const SLOW_READERS: usize = 1000;
/// A client of 20 KB a second, on a server whose clocks run so many times faster. Its file is longer than
/// what can be sent in ten minutes: the kernel buffers some millions of bytes between the two.
const HURRY: u32 = 40;
const TICK: Duration = Duration::from_millis(20);
/// 20 KB in a second of the server's time, of which a tick has 0.8.
const SLOW_BYTES_A_TICK: usize = 16_000;
const SLOW_SECONDS: u64 = 15 * 60;
const SLOW_BYTES: u64 = SLOW_SECONDS * 20_000;
/// Most memory of the server's process meanwhile (debug build).
const RESIDENT_KIB_MAX: u64 = 150 * 1024;

fn resident_kib(files: &Files) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", files.world.server_id())).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn takes(stream: &mut TcpStream, bytes: usize) -> usize {
    let mut buffer = vec![0; bytes];
    stream.read_exact(&mut buffer).map_or(0, |()| bytes)
}

#[test]
fn vector_97_a_thousand_slow_readers_keep_nobody_waiting_and_take_no_memory() {
    allow_many_sockets();
    let files = Files::new(&[]);
    let large = "GET /artifacts/files/large.img HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut slow: Vec<Raw> = (0..SLOW_READERS).map(|_| Raw::connect(files.boot.http)).collect();
    for reader in &mut slow {
        reader.say(large);
    }
    // Each transfer is running: none waits for another to end.
    for reader in &mut slow {
        assert_eq!(takes(&mut reader.stream, 20_000), 20_000);
    }
    // A normal reader gets its files, small and large, while a thousand others read nothing.
    let mut quick = Raw::connect(files.boot.http);
    assert_eq!(quick.get("/artifacts/files/x.efi", "").body, small());
    assert_eq!(quick.get("/artifacts/files/large.img", "").body.len() as u64, LARGE);
    let resident = resident_kib(&files);
    assert!(resident < RESIDENT_KIB_MAX, "{resident} KiB");
    // The slow readers continue where they were.
    for reader in &mut slow {
        assert_eq!(takes(&mut reader.stream, 20_000), 20_000);
    }
    assert_eq!(files.metric("metalwright_boot_http_limited_total{reason=\"stalled\"}"), 0);
}

#[test]
fn vector_98_who_reads_20_kb_a_second_for_ten_minutes_is_not_cut_off() {
    let listeners =
        ["--api-listen", "127.0.0.1:0", "--boot-http", "127.0.0.1:0", "--tftp-listen", "127.0.0.1:0"];
    let files = Files::of(World::in_a_hurry(&listeners, HURRY));
    let mut idle = Raw::connect(files.boot.http);
    idle.say("GET /artifacts/files/large.img HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut slow = Raw::connect(files.boot.http);
    let range = format!("Range: bytes=0-{}\r\nConnection: close\r\n", SLOW_BYTES - 1);
    // The kernels of both ends buffer only some millions of bytes.
    rustix::net::sockopt::set_socket_recv_buffer_size(&slow.stream, 256 << 10).expect("a small window");
    slow.say(format!("GET /artifacts/files/large.img HTTP/1.1\r\nHost: x\r\n{range}\r\n"));
    // A clock tick, without waiting for anything else: the client must be this slow, whatever happens
    // meanwhile.
    let (_nobody, tick) = channel::<()>();
    let begun = Instant::now();
    let (mut got, mut buffer) = (0, vec![0; SLOW_BYTES_A_TICK]);
    loop {
        match slow.stream.read(&mut buffer).expect("what comes next") {
            0 => break,
            bytes => got += bytes as u64,
        }
        let due = TICK.mul_f64(got as f64 / SLOW_BYTES_A_TICK as f64);
        let _ = tick.recv_timeout(due.saturating_sub(begun.elapsed()));
    }
    assert!(got > SLOW_BYTES, "cut off after {got} bytes with the head");
    assert!(begun.elapsed() * HURRY >= Duration::from_secs(SLOW_SECONDS));
    // Its clocks did run: a client that read nothing meanwhile was disconnected.
    assert_eq!(files.metric("metalwright_boot_http_limited_total{reason=\"stalled\"}"), 1);
}

#[test]
fn one_address_has_as_many_connections_as_it_may_and_the_next_is_told() {
    let files = Files::new(&["--boot-connections-per-address", "3"]);
    let mut inside: Vec<Raw> = (0..3).map(|_| Raw::connect(files.boot.http)).collect();
    for raw in &mut inside {
        assert_eq!(raw.get("/artifacts/files/x.efi", "").status, 200);
    }
    let mut outside = Raw::connect(files.boot.http);
    let told = outside.reply();
    assert_eq!((told.status, told.header("retry-after")), (503, "5"));
    assert_eq!(told.body, b"too many connections from this one address\n");
    assert!(outside.is_over());
    assert_eq!(files.metric("metalwright_boot_http_limited_total{reason=\"one_address\"}"), 1);
    // A slot that becomes free is used again.
    drop(inside.pop());
    let freed = (0..1000).any(|_| {
        let mut next = TcpStream::connect(files.boot.http).expect("a connection");
        std::io::Write::write_all(&mut next, b"GET /artifacts/files/x.efi HTTP/1.0\r\n\r\n").is_ok()
            && next.read(&mut [0; 12]).is_ok_and(|bytes| bytes > 0)
            && inside.first_mut().is_some_and(|raw| raw.get("/artifacts/files/x.efi", "").status == 200)
    });
    assert!(freed);
}

#[test]
fn who_finds_all_places_taken_waits_and_is_served() {
    let files = Files::new(&["--boot-connections", "2"]);
    let mut inside: Vec<Raw> = (0..2).map(|_| Raw::connect(files.boot.http)).collect();
    for raw in &mut inside {
        assert_eq!(raw.get("/artifacts/files/x.efi", "").status, 200);
    }
    let mut waiting = Raw::connect(files.boot.http);
    waiting.say("GET /artifacts/files/x.efi HTTP/1.1\r\nHost: x\r\n\r\n");
    drop(inside.pop());
    assert_eq!(waiting.reply().status, 200);
    assert!(files.metric("metalwright_boot_http_limited_total{reason=\"all_taken\"}") >= 1);
}

#[test]
fn a_head_that_does_not_come_to_its_end_is_given_up() {
    let files = Files::new(&[]);
    let mut slow = Raw::connect(files.boot.http);
    slow.say("GET /artifacts/files/x.efi HTT");
    // Other clients are served meanwhile.
    assert_eq!(Raw::connect(files.boot.http).get("/artifacts/files/x.efi", "").status, 200);
    assert_eq!(slow.reply().status, 408);
    assert!(slow.is_over());
    assert_eq!(files.metric("metalwright_boot_http_limited_total{reason=\"slow_request\"}"), 1);
}

#[test]
fn what_is_no_request_is_refused_and_ends_the_connection() {
    let files = Files::new(&[]);
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(20_000));
    let cases: [(&[u8], u16); 15] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /artifacts/files/x.efi HTTP/2.0\r\n\r\n", 400),
        (b"POST /m/x/done HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST /m/x/done HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /m/x/done HTTP/1.1\r\nContent-Length: 45\xff\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400),
        (b"POST /m/x/done HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 45\xff\r\n\r\n", 400),
        (b"POST /m/x/done HTTP/1.1\r\nContent-Length: \xc2\xa05\r\n\r\nhello", 400),
        (b"POST /m/x/done HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /m/x/done HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno header\r\n\r\n", 400),
        (b"GET /artifacts/files/x.efi HTTP/1.1\r\nConnection: keep-alive, \xff\r\n\r\n", 400),
        (b"GET /artifacts/files/x.efi HTTP/1.1\r\nHost: a\x80\r\n\r\n", 400),
        (b"GET http://10.0.0.1#/artifacts/files/x.efi HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /artifacts/files/x.efi#y HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (long.as_bytes(), 431),
    ];
    for (bytes, status) in cases {
        let mut raw = Raw::connect(files.boot.http);
        raw.say(bytes);
        assert_eq!(raw.reply().status, status, "{}", String::from_utf8_lossy(bytes));
        assert!(raw.is_over());
    }
    let mut raw = Raw::connect(files.boot.http);
    for (method, path, allow) in [
        ("DELETE", "artifacts/files/x.efi", "GET, HEAD"),
        ("OPTIONS", "artifacts/files/x.efi", "GET, HEAD"),
        ("POST", "artifacts/files/x.efi", "GET, HEAD"),
        ("PUT", "m/0a-0b/done", "POST"),
    ] {
        raw.say(format!("{method} /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        let reply = raw.reply();
        assert_eq!((reply.status, reply.header("allow")), (405, allow), "{method} {path}");
    }
    assert_eq!(files.metric("metalwright_boot_http_limited_total{reason=\"malformed\"}"), 15);
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let files = Files::new(&[]);
    let mut raw = Raw::connect(files.boot.http);
    let get = |path: &str| format!("GET /artifacts/files/{path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let post =
        "POST /m/0a-0b/done HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n";
    raw.say([get("a:b"), get("none"), post.to_owned(), get("Boot/BCD"), get("empty"), get("x.efi")].concat());
    let answers: Vec<_> = (0..6).map(|_| raw.reply()).collect();
    let statuses: Vec<u16> = answers.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 404, 401, 200, 200, 200]);
    assert_eq!((answers[0].body.as_slice(), answers[3].body.as_slice()), (&b"colon"[..], &b"bcd"[..]));
    assert_eq!((answers[4].body.len(), &answers[5].body), (0, &small()));
}

#[test]
fn reports_are_taken_in_every_framing_and_within_their_bound() {
    let files = Files::new(&[]);
    let post = |head: &str| format!("POST /m/0a-0b/log HTTP/1.1\r\nHost: x\r\n{head}\r\n");
    let mut raw = Raw::connect(files.boot.http);
    raw.say(post("Content-Length: 5\r\nExpect: 100-continue\r\n"));
    assert_eq!(raw.reply().status, 100);
    raw.say("hello");
    assert_eq!(raw.reply().status, 401, "the capability is nobody's, which is said after the body");
    raw.say(post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n");
    assert_eq!(raw.reply().status, 401);
    raw.say(post("Transfer-Encoding: chunked\r\n") + "zz\r\n");
    assert_eq!(raw.reply().status, 400);
    assert!(raw.is_over());
    // A line without a size is not the last chunk, and a line feed alone does not end a line.
    for chunks in ["\r\n\r\n", "5;x\nhello\r\n0\r\n\r\n", "0\r\nx: y\n\r\n"] {
        let mut raw = Raw::connect(files.boot.http);
        raw.say(post("Transfer-Encoding: chunked\r\n") + chunks);
        assert_eq!(raw.reply().status, 400, "{chunks:?}");
        assert!(raw.is_over());
    }
    for head in ["Content-Length: 1048577\r\n", "Content-Length: 18446744073709551615\r\n"] {
        let mut raw = Raw::connect(files.boot.http);
        raw.say(post(head));
        assert_eq!(raw.reply().status, 413, "{head}");
        assert!(raw.is_over());
    }
    let mut raw = Raw::connect(files.boot.http);
    raw.say(post("Transfer-Encoding: chunked\r\n") + "7fffffffffffffff\r\n");
    assert_eq!(raw.reply().status, 413);
}

#[test]
fn a_transfer_that_is_given_up_leaves_its_place() {
    let files = Files::new(&["--boot-connections", "4"]);
    for _ in 0..20 {
        let mut raw = Raw::connect(files.boot.http);
        raw.say("GET /artifacts/files/large.img HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(takes(&mut raw.stream, 1000), 1000);
    }
    assert_eq!(Raw::connect(files.boot.http).get("/artifacts/files/x.efi", "").status, 200);
}

/// If the system has no room for a connection, its client waits, all others continue, and the log is not
/// filled. Descriptors above the limit stay open, so that none is free at once.
#[test]
fn a_server_without_descriptors_keeps_clients_waiting_and_serves_them_later() {
    let files = Files::new(&[]);
    let world = &files.world;
    let pid = world.server_id().to_string();
    let limit = |count: &str| run("prlimit", &["--pid", &pid, &format!("--nofile={count}:")]);
    let words = ["--pid", &pid, "--nofile", "--noheadings", "--output", "SOFT"];
    let usual = Command::new("prlimit").args(words).output().expect("prlimit");
    limit("8");
    let mut waiting = TcpStream::connect(files.boot.http).expect("the kernel's queue");
    waiting.write_all(b"GET /artifacts/files/x.efi HTTP/1.0\r\n\r\n").expect("a request");
    let told = "no connection can be accepted on the boot side's HTTP port";
    let deadline = Instant::now() + Duration::from_secs(20);
    while !world.log().contains(told) {
        assert!(Instant::now() < deadline, "{}", world.log());
        thread::yield_now();
    }
    waiting.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    let unheard = waiting.read(&mut [0; 64]).expect_err("it waits, and several tries are over");
    assert_eq!(unheard.kind(), ErrorKind::WouldBlock);
    limit(String::from_utf8(usual.stdout).expect("text").trim());
    waiting.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let mut answer = [0; 12];
    waiting.read_exact(&mut answer).expect("an answer");
    assert!(answer.ends_with(b" 200"), "{answer:?}");
    world.api().get("//readyz").expect(200);
    assert_eq!(world.log().matches(told).count(), 1);
}
