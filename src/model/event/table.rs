//! The macro behind the table of events in `kinds`. From one row per kind it makes the variant, the type of
//! its fields, its name on the wire, and its documentation.

use schemars::{Schema, SchemaGenerator};

/// The description of one kind of event.
#[derive(Clone, Copy)]
pub struct EventRow {
    /// `boot.done`; `*.created` stands for the events of all nouns that clients write.
    pub name: &'static str,
    /// What happened, in one or more sentences.
    pub meaning: &'static str,
    /// The kinds of objects that its subject can name: `machine`, `lease`, `server`.
    pub about: &'static [&'static str],
    /// The JSON Schema of the event's `data`.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Makes [`EventKind`](super::EventKind), [`EventBody`](super::EventBody) and the rows. A row consists of the
/// meaning as its comment, the name on the wire, the variant, the subjects, and either the fields in braces
/// or, in parentheses, a type that several kinds share. `of run` after the subjects adds the field `run`.
macro_rules! event_kinds {
    ($(
        $(#[doc = $meaning:literal])+
        $name:literal $variant:ident about $($about:ident),+ $(of $run:ident)? => $fields:tt
    )*) => {
        /// One kind of event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind {
            $( $(#[doc = $meaning])+ $variant, )*
            /// An object was created.
            Created(Kind),
            /// The part of an object that clients write was changed.
            Updated(Kind),
            /// An object was deleted.
            Deleted(Kind),
        }

        /// The body of an event: its kind with the fields of the kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum EventBody {
            $( $(#[doc = $meaning])+ $variant(fields_type!($variant $fields)), )*
            /// An object was created.
            Created(Kind, ObjectSnapshot),
            /// The part of an object that clients write was changed.
            Updated(Kind, ObjectDiff),
            /// An object was deleted.
            Deleted(Kind, ObjectSnapshot),
            /// An event whose kind or fields this version does not know. It is shown as it is.
            Other(OtherEvent),
        }

        $( fields_struct! { ($(#[doc = $meaning])+) $variant $fields $($run)? } )*

        impl EventKind {
            /// The kinds of the table, in its order: all except those about written objects.
            pub const NAMED: &'static [EventKind] = &[$(EventKind::$variant),*];

            /// The name, such as `boot.done` or `machine.updated`.
            pub fn name(self) -> Cow<'static, str> {
                match self {
                    $( EventKind::$variant => Cow::Borrowed($name), )*
                    EventKind::Created(noun) => Cow::Owned(format!("{noun}.{CREATED}")),
                    EventKind::Updated(noun) => Cow::Owned(format!("{noun}.{UPDATED}")),
                    EventKind::Deleted(noun) => Cow::Owned(format!("{noun}.{DELETED}")),
                }
            }

            /// The kind with this name, if there is one.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $( $name => Some(EventKind::$variant), )*
                    _ => parse_object_kind(name),
                }
            }
        }

        impl EventBody {
            /// The kind of the event; none for a kind that this version does not know.
            pub fn kind(&self) -> Option<EventKind> {
                Some(match self {
                    $( EventBody::$variant(_) => EventKind::$variant, )*
                    EventBody::Created(noun, _) => EventKind::Created(*noun),
                    EventBody::Updated(noun, _) => EventKind::Updated(*noun),
                    EventBody::Deleted(noun, _) => EventKind::Deleted(*noun),
                    EventBody::Other(_) => return None,
                })
            }

            /// Reads the body of an event of this kind from its fields as JSON.
            pub(super) fn read(kind: EventKind, data: &str) -> serde_json::Result<Self> {
                Ok(match kind {
                    $( EventKind::$variant => EventBody::$variant(serde_json::from_str(data)?), )*
                    EventKind::Created(noun) => EventBody::Created(noun, serde_json::from_str(data)?),
                    EventKind::Updated(noun) => EventBody::Updated(noun, serde_json::from_str(data)?),
                    EventKind::Deleted(noun) => EventBody::Deleted(noun, serde_json::from_str(data)?),
                })
            }
        }

        /// Serializes the fields alone: the `data` of an event.
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

        /// The description of each kind. The kinds about written objects are last.
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
                meaning: "The part of an object that clients write was changed.",
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

/// The struct for a row with fields in braces. An event with other fields is read as an
/// [`OtherEvent`](super::OtherEvent), so that no field is lost.
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
    (($($doc:tt)+) $variant:ident { $($fields:tt)* } run) => {
        fields_struct! { ($($doc)+) $variant {
            /// The id of the run; absent in an older event.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            run: Option<Uuid>,
            $($fields)*
        } }
    };
}

pub(super) use {event_kinds, fields_struct, fields_type};
