//! Limits on open files and sockets, and their distribution. A listener that takes them all would stop all
//! others, so each has a share: [`DescriptorShares::within`].

use super::api_listener;
use crate::config::ServerConfig;
use crate::connections::ConnectionLimits;
use crate::http_boot;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the process may, and returns it. The usual limit of 1024 is meant for programs
/// that use `select`.
fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok() {
        return maximum.unwrap_or(u64::MAX);
    }
    current.unwrap_or(u64::MAX)
}

/// Descriptors that are always needed: the database, listeners, DHCP, the pollers of threads, fetches.
const OWN: u64 = 256;
/// A boot file needs a connection and a file. So does a TFTP read.
const EACH_TRANSFER: u64 = 2;
/// Fewest descriptors that a server starts with: what it has open without any client, and a few for clients.
const OPEN_FILES_MIN: u64 = 64;
/// Fewest connections and reads of each kind, however low the limit is.
const SHARE_MIN: u64 = 8;

/// Most simultaneous connections and reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorShares {
    pub api_connections: usize,
    pub boot_connections: usize,
    pub tftp_sessions: usize,
}

impl DescriptorShares {
    /// Number of descriptors that these need, including those that are always needed.
    pub fn descriptors(&self) -> u64 {
        let transfers = count(self.boot_connections).saturating_add(count(self.tftp_sessions));
        let transfers = transfers.saturating_mul(EACH_TRANSFER);
        OWN.saturating_add(count(self.api_connections)).saturating_add(transfers)
    }

    /// Reduces the shares to `limit` descriptors. If these are too few for all, the API gets an eighth of
    /// them, TFTP a quarter of the rest, and the boot side's HTTP the remainder.
    pub fn within(self, limit: u64) -> DescriptorShares {
        if self.descriptors() <= limit {
            return self;
        }
        let api_connections = share_of(self.api_connections, limit / 8);
        let rest = limit.saturating_sub(OWN.min(limit / 4)).saturating_sub(count(api_connections));
        let tftp_sessions = share_of(self.tftp_sessions, rest / 4 / EACH_TRANSFER);
        let rest = rest.saturating_sub(count(tftp_sessions) * EACH_TRANSFER);
        let boot_connections = share_of(self.boot_connections, rest / EACH_TRANSFER);
        DescriptorShares { api_connections, boot_connections, tftp_sessions }
    }
}

fn share_of(wanted: usize, share: u64) -> usize {
    wanted.min(usize::try_from(share.max(SHARE_MIN)).unwrap_or(wanted))
}

/// The limits of the boot side's HTTP, as configured.
pub(super) fn boot_limits(config: &ServerConfig) -> ConnectionLimits {
    ConnectionLimits {
        connections_max: config.boot_connections.unwrap_or(http_boot::LIMITS.connections_max),
        of_one_address_max: config
            .boot_connections_per_address
            .unwrap_or(http_boot::LIMITS.of_one_address_max),
    }
}

/// The limits of the API's port, as configured.
pub(super) fn api_limits(config: &ServerConfig) -> api_listener::ListenerLimits {
    let limits = api_listener::ListenerLimits::default();
    let connections = ConnectionLimits {
        connections_max: config.api_connections.unwrap_or(limits.connections.connections_max),
        of_one_address_max: config
            .api_connections_per_address
            .unwrap_or(limits.connections.of_one_address_max),
    };
    api_listener::ListenerLimits { connections, ..limits }
}

/// Raises the limit on open files. If it is too low for all configured connections and reads, lowers their
/// limits, so that no listener takes the descriptors of another.
///
/// # Errors
/// The process may have fewer than [`OPEN_FILES_MIN`].
pub(super) fn fit_to_descriptors(config: ServerConfig) -> anyhow::Result<ServerConfig> {
    let limit = raise();
    anyhow::ensure!(
        limit >= OPEN_FILES_MIN,
        "{limit} open files are allowed, and a server needs {OPEN_FILES_MIN} or more: raise the limit \
         (ulimit -n, or systemd: LimitNOFILE=)"
    );
    let wanted = DescriptorShares {
        api_connections: api_limits(&config).connections.connections_max,
        boot_connections: boot_limits(&config).connections_max,
        tftp_sessions: config.tftp.sessions as usize,
    };
    let shares = wanted.within(limit);
    if shares != wanted {
        tracing::warn!(
            open_files = limit,
            needed = wanted.descriptors(),
            api_connections = shares.api_connections,
            boot_connections = shares.boot_connections,
            tftp_sessions = shares.tftp_sessions,
            "too few open files are allowed for what is configured, so there are fewer connections and TFTP \
             reads at a time; raise the limit (systemd: LimitNOFILE=), or configure less"
        );
    }
    let mut config = config;
    config.api_connections = Some(shares.api_connections);
    config.boot_connections = Some(shares.boot_connections);
    config.tftp.sessions = u32::try_from(shares.tftp_sessions).unwrap_or(u32::MAX);
    Ok(config)
}

fn count(number: usize) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: DescriptorShares =
        DescriptorShares { api_connections: 2048, boot_connections: 4096, tftp_sessions: 4096 };

    #[test]
    fn what_fits_is_left_as_it_is() {
        assert_eq!(USUAL.within(USUAL.descriptors()), USUAL);
        assert_eq!(USUAL.within(u64::MAX), USUAL);
    }

    #[test]
    fn where_descriptors_are_few_everybody_has_some_and_all_together_fit() {
        for limit in [256, 512, 1024, 4096, 16_384, 18_000] {
            let shares = USUAL.within(limit);
            let all = [shares.api_connections, shares.boot_connections, shares.tftp_sessions];
            assert!(all.iter().all(|share| *share >= 8), "{limit}: {shares:?}");
            let fixed = OWN.min(limit / 4);
            assert!(shares.descriptors() - OWN + fixed <= limit, "{limit}: {shares:?}");
            assert!(count(shares.api_connections) <= limit / 8, "{limit}: {shares:?}");
        }
        assert_eq!(USUAL.within(1024).api_connections, 128);
    }

    #[test]
    fn who_wants_little_keeps_it() {
        let few = DescriptorShares { api_connections: 9, ..USUAL };
        assert_eq!(few.within(1024).api_connections, 9);
    }
}
