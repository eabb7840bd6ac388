//! Machines whose addresses come from another DHCP server: which machine has which address, as overheard from
//! their REQUESTs.

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
    /// Records the address that another server gives to a client. If the client is a machine, the machine has
    /// this address from now on, and the previous holder loses it.
    pub async fn record_foreign_address(&self, (address, mac): (IpAddr, Mac), gathered: &BootFacts) {
        let now = self.kernel.now();
        if self.kernel.read(|world| is_leased(world, address, now)) {
            return;
        }
        {
            let mut neighbours = self.memory.foreign_addresses.lock().unwrap_or_else(PoisonError::into_inner);
            match &gathered.machine {
                Some(_) => neighbours.record((address, mac), now),
                None => neighbours.forget(address),
            }
        }
        Box::pin(self.follow_address(gathered.machine.as_deref(), address, now)).await;
    }

    /// The client that was overheard taking an address from another server, and when.
    fn neighbour(&self, address: IpAddr) -> Option<(Mac, Timestamp)> {
        self.memory
            .foreign_addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .at(address, self.kernel.now())
    }

    /// The machine that has an address: by a lease, by a REQUEST to another server that was overheard, or by
    /// its record.
    pub fn machine_at(&self, world: &World, address: IpAddr) -> Option<Arc<Stored<Machine>>> {
        let text = address.to_string();
        if let Some(lease) = world.leases.get(&text) {
            let mac = lease.spec.mac.filter(|_| is_active(&lease.spec, self.kernel.now()))?;
            return world.machines.find("mac", &mac.to_string()).cloned();
        }
        match self.neighbour(address) {
            // A REQUEST from before the machine was created came from another machine with that MAC.
            Some((mac, heard)) => {
                let machine = world.machines.find("mac", &mac.to_string());
                machine.filter(|machine| machine.created_at <= heard).cloned()
            }
            // Another server may have given the address to another client since it was recorded.
            None if is_anothers(world, address) => None,
            None => world.machines.find("address", &text).cloned(),
        }
    }

    /// Updates the recorded address of a machine to the one that it was given, and removes the address from
    /// every other machine. A failure is only logged: the machine keeps the address that it was given.
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
                warn_limited!(machine = key, %error, "the machine's address was not recorded");
            }
        }
    }
}

fn is_anothers(world: &World, address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let subnets = world.subnets.iter().map(|row| &row.spec);
    subnets.filter(|subnet| subnet.mode == SubnetMode::Proxy).any(|subnet| subnet.cidr.contains(address))
}
