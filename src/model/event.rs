//! An event: something that happened. An event is never edited.
//!
//! An event is a header (time, subject, actor) and a body: one variant of [`EventBody`] for each kind, with
//! typed fields. The kinds are one table, in `event/kinds.rs`. On the wire and in the database the body is
//! `kind`, a name such as `machine.updated`, and `data`, an object with the fields. A kind or fields that
//! this version does not know are read as [`EventBody::Other`], so that nothing another version wrote is
//! lost.

mod access_fields;
mod describe;
mod fields;
mod filter;
mod kinds;
mod table;

pub use access_fields::{SessionBegan, SessionEnded, TokenRecovered};
pub use describe::event_kinds_markdown;
pub use fields::{
    AddressProbe, ArtifactNow, BootFileAbsent, BootFileServed, BootProtocol, ChannelMoved, ClientStage,
    DhcpRelease, FaultsAcceptance, InstallerQuestion, JobNow, LeaseNow, MachineAgentTokenReissued,
    MachineParamsGenerated, MachineSimilarMac, NoFields, ObjectDiff, ObjectSnapshot, OperatorStep,
    OtherEvent, OverdueStep, PacketAnswer, RunInstallationConfirmed, ServerBackedUp, ServerKeyRotated,
    ServerPruned, ServerRestored, UnservedClients, UnservedPacket,
};
pub use filter::check_kind_filter;
pub use kinds::*;
pub use table::EventRow;

use std::borrow::Cow;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use super::{Kind, Mac, NounVerb};

const CREATED: &str = "created";
const UPDATED: &str = "updated";
const DELETED: &str = "deleted";

/// The subject of events that are about the server itself.
pub const SERVER: &str = "server";

/// An event as it is stored and read.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// One more than that of the event before; readers resume from it.
    pub seq: u64,
    pub time: Timestamp,
    pub body: EventBody,
    /// The object that the event is about: `machine:0192…`, `subnet:lan`.
    pub subject: String,
    /// Who or what caused the event: `token:admin`, `machine:0192…`, `server`.
    pub actor: String,
    /// The boot attempt that the event belongs to.
    pub attempt: Option<Uuid>,
    /// The request of the API that brought it about; none for what packets and the server itself bring about.
    pub request_id: Option<String>,
}

/// An event before it gets its number.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    pub time: Timestamp,
    pub body: EventBody,
    pub subject: String,
    pub actor: String,
    pub attempt: Option<Uuid>,
    pub request_id: Option<String>,
}

impl NewEvent {
    /// An event with the server as subject and actor; [`NewEvent::about`] and [`NewEvent::by`] change these.
    pub fn new(time: Timestamp, body: impl Into<EventBody>) -> Self {
        let server = || SERVER.to_owned();
        let (subject, actor) = (server(), server());
        NewEvent { time, body: body.into(), subject, actor, attempt: None, request_id: None }
    }

    /// Sets the subject, as [`Kind::subject`] writes it.
    pub fn about(self, subject: String) -> Self {
        NewEvent { subject, ..self }
    }

    /// Sets the actor.
    pub fn by(self, actor: String) -> Self {
        NewEvent { actor, ..self }
    }

    /// Sets the boot attempt that the event belongs to.
    pub fn in_attempt(self, attempt: Option<Uuid>) -> Self {
        NewEvent { attempt, ..self }
    }

    /// With the request that brought it about; an empty id stands for none.
    pub fn in_request(self, id: &str) -> Self {
        NewEvent { request_id: (!id.is_empty()).then(|| id.to_owned()), ..self }
    }

    /// The event with its number.
    pub fn numbered(self, seq: u64) -> Event {
        let NewEvent { time, body, subject, actor, attempt, request_id } = self;
        Event { seq, time, body, subject, actor, attempt, request_id }
    }
}

impl EventBody {
    /// The name of the kind, such as `boot.done`, also for a kind that this version does not know.
    pub fn kind_name(&self) -> Cow<'_, str> {
        match (self, self.kind()) {
            (EventBody::Other(other), _) => Cow::Borrowed(&other.kind),
            (_, kind) => kind.map_or(Cow::Borrowed(""), EventKind::name),
        }
    }

    /// Builds the body of an event from its kind and the JSON text of its fields.
    ///
    /// # Errors
    /// The text is not JSON.
    pub fn parse(kind: String, data: &str) -> serde_json::Result<Self> {
        match EventKind::parse(&kind).map(|known| EventBody::read(known, data)) {
            Some(Ok(body)) => Ok(body),
            _ => Ok(EventBody::Other(OtherEvent { kind, data: serde_json::from_str(data)? })),
        }
    }

    /// The address and the client of the lease that begins or ends with this event: see [`EventKind::LEASE`].
    pub fn lease(&self) -> Option<(Ipv4Addr, Option<Mac>)> {
        match self {
            EventBody::DhcpLeased(packet)
            | EventBody::DhcpDeclined(packet)
            | EventBody::DhcpReleased(DhcpRelease::Packet(packet)) => Some((packet.address?, packet.mac)),
            EventBody::DhcpReleased(DhcpRelease::Lease(lease))
            | EventBody::DhcpExpired(lease)
            | EventBody::LeaseImported(lease)
            | EventBody::LeaseDeleted(lease) => Some((lease.address, lease.mac)),
            _ => None,
        }
    }
}

impl EventKind {
    /// The kinds of events with which a client gets or loses an address.
    pub const LEASE: [EventKind; 6] = [
        EventKind::DhcpLeased,
        EventKind::DhcpReleased,
        EventKind::DhcpExpired,
        EventKind::DhcpDeclined,
        EventKind::LeaseImported,
        EventKind::LeaseDeleted,
    ];

    /// The events of the server itself that stay as long as what people did.
    pub const AUDIT: [EventKind; 7] = [
        EventKind::TokenRecovered,
        EventKind::MachineAgentTokenReissued,
        EventKind::SessionBegan,
        EventKind::SessionEnded,
        EventKind::ServerKeyRotated,
        EventKind::ServerPruned,
        EventKind::ServerStoreRecovered,
    ];

    /// All kinds: those of the table, and those about the objects that clients write.
    pub fn all() -> impl Iterator<Item = EventKind> {
        let verbs = [EventKind::Created, EventKind::Updated, EventKind::Deleted];
        EventKind::NAMED
            .iter()
            .copied()
            .chain(written_nouns().flat_map(move |noun| verbs.map(|kind: fn(Kind) -> EventKind| kind(noun))))
    }
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

/// The nouns that clients write: their events are `created`, `updated` and `deleted`. A pack is created by an
/// operation of its own.
fn written_nouns() -> impl Iterator<Item = Kind> {
    Kind::ALL.into_iter().filter(|noun: &Kind| {
        let verbs = [NounVerb::Create, NounVerb::Replace];
        *noun == Kind::Pack || verbs.iter().any(|verb| noun.row().allows(*verb))
    })
}

fn parse_object_kind(name: &str) -> Option<EventKind> {
    let (noun, what) = name.split_once('.')?;
    let noun = written_nouns().find(|known| known.as_str() == noun)?;
    match what {
        CREATED => Some(EventKind::Created(noun)),
        UPDATED => Some(EventKind::Updated(noun)),
        DELETED => Some(EventKind::Deleted(noun)),
        _ => None,
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Event", 8)?;
        fields.serialize_field("seq", &self.seq)?;
        fields.serialize_field("time", &self.time)?;
        fields.serialize_field("kind", &self.body.kind_name())?;
        fields.serialize_field("subject", &self.subject)?;
        fields.serialize_field("actor", &self.actor)?;
        if let Some(attempt) = &self.attempt {
            fields.serialize_field("attempt", attempt)?;
        }
        if let Some(request_id) = &self.request_id {
            fields.serialize_field("request_id", request_id)?;
        }
        fields.serialize_field("data", &self.body)?;
        fields.end()
    }
}

/// The JSON form of an event.
#[derive(Deserialize)]
struct PlainEvent {
    seq: u64,
    time: Timestamp,
    kind: String,
    subject: String,
    actor: String,
    #[serde(default)]
    attempt: Option<Uuid>,
    #[serde(default)]
    request_id: Option<String>,
    data: Value,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let PlainEvent { seq, time, kind, subject, actor, attempt, request_id, data } =
            PlainEvent::deserialize(deserializer)?;
        let body = EventBody::parse(kind, &data.to_string()).map_err(serde::de::Error::custom)?;
        Ok(Event { seq, time, body, subject, actor, attempt, request_id })
    }
}

#[cfg(test)]
mod tests;
