//! The configuration of TFTP.

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::ListenAddress;

/// Every key of the section.
pub(super) const KEYS: &[&str] =
    &["listen", "single_port", "peers", "sessions", "sessions_per_peer", "block_bytes", "rollover"];

/// Allowed numbers of simultaneous reads, and allowed block sizes (RFC 2348).
const SESSIONS: RangeInclusive<u32> = 1..=65_536;
const BLOCK_BYTES: RangeInclusive<u32> = 8..=65_464;

/// The peers that TFTP answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerPolicy {
    /// Peers in enabled subnets, and peers with a lease.
    #[default]
    Managed,
    Any,
}

/// The checked configuration of TFTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TftpConfig {
    pub listen: ListenAddress,
    pub single_port: bool,
    pub peers: PeerPolicy,
    /// Most simultaneous reads, in all and of one address.
    pub sessions: u32,
    pub sessions_per_peer: u32,
    pub block_bytes: u16,
    /// The block number after 65535: 0 or 1.
    pub rollover: u8,
}

#[derive(Clone, Debug, Default, clap::Args)]
pub struct TftpFlags {
    /// Where TFTP listens: ADDRESS:PORT or off [default: 0.0.0.0:69].
    #[arg(long, env = "METALWRIGHT_TFTP_LISTEN", value_name = "ADDRESS")]
    pub tftp_listen: Option<String>,
    /// Send TFTP data from the listening port, for networks that translate addresses.
    #[arg(long, env = "METALWRIGHT_TFTP_SINGLE_PORT", value_name = "BOOL", num_args = 0..=1,
          default_missing_value = "true")]
    pub tftp_single_port: Option<bool>,
    /// The peers that TFTP answers: managed (those in subnets and with leases) or any [default: managed].
    #[arg(long, env = "METALWRIGHT_TFTP_PEERS", value_name = "WHO")]
    pub tftp_peers: Option<PeerPolicy>,
    /// Most simultaneous TFTP reads [default: 4096].
    #[arg(long, env = "METALWRIGHT_TFTP_SESSIONS", value_name = "COUNT")]
    pub tftp_sessions: Option<u32>,
    /// Most simultaneous TFTP reads of one address; set more if machines share an address [default: 8].
    #[arg(long, env = "METALWRIGHT_TFTP_SESSIONS_PER_PEER", value_name = "COUNT")]
    pub tftp_sessions_per_peer: Option<u32>,
    /// Largest TFTP block; the interface's MTU is a bound too [default: 1468].
    #[arg(long, env = "METALWRIGHT_TFTP_BLOCK_BYTES", value_name = "BYTES")]
    pub tftp_block_bytes: Option<u32>,
    /// The number that follows TFTP block 65535, 0 or 1 [default: 0].
    #[arg(long, env = "METALWRIGHT_TFTP_ROLLOVER", value_name = "NUMBER")]
    pub tftp_rollover: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TftpSection {
    pub listen: Option<String>,
    single_port: Option<bool>,
    peers: Option<PeerPolicy>,
    sessions: Option<u32>,
    sessions_per_peer: Option<u32>,
    block_bytes: Option<u32>,
    rollover: Option<u32>,
}

impl TftpConfig {
    /// Combines flags, file and defaults, in this order of precedence. Values out of range are added to
    /// `faults`.
    pub(super) fn load(
        listen: ListenAddress,
        flags: TftpFlags,
        file: TftpSection,
        faults: &mut Vec<String>,
    ) -> Self {
        let mut number = |value: Option<u32>, name: &str, range: &RangeInclusive<u32>, default: u32| {
            let value = value.unwrap_or(default);
            if !range.contains(&value) {
                faults.push(format!("tftp.{name}: {value} is not from {} to {}", range.start(), range.end()));
            }
            value
        };
        let sessions = number(flags.tftp_sessions.or(file.sessions), "sessions", &SESSIONS, 4096);
        let per_peer = flags.tftp_sessions_per_peer.or(file.sessions_per_peer);
        let per_peer = number(per_peer, "sessions_per_peer", &SESSIONS, 8);
        let block = number(flags.tftp_block_bytes.or(file.block_bytes), "block_bytes", &BLOCK_BYTES, 1468);
        let rollover = number(flags.tftp_rollover.or(file.rollover), "rollover", &(0..=1), 0);
        TftpConfig {
            listen,
            single_port: flags.tftp_single_port.or(file.single_port).unwrap_or(false),
            peers: flags.tftp_peers.or(file.peers).unwrap_or_default(),
            sessions,
            sessions_per_peer: per_peer,
            block_bytes: u16::try_from(block).unwrap_or(u16::MAX),
            rollover: u8::from(rollover == 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(flags: TftpFlags, file: &str) -> (TftpConfig, Vec<String>) {
        let (file, mut faults) = (toml::from_str(file).unwrap(), Vec::new());
        (TftpConfig::load(ListenAddress::Off, flags, file, &mut faults), faults)
    }

    #[test]
    fn flags_go_before_the_file_and_the_file_before_the_defaults() {
        let flags = TftpFlags { tftp_sessions_per_peer: Some(64), ..TftpFlags::default() };
        let (tftp, faults) = load(flags, "sessions_per_peer = 9\npeers = \"any\"\nrollover = 1\n");
        assert_eq!((tftp.sessions_per_peer, tftp.peers, tftp.rollover), (64, PeerPolicy::Any, 1));
        assert_eq!((tftp.sessions, tftp.block_bytes, tftp.single_port), (4096, 1468, false));
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn numbers_out_of_range_are_told_with_their_range() {
        let (_, faults) = load(TftpFlags::default(), "sessions = 0\nblock_bytes = 70000\nrollover = 2\n");
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[1].contains("from 8 to 65464"), "{faults:?}");
    }
}
