//! Vector 70 on a kernel with VLANs, which many build machines lack: Debian's own kernel, from the netboot
//! installer, runs the server behind a NIC whose other end is a socket of the test. Needs no root.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use metalwright::dhcp::decide::{FrameEnds, encode_frame};
use metalwright::model::Mac;
use metalwright::proto::dhcp4::{DhcpPacket, MessageType, encode_listed, from_text, parse};
use serde_json::json;

use crate::program::Program;
use crate::world::{World, program, run};

const INSTALLER: &str = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";
/// The modules of a NIC and its VLANs, each after those that it needs.
const MODULES: [&str; 6] = ["e1000", "llc", "stp", "garp", "mrp", "8021q"];
const LIBRARIES: [&str; 4] = [
    "lib64/ld-linux-x86-64.so.2",
    "lib/x86_64-linux-gnu/libc.so.6",
    "lib/x86_64-linux-gnu/libm.so.6",
    "lib/x86_64-linux-gnu/libgcc_s.so.1",
];
const INIT: &str = "#!/bin/busybox sh
bb=/bin/busybox
$bb mkdir -p /proc /sys /dev /tmp
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs dev /dev
for module in e1000 llc stp garp mrp 8021q; do $bb insmod /modules/$module.ko; done
$bb ip link set lo up
$bb ip link set eth0 up
$bb ip address add 10.77.0.1/24 dev eth0
$bb ip link add link eth0 name eth0.10 type vlan id 10
$bb ip link set eth0.10 up
$bb ip address add 10.78.0.1/24 dev eth0.10
exec /bin/metalwright serve --data /data --api-listen 127.0.0.1:0 --boot-http 127.0.0.1:0 \
    --tftp-listen 127.0.0.1:0 --dhcp-interface eth0 --dhcp-interface eth0.10
";
const READY_WITHIN: Duration = Duration::from_secs(240);
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const CLIENT: Mac = Mac([2, 0, 0, 0, 0, 1]);
/// IEEE 802.1Q: the type that says that there is a tag, and VLAN 10.
const TAG: [u8; 4] = [0x81, 0x00, 0x00, 10];
/// The place of the tag: after both hardware addresses.
const MACS_BYTES: usize = 12;
const HEADERS_BYTES: usize = 14 + 20 + 8;

/// The wire: frames of the server's NIC arrive here.
struct Wire {
    socket: UnixDatagram,
    server: PathBuf,
}

impl Wire {
    /// The reply to `text`, which is sent with `tag`, and the reply's tag.
    fn ask(&self, tag: &[u8], text: &str) -> (DhcpPacket, Vec<u8>) {
        let request = from_text(text).expect("a request");
        let ends = FrameEnds {
            from_mac: CLIENT,
            to_mac: Mac([0xff; 6]),
            from: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
            to: SocketAddrV4::new(Ipv4Addr::BROADCAST, 67),
        };
        let plain = encode_frame(&ends, &encode_listed(&request)).expect("a frame");
        let (macs, rest) = plain.split_at(MACS_BYTES);
        let frame = [macs, tag, rest].concat();
        let deadline = Instant::now() + ANSWER_WITHIN;
        while Instant::now() < deadline {
            self.socket.send_to(&frame, &self.server).expect("a frame on the wire");
            if let Some(reply) = self.reply(request.xid) {
                return reply;
            }
        }
        panic!("no reply to {text}");
    }

    /// The next reply with `xid`, unless a second passes without a frame.
    fn reply(&self, xid: u32) -> Option<(DhcpPacket, Vec<u8>)> {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let (macs, rest) = buffer[..length].split_at(MACS_BYTES);
            let (tag, rest) = rest.split_at(if rest.starts_with(&TAG[..2]) { TAG.len() } else { 0 });
            let plain = [macs, rest].concat();
            let is_reply = plain.len() > HEADERS_BYTES && plain[23] == 17 && plain[34..36] == [0, 67];
            let Some(packet) = is_reply.then(|| parse(&plain[HEADERS_BYTES..]).expect("a reply")) else {
                continue;
            };
            if packet.xid == xid {
                return Some((packet, tag.to_vec()));
            }
        }
        None
    }
}

/// A server with a subnet on each of the two networks, as files of a first RAM disk.
fn ram_disk(folder: &Path) -> PathBuf {
    let root = folder.join("root");
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.arg("-ec").arg(script).arg("sh").arg(&root).stdin(Stdio::null());
        assert!(command.status().expect("sh").success(), "{script}");
    };
    fs::create_dir_all(root.join("bin")).expect("a folder");
    shell(&format!(
        "cd \"$1\"; zcat {INSTALLER}/initrd.gz | cpio -id --quiet '*.ko'; mkdir modules; \
         for module in {}; do find lib -name $module.ko -exec mv {{}} modules/ ';'; done; rm -r lib",
        MODULES.join(" ")
    ));
    for library in LIBRARIES {
        let place = root.join(library);
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::copy(Path::new("/").join(library), place).expect("a library");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox (package busybox-static)");
    let server = root.join("bin/metalwright");
    fs::copy(program().get_program(), &server).expect("the program");
    run("strip", &[server.to_str().expect("a path in UTF-8")]);
    fs::write(root.join("init"), INIT).expect("a script");
    shell("cd \"$1\"; chmod 755 init; find . | cpio -o -H newc --quiet > ../ram-disk");
    folder.join("ram-disk")
}

fn power_on(ram_disk: &Path, [server, test]: [&Path; 2]) -> Program {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-machine", "pc,graphics=off", "-m", "1024", "-no-reboot"]);
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-vga", "none", "-serial", "stdio"]);
    qemu.args(["-kernel", &format!("{INSTALLER}/linux"), "-append", "console=ttyS0 quiet panic=-1"]);
    qemu.arg("-initrd").arg(ram_disk);
    let ends = [("local", server), ("remote", test)]
        .map(|(end, path)| format!("{end}.type=unix,{end}.path={}", path.display()));
    qemu.args(["-netdev", &format!("dgram,id=n0,{}", ends.join(","))]);
    qemu.args(["-device", "e1000,netdev=n0,romfile="]);
    Program::spawn("qemu", qemu)
}

#[test]
fn vector_70_a_vlan_has_its_own_subnet_and_its_replies_are_tagged() {
    let mut world = World::on_loopback();
    for (name, network) in [("lan", "10.77.0"), ("vlan10", "10.78.0")] {
        let pool = json!({"start": format!("{network}.100"), "end": format!("{network}.101")});
        let subnet = json!({"name": name, "cidr": format!("{network}.0/24"), "pools": [pool]});
        world.api().post("/subnets", subnet).expect(201);
    }
    assert!(world.stop().success());
    let folder = world.scratch().to_owned();
    fs::create_dir(folder.join("root")).expect("a folder");
    fs::rename(world.data(), folder.join("root/data")).expect("the server's data");

    let (server, test) = (folder.join("server"), folder.join("test"));
    let wire = Wire { socket: UnixDatagram::bind(&test).expect("a wire"), server: server.clone() };
    wire.socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let mut console = power_on(&ram_disk(&folder), [&server, &test]);
    console.wait_for_line("\"event\":\"ready\"", READY_WITHIN);

    for (xid, flags) in [(70, ""), (71, "flags 0x8000\n")] {
        let discover = format!("xid {xid}\nchaddr {CLIENT}\nmessage_type discover\n{flags}");
        let (offer, tag) = wire.ask(&TAG, &discover);
        assert_eq!(offer.message_type(), Some(MessageType::Offer));
        assert_eq!((offer.yiaddr.to_string().as_str(), &tag[..]), ("10.78.0.100", &TAG[..]));
    }
    let (offer, tag) = wire.ask(&[], &format!("xid 72\nchaddr {CLIENT}\nmessage_type discover\n"));
    assert_eq!((offer.yiaddr.to_string().as_str(), &tag[..]), ("10.77.0.100", &[][..]));
}
