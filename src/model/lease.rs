//! Leases: which client has, or last had, an address.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Kind, Mac, NoStatus, Noun, Object, Stored};

/// The state of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    Offered,
    Bound,
    Released,
    Expired,
    /// Another host was found on the address: the address is not given out until `expires_at`.
    Declined,
}

impl LeaseState {
    /// `bound`.
    pub fn as_str(self) -> &'static str {
        match self {
            LeaseState::Offered => "offered",
            LeaseState::Bound => "bound",
            LeaseState::Released => "released",
            LeaseState::Expired => "expired",
            LeaseState::Declined => "declined",
        }
    }
}

/// An address that is in use, or was. A bound lease whose `expires_at` has passed counts as expired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    pub address: Ipv4Addr,
    /// The client: `1/52:54:00:aa:00:01` (hardware type and address), or `id/…` (client identifier in hex) if
    /// the client has no hardware address.
    pub client: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    pub state: LeaseState,
    pub subnet: String,
    /// The network within which the lease is unique: the subnet's shared network, or the subnet's name.
    pub network: String,
    pub bound_at: Timestamp,
    pub expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

impl Lease {
    /// The state at a given time: a bound lease past its end is expired, also before it is marked so.
    pub fn effective_state(&self, now: Timestamp) -> LeaseState {
        match self.state {
            LeaseState::Offered | LeaseState::Bound if self.expires_at <= now => LeaseState::Expired,
            state => state,
        }
    }
}

impl Noun for Lease {
    const KIND: Kind = Kind::Lease;
    const INDEXES: &'static [&'static str] = &["client"];
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.address.to_string())
    }

    fn unique(&self, _: &NoStatus) -> Vec<(&'static str, String)> {
        vec![("client", format!("{} {}", self.network, self.client))]
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Lease(stored)
    }
}
