//! The clients that asked and are not a machine here, for operators. `netboot` keeps them.

use crate::insight::Insight;
use crate::kernel::Caller;
use crate::kernel::permissions::{AccessVerb, ObjectRef};
use crate::model::{Mac, Machine, SimilarClient, SimilarMachine, Stored, UnknownClient, World};

impl Insight {
    /// All of them, by MAC. The machine that one may be is shown to a caller that may read the machine.
    pub fn unknown_clients(&self, caller: &Caller) -> Vec<UnknownClient> {
        let mut clients = self.netboot.unknown_clients();
        self.kernel.read(|world| {
            for client in &mut clients {
                client.similar = client.similar.take().and_then(|similar| present(caller, world, similar));
            }
        });
        clients
    }

    /// A client with this MAC, and the machine that it may be.
    pub(super) fn similar_machines(&self, caller: &Caller, mac: Mac) -> Vec<SimilarClient> {
        let clients = self.unknown_clients(caller).into_iter().filter(|client| client.mac == Some(mac));
        let similar = clients.filter_map(|client| Some((client.last_seen, client.similar?)));
        similar.map(|(last_seen, machine)| SimilarClient { mac, last_seen, machine }).collect()
    }

    /// The clients whose MACs are almost those of a machine.
    pub(super) fn similar_clients(&self, machine: Option<&Stored<Machine>>) -> Vec<SimilarClient> {
        machine.map(|machine| self.netboot.similar_clients(machine)).unwrap_or_default()
    }
}

/// The machine as it is now; none if it has other MACs by now, or is hidden from the caller.
fn present(caller: &Caller, world: &World, similar: SimilarMachine) -> Option<SimilarMachine> {
    let machine = world.machines.get(&similar.id)?;
    let is_seen = caller.may(AccessVerb::Read, ObjectRef::of(machine));
    let is_meant = is_seen && machine.spec.macs.contains(&similar.mac);
    is_meant.then(|| SimilarMachine { name: machine.spec.name.clone(), ..similar })
}
