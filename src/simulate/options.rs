//! The options of the command line, and their checks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::model::Mac;
use crate::simulate::dhcp::DhcpReach;
use crate::simulate::firmware::FirmwareKind;

/// Most machines in one run.
pub const MACHINES_MAX: u32 = 100_000;
/// Most machines that are switched on at one time.
pub const AT_ONCE_MAX: u32 = 4096;
/// Longest time until an installer reports, and that it tries to, in seconds.
pub const REPORT_WAIT_MAX: u32 = 86_400;
/// The default MAC of the first machine; locally administered.
const FIRST_MAC: Mac = Mac([0x52, 0x54, 0x00, 0x5e, 0x00, 0x01]);
const TFTP_PORT: u16 = 69;
const DHCP_PORT: u16 = 67;
const BOOT_HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Simulate machines: boot from a server as real firmware does, act as the installer and the agent, and print
/// each step.
#[derive(Debug, Clone, clap::Args)]
pub struct SimulateOptions {
    /// The firmware to simulate.
    #[arg(long, value_enum, default_value = "bios")]
    pub firmware: FirmwareKind,
    /// The machine's MAC; further machines count up from it.
    #[arg(long, value_name = "MAC")]
    pub mac: Option<Mac>,
    /// How many machines to simulate.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = up_to(MACHINES_MAX))]
    pub count: u32,
    /// How many of them are switched on at the same time.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = up_to(AT_ONCE_MAX))]
    pub at_once: u32,
    /// How machines get addresses: a DHCP server's `ADDRESS[:PORT]`, asked as a relay agent; the name of an
    /// interface, for broadcasts from port 68; or off, for addresses from elsewhere.
    #[arg(long, value_name = "WHERE", default_value = "off")]
    pub dhcp: DhcpTarget,
    /// The address of the simulated relay agent; a subnet of the server has to list it.
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST)]
    pub relay: Ipv4Addr,
    /// The data directory of a server on this host, which contains the server's addresses.
    #[arg(long, env = "METALWRIGHT_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The server's boot files over HTTP, if DHCP does not name them [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub boot_http: Option<SocketAddr>,
    /// The server's TFTP: its port, and its address if DHCP does not name it. Without this option and without
    /// DHCP no loader is read over TFTP.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub tftp: Option<SocketAddr>,
    /// How long the firmware waits: short times for a nearby server, or those of real firmware.
    #[arg(long, value_enum, default_value = "fast")]
    pub timing: FirmwareTiming,
    /// Run the scripts of jobs on this host, instead of only reporting that they ran.
    #[arg(long)]
    pub run_jobs: bool,
    /// Cut the power once, when this task runs, and switch the machine on again.
    #[arg(long, value_name = "TASK", conflicts_with = "run_jobs")]
    pub power_off: Option<String>,
    /// The installer asks this at its console and waits for a person, who does not come.
    #[arg(long, value_name = "TEXT")]
    pub installer_asks: Option<String>,
    /// When an installer reports that it is done, after everything else: `now`, a number of seconds later, or
    /// `lost`, which is never.
    #[arg(long, value_name = "WHEN", default_value = "now")]
    pub done: DoneReport,
    /// How many seconds an installer tries to report to a server that is away, before it boots its disk all
    /// the same.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    #[arg(value_parser = up_to(REPORT_WAIT_MAX))]
    pub report_wait: u32,
    /// Print steps as lines of JSON.
    #[arg(long)]
    pub json: bool,
    /// Print no steps, only failures and the summary.
    #[arg(long, short)]
    pub quiet: bool,
}

fn up_to(most: u32) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(most))
}

/// When an installer reports that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoneReport {
    After(Duration),
    Lost,
}

impl FromStr for DoneReport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<u32>()) {
            ("now", _) => Ok(DoneReport::After(Duration::ZERO)),
            ("lost", _) => Ok(DoneReport::Lost),
            (_, Ok(seconds)) if seconds <= REPORT_WAIT_MAX => {
                Ok(DoneReport::After(Duration::from_secs(seconds.into())))
            }
            _ => Err(format!("`{text}` is neither `now`, `lost`, nor at most {REPORT_WAIT_MAX} seconds")),
        }
    }
}

/// Where addresses come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DhcpTarget {
    Server(SocketAddrV4),
    Interface(String),
    Off,
}

impl FromStr for DhcpTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(DhcpTarget::Off);
        }
        if let Ok(address) = text.parse() {
            return Ok(DhcpTarget::Server(address));
        }
        if let Ok(address) = text.parse() {
            return Ok(DhcpTarget::Server(SocketAddrV4::new(address, DHCP_PORT)));
        }
        let is_name = !text.is_empty() && text.len() < 16 && !text.contains(['/', ':', ' ']);
        is_name.then(|| DhcpTarget::Interface(text.to_owned())).ok_or_else(|| {
            format!("`{text}` is neither ADDRESS:PORT, nor the name of an interface, nor `off`")
        })
    }
}

/// The timeouts of the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FirmwareTiming {
    Fast,
    Real,
}

impl FirmwareTiming {
    /// The wait for the first DHCP answer. EDK2 and PXE ROMs wait four seconds, and twice as long each
    /// further time.
    pub fn dhcp_wait(self) -> Duration {
        match self {
            FirmwareTiming::Fast => Duration::from_millis(500),
            FirmwareTiming::Real => Duration::from_secs(4),
        }
    }

    /// The wait for the first TFTP answer.
    pub fn tftp_wait(self) -> Duration {
        match self {
            FirmwareTiming::Fast => Duration::from_millis(500),
            FirmwareTiming::Real => Duration::from_secs(1),
        }
    }
}

impl SimulateOptions {
    /// Fills in what the options lack from the data directory.
    ///
    /// # Errors
    /// The directory does not belong to a server that has listened.
    pub fn with_data(mut self) -> Result<Self, String> {
        if let Some(data) = &self.data {
            let told = LocalPorts::read(data)?;
            self.boot_http = self.boot_http.or(told.boot_http()?);
            self.tftp = self.tftp.or(told.tftp()?);
        }
        Ok(self)
    }

    /// The address of boot files, if DHCP does not name it.
    pub fn boot_http(&self) -> SocketAddr {
        self.boot_http.unwrap_or(BOOT_HTTP)
    }

    /// The MAC of one of the machines, counted from 0.
    pub fn mac_of(&self, index: u32) -> Mac {
        let first = self.mac.unwrap_or(FIRST_MAC);
        let [a, b, c, d, e, g] = first.0;
        let number = u64::from_be_bytes([0, 0, a, b, c, d, e, g]).wrapping_add(u64::from(index));
        let [_, _, mac @ ..] = number.to_be_bytes();
        Mac(mac)
    }

    /// The address of one of the machines if no DHCP server gives one: each has its own on loopback, where
    /// the server can be reached too.
    pub fn address_of(&self, index: u32) -> Ipv4Addr {
        if !self.boot_http().ip().is_loopback() {
            return Ipv4Addr::UNSPECIFIED;
        }
        let [_, b, c, d] = (index + 1).to_be_bytes();
        Ipv4Addr::new(127, 100 + (b & 0x3f), c, d)
    }

    /// How DHCP is reached; none if addresses come from elsewhere.
    pub fn reach(&self) -> Option<DhcpReach> {
        match &self.dhcp {
            DhcpTarget::Off => None,
            DhcpTarget::Server(server) => Some(DhcpReach::Relay { server: *server, relay: self.relay }),
            DhcpTarget::Interface(name) => Some(DhcpReach::Interface(name.clone())),
        }
    }

    /// The TFTP address to read a loader from, if a lease names `next_server`.
    pub fn tftp_at(&self, next_server: Ipv4Addr) -> SocketAddr {
        SocketAddr::from((next_server, self.tftp.map_or(TFTP_PORT, |address| address.port())))
    }
}

/// The server's endpoints, as written in its data directory.
#[derive(Debug, Default, Deserialize)]
struct LocalPorts {
    boot_http: Option<String>,
    tftp: Option<String>,
}

impl LocalPorts {
    fn read(data: &Path) -> Result<Self, String> {
        let path = data.join("endpoint.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}; a server writes it when it listens", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn boot_http(&self) -> Result<Option<SocketAddr>, String> {
        let address = self.boot_http.as_deref().map(|url| url.strip_prefix("http://").unwrap_or(url));
        address.map(reachable).transpose()
    }

    fn tftp(&self) -> Result<Option<SocketAddr>, String> {
        self.tftp.as_deref().map(reachable).transpose()
    }
}

/// The address at which a listener can be reached: a listener on all addresses is on loopback.
fn reachable(text: &str) -> Result<SocketAddr, String> {
    let mut address: SocketAddr =
        text.parse().map_err(|_| format!("endpoint.json: `{text}` is not ADDRESS:PORT"))?;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: SimulateOptions,
    }

    fn options(words: &str) -> SimulateOptions {
        let words = std::iter::once("simulate").chain(words.split_whitespace());
        Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).options
    }

    #[test]
    fn machines_count_up_from_the_first() {
        let machines = options("--mac 52:54:00:00:00:ff --count 3");
        assert_eq!(machines.mac_of(0).to_string(), "52:54:00:00:00:ff");
        assert_eq!(machines.mac_of(2).to_string(), "52:54:00:00:01:01");
        assert_eq!(machines.address_of(0), Ipv4Addr::new(127, 100, 0, 1));
        assert_eq!(machines.address_of(65_535), Ipv4Addr::new(127, 101, 0, 0));
    }

    #[test]
    fn done_is_reported_now_later_or_never() {
        assert_eq!(options("").done, DoneReport::After(Duration::ZERO));
        assert_eq!(options("--done 3").done, DoneReport::After(Duration::from_secs(3)));
        assert_eq!(options("--done lost").done, DoneReport::Lost);
        assert!("soon".parse::<DoneReport>().is_err() && "86401".parse::<DoneReport>().is_err());
    }

    #[test]
    fn dhcp_is_a_server_an_interface_or_off() {
        let server = DhcpTarget::Server("127.0.0.1:6767".parse().unwrap());
        assert_eq!(options("--dhcp 127.0.0.1:6767").dhcp, server);
        assert_eq!(options("--dhcp 10.0.0.1").dhcp, DhcpTarget::Server("10.0.0.1:67".parse().unwrap()));
        assert_eq!(options("--dhcp eth0").dhcp, DhcpTarget::Interface("eth0".into()));
        assert_eq!(options("").reach(), None);
        assert!("a/b".parse::<DhcpTarget>().is_err());
        assert_eq!(
            options("--tftp 127.0.0.1:6969").tftp_at(Ipv4Addr::new(10, 0, 0, 1)).to_string(),
            "10.0.0.1:6969"
        );
    }
    #[test]
    fn a_data_directory_says_where_its_server_listens_and_the_line_counts_more() {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("--tftp 127.0.0.1:1 --data {}", folder.path().display());
        let missing = options(&line).with_data().unwrap_err();
        assert!(missing.contains("endpoint.json") && missing.contains("when it listens"), "{missing}");
        let told =
            r#"{"api": null, "boot_http": "http://0.0.0.0:81", "tftp": "0.0.0.0:69", "dhcp_port": null}"#;
        std::fs::write(folder.path().join("endpoint.json"), told).unwrap();
        let filled = options(&line).with_data().unwrap();
        assert_eq!(filled.boot_http().to_string(), "127.0.0.1:81");
        assert_eq!(filled.tftp.unwrap().to_string(), "127.0.0.1:1");
    }
}
