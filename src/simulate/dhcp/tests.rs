//! Tests of what the simulated clients accept and refuse.

use super::*;
use crate::model::Mac;
use crate::simulate::firmware::FirmwareKind;

const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

fn reply_to(request: &DhcpPacket) -> DhcpPacket {
    let mut reply = DhcpPacket { op: 2, yiaddr: Ipv4Addr::new(127, 1, 0, 100), ..request.clone() };
    reply.options = Default::default();
    for code in [codes::RELAY_AGENT, codes::CLIENT_IDENTIFIER] {
        if let Some(value) = request.options.get(code) {
            reply.options.set(code, value);
        }
    }
    let kind = match request.message_type() {
        Some(MessageType::Discover) => MessageType::Offer,
        _ => MessageType::Ack,
    };
    reply.options.set(codes::MESSAGE_TYPE, [u8::from(kind)]);
    reply.options.set(codes::SERVER_IDENTIFIER, [127, 0, 0, 1]);
    reply.options.set(codes::LEASE_TIME, 600u32.to_be_bytes());
    reply.options.set(codes::SUBNET_MASK, [255, 255, 255, 0]);
    reply
}

fn refused(speaker: DhcpProgram, change: impl FnOnce(&mut DhcpPacket)) -> String {
    let request = speaker.discover(&MachineIdentity::of(MAC), 1);
    let mut reply = reply_to(&request);
    change(&mut reply);
    read_reply(speaker, (&request, &reply)).unwrap_err().to_string()
}

#[test]
fn replies_that_firmware_would_not_take_are_refused_with_what_was_expected() {
    let siaddr = refused(DhcpProgram::PxeRom, |reply| reply.file = b"undionly.kpxe".to_vec());
    assert_eq!(siaddr, "dhcp: expected a TFTP server in siaddr; `undionly.kpxe` came without one");
    let open = refused(DhcpProgram::PxeRom, |reply| {
        reply.siaddr = Ipv4Addr::new(10, 0, 0, 1);
        reply.options.set(codes::BOOTFILE_NAME, *b"undionly.kpxe");
    });
    assert!(open.contains("a NUL at the end"), "{open}");
    let class = refused(DhcpProgram::Edk2, |reply| reply.options.set(codes::VENDOR_CLASS, *b"PXEClient"));
    assert!(class.contains("port 4011"), "{class}");
    let twice = refused(DhcpProgram::Edk2, |reply| {
        reply.file = b"a.efi".to_vec();
        reply.options.set(codes::BOOTFILE_NAME, *b"b.efi");
    });
    assert!(twice.contains("`a.efi` and `b.efi` came"), "{twice}");
    let path = refused(DhcpProgram::Edk2Http, |reply| {
        reply.options.set(codes::VENDOR_CLASS, *b"HTTPClient");
        reply.options.set(codes::BOOTFILE_NAME, *b"snponly.efi");
    });
    assert!(path.contains("a URL"), "{path}");
    let lost = refused(DhcpProgram::Udhcpc, |reply| reply.options.remove(codes::CLIENT_IDENTIFIER));
    assert!(lost.contains("option 61"), "{lost}");
    assert!(
        refused(DhcpProgram::PxeRom, |reply| reply.options.remove(codes::LEASE_TIME)).contains("option 51")
    );
}

#[test]
fn http_firmware_boots_only_an_offer_of_its_class() {
    let speaker = DhcpProgram::Edk2Http;
    let request = speaker.discover(&MachineIdentity::of(MAC), 1);
    let mut reply = reply_to(&request);
    assert!(!read_reply(speaker, (&request, &reply)).unwrap().boots(speaker), "an address only");
    reply.options.set(codes::BOOTFILE_NAME, *b"http://10.0.0.1/snponly.efi");
    assert!(!read_reply(speaker, (&request, &reply)).unwrap().boots(speaker), "not of its class");
    reply.options.set(codes::VENDOR_CLASS, *b"HTTPClient");
    assert!(read_reply(speaker, (&request, &reply)).unwrap().boots(speaker));
}

fn console() -> (MachineConsole, tokio::sync::mpsc::Receiver<crate::simulate::console::ConsoleLine>) {
    let (sender, lines) = tokio::sync::mpsc::channel(64);
    (MachineConsole::new(MAC, sender), lines)
}

/// The server ignores the first packet, then answers; packets of other senders come before its answers.
#[tokio::test]
async fn a_lease_is_asked_for_again_and_strangers_are_passed_over() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let SocketAddr::V4(address) = server.local_addr().unwrap() else { panic!("IPv4") };
    let answering = tokio::spawn(async move {
        let mut buffer = [0; 2048];
        let mut kinds = Vec::new();
        while kinds.len() < 3 {
            let (bytes, from) = server.recv_from(&mut buffer).await.unwrap();
            let request = parse(&buffer[..bytes]).unwrap();
            assert_eq!(request.giaddr, Ipv4Addr::LOCALHOST);
            assert!(request.relay_agent().unwrap().wants_source_port());
            kinds.push(request.message_type().unwrap());
            if kinds.len() > 1 {
                let mut stranger = reply_to(&request);
                stranger.xid ^= 1;
                server.send_to(&encode_listed(&stranger), from).await.unwrap();
                server.send_to(b"noise", from).await.unwrap();
                server.send_to(&encode_listed(&reply_to(&request)), from).await.unwrap();
            }
        }
        kinds
    });
    let reach = DhcpReach::Relay { server: address, relay: Ipv4Addr::LOCALHOST };
    let dhcp = DhcpSession::open(&reach, Duration::from_millis(50)).await.unwrap();
    let (mut console, mut lines) = console();
    let speaker = DhcpProgram::Ipxe(FirmwareKind::Bios);
    let lease = dhcp.lease(&MachineIdentity::of(MAC), speaker, &mut console).await.unwrap();
    assert_eq!((lease.address, lease.prefix), (Ipv4Addr::new(127, 1, 0, 100), 24));
    let kinds = answering.await.unwrap();
    assert_eq!(kinds, [MessageType::Discover, MessageType::Discover, MessageType::Request]);
    assert!(lines.recv().await.unwrap().text.contains("nothing to boot"));
}

#[tokio::test]
async fn silence_and_a_nak_are_told_as_what_they_are() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let SocketAddr::V4(address) = server.local_addr().unwrap() else { panic!("IPv4") };
    let reach = DhcpReach::Relay { server: address, relay: Ipv4Addr::LOCALHOST };
    let dhcp = DhcpSession::open(&reach, Duration::from_millis(5)).await.unwrap();
    let identity = MachineIdentity::of(MAC);
    let (mut console, _lines) = console();
    let silent = dhcp.lease(&identity, DhcpProgram::PxeRom, &mut console).await.unwrap_err();
    assert!(silent.to_string().contains("4 tries"), "{silent}");

    let dhcp = DhcpSession::open(&reach, Duration::from_secs(2)).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (bytes, from) = server.recv_from(&mut buffer).await.unwrap();
            let request = parse(&buffer[..bytes]).unwrap();
            let mut reply = reply_to(&request);
            if request.message_type() == Some(MessageType::Request) {
                reply.options.set(codes::MESSAGE_TYPE, [u8::from(MessageType::Nak)]);
                reply.options.set(codes::MESSAGE, *b"taken");
            }
            server.send_to(&encode_listed(&reply), from).await.unwrap();
        }
    });
    let nak = dhcp.lease(&identity, DhcpProgram::PxeRom, &mut console).await.unwrap_err();
    assert_eq!(nak.came, "a NAK came: taken");
}
