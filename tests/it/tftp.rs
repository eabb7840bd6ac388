//! The program's answers to TFTP reads that only broken clients send, and to those that firmware sends.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::symlink;

use crate::scene::{EVENT_WITHIN, add_installer, small_installer};
use crate::wire::BootSide;
use crate::world::World;

/// A request and the first packet of the answer, with its header.
fn ask(to: SocketAddr, request: &[u8]) -> (UdpSocket, Vec<u8>, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(EVENT_WITHIN)).expect("a deadline");
    socket.send_to(request, to).expect("a request");
    let (packet, from) = hear(&socket);
    (socket, packet, from)
}

fn hear(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut packet = vec![0; 2048];
    let (length, from) = socket.recv_from(&mut packet).expect("an answer");
    packet.truncate(length);
    (packet, from)
}

/// Reads to the end with these words as options.
fn read(to: SocketAddr, path: &str, options: &[u8]) -> Vec<u8> {
    let request = [b"\0\x01", path.as_bytes(), b"\0octet\0", options].concat();
    let (socket, mut packet, from) = ask(to, &request);
    let mut body = Vec::new();
    loop {
        match packet[1] {
            6 => drop(socket.send_to(b"\0\x04\0\0", from).expect("an ACK")),
            3 => {
                body.extend_from_slice(&packet[4..]);
                socket.send_to(&[0, 4, packet[2], packet[3]], from).expect("an ACK");
                if packet.len() < 516 {
                    return body;
                }
            }
            _ => panic!("{path}: {packet:?}"),
        }
        packet = hear(&socket).0;
    }
}

#[test]
fn vector_82_nothing_outside_the_tree_is_read_in_any_spelling() {
    let world = World::on_loopback();
    let boot = BootSide::of(world.ready());
    let folder = small_installer(world.scratch());
    let secret = world.scratch().join("installer-private");
    fs::create_dir(&secret).expect("a sibling with the same beginning");
    fs::write(secret.join("key"), "secret").expect("a secret");
    symlink(&secret, folder.join("out")).expect("a link");
    fs::write(folder.join("version"), "12").expect("a file for anybody");
    add_installer(&world.api(), &folder);
    let tree = "artifacts/debian-12-amd64";
    assert_eq!(boot.read(&format!("{tree}/version")), Ok(b"12".to_vec()));
    let inside = |path: &str| format!("{tree}/{path}");
    let paths = [
        "../x".to_owned(),
        "/etc/passwd".to_owned(),
        "a/../../x".to_owned(),
        "..\\x".to_owned(),
        "C:\\x".to_owned(),
        inside("../../../../etc/passwd"),
        inside("..\\installer-private\\key"),
        inside("../installer-private/key"),
        inside("out/key"),
        inside("%2e%2e/installer-private/key"),
        inside("version/"),
        "a".repeat(512),
        "a".repeat(513),
    ];
    for path in paths {
        let refused = boot.read(&path);
        let code = refused.as_ref().map_err(|(code, _)| *code);
        assert!(matches!(code, Err(1 | 2)) || path.ends_with("version/"), "{path}: {refused:?}");
    }
    // A NUL ends the path, so the rest is the mode.
    let (_, packet, _) = ask(boot.tftp, b"\0\x01a\0b\0octet\0");
    assert_eq!(packet[..4], [0, 5, 0, 4]);
}

#[test]
fn vector_83_windows_spells_paths_with_backslashes() {
    let world = World::on_loopback();
    let boot = BootSide::of(world.ready());
    let folder = small_installer(world.scratch());
    fs::create_dir(folder.join("Boot")).expect("a folder");
    fs::write(folder.join("Boot/BCD"), "a store").expect("a file");
    add_installer(&world.api(), &folder);
    assert_eq!(boot.read("\\artifacts\\debian-12-amd64\\Boot\\BCD"), Ok(b"a store".to_vec()));
}

#[test]
fn vector_85_uploads_and_mail_are_refused_and_text_is_sent_as_text() {
    let world = World::on_loopback();
    let boot = BootSide::of(world.ready());
    let (_, packet, _) = ask(boot.tftp, b"\0\x02x\0octet\0");
    assert_eq!(packet[..4], [0, 5, 0, 2]);
    let (_, packet, _) = ask(boot.tftp, b"\0\x01x\0mail\0");
    assert_eq!(packet[..4], [0, 5, 0, 4]);
    let folder = small_installer(world.scratch());
    fs::write(folder.join("README"), "one\ntwo\n").expect("a text");
    add_installer(&world.api(), &folder);
    let path = b"artifacts/debian-12-amd64/README";
    let (_, packet, _) = ask(boot.tftp, &[b"\0\x01", &path[..], b"\0netascii\0tsize\x000\0"].concat());
    assert_eq!(packet, b"\0\x03\0\x01one\r\ntwo\r\n");
}

#[test]
fn vector_89_what_is_rendered_has_the_size_that_the_probe_was_told() {
    let world = World::on_loopback();
    let boot = BootSide::of(world.ready());
    for path in ["boot.ipxe", "autoexec.ipxe"] {
        let request = [b"\0\x01", path.as_bytes(), b"\0octet\0tsize\x000\0"].concat();
        let (socket, packet, from) = ask(boot.tftp, &request);
        assert_eq!(packet[..8], *b"\0\x06tsize\0", "{path}: {packet:?}");
        let told = String::from_utf8_lossy(&packet[8..packet.len() - 1]).into_owned();
        socket.send_to(b"\0\x05\0\x08User aborted the transfer\0", from).expect("an ERROR");
        let body = read(boot.tftp, path, b"blksize\x00512\0");
        assert_eq!(told, body.len().to_string(), "{path}");
    }
}
