//! The [`Houses`] on a store of their own, for tests of use cases.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use jiff::Timestamp;

use crate::artifacts::MediaFolder;
use crate::artifacts::roots::ArtifactRoots;
use crate::catalog::content::{PackFile, PackRelease, load};
use crate::catalog::pools::RenderPools;
use crate::dhcp::decide::{DhcpQuery, InterfaceAddress, NetworkInterface};
use crate::houses::{Houses, HousesSetup};
use crate::kernel::{self, Actor, Caller, Changeset, ServerEndpoints};
use crate::model::{FetchPolicy, Object};
use crate::netboot::loaders::InstalledLoaders;
use crate::proto::dhcp4::{from_text, parse};

/// Houses on an empty store.
pub fn houses() -> Arc<Houses> {
    app_with(ArtifactRoots::default(), FetchPolicy::default())
}

/// The same, with artifacts below these roots, and fetching from these places.
pub fn app_with(roots: ArtifactRoots, policy: FetchPolicy) -> Arc<Houses> {
    let endpoints = ServerEndpoints { fetch_policy: Arc::new(policy), ..ServerEndpoints::default() };
    let kernel = kernel::testing::kernel(endpoints);
    let setup = HousesSetup {
        kernel,
        loaders: InstalledLoaders::default(),
        pools: RenderPools::of_tests(),
        media: MediaFolder::default(),
        roots,
        case: Default::default(),
        data: Default::default(),
    };
    Houses::new(setup)
}

/// An administrator, at a fixed time.
pub fn caller() -> Caller {
    let now = "2026-11-20T10:00:00Z".parse::<Timestamp>().unwrap();
    let (actor, scopes) = (Actor::Token("admin".into()), vec!["*".into()]);
    Caller { actor, scopes, now, request_id: "test".into(), attempt: None, session: None }
}

/// The options of the answer to a packet that was broadcast on 10.0.0.0/24; empty if there was no answer.
pub async fn dhcp_options(houses: &Houses, packet: &str) -> BTreeMap<u8, Vec<u8>> {
    let packet = from_text(packet).unwrap();
    let address = InterfaceAddress { address: Ipv4Addr::new(10, 0, 0, 1), prefix: 24 };
    let interface = NetworkInterface { name: "eth1".into(), index: 2, addresses: vec![address], mtu: 1500 };
    let source = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
    let query = DhcpQuery { packet: &packet, interface: &interface, source, local: None, port: 67 };
    let Ok(Some(reply)) = houses.dhcp.answer_dhcp(&query).await else { return BTreeMap::new() };
    let sent = parse(&reply.bytes).unwrap();
    sent.options.iter().map(|(code, data)| (code, data.to_vec())).collect()
}

/// Makes a version of the pack `core`, read from these files, the only one.
pub async fn install(houses: &Houses, version: &str, files: &[PackFile]) {
    let pack = load(PackRelease { name: "core", version }, files, caller().now).unwrap();
    houses.catalog.install_pack(&caller(), &pack).await.unwrap();
}

/// Stores an object as the server's own services do.
pub async fn put(houses: &Houses, object: Object) {
    houses.kernel.try_commit(Changeset::default().create(object)).await.unwrap();
}
