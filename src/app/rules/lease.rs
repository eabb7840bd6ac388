//! Leases are written by the DHCP service; clients read them, and end or delete them to free an address.

use jiff::Timestamp;

use crate::app::lease_actions::as_of;
use crate::app::rules::Managed;
use crate::model::{Lease, Stored};

impl Managed for Lease {
    const KEY_FIELD: &'static str = "address";

    fn as_of(stored: &Stored<Self>, now: Timestamp) -> Option<Stored<Self>> {
        let state = as_of(&stored.spec, now);
        (state != stored.spec.state).then(|| {
            let mut seen = stored.clone();
            seen.spec.state = state;
            seen
        })
    }
}
