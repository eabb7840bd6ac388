//! Leases are written by the DHCP service; clients read them, and delete them to free an address.

use super::Managed;
use crate::model::Lease;

impl Managed for Lease {
    const KEY_FIELD: &'static str = "address";
}
