//! The server's configuration, as operators write it, and its checks.
//!
//! Defaults are in the code. The file overrides them, then the environment (`METALWRIGHT_…`), then flags.

pub mod artifacts;
mod changes;
mod facts;
pub mod fetch;
pub mod log_filter;
mod names;
pub mod packs;
pub mod secrets;
pub mod tftp;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::model::{PackTrust, SecretSources, nearest};
use artifacts::{ArtifactFlags, ArtifactSection, ArtifactsConfig};
use fetch::{FetchConfig, FetchFlags, FetchSection};
use packs::{PackFlags, PackSection};
use secrets::{SecretFlags, SecretSection};
use tftp::{TftpConfig, TftpFlags, TftpSection};

/// A listener's address, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    At(SocketAddr),
    Off,
}

impl std::str::FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(ListenAddress::Off);
        }
        text.parse().map(ListenAddress::At).map_err(|_| {
            format!("`{text}` is not an address to listen on: write it like 0.0.0.0:8080, or `off`")
        })
    }
}

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl LogFormat {
    /// The format that flags, environment or file choose, as far as they can be read: for what prevents a
    /// start.
    pub fn chosen(flags: &ServerFlags) -> Self {
        flags.log_format.or_else(|| Self::in_file(flags.config.as_deref()?)).unwrap_or_default()
    }

    fn in_file(path: &Path) -> Option<Self> {
        let table: toml::Table = std::fs::read_to_string(path).ok()?.parse().ok()?;
        (table.get("log")?.get("format")?.as_str()? == "json").then_some(LogFormat::Json)
    }
}

/// The checked configuration of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    pub data: PathBuf,
    pub api: ListenAddress,
    pub api_connections: Option<usize>,
    pub api_connections_per_address: Option<usize>,
    /// Names and addresses of the API's certificate besides those of this host.
    pub api_names: Vec<String>,
    pub boot_http: ListenAddress,
    /// The same over TLS, for firmware that refuses plain HTTP.
    pub boot_https: ListenAddress,
    /// Whether that is also for firmware without elliptic curves.
    pub boot_https_dhe: bool,
    pub boot_connections: Option<usize>,
    pub boot_connections_per_address: Option<usize>,
    /// Whether the names of artifacts' files are compared without case.
    pub boot_ignore_case: bool,
    pub tftp: TftpConfig,
    pub artifacts: ArtifactsConfig,
    pub fetch: FetchConfig,
    pub packs: PackTrust,
    pub secrets: SecretSources,
    pub dhcp_interfaces: Vec<String>,
    pub dhcp_port: u16,
    pub dhcp_packets_per_second: Option<NonZeroU32>,
    /// The user that the server becomes when all ports are bound.
    pub user: Option<String>,
    pub log_format: LogFormat,
    /// A checked `tracing` filter: `info`, `info,metalwright::dhcp=debug`.
    pub log_level: String,
}

/// Settings from flags and environment variables; an unset one comes from the file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServerFlags {
    /// The data directory: database, certificate, administrator's token.
    #[arg(long, env = "METALWRIGHT_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A TOML file with settings.
    #[arg(long, env = "METALWRIGHT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the API listens (TLS): ADDRESS:PORT or off [default: 127.0.0.1:8443].
    #[arg(long, env = "METALWRIGHT_API_LISTEN", value_name = "ADDRESS")]
    pub api_listen: Option<String>,
    /// Most simultaneous connections to the API [default: 2048].
    #[arg(long, env = "METALWRIGHT_API_CONNECTIONS", value_name = "N")]
    pub api_connections: Option<usize>,
    /// Most simultaneous connections to the API from one address [default: 256].
    #[arg(long, env = "METALWRIGHT_API_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub api_connections_per_address: Option<usize>,
    /// A name or address that the API's certificate has besides those of this host; repeat for more.
    #[arg(long = "api-name", env = "METALWRIGHT_API_NAMES", value_name = "NAME", value_delimiter = ',')]
    pub api_names: Vec<String>,
    /// Where boot files are served over HTTP: ADDRESS:PORT or off [default: 0.0.0.0:8080].
    #[arg(long, env = "METALWRIGHT_BOOT_HTTP", value_name = "ADDRESS")]
    pub boot_http: Option<String>,
    /// Where boot files are served over HTTPS, with tls/boot-cert.pem: ADDRESS:PORT or off [default: off].
    #[arg(long, env = "METALWRIGHT_BOOT_HTTPS", value_name = "ADDRESS")]
    pub boot_https: Option<String>,
    /// Serve them over HTTPS to firmware of before 2023 too, which knows no elliptic curves: TLS 1.2 with
    /// DHE-RSA.
    #[arg(long, env = "METALWRIGHT_BOOT_HTTPS_DHE", value_name = "BOOL", num_args = 0..=1,
          default_missing_value = "true")]
    pub boot_https_dhe: Option<bool>,
    /// Most simultaneous HTTP connections of machines [default: 4096].
    #[arg(long, env = "METALWRIGHT_BOOT_CONNECTIONS", value_name = "N")]
    pub boot_connections: Option<usize>,
    /// Most simultaneous HTTP connections from one address [default: 1024].
    #[arg(long, env = "METALWRIGHT_BOOT_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub boot_connections_per_address: Option<usize>,
    /// Compare the names of artifacts' files without case, as Windows boot loaders expect.
    #[arg(long, env = "METALWRIGHT_BOOT_IGNORE_CASE", value_name = "BOOL", num_args = 0..=1,
          default_missing_value = "true")]
    pub boot_ignore_case: Option<bool>,
    #[command(flatten)]
    pub tftp: TftpFlags,
    #[command(flatten)]
    pub artifacts: ArtifactFlags,
    #[command(flatten)]
    pub fetch: FetchFlags,
    #[command(flatten)]
    pub packs: PackFlags,
    #[command(flatten)]
    pub secrets: SecretFlags,
    /// A network interface to answer DHCP on; repeat for more. DHCP is off without one.
    #[arg(
        long = "dhcp-interface",
        env = "METALWRIGHT_DHCP_INTERFACES",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub dhcp_interfaces: Vec<String>,
    /// The port DHCP listens on [default: 67].
    #[arg(long, env = "METALWRIGHT_DHCP_PORT", value_name = "PORT")]
    pub dhcp_port: Option<u16>,
    /// Most DHCP packets of all clients that are answered in a second [default: no limit].
    #[arg(long, env = "METALWRIGHT_DHCP_PACKETS_PER_SECOND", value_name = "N")]
    pub dhcp_packets_per_second: Option<NonZeroU32>,
    /// The user that the server becomes when all ports are bound.
    #[arg(long, env = "METALWRIGHT_USER", value_name = "NAME")]
    pub user: Option<String>,
    #[arg(long, env = "METALWRIGHT_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What to log: off, error, warn, info, debug, trace, or a filter like metalwright::dhcp=debug, which
    /// logs everything else at info [default: info].
    #[arg(long, env = "METALWRIGHT_LOG", value_name = "FILTER")]
    pub log_level: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConfigFile {
    data: Option<PathBuf>,
    user: Option<String>,
    api: ApiSection,
    boot: BootSection,
    tftp: TftpSection,
    artifacts: ArtifactSection,
    fetch: FetchSection,
    packs: PackSection,
    secrets: SecretSection,
    dhcp: DhcpSection,
    log: LogSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ApiSection {
    listen: Option<String>,
    connections: Option<usize>,
    connections_per_address: Option<usize>,
    names: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BootSection {
    http: Option<String>,
    https: Option<String>,
    https_dhe: Option<bool>,
    connections: Option<usize>,
    connections_per_address: Option<usize>,
    ignore_case: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DhcpSection {
    interfaces: Option<Vec<String>>,
    port: Option<u16>,
    packets_per_second: Option<NonZeroU32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LogSection {
    format: Option<String>,
    level: Option<String>,
}

/// All keys by section; the empty section is the top level.
const KEYS: [(&str, &[&str]); 10] = [
    ("", &["data", "user", "api", "boot", "tftp", "dhcp", "artifacts", "fetch", "packs", "secrets", "log"]),
    ("api", &["listen", "connections", "connections_per_address", "names"]),
    ("boot", &["http", "https", "https_dhe", "connections", "connections_per_address", "ignore_case"]),
    ("tftp", tftp::KEYS),
    ("dhcp", &["interfaces", "port", "packets_per_second"]),
    ("artifacts", artifacts::KEYS),
    ("fetch", fetch::KEYS),
    ("packs", packs::KEYS),
    ("secrets", secrets::KEYS),
    ("log", &["format", "level"]),
];

impl ServerConfig {
    /// Combines defaults, file, environment and flags.
    ///
    /// # Errors
    /// Every fault, one per line, with the file, the key and what to write instead.
    pub fn load(flags: ServerFlags) -> Result<Self, String> {
        let file = flags.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let mut faults = Vec::new();
        let mut listen = |flag: Option<String>, file: Option<String>, port: u16, name: &str| {
            let default = if name == "api.listen" { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
            let Some(text) = flag.or(file) else {
                return ListenAddress::At(SocketAddr::new(IpAddr::V4(default), port));
            };
            text.parse().unwrap_or_else(|fault| {
                faults.push(format!("{name}: {fault}"));
                ListenAddress::Off
            })
        };
        let api = listen(flags.api_listen, file.api.listen, 8443, "api.listen");
        let boot_http = listen(flags.boot_http, file.boot.http, 8080, "boot.http");
        let https = flags.boot_https.or(file.boot.https).unwrap_or_else(|| "off".to_owned());
        let boot_https = listen(Some(https), None, 0, "boot.https");
        let tftp_listen = listen(flags.tftp.tftp_listen.clone(), file.tftp.listen.clone(), 69, "tftp.listen");
        let tftp = TftpConfig::load(tftp_listen, flags.tftp, file.tftp, &mut faults);
        let data = flags.data.or(file.data).unwrap_or_else(|| {
            faults.push("data: name a data directory with --data DIR".to_owned());
            PathBuf::new()
        });
        let log_format = flags.log_format.or_else(|| log_format(file.log.format.as_deref(), &mut faults));
        let api_names = names::check(flags.api_names, file.api.names, &mut faults);
        let fetch_from = file.artifacts.fetch_from.clone();
        let fetch = FetchConfig::load(flags.fetch, (file.fetch, fetch_from), &mut faults);
        let packs = packs::load(flags.packs, file.packs, &mut faults);
        let secrets = secrets::load(flags.secrets, file.secrets, &mut faults);
        let artifacts = ArtifactsConfig::load(flags.artifacts, file.artifacts, &mut faults);
        let log_level = flags.log_level.or(file.log.level).unwrap_or_else(|| "info".to_owned());
        let log_level = log_filter::check(&log_level).unwrap_or_else(|fault| {
            faults.push(format!("log.level: {fault}"));
            String::new()
        });
        let config = ServerConfig {
            data,
            api,
            api_connections: flags.api_connections.or(file.api.connections),
            api_connections_per_address: flags
                .api_connections_per_address
                .or(file.api.connections_per_address),
            api_names,
            boot_http,
            boot_https,
            boot_https_dhe: flags.boot_https_dhe.or(file.boot.https_dhe).unwrap_or(false),
            boot_connections: flags.boot_connections.or(file.boot.connections),
            boot_connections_per_address: flags
                .boot_connections_per_address
                .or(file.boot.connections_per_address),
            boot_ignore_case: flags.boot_ignore_case.or(file.boot.ignore_case).unwrap_or(false),
            tftp,
            artifacts,
            fetch,
            packs,
            secrets,
            dhcp_interfaces: (!flags.dhcp_interfaces.is_empty())
                .then_some(flags.dhcp_interfaces)
                .or(file.dhcp.interfaces)
                .unwrap_or_default(),
            dhcp_port: flags.dhcp_port.or(file.dhcp.port).unwrap_or(67),
            dhcp_packets_per_second: flags.dhcp_packets_per_second.or(file.dhcp.packets_per_second),
            user: flags.user.or(file.user),
            log_format: log_format.unwrap_or_default(),
            log_level,
        };
        if faults.is_empty() { Ok(config) } else { Err(faults.join("\n")) }
    }
}

fn log_format(file: Option<&str>, faults: &mut Vec<String>) -> Option<LogFormat> {
    match file {
        None | Some("text") => Some(LogFormat::Text),
        Some("json") => Some(LogFormat::Json),
        Some(other) => {
            faults.push(format!("log.format: `{other}` is neither `text` nor `json`"));
            None
        }
    }
}

fn read(path: &Path) -> Result<ConfigFile, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&text).map_err(|fault| format!("{}: {fault}", path.display()))
}

fn parse(text: &str) -> Result<ConfigFile, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let unknown = unknown_keys(&table);
    if !unknown.is_empty() {
        return Err(unknown.join("\n"));
    }
    ConfigFile::deserialize(table).map_err(|error| error.to_string())
}

fn unknown_keys(table: &toml::Table) -> Vec<String> {
    let mut unknown = Vec::new();
    let mut look = |section: &str, table: &toml::Table| {
        for key in table.keys().filter(|key| !known_keys(section).contains(&key.as_str())) {
            let full = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
            let hint = match nearest(key, known_keys(section).iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are: {}", known_keys(section).join(", ")),
            };
            unknown.push(format!("unknown key `{full}`; {hint}"));
        }
    };
    look("", table);
    for (section, value) in table {
        if let (Some(inner), true) = (value.as_table(), known_keys("").contains(&section.as_str())) {
            look(section, inner);
        }
    }
    unknown
}

fn known_keys(section: &str) -> &'static [&'static str] {
    KEYS.iter().find(|(name, _)| *name == section).map_or(&[][..], |(_, keys)| keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused_with_the_nearest_known_one() {
        let error = parse("[dhcp]\ninterface = [\"eth1\"]\n[tfpt]\nlisten = \"off\"\n").unwrap_err();
        assert!(error.contains("`dhcp.interface`; did you mean `interfaces`?"), "{error}");
        assert!(error.contains("`tfpt`; did you mean `tftp`?"), "{error}");
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metalwright.toml");
        std::fs::write(&path, "[boot]\nhttp = \"127.0.0.1:81\"\n[tftp]\nlisten = \"off\"\n").unwrap();
        let flags = ServerFlags {
            data: Some("/d".into()),
            config: Some(path),
            boot_http: Some("127.0.0.1:82".into()),
            ..ServerFlags::default()
        };
        let config = ServerConfig::load(flags).unwrap();
        assert_eq!(config.boot_http, "127.0.0.1:82".parse().unwrap());
        assert_eq!(config.tftp.listen, ListenAddress::Off);
        assert_eq!(config.api, "127.0.0.1:8443".parse().unwrap());
    }

    #[test]
    fn a_change_names_the_keys_that_need_a_restart_and_none_that_do_not() {
        let load = |flags: ServerFlags| ServerConfig::load(ServerFlags { data: Some("/d".into()), ..flags });
        let old = load(ServerFlags::default()).unwrap();
        assert_eq!(old.needs_restart(&old), [""; 0]);
        let flags = ServerFlags { log_level: Some("debug".into()), ..ServerFlags::default() };
        let new = load(ServerFlags { api_names: vec!["a".into()], ..flags.clone() }).unwrap();
        assert_eq!(old.needs_restart(&new), [""; 0]);
        let flags = ServerFlags { boot_https_dhe: Some(true), dhcp_port: Some(68), ..flags };
        assert_eq!(old.needs_restart(&load(flags).unwrap()), ["boot.https_dhe", "dhcp.port"]);
    }

    #[test]
    fn the_lists_of_artifacts_come_from_the_flags_or_the_file_and_are_checked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metalwright.toml");
        let load = |text: &str, roots: &[&str]| {
            std::fs::write(&path, text).unwrap();
            let flags = ArtifactFlags {
                artifacts_roots: roots.iter().map(PathBuf::from).collect(),
                ..ArtifactFlags::default()
            };
            let (data, config) = (Some("/d".into()), Some(path.clone()));
            ServerConfig::load(ServerFlags { data, config, artifacts: flags, ..ServerFlags::default() })
        };
        let written = "[artifacts]\nroots = [\"/a\", \"/b\"]\nunpack_bytes_max = 5\n";
        let config = load(written, &[]).unwrap();
        assert_eq!(config.artifacts.roots.as_deref(), Some(&["/a".into(), "/b".into()][..]));
        assert_eq!(config.artifacts.unpack_bytes_max, 5);
        assert!(load("[artifacts]\nunpack_seconds_max = 0\n", &[]).unwrap_err().contains("1 or more"));
        assert_eq!(load(written, &["/c"]).unwrap().artifacts.roots, Some(vec!["/c".into()]));
        assert_eq!(load("", &[]).unwrap().artifacts, ArtifactsConfig::default());
        let wrong = load("[artifacts]\nroots = [\"srv\"]\n", &[]).unwrap_err();
        assert!(wrong.contains("artifacts.roots: `srv`"), "{wrong}");
        assert!(load("[artifacts]\nroot = []\n", &[]).unwrap_err().contains("did you mean `roots`?"));
    }

    #[test]
    fn the_places_of_a_fetch_come_from_the_flags_or_the_file_and_those_of_the_old_name_are_added() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metalwright.toml");
        let load = |text: &str, allow: &[&str]| {
            std::fs::write(&path, text).unwrap();
            let allow = allow.iter().map(|entry| (*entry).to_owned()).collect();
            let fetch = FetchFlags { fetch_allow: allow, ..FetchFlags::default() };
            let (data, config) = (Some("/d".into()), Some(path.clone()));
            ServerConfig::load(ServerFlags { data, config, fetch, ..ServerFlags::default() })
        };
        let written = "[fetch]\nallow = [\"10.0.0.0/8\", \"mirror.example.com:80\"]\n";
        assert_eq!(load(written, &[]).unwrap().fetch.allow.len(), 2);
        assert_eq!(load(written, &["fd00::5"]).unwrap().fetch.allow, vec!["fd00::5".parse().unwrap()]);
        let both = format!("{written}[artifacts]\nfetch_from = [\"127.0.0.1\", \"fe80::/10\"]\n");
        let all = load(&both, &[]).unwrap();
        assert_eq!(all.fetch.allow.len(), 4);
        let fact = &all.facts()["fetch.allow"];
        assert_eq!(fact, "10.0.0.0/8, mirror.example.com:80, 127.0.0.1, fe80::/10");
        let wrong = load("[fetch]\nallow = [\"10.0.0\"]\n[artifacts]\nfetch_from = [\"a b\"]\n", &[]);
        let wrong = wrong.unwrap_err();
        assert!(wrong.contains("fetch.allow: `10.0.0`") && wrong.contains("artifacts.fetch_from: `a b`"));
        assert!(load("[fetch]\nallowed = []\n", &[]).unwrap_err().contains("did you mean `allow`?"));
    }

    #[test]
    fn a_log_level_that_is_none_is_refused() {
        let flags = ServerFlags {
            data: Some("/d".into()),
            log_level: Some("verbos".into()),
            ..ServerFlags::default()
        };
        let error = ServerConfig::load(flags).unwrap_err();
        assert!(error.starts_with("log.level: there is no level `verbos`"), "{error}");
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let flags = ServerFlags {
            api_listen: Some("here".into()),
            boot_http: Some("69".into()),
            ..ServerFlags::default()
        };
        let error = ServerConfig::load(flags).unwrap_err();
        assert_eq!(error.lines().count(), 3, "{error}");
    }
}
