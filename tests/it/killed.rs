//! Promises survive kills at any moment: each acknowledged address is on record and renewable, and none was
//! acknowledged to two clients. Clients behind a relay ask on loopback, so no root is needed. A follower of
//! changes continues over each kill. `METALWRIGHT_ROUNDS` sets the number of kills, `METALWRIGHT_SEED`
//! repeats a run. Start at [`Load`].

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metalwright::model::Mac;
use metalwright::proto::dhcp4::{DhcpPacket, MessageType};
use serde_json::{Value, json};

use crate::follower::Follower;
use crate::relay::{self, LISTENERS, Relay};
use crate::world::World;

const ROUNDS: u64 = 5;
const THREADS: u64 = 12;
const CLIENTS_OF_A_THREAD: u64 = 16;
/// Most acknowledgements before the server is killed.
const ACKS_OF_A_ROUND_MAX: u64 = 300;
/// How long a client waits before a message counts as lost. The server may be dead.
const PATIENCE: Duration = Duration::from_millis(1000);
/// How long a renewal may take while the server runs.
const RENEWED_WITHIN: Duration = Duration::from_secs(20);
/// How long a client pauses after releasing its address. Everything that it sent before is done by then.
const OFF_FOR: Duration = Duration::from_secs(2);
/// What all clients know together.
struct Load {
    server: SocketAddr,
    /// The owners of addresses by the server's replies, from all rounds.
    holders: Mutex<HashMap<Ipv4Addr, Mac>>,
    over: AtomicBool,
    acks: AtomicU64,
    renewals: AtomicU64,
    releases: AtomicU64,
    /// Messages without an answer.
    lost: AtomicU64,
}

/// A client and what the server told it.
struct Client {
    mac: Mac,
    has: Option<Ipv4Addr>,
    off_until: Option<Instant>,
}

/// The clients of one thread, and their connection to the server.
struct Desk<'a> {
    load: &'a Load,
    relay: Relay,
    random: Random,
    told: Sender<()>,
}

/// Pseudo-random numbers that are the same for a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
    }
}

#[test]
fn no_lease_is_lost_or_given_twice_by_a_server_that_is_killed_under_load() {
    let rounds = number("METALWRIGHT_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("METALWRIGHT_SEED").unwrap_or_else(|| u64::from(std::process::id()) * 7919 + 1);
    println!("METALWRIGHT_SEED={seed} METALWRIGHT_ROUNDS={rounds}");
    let mut random = Random(seed);
    let mut world = World::with(&LISTENERS);
    world.api().post("/subnets", relay::subnet()).expect(201);
    let mut clients: Vec<Vec<Client>> = (0..THREADS).map(clients_of).collect();
    let mut holders = HashMap::new();
    let mut follower = Follower::new(&world.api(), "lease");
    let mut totals = [0; 4];
    for round in 1..=rounds {
        let load = Load::new(&world, std::mem::take(&mut holders));
        let acks = 1 + random.below(ACKS_OF_A_ROUND_MAX);
        load.run(&mut clients, &mut random, |told| {
            told.into_iter().take(usize::try_from(acks).expect("a number")).for_each(drop);
            follower.follow(&world.api());
            world.kill();
        });
        world.start();
        // Everything that it was told before is on disk, and it continues from there.
        follower.follow(&world.api());
        let counts = load.counts();
        holders = load.holders.into_inner().unwrap_or_else(PoisonError::into_inner);
        println!("round {round}: killed behind {acks} acks; sent {counts:?}; {} leases held", holders.len());
        totals = std::array::from_fn(|at| totals[at] + counts[at]);
        check(&world, &holders);
        follower.follow(&world.api());
        follower.check(&world.api());
        renew_all(&world, &mut clients, &holders);
    }
    let [acks, renewals, releases, lost] = totals;
    println!(
        "{rounds} kills: {acks} acks, {renewals} of renewals; {releases} releases; {lost} unanswered; \
         {} leases held at the end, none lost, none given twice",
        holders.len()
    );
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn clients_of(thread: u64) -> Vec<Client> {
    let one = |client: u64| {
        let mac = Mac([2, 0, 0, 0, thread as u8, client as u8]);
        Client { mac, has: None, off_until: None }
    };
    (0..CLIENTS_OF_A_THREAD).map(one).collect()
}

/// Every acknowledged lease is on record for its client.
fn check(world: &World, holders: &HashMap<Ipv4Addr, Mac>) {
    let leases = world.api().get("/leases?limit=1000").expect(200);
    let leases: HashMap<&str, &Value> = leases["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|lease| (lease["address"].as_str().expect("an address"), lease))
        .collect();
    for (address, mac) in holders {
        let lease = leases.get(address.to_string().as_str());
        let lease = lease.unwrap_or_else(|| panic!("the lease of {address} to {mac} is gone"));
        assert_eq!((&lease["mac"], &lease["state"]), (&json!(mac), &json!("bound")), "{lease:#}");
    }
}

/// Every client with an address can renew it.
fn renew_all(world: &World, clients: &mut [Vec<Client>], holders: &HashMap<Ipv4Addr, Mac>) {
    let load = Load::new(world, holders.clone());
    let mut desk = load.desk(1, channel().0);
    for client in clients.iter_mut().flatten().filter(|client| client.has.is_some()) {
        let deadline = Instant::now() + RENEWED_WITHIN;
        while !desk.renew(client) {
            assert!(Instant::now() < deadline, "{:?} of {} is not renewed", client.has, client.mac);
        }
    }
}

impl Load {
    fn new(world: &World, holders: HashMap<Ipv4Addr, Mac>) -> Load {
        Load {
            server: relay::server(world),
            holders: Mutex::new(holders),
            over: AtomicBool::new(false),
            acks: AtomicU64::new(0),
            renewals: AtomicU64::new(0),
            releases: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    fn counts(&self) -> [u64; 4] {
        [&self.acks, &self.renewals, &self.releases, &self.lost].map(|count| count.load(SeqCst))
    }

    fn desk(&self, seed: u64, told: Sender<()>) -> Desk<'_> {
        Desk { load: self, relay: Relay::at(self.server), random: Random(seed), told }
    }

    /// All clients send random messages at the same time, until `watch` has seen enough.
    fn run(&self, clients: &mut [Vec<Client>], random: &mut Random, watch: impl FnOnce(Receiver<()>)) {
        let (told, tells) = channel();
        std::thread::scope(|scope| {
            for clients in clients {
                let mut desk = self.desk(random.below(u64::MAX) | 1, told.clone());
                scope.spawn(move || {
                    while !self.over.load(SeqCst) {
                        let which = desk.random.below(CLIENTS_OF_A_THREAD);
                        desk.act(&mut clients[usize::try_from(which).expect("an index")]);
                    }
                });
            }
            drop(told);
            watch(tells);
            self.over.store(true, SeqCst);
        });
    }
}

impl Desk<'_> {
    fn act(&mut self, client: &mut Client) {
        if client.off_until.is_some_and(|until| Instant::now() < until) {
            // Other clients of this thread may be pausing as well: it must not spin.
            std::thread::yield_now();
            return;
        }
        client.off_until = None;
        match (client.has, self.random.below(10)) {
            (Some(_), 0) => self.release(client),
            (Some(_), 1..=7) => drop(self.renew(client)),
            _ => self.lease(client),
        }
    }

    /// DISCOVER, OFFER, REQUEST, ACK; a restarted machine does this although it has a lease.
    fn lease(&mut self, client: &mut Client) {
        let discover = self.message(client.mac, MessageType::Discover);
        let Some(offer) = self.ask(&discover) else { return };
        assert_eq!(offer.message_type(), Some(MessageType::Offer), "{offer:?}");
        let request = relay::request_of((client.mac, self.xid()), &offer);
        let Some(answer) = self.ask(&request) else { return };
        match answer.message_type() {
            Some(MessageType::Ack) => {
                assert_eq!(answer.yiaddr, offer.yiaddr, "what was offered is what is given");
                self.acknowledged(client, answer.yiaddr);
            }
            // Another client got the address after the offer was lost with the killed server.
            _ => assert_eq!(client.has, None, "{} is refused {}", client.mac, offer.yiaddr),
        }
    }

    /// Whether the server acknowledged. It must not refuse.
    fn renew(&mut self, client: &mut Client) -> bool {
        let Some(address) = client.has else { return false };
        let mut request = self.message(client.mac, MessageType::Request);
        request.ciaddr = address;
        let Some(answer) = self.ask(&request) else { return false };
        let told = (answer.message_type(), answer.yiaddr);
        assert_eq!(told, (Some(MessageType::Ack), address), "the renewal of {address} by {}", client.mac);
        self.load.renewals.fetch_add(1, SeqCst);
        self.acknowledged(client, address);
        true
    }

    /// From the moment of sending, another client may get the address.
    fn release(&mut self, client: &mut Client) {
        let Some(address) = client.has.take() else { return };
        self.holders().remove(&address);
        let mut release = self.message(client.mac, MessageType::Release);
        release.ciaddr = address;
        self.load.releases.fetch_add(1, SeqCst);
        client.off_until = Some(Instant::now() + OFF_FOR);
        self.relay.send(&release);
    }

    fn acknowledged(&self, client: &mut Client, address: Ipv4Addr) {
        let holder = self.holders().insert(address, client.mac);
        assert!(holder.is_none_or(|holder| holder == client.mac), "{address}: {holder:?}, {}", client.mac);
        if let Some(before) = client.has.replace(address).filter(|before| *before != address) {
            panic!("{} had {before} and was given {address}", client.mac);
        }
        self.load.acks.fetch_add(1, SeqCst);
        // Nobody counts any more when the server is gone.
        let _ = self.told.send(());
    }

    fn holders(&self) -> std::sync::MutexGuard<'_, HashMap<Ipv4Addr, Mac>> {
        self.load.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn message(&mut self, mac: Mac, message: MessageType) -> DhcpPacket {
        relay::message((mac, self.xid()), message)
    }

    fn xid(&mut self) -> u32 {
        u32::try_from(self.random.below(1 << 32)).expect("32 bits")
    }

    fn ask(&self, message: &DhcpPacket) -> Option<DhcpPacket> {
        let answer = self.relay.ask(message, PATIENCE);
        self.load.lost.fetch_add(u64::from(answer.is_none()), SeqCst);
        answer
    }
}
