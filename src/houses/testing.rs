//! A store in memory and an [`Houses`] on it, for tests of the use cases.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use crate::artifacts::roots::Roots;
use crate::catalog::pools::Pools;
use crate::dhcp::decide::{Interface, InterfaceAddress, Query};
use crate::houses::{Houses, Setup};
use crate::kernel::secrets::Secrets;
use crate::kernel::{Actor, Caller, Endpoints, Kernel};
use crate::media::Folder;
use crate::model::{Event, FetchNetworks, Kind, Object, World};
use crate::netboot::loaders::Loaders;
use crate::proto::dhcp4::{from_text, parse};
use crate::store::{Changeset, Error, EventQuery, LEASE_KINDS, LeaseOf, Store, Write};

/// An app with nothing in it.
pub fn app() -> Arc<Houses> {
    app_with(Roots::default(), FetchNetworks::default())
}

/// The same, with files of artifacts below these roots, which fetches from these networks.
pub fn app_with(roots: Roots, networks: FetchNetworks) -> Arc<Houses> {
    let store = Arc::new(Memory::default());
    let endpoints = Endpoints { fetch_networks: Arc::new(networks), ..Endpoints::default() };
    let kernel = Kernel::new(store, Secrets::from_key([1; 32]), endpoints).0;
    let setup = Setup {
        kernel,
        loaders: Loaders::default(),
        pools: Pools::of_tests(),
        media: Folder::default(),
        roots,
        case: Default::default(),
    };
    Houses::new(setup)
}

/// An administrator, at a fixed time.
pub fn caller() -> Caller {
    let now = "2026-11-20T10:00:00Z".parse::<Timestamp>().unwrap();
    Caller { actor: Actor::Token("admin".into()), scopes: vec!["*".into()], now, request_id: "test".into() }
}

/// The options of the answer to a packet that was broadcast to us on 10.0.0.0/24; none for no answer.
pub async fn dhcp_options(app: &Houses, packet: &str) -> BTreeMap<u8, Vec<u8>> {
    let packet = from_text(packet).unwrap();
    let address = InterfaceAddress { address: Ipv4Addr::new(10, 0, 0, 1), prefix: 24 };
    let interface = Interface { name: "eth1".into(), index: 2, addresses: vec![address], mtu: 1500 };
    let source = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
    let query = Query { packet: &packet, interface: &interface, source, local: None, port: 67 };
    let Ok(Some(reply)) = app.dhcp.answer_dhcp(&query).await else { return BTreeMap::new() };
    let sent = parse(&reply.bytes).unwrap();
    sent.options.iter().map(|(code, data)| (code, data.to_vec())).collect()
}

#[derive(Default)]
pub struct Memory {
    world: RwLock<World>,
    events: Mutex<Vec<Event>>,
    logs: Mutex<HashMap<Uuid, Vec<u8>>>,
    unique: Mutex<HashMap<(Kind, &'static str, String), String>>,
    committed: tokio::sync::watch::Sender<u64>,
}

impl Memory {
    fn apply(&self, changeset: Changeset) -> Result<Vec<Event>, Error> {
        let mut held = self.unique.lock().unwrap();
        let mut unique = held.clone();
        let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = world.clone();
        for read in changeset.reads {
            if revision(&world, read.kind, &read.key) != Some(read.revision) {
                return Err(Error::Stale { kind: read.kind, key: read.key });
            }
        }
        for write in changeset.writes {
            apply_write(&mut next, &mut unique, write)?;
        }
        (*world, *held) = (next, unique);
        let mut events = self.events.lock().unwrap();
        let first = events.len() as u64 + 1;
        let numbered = changeset.events.into_iter().zip(first..).map(|(event, seq)| Event {
            seq,
            time: event.time,
            kind: event.kind,
            subject: event.subject,
            actor: event.actor,
            attempt: event.attempt,
            data: event.data,
        });
        let numbered: Vec<Event> = numbered.collect();
        events.extend(numbered.clone());
        self.committed.send_replace(events.len() as u64);
        Ok(numbered)
    }
}

type Unique = HashMap<(Kind, &'static str, String), String>;

fn apply_write(world: &mut World, unique: &mut Unique, write: Write) -> Result<(), Error> {
    let (kind, key) = match &write {
        Write::Create(object) | Write::Update(object) => (object.kind(), object.key().to_owned()),
        Write::Delete { kind, key, .. } => (*kind, key.clone()),
    };
    let present = revision(world, kind, &key);
    let expected = match &write {
        Write::Create(_) => None,
        Write::Update(object) => Some(object.revision() - 1),
        Write::Delete { revision, .. } => Some(*revision),
    };
    if present != expected {
        return Err(Error::Stale { kind, key });
    }
    unique.retain(|(k, ..), holder| (*k, &*holder) != (kind, &key));
    let (Write::Create(object) | Write::Update(object)) = write else {
        world.remove(kind, &key);
        return Ok(());
    };
    for (index, value) in object.unique() {
        if let Some(holder) = unique.insert((kind, index, value.clone()), key.clone()) {
            return Err(Error::Taken { kind, index: index.to_owned(), value, holder });
        }
    }
    world.put(object);
    Ok(())
}

fn revision(world: &World, kind: Kind, key: &str) -> Option<u64> {
    match kind {
        Kind::Machine => world.machines.get(key).map(|row| row.revision),
        Kind::Bootenv => world.bootenvs.get(key).map(|row| row.revision),
        Kind::Template => world.templates.get(key).map(|row| row.revision),
        Kind::Param => world.params.get(key).map(|row| row.revision),
        Kind::Profile => world.profiles.get(key).map(|row| row.revision),
        Kind::Stage => world.stages.get(key).map(|row| row.revision),
        Kind::Task => world.tasks.get(key).map(|row| row.revision),
        Kind::Workflow => world.workflows.get(key).map(|row| row.revision),
        Kind::Job => world.jobs.get(key).map(|row| row.revision),
        Kind::Subnet => world.subnets.get(key).map(|row| row.revision),
        Kind::Reservation => world.reservations.get(key).map(|row| row.revision),
        Kind::Lease => world.leases.get(key).map(|row| row.revision),
        Kind::Artifact => world.artifacts.get(key).map(|row| row.revision),
        Kind::Setting => world.settings.get(key).map(|row| row.revision),
        Kind::Token => world.tokens.get(key).map(|row| row.revision),
        Kind::ClientClass => world.client_classes.get(key).map(|row| row.revision),
    }
}

/// Puts an object into the store as if a service of ours had written it.
pub async fn put(app: &Houses, object: Object) {
    app.kernel.try_commit(Changeset::default().create(object)).await.unwrap();
}

fn is_of(event: &Event, lease: LeaseOf) -> bool {
    let same = match lease {
        LeaseOf::Address(address) => event.data["address"] == address.to_string(),
        LeaseOf::Mac(mac) => event.data["mac"] == mac.to_string(),
    };
    same && LEASE_KINDS.contains(&event.kind.as_str())
}

impl Store for Memory {
    fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, changeset: Changeset) -> BoxFuture<'_, Result<Vec<Event>, Error>> {
        async move { self.apply(changeset) }.boxed()
    }

    fn events(&self, query: EventQuery) -> BoxFuture<'_, Result<Vec<Event>, Error>> {
        let fits = |event: &&Event| {
            let kind = query.kind.as_deref().is_none_or(|kind| match kind.strip_suffix('*') {
                Some(prefix) => event.kind.starts_with(prefix),
                None => event.kind == kind,
            });
            kind && (query.kinds.is_empty() || query.kinds.contains(&event.kind.as_str()))
                && event.seq > query.after
                && query.before.is_none_or(|before| event.seq < before)
                && query.subject.as_ref().is_none_or(|subject| *subject == event.subject)
                && query.attempt.is_none_or(|attempt| event.attempt == Some(attempt))
                && query.lease.is_none_or(|lease| is_of(event, lease))
        };
        let events = self.events.lock().unwrap();
        let limit = query.limit as usize;
        let found: Vec<Event> = if query.newest_first {
            events.iter().rev().filter(fits).take(limit).cloned().collect()
        } else {
            events.iter().filter(fits).take(limit).cloned().collect()
        };
        async move { Ok(found) }.boxed()
    }

    fn write_log(&self, job: Uuid, offset: u64, bytes: Vec<u8>) -> BoxFuture<'_, Result<u64, Error>> {
        let mut logs = self.logs.lock().unwrap();
        let log = logs.entry(job).or_default();
        let have = log.len() as u64;
        let result = if offset > have {
            Err(Error::LogGap { bytes: have })
        } else {
            log.extend(bytes.into_iter().skip((have - offset) as usize));
            Ok(log.len() as u64)
        };
        async move { result }.boxed()
    }

    fn read_log(&self, job: Uuid, offset: u64, bytes_max: u32) -> BoxFuture<'_, Result<Vec<u8>, Error>> {
        let logs = self.logs.lock().unwrap();
        let log = logs.get(&job).cloned().unwrap_or_default();
        let piece = log.into_iter().skip(offset as usize).take(bytes_max as usize).collect();
        async move { Ok(piece) }.boxed()
    }

    fn committed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.committed.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
