//! Makes the address of a simulated machine one that packets can be sent from.
//!
//! On loopback every 127.x.y.z exists already. On an interface the address is added with `ip`, and removed
//! when the machine is switched off.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use tokio::process::Command;

use crate::simulate::dhcp::DhcpReach;
use crate::simulate::failure::StepFailure;

/// An address that packets can be sent from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsableAddress {
    pub address: Ipv4Addr,
    /// The interface that it was added to, and the prefix length.
    added: Option<(String, u8)>,
}

impl UsableAddress {
    /// An address that exists already.
    pub fn existing(address: Ipv4Addr) -> Self {
        UsableAddress { address, added: None }
    }

    /// Makes the address of a lease usable.
    ///
    /// # Errors
    /// It is not an address of this host and cannot become one.
    pub async fn take(address: Ipv4Addr, prefix: u8, reach: &DhcpReach) -> Result<Self, StepFailure> {
        let expected = format!("to send from the leased address {address}");
        match UdpSocket::bind((address, 0)) {
            Ok(_) => Ok(UsableAddress::existing(address)),
            Err(error) if error.kind() != io::ErrorKind::AddrNotAvailable => {
                Err(StepFailure::new("address", expected, error.to_string()))
            }
            Err(_) => match reach {
                DhcpReach::Interface(name) => {
                    ip("add", address, (prefix, name))
                        .await
                        .map_err(|came| StepFailure::new("address", expected, came))?;
                    Ok(UsableAddress { address, added: Some((name.clone(), prefix)) })
                }
                DhcpReach::Relay { .. } => Err(StepFailure::new(
                    "address",
                    expected,
                    "it is not an address of this host: give the subnet a pool inside 127.0.0.0/8, or \
                     simulate on an interface of the subnet",
                )),
            },
        }
    }

    /// Removes the address if it was added.
    pub async fn release(self) {
        if let Some((name, prefix)) = &self.added {
            // It does no harm if the address was removed already.
            let _ = ip("del", self.address, (*prefix, name)).await;
        }
    }
}

async fn ip(verb: &str, address: Ipv4Addr, (prefix, interface): (u8, &str)) -> Result<(), String> {
    let local = format!("{address}/{prefix}");
    let output = Command::new("ip").args(["address", verb, &local, "dev", interface]).output().await;
    let output = output.map_err(|error| format!("`ip` (package iproute2) cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "`ip address {verb} {local} dev {interface}`: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
