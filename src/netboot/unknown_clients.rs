//! Logs clients that want to boot and are not a machine here, each at most once a minute.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::model::{AddressKey, Mac};
use crate::netboot::Netboot;
use crate::netboot::decide::decision::BootDecision;
use crate::netboot::decide::namespace::ClientHint;
use crate::netboot::files::Fetch;
use crate::rate_limit::warn_limited;

/// Most clients that are logged within a minute. Further ones are counted.
const CLIENTS_MAX: usize = 256;
/// Shortest time between two log lines about one client.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// The identity of a client: its MAC, or else its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ClientIdentity {
    Mac(Mac),
    Address(IpAddr),
}

/// The clients that were logged, and when.
#[derive(Debug, Default)]
pub(super) struct UnknownClients(Mutex<HashMap<ClientIdentity, Timestamp>>);

impl UnknownClients {
    /// Whether a client is due for a log line.
    fn is_due(&self, who: ClientIdentity, now: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Timestamp| now.duration_since(*at).abs() < AGAIN;
        if told.get(&who).is_some_and(is_recent) {
            return false;
        }
        if told.len() >= CLIENTS_MAX {
            told.retain(|_, at| is_recent(at));
        }
        if told.len() >= CLIENTS_MAX {
            drop(told);
            warn_limited!(
                "more than {CLIENTS_MAX} unknown clients asked within a minute; the log lacks the others"
            );
            return false;
        }
        told.insert(who, now);
        true
    }
}

impl Netboot {
    /// Whether a client that is not a machine here should be logged now.
    pub fn is_unknown_client_due(&self, mac: Mac, now: Timestamp) -> bool {
        self.memory.unknown_clients.is_due(ClientIdentity::Mac(mac), now)
    }

    /// Logs a fetch of a loader's script by a client that is not a machine here.
    pub(super) fn record_unknown_fetch(&self, fetch: &Fetch, hint: &ClientHint, decision: &BootDecision) {
        let mac = hint
            .mac
            .or_else(|| self.kernel.read(|world| world.leases.get(&AddressKey::from(fetch.peer))?.spec.mac));
        let who = mac.map_or(ClientIdentity::Address(fetch.peer), ClientIdentity::Mac);
        if !self.memory.unknown_clients.is_due(who, self.kernel.now()) {
            return;
        }
        tracing::info!(
            mac = mac.map(|mac| mac.to_string()),
            address = fetch.peer.to_string(),
            reason = decision.verdict.reason(),
            "an unknown client asks for a boot script: no machine has its MAC"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn client(last: u16) -> ClientIdentity {
        let [high, low] = last.to_be_bytes();
        ClientIdentity::Mac(Mac([0x52, 0x54, 0, 0xaa, high, low]))
    }

    #[test]
    fn a_client_is_told_of_once_a_minute_and_others_beside_it() {
        let clients = UnknownClients::default();
        let told = [(1, 0), (1, 1), (2, 1), (1, 59), (1, 60), (1, 61)];
        let told = told.map(|(client_number, second)| clients.is_due(client(client_number), at(second)));
        assert_eq!(told, [true, false, true, false, true, false]);
    }

    #[test]
    fn a_flood_of_clients_is_told_of_up_to_a_bound_and_a_minute_later_again() {
        let clients = UnknownClients::default();
        let due = (0..1000).filter(|number| clients.is_due(client(*number), at(0))).count();
        assert_eq!(due, CLIENTS_MAX);
        assert!(clients.is_due(client(999), at(60)));
        assert_eq!(clients.0.lock().unwrap().len(), 1);
    }
}
