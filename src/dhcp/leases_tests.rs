//! Tests of leases that are written while their subnet moves to another wire.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;
use tokio::task::JoinSet;

use crate::dhcp::leases::{filing, lease_changeset};
use crate::houses::{Houses, testing};
use crate::kernel::StoreError;
use crate::model::{Lease, LeaseState, Subnet};
use crate::objects::patch::Patch;
use crate::objects::write::{ExpectedRevision, WriteTarget};

/// Gives 254 clients of subnet `a` new addresses, as the DHCP service does.
async fn give_addresses(houses: Arc<Houses>, third: u8) {
    for last in 1..=254 {
        loop {
            let changeset = houses.kernel.read(|world| {
                let network = world.subnets.get("a").unwrap().spec.network().to_owned();
                let lease = lease([10, 0, third, last], network);
                lease_changeset(world, &lease, houses.kernel.now()).with_reads([filing(world, &lease)])
            });
            match houses.kernel.try_commit(changeset).await {
                Ok(_) => break,
                Err(StoreError::Stale { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn lease(address: [u8; 4], network: String) -> Lease {
    let now = testing::caller().now;
    Lease {
        address: address.into(),
        client: format!("1/{address:?}"),
        mac: None,
        state: LeaseState::Bound,
        subnet: "a".to_owned(),
        network,
        bound_at: now,
        expires_at: now + SignedDuration::from_hours(1),
        machine: None,
        hostname: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leases_that_come_while_their_subnet_moves_are_on_its_wire_in_the_end() {
    let (houses, caller) = (testing::houses(), testing::caller());
    houses.objects.create::<Subnet>(&caller, json!({"name": "a", "cidr": "10.0.0.0/20"})).await.unwrap();
    let mut clients = JoinSet::new();
    for third in 0..8 {
        clients.spawn(give_addresses(Arc::clone(&houses), third));
    }
    let target = WriteTarget { reference: "a", expected: ExpectedRevision::Any };
    for wire in ["one", "two", "three", "wire"] {
        let patch = Patch::Merge(json!({"shared_network": wire}));
        houses.objects.patch::<Subnet>(&caller, &target, &patch).await.unwrap();
    }
    clients.join_all().await;
    houses.kernel.read(|world| {
        assert_eq!(world.leases.len(), 8 * 254);
        assert!(world.leases.iter().all(|lease| lease.spec.network == "wire"));
    });
}
