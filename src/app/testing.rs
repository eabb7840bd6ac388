//! An [`App`] on a store of its own, for tests of the use cases.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};

use crate::app::loaders::Loaders;
use crate::app::secrets::Secrets;
use crate::app::{Actor, App, Ctx, Endpoints, Setup};
use crate::dhcp::{Interface, InterfaceAddress, Query};
use crate::media::Folder;
use crate::model::Object;
use crate::proto::dhcp4::{from_text, parse};
use crate::render::Pool;
use crate::store::{Changeset, SharedStore, SqliteStore};

/// An app with nothing in it.
pub fn app() -> Arc<App> {
    let setup = Setup {
        store: store(),
        secrets: Secrets::from_key([1; 32]),
        endpoints: Endpoints::default(),
        loaders: Loaders::default(),
        pool: Arc::new(Pool::new(1).unwrap()),
        media: Folder::default(),
        case: Default::default(),
    };
    App::new(setup).0
}

/// An empty store in a folder of its own, which goes with it. It belongs to a runtime that outlives those of
/// the tests, so that tests without one can have it too.
fn store() -> SharedStore {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
    let open = || RUNTIME.block_on(SqliteStore::open_in_a_new_folder());
    std::thread::spawn(open).join().unwrap()
}

/// An administrator, at a fixed time.
pub fn ctx() -> Ctx {
    let now = "2026-11-20T10:00:00Z".parse::<Timestamp>().unwrap();
    Ctx { actor: Actor::Token("admin".into()), scopes: vec!["*".into()], now, request_id: "test".into() }
}

/// The options of the answer to a packet that was broadcast to us on 10.0.0.0/24; none for no answer.
pub async fn dhcp_options(app: &App, packet: &str) -> BTreeMap<u8, Vec<u8>> {
    let packet = from_text(packet).unwrap();
    let address = InterfaceAddress { address: Ipv4Addr::new(10, 0, 0, 1), prefix: 24 };
    let interface = Interface { name: "eth1".into(), index: 2, addresses: vec![address], mtu: 1500 };
    let source = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
    let query = Query { packet: &packet, interface: &interface, source, local: None, port: 67 };
    let Ok(Some(reply)) = app.answer_dhcp(&query).await else { return BTreeMap::new() };
    let sent = parse(&reply.bytes).unwrap();
    sent.options.iter().map(|(code, data)| (code, data.to_vec())).collect()
}

/// Puts an object into the store as if a service of ours had written it.
pub async fn put(app: &App, object: Object) {
    app.store.commit(Changeset::default().create(object)).await.unwrap();
}
