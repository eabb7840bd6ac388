//! The measured servers: ours, and the installed ones. All serve the same folder.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::net::{NETWORK, PREFIX, SERVER};
use crate::running::{Running, empty_folder, program};
use crate::{Place, TFTP_FLOOR};

/// The served files: a loader, a small kernel, and an initrd, which has most of the bytes.
pub const LOADER: &str = "loader.efi";
pub const KERNEL: &str = "linux";
pub const INITRD: &str = "initrd.img";
pub const FILES: [(&str, usize); 3] = [(LOADER, 1 << 20), (KERNEL, 1 << 20), (INITRD, 64 << 20)];
/// Where our server has them.
pub const PREFIX_OF_OURS: &str = "artifacts/bench/";
pub const HTTP_PORT: u16 = 8080;
pub const NGINX: &str = "/usr/sbin/nginx";
pub const DNSMASQ: &str = "/usr/sbin/dnsmasq";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TftpServer {
    Metalwright,
    SinglePort,
    Atftpd,
    TftpdHpa,
    Dnsmasq,
    /// No server: the limit of the host.
    Floor,
}

impl TftpServer {
    /// Ours, the others that are installed, and the floor.
    pub fn installed() -> Vec<TftpServer> {
        use TftpServer::{Atftpd, Dnsmasq, Floor, Metalwright, SinglePort, TftpdHpa};
        let all = [Metalwright, SinglePort, Atftpd, TftpdHpa, Dnsmasq, Floor];
        all.into_iter().filter(|server| server.is_installed()).collect()
    }

    /// The package of atftpd has a link of the name of tftpd-hpa's program.
    fn is_installed(self) -> bool {
        let place = self.program().canonicalize();
        place.is_ok_and(|place| self != TftpServer::TftpdHpa || !place.ends_with("atftpd"))
    }

    pub fn name(self) -> &'static str {
        match self {
            TftpServer::Metalwright => "Metalwright",
            TftpServer::SinglePort => "Metalwright, single port",
            TftpServer::Atftpd => "atftpd",
            TftpServer::TftpdHpa => "tftpd-hpa",
            TftpServer::Dnsmasq => "dnsmasq",
            TftpServer::Floor => "floor",
        }
    }

    /// The path of a file on it.
    pub fn path(self, name: &str) -> String {
        match self {
            TftpServer::Metalwright | TftpServer::SinglePort => format!("{PREFIX_OF_OURS}{name}"),
            _ => name.to_owned(),
        }
    }

    /// `METALWRIGHT_BENCH_HPA` names tftpd-hpa's program if it is not installed: its package and atftpd's
    /// exclude each other.
    fn program(self) -> PathBuf {
        let hpa = || std::env::var_os("METALWRIGHT_BENCH_HPA").map(PathBuf::from);
        match self {
            TftpServer::Metalwright | TftpServer::SinglePort => program(),
            TftpServer::Atftpd => "/usr/sbin/atftpd".into(),
            TftpServer::TftpdHpa => hpa().unwrap_or_else(|| "/usr/sbin/in.tftpd".into()),
            TftpServer::Dnsmasq => DNSMASQ.into(),
            TftpServer::Floor => std::env::current_exe().unwrap_or_default(),
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
            TftpServer::Floor => command.arg(TFTP_FLOOR).arg(place.file(LOADER)),
            _ => dnsmasq(&mut command, &files).arg(format!("--listen-address={SERVER}")),
        };
        Running::start(command, empty_folder("files")?)
    }
}

/// dnsmasq as a TFTP server of this folder; its address and other options follow.
pub fn dnsmasq<'a>(command: &'a mut Command, files: &str) -> &'a mut Command {
    command
        .args(["-k", "--conf-file=/dev/null", "--user=root", "--port=0", "--pid-file=", "--bind-interfaces"])
        .args(["--quiet-tftp", "--enable-tftp", "--tftp-max=2000", "--tftp-no-fail"])
        .arg(format!("--tftp-root={files}"))
}

/// nginx with the files, and further `locations`.
pub fn nginx(place: &Place, locations: &str) -> io::Result<Running> {
    let folder = empty_folder("nginx")?;
    let config = folder.join("nginx.conf");
    std::fs::write(&config, nginx_config(place, (&folder.to_string_lossy(), locations)))?;
    let mut command = place.net.in_server(NGINX.as_ref());
    command.arg("-p").arg(&folder).arg("-c").arg(&config);
    Running::start(command, folder)
}

fn nginx_config(place: &Place, (folder, locations): (&str, &str)) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String =
        temporary.iter().map(|name| format!("{name}_temp_path {folder}/{name}; ")).collect();
    format!(
        "daemon off; worker_processes 2; user root; pid {folder}/pid; error_log {folder}/errors;\n\
         events {{ worker_connections 8192; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 100000000;\n\
         open_file_cache max=100 inactive=60s; {temporary}\n\
         server {{ listen {SERVER}:{HTTP_PORT} backlog=4096; root {}; {locations} }} }}\n",
        place.files.display()
    )
}

/// Our server with the folder as an artifact, and a subnet that the client is in.
pub fn metalwright(place: &Place, flags: &[&str]) -> io::Result<Running> {
    let folder = empty_folder("files")?;
    let mut command = place.net.in_server(&program());
    command.arg("serve").arg("--data").arg(folder.join("data")).args(["--log-level", "warn"]);
    command.args(["--api-listen", "127.0.0.1:0", "--boot-http", &format!("{SERVER}:{HTTP_PORT}")]);
    command.arg("--artifacts-root").arg(&place.files);
    // All clients of the bench have one address.
    command.args(["--tftp-sessions-per-peer", "1024"]).args(flags);
    let running = Running::start(command, folder)?;
    let subnet = running.folder().join("subnet.yaml");
    std::fs::write(&subnet, format!("name: bench\ncidr: {NETWORK}{PREFIX}\n"))?;
    running.cli(&place.net, &["subnets", "create", "-f", &subnet.to_string_lossy()])?;
    running.cli(&place.net, &["artifacts", "add", "bench", "--dir", &place.files.to_string_lossy()])?;
    Ok(running)
}
