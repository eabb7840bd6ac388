//! The macro behind the table of events in `kinds`: from one row a kind it makes the variant, the type of its
//! fields, its name on the wire, and what the documentation says of it.

use schemars::{Schema, SchemaGenerator};

/// What is said of one kind of event besides its name.
#[derive(Clone, Copy)]
pub struct EventRow {
    /// `boot.done`; `*.created` stands for the events of all nouns that clients write.
    pub name: &'static str,
    /// What happened, in sentences.
    pub meaning: &'static str,
    /// The first words that its subject can have: `machine`, `lease`, `server`.
    pub about: &'static [&'static str],
    /// The JSON Schema of its `data`.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Makes [`EventKind`](super::EventKind), [`EventBody`](super::EventBody) and the rows. A row has the
/// meaning as its comment, the name on the wire, the variant, what it is about, and either its fields in
/// braces or a type that several kinds share in parentheses.
macro_rules! event_kinds {
    ($(
        $(#[doc = $meaning:literal])+
        $name:literal $variant:ident about $($about:ident),+ => $fields:tt
    )*) => {
        /// One kind of event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind {
            $( $(#[doc = $meaning])+ $variant, )*
            /// An object was created.
            Created(Kind),
            /// What clients write of an object was changed.
            Updated(Kind),
            /// An object was deleted.
            Deleted(Kind),
        }

        /// What happened, with the fields that its kind has.
        #[derive(Clone, Debug, PartialEq)]
        pub enum EventBody {
            $( $(#[doc = $meaning])+ $variant(fields_type!($variant $fields)), )*
            /// An object was created.
            Created(Kind, ObjectSnapshot),
            /// What clients write of an object was changed.
            Updated(Kind, ObjectDiff),
            /// An object was deleted.
            Deleted(Kind, ObjectSnapshot),
            /// An event whose kind or fields this version does not know. It is shown as it is.
            Other(OtherEvent),
        }

        $( fields_struct! { ($(#[doc = $meaning])+) $variant $fields } )*

        impl EventKind {
            /// The kinds that are not about the writing of objects, in the order of the table.
            pub const NAMED: &'static [EventKind] = &[$(EventKind::$variant),*];

            /// `boot.done`, `machine.updated`.
            pub fn name(self) -> Cow<'static, str> {
                match self {
                    $( EventKind::$variant => Cow::Borrowed($name), )*
                    EventKind::Created(noun) => Cow::Owned(format!("{noun}.{CREATED}")),
                    EventKind::Updated(noun) => Cow::Owned(format!("{noun}.{UPDATED}")),
                    EventKind::Deleted(noun) => Cow::Owned(format!("{noun}.{DELETED}")),
                }
            }

            /// The kind of that name; none where there is no such kind.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $( $name => Some(EventKind::$variant), )*
                    _ => parse_object_kind(name),
                }
            }
        }

        impl EventBody {
            /// Its kind; none for one that this version does not know.
            pub fn kind(&self) -> Option<EventKind> {
                Some(match self {
                    $( EventBody::$variant(_) => EventKind::$variant, )*
                    EventBody::Created(noun, _) => EventKind::Created(*noun),
                    EventBody::Updated(noun, _) => EventKind::Updated(*noun),
                    EventBody::Deleted(noun, _) => EventKind::Deleted(*noun),
                    EventBody::Other(_) => return None,
                })
            }

            /// The event of a kind with these fields, as JSON.
            pub(super) fn read(kind: EventKind, data: &str) -> serde_json::Result<Self> {
                Ok(match kind {
                    $( EventKind::$variant => EventBody::$variant(serde_json::from_str(data)?), )*
                    EventKind::Created(noun) => EventBody::Created(noun, serde_json::from_str(data)?),
                    EventKind::Updated(noun) => EventBody::Updated(noun, serde_json::from_str(data)?),
                    EventKind::Deleted(noun) => EventBody::Deleted(noun, serde_json::from_str(data)?),
                })
            }
        }

        /// Its fields alone: the `data` of an event.
        impl Serialize for EventBody {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $( EventBody::$variant(fields) => fields.serialize(serializer), )*
                    EventBody::Created(_, fields) | EventBody::Deleted(_, fields) => {
                        fields.serialize(serializer)
                    }
                    EventBody::Updated(_, fields) => fields.serialize(serializer),
                    EventBody::Other(other) => other.data.serialize(serializer),
                }
            }
        }

        /// What is said of each kind. Those of written objects come last.
        pub static EVENT_ROWS: &[EventRow] = &[
            $( EventRow {
                name: $name,
                meaning: concat!($($meaning),+),
                about: &[$(stringify!($about)),+],
                schema: |generator| generator.subschema_for::<fields_type!($variant $fields)>(),
            }, )*
            EventRow {
                name: "*.created",
                meaning: "An object was created.",
                about: &["*"],
                schema: |generator| generator.subschema_for::<ObjectSnapshot>(),
            },
            EventRow {
                name: "*.updated",
                meaning: "What clients write of an object was changed.",
                about: &["*"],
                schema: |generator| generator.subschema_for::<ObjectDiff>(),
            },
            EventRow {
                name: "*.deleted",
                meaning: "An object was deleted.",
                about: &["*"],
                schema: |generator| generator.subschema_for::<ObjectSnapshot>(),
            },
        ];
    };
}

/// The type of a row's fields.
macro_rules! fields_type {
    ($variant:ident { $($fields:tt)* }) => {
        $variant
    };
    ($variant:ident ( $shared:ty )) => {
        $shared
    };
}

/// The struct of a row that has its fields in braces. An event with other fields than these is an
/// [`OtherEvent`](super::OtherEvent), so that none of them is lost.
macro_rules! fields_struct {
    (($(#[$doc:meta])+) $variant:ident { $( $(#[$meta:meta])* $field:ident: $type:ty, )* }) => {
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $variant {
            $( $(#[$meta])* pub $field: $type, )*
        }

        impl From<$variant> for EventBody {
            fn from(fields: $variant) -> Self {
                EventBody::$variant(fields)
            }
        }
    };
    (($(#[$doc:meta])+) $variant:ident ( $shared:ty )) => {};
}

pub(super) use {event_kinds, fields_struct, fields_type};
