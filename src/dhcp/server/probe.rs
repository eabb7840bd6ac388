//! The sockets of probes: one for ARP on all links, one for ICMP echo. The task [`ProbeSockets::run`] reads
//! them for all running probes. They are opened before privileges are dropped.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use nix::libc::{self, in_pktinfo};
use nix::sys::socket::{ControlMessage, LinkAddr, MsgFlags, SockaddrIn, sendmsg, sendto};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::dhcp::decide::probe::{encode_arp_probe, encode_echo, parse_arp, parse_echo_reply};
use crate::dhcp::decide::{
    AddressProber, LateAnswer, NetworkInterface, ProbeMethod, ProbeResult, ProbeTarget,
};
use crate::dhcp::server::ServerObserver;
use crate::dhcp::server::echoes::EchoReplies;
use crate::dhcp::server::interfaces::{self, LinkPort};
use crate::dhcp::server::reopening_socket::ReopeningSocket;
use crate::model::Mac;

/// Most probes that run at once. Beyond that addresses are offered unprobed, so that other packets find room
/// among the pending answers.
pub const PROBES_MAX: usize = 512;
/// How long a probe waits for an answer. It asks at the start and at half time.
pub const PROBE_TIME: Duration = Duration::from_millis(240);
/// How long an answer still counts after the address was offered.
const LATE: Duration = Duration::from_secs(2);
/// Most addresses that late answers are accepted for, and most late answers that wait to be reported.
const LATE_MAX: usize = 4096;
const LATE_QUEUE_MAX: usize = 64;
/// Ethernet, in `if_arp.h`. Other links are probed by ICMP.
const ARPHRD_ETHER: u16 = 1;
const ETH_P_ARP: u16 = 0x0806;
/// How long the hardware address of an interface is cached.
const LINKS_KEPT: Duration = Duration::from_secs(3);
const PACKET_BYTES_MAX: usize = 2048;
const ETHERNET_HEADER_BYTES: usize = 14;

/// Probes addresses. If a socket is missing, probes report it and addresses are offered all the same.
pub struct ProbeSockets {
    arp: ReopeningSocket,
    icmp: ReopeningSocket,
    /// Whether the sockets receive packets. On a large network each ARP question of other hosts would wake
    /// the task.
    listens: AtomicBool,
    /// Distinguishes answers to this server's echo requests from others, and from forged ones.
    token: [u8; 4],
    waiting: Mutex<HashMap<Ipv4Addr, PendingProbe>>,
    late: Mutex<HashMap<Ipv4Addr, ExpiredProbe>>,
    links: Mutex<HashMap<u32, LinkPort>>,
}

/// A running probe.
struct PendingProbe {
    who: ExpectedSender,
    found: oneshot::Sender<Option<Mac>>,
}

/// A probe that no host answered in time.
struct ExpiredProbe {
    who: ExpectedSender,
    until: Instant,
}

/// Whose answer counts.
#[derive(Clone, Copy)]
struct ExpectedSender {
    /// The interface whose ARP answers count.
    interface: u32,
    /// The client that will get the address: its own answer does not count.
    client: Option<Mac>,
}

impl ExpectedSender {
    fn counts(&self, interface: u32, mac: Mac) -> bool {
        self.interface == interface && self.client != Some(mac)
    }

    /// Whether an echo reply counts. It may come through a router, which hides the hardware address.
    fn counts_echo(&self, mac: Option<Mac>) -> bool {
        mac.is_none() || mac != self.client
    }
}

/// The probes that are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeAbility {
    pub arp: bool,
    pub icmp: bool,
}

impl ProbeSockets {
    /// Opens the sockets that the process may open.
    pub fn open() -> Arc<Self> {
        Arc::new(ProbeSockets::with([
            ReopeningSocket::open("the socket for ARP probes", arp_socket),
            ReopeningSocket::open("the socket for ICMP probes", icmp_socket),
        ]))
    }

    fn with([arp, icmp]: [ReopeningSocket; 2]) -> Self {
        let mut token = [0; 4];
        if let Err(error) = getrandom::fill(&mut token) {
            warn!(%error, "no random token for echo requests: answers to them may be made up");
        }
        let (waiting, late, links) = (Mutex::default(), Mutex::default(), Mutex::default());
        let listens = AtomicBool::new(true);
        let probes = ProbeSockets { arp, icmp, listens, token, waiting, late, links };
        probes.rest();
        probes
    }

    /// The present ability.
    pub fn ability(&self) -> ProbeAbility {
        ProbeAbility { arp: self.arp.health().is_well(), icmp: self.icmp.health().is_well() }
    }

    /// Stops receiving while no probe is running.
    fn rest(&self) {
        let waiting = self.waiting();
        if waiting.is_empty() && self.late().is_empty() {
            self.listens.store(false, Relaxed);
            [&self.arp, &self.icmp].into_iter().for_each(ReopeningSocket::close);
        }
    }

    /// Starts receiving before a probe is sent.
    fn listen(&self) {
        if !self.listens.swap(true, Relaxed) {
            [&self.arp, &self.icmp].into_iter().for_each(ReopeningSocket::listen);
        }
    }

    /// Receives answers until `shutdown`, and reports late ones to `observer`.
    pub async fn run(self: Arc<Self>, observer: Arc<dyn ServerObserver>, shutdown: CancellationToken) {
        let (tell, mut told) = mpsc::channel(LATE_QUEUE_MAX);
        let telling = async {
            while let Some(answer) = told.recv().await {
                observer.report_late_answer(answer).await;
            }
        };
        tokio::join!(self.hear(tell, shutdown), telling);
    }

    async fn hear(&self, tell: mpsc::Sender<LateAnswer>, shutdown: CancellationToken) {
        let mut forget = tokio::time::interval(LINKS_KEPT);
        let [mut frame, mut datagram] = [(); 2].map(|()| vec![0; PACKET_BYTES_MAX]);
        let mut echoes = EchoReplies::new();
        loop {
            tokio::select! {
                // In this order, because the ARP reply before an echo reply tells who has the address.
                biased;
                () = shutdown.cancelled() => return,
                _ = forget.tick() => self.check(),
                (bytes, from) = self.arp.hear::<LinkAddr>(&mut frame) => {
                    let interface = u32::try_from(from.ifindex()).unwrap_or(0);
                    if let Some(late) =
                        self.match_arp_reply(frame.get(..bytes).unwrap_or_default(), interface)
                    {
                        // If so many are waiting, one more tells nothing new about the wire.
                        let _ = tell.try_send(late);
                    }
                }
                senders = echoes.next() => {
                    for (address, mac) in senders {
                        if let Some(late) = self.echoed(address, mac) {
                            let _ = tell.try_send(late);
                        }
                    }
                }
                (bytes, from) = self.icmp.hear::<SockaddrIn>(&mut datagram) => {
                    if self.is_waited_for(datagram.get(..bytes).unwrap_or_default(), from.ip()) {
                        echoes.hear(from.ip());
                    }
                }
            }
        }
    }

    fn check(&self) {
        self.links().clear();
        self.late().retain(|_, late| late.until > Instant::now());
        [&self.arp, &self.icmp].into_iter().for_each(ReopeningSocket::check);
        self.rest();
    }

    /// Ends the probe that this packet answers. Returns an answer to a probe that has ended.
    fn match_arp_reply(&self, packet: &[u8], interface: u32) -> Option<LateAnswer> {
        let sender = packet.get(ETHERNET_HEADER_BYTES..).and_then(parse_arp)?;
        let address = sender.address;
        let mut waiting = self.waiting();
        if let Some(probe) = waiting.get(&address) {
            if probe.who.counts(interface, sender.mac)
                && let Some(probe) = waiting.remove(&address)
            {
                // The receiver may have stopped waiting.
                let _ = probe.found.send(Some(sender.mac));
            }
            return None;
        }
        drop(waiting);
        let counts = sender.answers_probe && self.is_late(address, |who| who.counts(interface, sender.mac));
        counts.then_some(LateAnswer { address, how: ProbeMethod::Arp, mac: Some(sender.mac) })
    }

    /// Whether this is a late answer for an address that was probed a moment ago; reported once.
    fn is_late(&self, address: Ipv4Addr, counts: impl Fn(&ExpectedSender) -> bool) -> bool {
        let mut late = self.late();
        late.get(&address).is_some_and(|late: &ExpiredProbe| late.until > Instant::now() && counts(&late.who))
            && late.remove(&address).is_some()
    }

    /// Whether a datagram answers an echo request of this server, in time or shortly after.
    fn is_waited_for(&self, datagram: &[u8], from: Ipv4Addr) -> bool {
        parse_echo_reply(datagram).is_some_and(|token| token == self.echo_token(from))
            && (self.waiting().contains_key(&from) || self.late().contains_key(&from))
    }

    /// Ends the probe that this reply answers. Returns an answer to a probe that has ended.
    fn echoed(&self, address: Ipv4Addr, mac: Option<Mac>) -> Option<LateAnswer> {
        let mut waiting = self.waiting();
        if let Some(probe) = waiting.get(&address) {
            if probe.who.counts_echo(mac)
                && let Some(probe) = waiting.remove(&address)
            {
                let _ = probe.found.send(mac);
            }
            return None;
        }
        drop(waiting);
        let counts = self.is_late(address, |who| who.counts_echo(mac));
        counts.then_some(LateAnswer { address, how: ProbeMethod::Icmp, mac })
    }

    fn echo_token(&self, address: Ipv4Addr) -> [u8; 8] {
        let (ours, [a, b, c, d]) = (self.token, address.octets());
        [ours[0], ours[1], ours[2], ours[3], a, b, c, d]
    }

    async fn ask(&self, target: ProbeTarget) -> ProbeResult {
        let (answer, _asked) = match self.register(&target) {
            Ok(registered) => registered,
            Err(why) => return ProbeResult::Unable(why.to_owned()),
        };
        tokio::pin!(answer);
        for _ in 0..2 {
            if let Err(why) = self.send(&target) {
                return ProbeResult::Unable(why.to_string());
            }
            if let Ok(found) = tokio::time::timeout(PROBE_TIME / 2, &mut answer).await {
                return found
                    .map_or_else(|_| ProbeResult::Unable("it was given up".into()), ProbeResult::InUse);
            }
        }
        ProbeResult::Free
    }

    fn register(
        &self,
        target: &ProbeTarget,
    ) -> Result<(oneshot::Receiver<Option<Mac>>, ProbeGuard<'_>), &'static str> {
        let address = target.address;
        let who = ExpectedSender { interface: target.interface.index, client: target.client };
        let mut waiting = self.waiting();
        if waiting.contains_key(&address) {
            return Err("it is being probed for another client");
        }
        if waiting.len() >= PROBES_MAX {
            return Err("too many addresses are being probed");
        }
        let (found, answer) = oneshot::channel();
        waiting.insert(address, PendingProbe { who, found });
        self.listen();
        Ok((answer, ProbeGuard { probes: self, address }))
    }

    fn send(&self, target: &ProbeTarget) -> io::Result<()> {
        if target.address.is_loopback() {
            return Err(io::Error::other("every address of a loopback network answers"));
        }
        match target.how {
            ProbeMethod::Icmp => self.send_echo(target),
            ProbeMethod::Arp => match (self.arp.socket(), self.link(&target.interface)?) {
                (Some(arp), Some((link, mac))) => {
                    let frame = encode_arp_probe(mac, target.address);
                    Ok(sendto(arp.as_raw_fd(), &frame, &link, MsgFlags::MSG_DONTWAIT).map(drop)?)
                }
                _ => self.send_echo(target),
            },
        }
    }

    fn send_echo(&self, target: &ProbeTarget) -> io::Result<()> {
        let icmp = self.icmp.socket().ok_or_else(|| io::Error::other("there is no socket to probe with"))?;
        // Routing finds addresses behind a router.
        let direct = target.interface.is_on_link(target.address);
        let interface = if direct { target.interface.index } else { 0 };
        let any = libc::in_addr { s_addr: 0 };
        let info = in_pktinfo {
            ipi_ifindex: i32::try_from(interface).unwrap_or(0),
            ipi_spec_dst: any,
            ipi_addr: any,
        };
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let message =
            encode_echo(u16::from_be_bytes([self.token[2], self.token[3]]), self.echo_token(target.address));
        let to = SockaddrIn::from(SocketAddrV4::new(target.address, 0));
        let slices = [io::IoSlice::new(&message)];
        sendmsg(icmp.as_raw_fd(), &slices, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }

    /// The link and hardware address of an Ethernet interface; `None` for other links.
    fn link(&self, interface: &NetworkInterface) -> io::Result<Option<(LinkAddr, Mac)>> {
        let known = self.links().get(&interface.index).cloned();
        let port = match known {
            Some(port) => port,
            None => {
                let read = interfaces::read(std::slice::from_ref(&interface.name))?.remove(&interface.index);
                let port = read.ok_or_else(|| io::Error::other("its interface is gone"))?;
                self.links().insert(interface.index, port.clone());
                port
            }
        };
        let ethernet = port.link.filter(|link| link.hatype() == ARPHRD_ETHER);
        Ok(ethernet.zip(port.mac()))
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Ipv4Addr, PendingProbe>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn late(&self) -> MutexGuard<'_, HashMap<Ipv4Addr, ExpiredProbe>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> MutexGuard<'_, HashMap<u32, LinkPort>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AddressProber for ProbeSockets {
    fn probe(&self, target: ProbeTarget) -> BoxFuture<'_, ProbeResult> {
        Box::pin(self.ask(target))
    }
}

/// Removes a probe from the list when it ends or is cancelled. An unanswered one may still get a late answer.
struct ProbeGuard<'a> {
    probes: &'a ProbeSockets,
    address: Ipv4Addr,
}

impl Drop for ProbeGuard<'_> {
    fn drop(&mut self) {
        let Some(PendingProbe { who, .. }) = self.probes.waiting().remove(&self.address) else { return };
        let mut late = self.probes.late();
        if late.len() < LATE_MAX {
            late.insert(self.address, ExpiredProbe { who, until: Instant::now() + LATE });
        }
    }
}

/// A socket that sends any frame and receives ARP frames on every link.
fn arp_socket() -> io::Result<UdpSocket> {
    let protocol = Protocol::from(i32::from(ETH_P_ARP.to_be()));
    Ok(Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?.into())
}

/// A raw socket, or the unprivileged one that the kernel allows to groups (`net.ipv4.ping_group_range`).
fn icmp_socket() -> io::Result<UdpSocket> {
    Ok(socket_of_type(Type::RAW).or_else(|_| socket_of_type(Type::DGRAM))?.into())
}

fn socket_of_type(kind: Type) -> io::Result<Socket> {
    Socket::new(Domain::IPV4, kind, Some(Protocol::ICMPV4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagrams::FAILURES_MAX;

    /// Probes whose sockets are datagram sockets on the loopback interface.
    fn probes() -> Arc<ProbeSockets> {
        let open = || UdpSocket::bind("127.0.0.1:0");
        Arc::new(ProbeSockets::with([
            ReopeningSocket::open("ARP", open),
            ReopeningSocket::open("ICMP", open),
        ]))
    }

    fn target(last: u8) -> ProbeTarget {
        let interface = NetworkInterface { name: "eth1".into(), index: 2, mtu: 1500, addresses: Vec::new() };
        let address = Ipv4Addr::new(10, 0, 0, last);
        ProbeTarget { address, interface: Arc::new(interface), client: None, how: ProbeMethod::Icmp }
    }

    /// Whether a packet sent to the ARP socket arrives.
    fn arrives(probes: &ProbeSockets) -> bool {
        let socket = probes.arp.socket().unwrap();
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        from.send_to(&[1], socket.local_addr().unwrap()).unwrap();
        nix::sys::socket::recv(socket.as_raw_fd(), &mut [0; 8], MsgFlags::MSG_DONTWAIT).is_ok()
    }

    #[tokio::test]
    async fn the_wire_wakes_nobody_but_while_somebody_is_asked_and_a_moment_after() {
        let probes = probes();
        assert!(!arrives(&probes));
        let registered = probes.register(&target(1)).unwrap();
        assert!(arrives(&probes));
        probes.check();
        assert!(arrives(&probes), "a probe is under way");
        drop(registered);
        probes.check();
        assert!(arrives(&probes), "a late answer counts");
        probes.late().values_mut().for_each(|late| late.until = Instant::now());
        probes.check();
        assert!(!arrives(&probes));
    }

    #[tokio::test]
    async fn whoever_cannot_be_asked_for_says_why() {
        let probes = probes();
        let first = probes.register(&target(1)).unwrap();
        assert_eq!(
            probes.ask(target(1)).await,
            ProbeResult::Unable("it is being probed for another client".into())
        );
        drop(first);
        assert!(probes.register(&target(1)).is_ok());
        let many: Vec<ProbeGuard<'_>> = (0..PROBES_MAX)
            .map(|number| {
                let address = Ipv4Addr::from(0x0a01_0000 + number as u32);
                probes.register(&ProbeTarget { address, ..target(0) }).unwrap().1
            })
            .collect();
        assert_eq!(
            probes.ask(target(1)).await,
            ProbeResult::Unable("too many addresses are being probed".into())
        );
        drop(many);
    }

    #[tokio::test]
    async fn what_can_be_probed_is_told_as_it_is() {
        let probes = probes();
        assert_eq!(probes.ability(), ProbeAbility { arp: true, icmp: true });
        for _ in 0..FAILURES_MAX {
            probes.arp.health().failed(&io::ErrorKind::Other.into());
        }
        assert_eq!(probes.ability(), ProbeAbility { arp: false, icmp: true });
        probes.check();
        probes.check();
        assert_eq!(probes.ability(), ProbeAbility { arp: true, icmp: true });
    }
}
