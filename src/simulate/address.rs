//! The address a machine was given, made one that packets can leave from.
//!
//! On loopback every 127.x.y.z is there already. On an interface the address is added with `ip`, and taken
//! away when the machine is switched off.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use tokio::process::Command;

use crate::simulate::dhcp::DhcpReach;
use crate::simulate::failure::StepFailure;

/// An address that packets can leave from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsableAddress {
    pub address: Ipv4Addr,
    /// The interface it was added to, and with which prefix.
    added: Option<(String, u8)>,
}

impl UsableAddress {
    /// Takes an address that is there.
    pub fn existing(address: Ipv4Addr) -> Self {
        UsableAddress { address, added: None }
    }

    /// Takes the address of a lease.
    ///
    /// # Errors
    /// It is not an address of this host and cannot be made one.
    pub async fn take(address: Ipv4Addr, prefix: u8, reach: &DhcpReach) -> Result<Self, StepFailure> {
        let expected = format!("to speak from the leased address {address}");
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

    /// Gives the address back to the system.
    pub async fn release(self) {
        if let Some((name, prefix)) = &self.added {
            // What is gone already need not be taken away.
            let _ = ip("del", self.address, (*prefix, name)).await;
        }
    }
}

async fn ip(verb: &str, address: Ipv4Addr, (prefix, interface): (u8, &str)) -> Result<(), String> {
    let local = format!("{address}/{prefix}");
    let output = Command::new("ip").args(["address", verb, &local, "dev", interface]).output().await;
    let output = output.map_err(|error| format!("`ip` (package iproute2) does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "`ip address {verb} {local} dev {interface}`: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
