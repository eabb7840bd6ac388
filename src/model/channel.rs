//! Channels: names for versions of packs. A machine follows one channel; a promotion moves the channel to
//! another version of a pack, and a rollback moves it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::check_name;
use super::{CORE_PACK, Kind, Noun, Object, ObjectReference, Problem, RefusalCode, Stored, pack_key};

/// The channel of machines for which nothing else is said. The tables of content show what it has.
pub const PROD_CHANNEL: &str = "prod";
/// Most packs of one channel.
pub const CHANNEL_PACKS_MAX: usize = 64;
/// Most moves of a channel that are kept; the oldest are dropped first.
pub const CHANNEL_MOVES_MAX: usize = 32;
/// Longest version of a pack, in bytes.
const VERSION_BYTES_MAX: usize = 128;

/// Which version of each pack the machines of the channel get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    pub name: String,
    /// The version of each pack, by the pack's name. Promotions and rollbacks change it.
    #[serde(default)]
    #[schemars(extend("maxProperties" = CHANNEL_PACKS_MAX))]
    pub packs: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What happened to a channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelStatus {
    /// The last moves, the latest last.
    #[serde(default)]
    pub history: Vec<ChannelMove>,
    /// Whether an operator has chosen the version of `core` here. Then a new program leaves it as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub core_is_chosen: bool,
}

/// How a channel came to another version of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelMoveKind {
    Promoted,
    /// The pack was taken out of the channel.
    Withdrawn,
    RolledBack,
}

/// One move of a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelMove {
    pub kind: ChannelMoveKind,
    pub pack: String,
    /// The version before; none if the channel did not have the pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The version since; none if the channel has not had the pack since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub at: Timestamp,
    /// Who did it: `token:admin`, `server`.
    pub by: String,
    /// Whether it was rolled back later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
}

impl ChannelStatus {
    /// Notes a move.
    pub fn note(&mut self, made: ChannelMove) {
        self.history.push(made);
        let excess = self.history.len().saturating_sub(CHANNEL_MOVES_MAX);
        self.history.drain(..excess);
    }

    /// The latest move that can be rolled back, of this pack or of any.
    pub fn last_to_undo(&mut self, pack: Option<&str>) -> Option<&mut ChannelMove> {
        self.history.iter_mut().rev().find(|made| {
            !made.undone
                && made.kind != ChannelMoveKind::RolledBack
                && pack.is_none_or(|pack| pack == made.pack)
        })
    }
}

impl Noun for Channel {
    const KIND: Kind = Kind::Channel;
    const REFERS_TO: &'static [Kind] = &[Kind::Pack];
    const HAS_STATUS: bool = true;
    type Status = ChannelStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn references(&self) -> Vec<ObjectReference> {
        let packs = self.packs.iter().map(|(name, version)| {
            ObjectReference::new(Kind::Pack, &pack_key(name, version), format!("/packs/{name}"))
        });
        packs.collect()
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        if self.packs.len() > CHANNEL_PACKS_MAX {
            let what = format!("a channel has at most {CHANNEL_PACKS_MAX} packs");
            problems.push(Problem::new("/packs", what).coded(RefusalCode::TooLarge));
        }
        for (name, version) in self.packs.iter().take(CHANNEL_PACKS_MAX) {
            problems.extend(check_name(name, &format!("/packs/{name}")));
            if version.is_empty() || version.len() > VERSION_BYTES_MAX {
                let what = format!("a version has 1 to {VERSION_BYTES_MAX} bytes: 1.4.0");
                let fault = Problem::new(format!("/packs/{name}"), what);
                problems.push(fault.coded(RefusalCode::Malformed));
            }
        }
        if !self.packs.contains_key(CORE_PACK) {
            let what = "a channel needs a version of `core`: `packs.core=0.1.0`. `metalwright channels show \
                        prod` says what machines get now";
            problems.push(Problem::new("/packs", what).coded(RefusalCode::Missing));
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Channel(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(pack: &str, to: usize) -> ChannelMove {
        ChannelMove {
            kind: ChannelMoveKind::Promoted,
            pack: pack.to_owned(),
            from: None,
            to: Some(to.to_string()),
            at: Timestamp::UNIX_EPOCH,
            by: "server".to_owned(),
            undone: false,
        }
    }

    #[test]
    fn a_channel_keeps_its_last_moves_and_undoes_the_latest_first() {
        let mut status = ChannelStatus::default();
        for number in 0..CHANNEL_MOVES_MAX + 3 {
            status.note(made(if number % 2 == 0 { "core" } else { "site-web" }, number));
        }
        assert_eq!(status.history.len(), CHANNEL_MOVES_MAX);
        assert_eq!(status.history[0].to.as_deref(), Some("3"));
        let last = status.last_to_undo(None).unwrap();
        last.undone = true;
        assert_eq!((last.pack.as_str(), last.to.as_deref()), ("core", Some("34")));
        let of_pack = status.last_to_undo(Some("core")).unwrap();
        assert_eq!(of_pack.to.as_deref(), Some("32"));
        assert!(status.last_to_undo(Some("other")).is_none());
    }

    #[test]
    fn a_channel_without_core_is_refused() {
        let channel = Channel { name: "dev".into(), packs: BTreeMap::new(), description: String::new() };
        let problems = channel.check();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].message.contains("needs a version of `core`"), "{problems:?}");
    }
}
