//! Who is measured: ours, and those that are installed. All serve the same folder.

use std::io;
use std::path::PathBuf;

use crate::Place;
use crate::net::{NETWORK, PREFIX, SERVER};
use crate::running::{Running, empty_folder, program};

/// What is served: a loader, and an initrd.
pub const LOADER: &str = "loader.efi";
pub const INITRD: &str = "initrd.img";
pub const FILES: [(&str, usize); 2] = [(LOADER, 1 << 20), (INITRD, 64 << 20)];
/// Where our server has them.
pub const PREFIX_OF_OURS: &str = "artifacts/bench/";
pub const HTTP_PORT: u16 = 8080;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TftpServer {
    Metalwright,
    SinglePort,
    Atftpd,
    TftpdHpa,
    Dnsmasq,
}

impl TftpServer {
    /// Ours and the others that can be found.
    pub fn installed() -> Vec<TftpServer> {
        use TftpServer::{Atftpd, Dnsmasq, Metalwright, SinglePort, TftpdHpa};
        let all = [Metalwright, SinglePort, Atftpd, TftpdHpa, Dnsmasq];
        all.into_iter().filter(|server| server.program().exists()).collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            TftpServer::Metalwright => "Metalwright",
            TftpServer::SinglePort => "Metalwright, single port",
            TftpServer::Atftpd => "atftpd",
            TftpServer::TftpdHpa => "tftpd-hpa",
            TftpServer::Dnsmasq => "dnsmasq",
        }
    }

    /// The path of a file on it.
    pub fn path(self, name: &str) -> String {
        match self {
            TftpServer::Metalwright | TftpServer::SinglePort => format!("{PREFIX_OF_OURS}{name}"),
            _ => name.to_owned(),
        }
    }

    /// `METALWRIGHT_BENCH_HPA` names tftpd-hpa's program where it is not installed: its package and atftpd's
    /// exclude each other.
    fn program(self) -> PathBuf {
        let hpa = || std::env::var_os("METALWRIGHT_BENCH_HPA").map(PathBuf::from);
        match self {
            TftpServer::Metalwright | TftpServer::SinglePort => program(),
            TftpServer::Atftpd => "/usr/sbin/atftpd".into(),
            TftpServer::TftpdHpa => hpa().unwrap_or_else(|| "/usr/sbin/in.tftpd".into()),
            TftpServer::Dnsmasq => "/usr/sbin/dnsmasq".into(),
        }
    }

    pub fn start(self, place: &Place) -> io::Result<Running> {
        let files = place.files.to_string_lossy().into_owned();
        if matches!(self, TftpServer::Metalwright | TftpServer::SinglePort) {
            let single_port = (self == TftpServer::SinglePort).then_some("--tftp-single-port");
            return metalwright(place, single_port.as_slice());
        }
        let mut command = place.net.in_server(&self.program());
        let here = format!("{SERVER}:69");
        match self {
            TftpServer::Atftpd => command
                .args([
                    "--daemon",
                    "--no-fork",
                    "--user",
                    "root",
                    "--group",
                    "root",
                    "--bind-address",
                    SERVER,
                ])
                .args(["--maxthread", "1000", "--verbose=0", "--logfile", "/dev/null", &files]),
            TftpServer::TftpdHpa => command.args(["-L", "-4", "--address", &here, "-s", &files]),
            _ => command
                .args([
                    "-k",
                    "--conf-file=/dev/null",
                    "--user=root",
                    "--port=0",
                    "--pid-file=",
                    "--quiet-tftp",
                ])
                .args(["--enable-tftp", "--tftp-max=2000", "--tftp-no-fail"])
                .args([format!("--tftp-root={files}"), format!("--listen-address={SERVER}")])
                .arg("--bind-interfaces"),
        };
        Running::start(command, empty_folder("files")?)
    }
}

/// Our server with the folder as an artifact, and a subnet that the client is in.
pub fn metalwright(place: &Place, flags: &[&str]) -> io::Result<Running> {
    let folder = empty_folder("files")?;
    let mut command = place.net.in_server(&program());
    command.arg("serve").arg("--data").arg(folder.join("data")).args(["--log-level", "warn"]);
    command.args(["--api-listen", "127.0.0.1:0", "--boot-http", &format!("{SERVER}:{HTTP_PORT}")]);
    // All clients of the bench have one address.
    command.args(["--tftp-sessions-per-peer", "1024"]).args(flags);
    let running = Running::start(command, folder)?;
    let subnet = running.folder().join("subnet.yaml");
    std::fs::write(&subnet, format!("name: bench\ncidr: {NETWORK}{PREFIX}\n"))?;
    running.cli(&place.net, &["subnets", "create", "-f", &subnet.to_string_lossy()])?;
    running.cli(&place.net, &["artifacts", "add", "bench", "--dir", &place.files.to_string_lossy()])?;
    Ok(running)
}
