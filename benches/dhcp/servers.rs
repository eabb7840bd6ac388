//! The measured servers: ours, and the installed ones. All have the same pool, leases of an hour, no probes,
//! and keep their promises over a crash of their process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::net::{INTERFACE, NETWORK, Net, PREFIX, SERVER};
use crate::running::{Running, empty_folder, program};

const POOL: (&str, &str) = ("10.77.1.0", "10.77.250.254");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Metalwright,
    Kea,
    KeaThreads,
    Isc,
    IscNoCache,
    Dnsmasq,
}

impl Server {
    /// Ours and the others that are installed.
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
        let folder = empty_folder("dhcp")?;
        let mut command = net.in_server(&self.program());
        match self {
            Server::Metalwright => metalwright(&mut command, &folder),
            Server::Kea => kea(&mut command, &folder, 0)?,
            Server::KeaThreads => kea(&mut command, &folder, 2)?,
            Server::Isc => isc(&mut command, &folder, "")?,
            Server::IscNoCache => isc(&mut command, &folder, "dhcp-cache-threshold 0;")?,
            Server::Dnsmasq => dnsmasq(&mut command, &folder),
        }
        let running = Running::start(command, folder)?;
        if self == Server::Metalwright {
            add_subnet(net, &running)?;
        }
        Ok(running)
    }
}

fn metalwright(command: &mut Command, folder: &Path) {
    command.arg("serve").arg("--data").arg(folder.join("data"));
    command.args(["--dhcp-interface", INTERFACE, "--log-level", "warn"]);
    for listener in ["--api-listen", "--boot-http", "--tftp-listen"] {
        command.args([listener, "127.0.0.1:0"]);
    }
}

/// The subnet, through the command line, as soon as the server answers.
fn add_subnet(net: &Net, running: &Running) -> io::Result<()> {
    let text = format!(
        "name: bench\ncidr: {NETWORK}{PREFIX}\npools: [{{start: {}, end: {}}}]\n\
         options: {{routers: [{SERVER}]}}\nlease_seconds: 3600\nprobe: none\n",
        POOL.0, POOL.1
    );
    let file = running.folder().join("subnet.yaml");
    fs::write(&file, text)?;
    running.cli(net, &["subnets", "create", "-f", &file.to_string_lossy()])
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
    // It requires both to exist.
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
