//! Rules for leases: the DHCP service writes them; clients read them, and end or delete them to free an
//! address.

use jiff::Timestamp;

use crate::kernel::TrackedWorld;
use crate::model::{Lease, Stored};
use crate::objects::rules::{DependentObject, NounRules, in_use};

impl NounRules for Lease {
    const HAS_LINEAR_CHECKS: bool = true;
    fn used_now(stored: &Stored<Self>, world: &TrackedWorld<'_>, _now: Timestamp) -> Vec<DependentObject> {
        in_use::of_lease(stored, world)
    }

    fn effective_at(stored: &Stored<Self>, now: Timestamp) -> Option<Stored<Self>> {
        let state = stored.spec.effective_state(now);
        (state != stored.spec.state).then(|| {
            let mut seen = stored.clone();
            seen.spec.state = state;
            seen
        })
    }
}
