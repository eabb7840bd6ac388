//! Namespaces and links. A namespace belongs to the thread that made it: everything that the thread starts is
//! inside, and the kernel removes the namespace and its links when the last of them ends, so a killed test
//! leaves nothing behind.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, unshare};

/// The bridge that the server serves and to which all machines are connected.
pub const BRIDGE: &str = "lan0";
/// The network on that bridge.
pub const CIDR: &str = "10.77.0.0/24";
/// The server's address on it.
pub const SERVER_ADDRESS: &str = "10.77.0.1";

/// A bridge with the server's address on it, in the namespace of the current thread.
pub struct Lan(());

impl Lan {
    fn build() -> Lan {
        ip("link set lo up");
        ip(&format!("link add {BRIDGE} type bridge forward_delay 0"));
        ip(&format!("address add {SERVER_ADDRESS}/24 brd + dev {BRIDGE}"));
        ip(&format!("link set {BRIDGE} up"));
        Lan(())
    }

    /// A port for a virtual machine.
    pub fn plug_tap(&self, name: &str) {
        ip(&format!("tuntap add dev {name} mode tap"));
        ip(&format!("link set {name} master {BRIDGE} up"));
    }

    /// Another computer on the bridge: a namespace whose only NIC is `eth0`, up, with `mac` and without an
    /// address.
    pub fn plug_host(&self, name: &str, mac: &str) -> Host {
        let host = Host::start();
        ip(&format!("link add {name} type veth peer name {name}-far address {mac}"));
        ip(&format!("link set {name} master {BRIDGE} up"));
        ip(&format!("link set {name}-far netns {}", host.namespace.display()));
        let far = format!("{name}-far");
        host.run(move || {
            ip(&format!("link set {far} name eth0"));
            ip("link set eth0 up");
            // As systemd sets it on every host: removing an address does not remove the others.
            fs::write("/proc/sys/net/ipv4/conf/eth0/promote_secondaries", "1").expect("a setting of eth0");
        });
        host
    }
}

/// A computer that is only connected to `router`: its `eth0`, with `mac`, is the far end of the router's
/// `eth1`, which gets `address`. The router forwards.
pub fn plug_behind(router: &Host, mac: &str, address: &str) -> Host {
    let host = Host::start();
    let (namespace, mac, address) =
        (host.namespace.display().to_string(), mac.to_owned(), address.to_owned());
    router.run(move || {
        ip(&format!("link add eth1 type veth peer name far address {mac}"));
        ip(&format!("link set far netns {namespace}"));
        ip(&format!("address add {address} dev eth1"));
        ip("link set eth1 up");
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("a setting of the router");
    });
    host.run(|| {
        ip("link set far name eth0");
        ip("link set eth0 up");
        fs::write("/proc/sys/net/ipv4/conf/eth0/promote_secondaries", "1").expect("a setting of eth0");
    });
    host
}

type Job = Box<dyn FnOnce() + Send>;

/// A namespace held by a thread of its own, which simulates another computer.
pub struct Host {
    namespace: PathBuf,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    fn start() -> Host {
        let (jobs, inbox) = channel::<Job>();
        let (tell, told) = channel();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            ip("link set lo up");
            let task = nix::unistd::gettid();
            tell.send(format!("/proc/{}/task/{task}/ns/net", std::process::id())).expect("a listener");
            inbox.into_iter().for_each(|job| job());
        });
        let namespace = PathBuf::from(told.recv().expect("the namespace's path"));
        Host { namespace, jobs: Some(jobs), thread: Some(thread) }
    }

    /// The path of this host's namespace.
    pub fn namespace(&self) -> &std::path::Path {
        &self.namespace
    }

    /// Runs `work` on this host and returns its result. Processes that it starts are on this host too.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (send, receive) = channel();
        let job: Job = Box::new(move || drop(send.send(work())));
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).expect("the host's thread runs");
        receive.recv().expect("the work on the host did not panic")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was already reported to the caller of `run`.
            let _ = thread.join();
        }
    }
}

/// Runs `test` in a fresh namespace with a [`Lan`]. Without root it fails, unless
/// `METALWRIGHT_SKIP_ROOT_TESTS` switches off the tests that need root.
pub fn on_a_lan(test: impl FnOnce(&Lan) + Send) {
    if !may_make_namespaces() {
        return;
    }
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        test(&Lan::build());
    };
    let outcome = thread::scope(|scope| scope.spawn(inside).join());
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Whether the tests that need root can run; without root they fail, unless they are switched off.
pub fn may_make_namespaces() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    let skip = std::env::var_os("METALWRIGHT_SKIP_ROOT_TESTS").is_some();
    assert!(skip, "needs root for network namespaces: run as root, or set METALWRIGHT_SKIP_ROOT_TESTS=1");
    eprintln!("skipped: needs root for network namespaces");
    false
}

/// Runs `ip` with words separated by spaces; panics with its output if it fails.
pub fn ip(words: &str) {
    let output = Command::new("ip").args(words.split_whitespace()).output().expect("ip (package iproute2)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {words}: {said}");
}

#[test]
fn a_host_on_the_lan_is_reached_from_the_server_side() {
    on_a_lan(|lan| {
        let host = lan.plug_host("h1", "02:00:00:00:00:01");
        host.run(|| ip("address add 10.77.0.9/24 dev eth0"));
        let listener = std::net::TcpListener::bind((SERVER_ADDRESS, 0)).expect("a port on the bridge");
        let port = listener.local_addr().expect("its address").port();
        let peer = host.run(move || {
            let stream = std::net::TcpStream::connect((SERVER_ADDRESS, port)).expect("a connection");
            stream.local_addr().expect("its address").ip().to_string()
        });
        assert_eq!(peer, "10.77.0.9");
    });
}
