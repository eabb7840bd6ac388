//! Machines in networks that have their addresses from another server: whose address is which, as heard from
//! their own REQUESTs.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use crate::kernel::Caller;
use crate::model::event::MachineAddressChanged;
use crate::model::{Mac, Machine, Stored, SubnetMode, World};
use crate::netboot::Netboot;
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::identify::{is_active, is_leased};
use crate::rate_limit::warn_limited;

impl Netboot {
    /// Takes note of the address that another server gives to a client. A machine's
    /// is its own from now on; whoever had it before has it no more.
    pub async fn heard_elsewhere(&self, (address, mac): (IpAddr, Mac), gathered: &BootFacts) {
        let now = self.kernel.now();
        if self.kernel.read(|world| is_leased(world, address, now)) {
            return;
        }
        {
            let mut neighbours = self.memory.foreign_addresses.lock().unwrap_or_else(PoisonError::into_inner);
            match &gathered.machine {
                Some(_) => neighbours.hear((address, mac), now),
                None => neighbours.forget(address),
            }
        }
        Box::pin(self.follow_address(gathered.machine.as_deref(), address, now)).await;
    }

    /// The client that was heard to take an address from another server, and when.
    fn neighbour(&self, address: IpAddr) -> Option<(Mac, Timestamp)> {
        self.memory
            .foreign_addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .at(address, self.kernel.now())
    }

    /// The machine that holds a lease on an address, that was heard to take it from another server, or whose
    /// recorded address it is.
    pub fn machine_at(&self, world: &World, address: IpAddr) -> Option<Arc<Stored<Machine>>> {
        let text = address.to_string();
        if let Some(lease) = world.leases.get(&text) {
            let mac = lease.spec.mac.filter(|_| is_active(&lease.spec, self.kernel.now()))?;
            return world.machines.find("mac", &mac.to_string()).cloned();
        }
        match self.neighbour(address) {
            // What was heard before the machine was made was said by another machine with that MAC.
            Some((mac, heard)) => {
                let machine = world.machines.find("mac", &mac.to_string());
                machine.filter(|machine| machine.created_at <= heard).cloned()
            }
            // Another server may have given it to somebody else since it was recorded.
            None if is_anothers(world, address) => None,
            None => world.machines.find("address", &text).cloned(),
        }
    }

    /// A machine's address follows what it was given, and is nobody else's from then on. What it was given
    /// stands, whatever comes of this.
    pub async fn follow_address(&self, machine: Option<&Stored<Machine>>, address: IpAddr, now: Timestamp) {
        if machine.is_some_and(|machine| machine.status.address == Some(address)) {
            return;
        }
        let caller = machine.map_or_else(|| Caller::server(now), |machine| Caller::machine(machine, now));
        let holder = self.kernel.read(|world| world.machines.find("address", &address.to_string()).cloned());
        let mut moves = Vec::new();
        moves.extend(holder.map(|holder| (holder.key.clone(), None)));
        moves.extend(machine.map(|machine| (machine.key.clone(), Some(address))));
        for (key, address) in moves {
            let changed = self.kernel.change::<Machine>(&key, now, |next| {
                next.status.address = address;
                if address.is_some() {
                    next.status.last_seen = Some(now);
                }
                Ok(vec![caller.event_about(next, MachineAddressChanged { address, was: None })])
            });
            if let Err(error) = changed.await {
                warn_limited!(machine = key, %error, "its address was not recorded");
            }
        }
    }
}

fn is_anothers(world: &World, address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let subnets = world.subnets.iter().map(|row| &row.spec);
    subnets.filter(|subnet| subnet.mode == SubnetMode::Proxy).any(|subnet| subnet.cidr.contains(address))
}
