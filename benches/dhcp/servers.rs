//! Who is measured: ours, and those that are installed. All have the same pool, leases of an hour, no probes,
//! and keep what they said over a crash of their process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::net::{INTERFACE, NETWORK, Net, POOL, PREFIX, SERVER};

const PROGRAM: &str = env!("CARGO_BIN_EXE_metalwright");
/// How long ours may take until its API answers.
const START_MAX: Duration = Duration::from_secs(20);
const STOP_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Metalwright,
    Kea,
    KeaThreads,
    Isc,
    IscNoCache,
    Dnsmasq,
}

/// A server under way; dropping it ends it and forgets what it kept.
pub struct Running {
    child: Child,
    folder: PathBuf,
}

impl Server {
    /// Ours and the others that can be found.
    pub fn installed() -> Vec<Server> {
        use Server::{Dnsmasq, Isc, IscNoCache, Kea, KeaThreads, Metalwright};
        let all = [Metalwright, Kea, KeaThreads, Isc, IscNoCache, Dnsmasq];
        all.into_iter().filter(|server| server.program().exists()).collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            Server::Metalwright => "Metalwright",
            Server::Kea => "Kea (memfile)",
            Server::KeaThreads => "Kea, 2 threads",
            Server::Isc => "ISC dhcpd",
            Server::IscNoCache => "ISC dhcpd, no lease cache",
            Server::Dnsmasq => "dnsmasq",
        }
    }

    fn program(self) -> PathBuf {
        PathBuf::from(match self {
            Server::Metalwright => return program(),
            Server::Kea | Server::KeaThreads => "/usr/sbin/kea-dhcp4",
            Server::Isc | Server::IscNoCache => "/usr/sbin/dhcpd",
            Server::Dnsmasq => "/usr/sbin/dnsmasq",
        })
    }

    pub fn start(self, net: &Net) -> io::Result<Running> {
        let folder = std::env::temp_dir().join(format!("metalwright-bench-dhcp-{}", std::process::id()));
        fs::remove_dir_all(&folder).or_else(absent)?;
        fs::create_dir_all(&folder)?;
        let mut command = net.in_server(&self.program());
        match self {
            Server::Metalwright => metalwright(&mut command, &folder),
            Server::Kea => kea(&mut command, &folder, 0)?,
            Server::KeaThreads => kea(&mut command, &folder, 2)?,
            Server::Isc => isc(&mut command, &folder, "")?,
            Server::IscNoCache => isc(&mut command, &folder, "dhcp-cache-threshold 0;")?,
            Server::Dnsmasq => dnsmasq(&mut command, &folder),
        }
        let log = fs::File::create(folder.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let running = Running { child: command.spawn()?, folder };
        if self == Server::Metalwright {
            add_subnet(net, &running.folder)?;
        }
        Ok(running)
    }
}

impl Running {
    /// What its process has used so far.
    pub fn cpu_us(&self) -> io::Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
        let ticks = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
        // The clock of this file has 100 ticks a second.
        Ok(ticks.sum::<u64>() * 10_000)
    }

    pub fn resident_kib(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        Ok(line.trim().trim_end_matches(" kB").parse().unwrap_or(0))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whatever of this fails, the next server says so when it cannot have the port.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let begun = Instant::now();
        while begun.elapsed() < STOP_MAX && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn program() -> PathBuf {
    std::env::var_os("METALWRIGHT_BENCH_PROGRAM").map_or_else(|| PROGRAM.into(), PathBuf::from)
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn metalwright(command: &mut Command, folder: &Path) {
    command.arg("serve").arg("--data").arg(folder.join("data"));
    command.args(["--dhcp-interface", INTERFACE, "--log-level", "warn"]);
    for listener in ["--api-listen", "--boot-http", "--tftp-listen"] {
        command.args([listener, "127.0.0.1:0"]);
    }
}

/// The subnet, through the command line, as soon as the server answers.
fn add_subnet(net: &Net, folder: &Path) -> io::Result<()> {
    let text = format!(
        "name: bench\ncidr: {NETWORK}{PREFIX}\npools: [{{start: {}, end: {}}}]\n\
         options: {{routers: [{SERVER}]}}\nlease_seconds: 3600\n",
        POOL.0, POOL.1
    );
    let file = folder.join("subnet.yaml");
    fs::write(&file, text)?;
    let begun = Instant::now();
    loop {
        let mut command = net.in_server(&program());
        command.args(["subnets", "create", "--data"]).arg(folder.join("data")).arg("-f").arg(&file);
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        if begun.elapsed() > START_MAX {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
    }
}

fn kea(command: &mut Command, folder: &Path, threads: u32) -> io::Result<()> {
    let (path, leases) = (folder.join("kea.json"), folder.join("leases.csv"));
    let config = format!(
        r#"{{ "Dhcp4": {{
  "interfaces-config": {{ "interfaces": [ "{INTERFACE}" ], "dhcp-socket-type": "udp" }},
  "multi-threading": {{ "enable-multi-threading": {}, "thread-pool-size": {}, "packet-queue-size": 64 }},
  "lease-database": {{ "type": "memfile", "persist": true, "name": "{}", "lfc-interval": 0 }},
  "valid-lifetime": 3600, "renew-timer": 900, "rebind-timer": 1800,
  "subnet4": [ {{ "subnet": "{NETWORK}{PREFIX}", "pools": [ {{ "pool": "{} - {}" }} ],
    "option-data": [ {{ "name": "routers", "data": "{SERVER}" }} ] }} ],
  "loggers": [ {{ "name": "kea-dhcp4", "severity": "ERROR",
    "output_options": [ {{ "output": "stdout" }} ] }} ]
}} }}"#,
        threads > 0,
        threads.max(1),
        leases.display(),
        POOL.0,
        POOL.1
    );
    fs::write(&path, config)?;
    // It wants both to be there.
    fs::create_dir_all("/run/kea")?;
    fs::create_dir_all("/run/lock/kea")?;
    command.env("KEA_PIDFILE_DIR", folder).env("KEA_LOCKFILE_DIR", folder).arg("-c").arg(path);
    Ok(())
}

fn isc(command: &mut Command, folder: &Path, more: &str) -> io::Result<()> {
    let [config, leases, pid] = ["dhcpd.conf", "leases", "pid"].map(|name| folder.join(name));
    fs::write(&leases, "")?;
    let text = format!(
        "authoritative; default-lease-time 3600; max-lease-time 3600; ping-check false; {more}\n\
         subnet {NETWORK} netmask 255.255.0.0 {{ range {} {}; option routers {SERVER}; }}\n",
        POOL.0, POOL.1
    );
    fs::write(&config, text)?;
    command.args(["-4", "-f", "-q", "-user", "root", "-group", "root", "-cf"]).arg(config);
    command.arg("-lf").arg(leases).arg("-pf").arg(pid).arg(INTERFACE);
    Ok(())
}

fn dnsmasq(command: &mut Command, folder: &Path) {
    let leases = format!("--dhcp-leasefile={}", folder.join("leases").display());
    let range = format!("--dhcp-range={},{},255.255.0.0,1h", POOL.0, POOL.1);
    command.args(["-k", "--conf-file=/dev/null", "--user=root", "--port=0", "--bind-interfaces"]);
    command.args(["--dhcp-lease-max=100000", "--no-ping", "--dhcp-authoritative", "--quiet-dhcp"]);
    command.arg(format!("--interface={INTERFACE}")).arg("--pid-file=").args([leases, range]);
}
