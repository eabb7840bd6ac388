//! What an action makes of a channel. Pure.

use crate::catalog::packs::PackInstall;
use crate::kernel::{Actor, Caller, Error};
use crate::model::event::ChannelMoved;
use crate::model::{
    CHANNEL_PACKS_MAX, CORE_PACK, Channel, ChannelMove, ChannelMoveKind, EventBody, PROD_CHANNEL, Problem,
    RefusalCode, Stored,
};

/// An action on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelAction {
    /// The channel has this version of the pack from now on.
    Promote { pack: String, version: String },
    /// The channel has the pack no longer.
    Withdraw { pack: String },
    /// The latest move of this pack, or of any, is undone.
    RollBack { pack: Option<String> },
}

/// A channel after a move.
#[derive(Debug)]
pub struct MovedChannel {
    pub next: Stored<Channel>,
    pub made: ChannelMove,
}

/// The channel after an action; none if it has what is asked for already.
///
/// # Errors
/// [`Error::Conflict`] if there is nothing to roll back; [`Error::Invalid`] for a pack that the channel does
/// not have, or must have.
pub fn moved(
    before: &Stored<Channel>,
    action: &ChannelAction,
    caller: &Caller,
) -> Result<Option<MovedChannel>, Error> {
    let mut next = before.next(caller.now);
    let (kind, pack, to) = match action {
        ChannelAction::Promote { pack, version } => {
            (ChannelMoveKind::Promoted, pack.clone(), Some(version.clone()))
        }
        ChannelAction::Withdraw { pack } => (ChannelMoveKind::Withdrawn, withdrawn(before, pack)?, None),
        ChannelAction::RollBack { pack } => {
            let last = next.status.last_to_undo(pack.as_deref());
            let last = last.ok_or_else(|| nothing_to_undo(before, pack.as_deref()))?;
            last.undone = true;
            (ChannelMoveKind::RolledBack, last.pack.clone(), last.from.clone())
        }
    };
    let from = next.spec.packs.get(&pack).cloned();
    if from == to && kind != ChannelMoveKind::RolledBack {
        return Ok(None);
    }
    match &to {
        Some(version) => next.spec.packs.insert(pack.clone(), version.clone()),
        None => next.spec.packs.remove(&pack),
    };
    if next.spec.packs.len() > CHANNEL_PACKS_MAX {
        let what = format!("a channel has at most {CHANNEL_PACKS_MAX} packs");
        return Err(Problem::new("/pack", what).coded(RefusalCode::TooLarge).into());
    }
    if pack == CORE_PACK && next.key == PROD_CHANNEL && caller.actor != Actor::Server {
        next.status.core_is_chosen = true;
    }
    let by = caller.actor.to_string();
    let made = ChannelMove { kind, pack, from, to, at: caller.now, by, undone: false };
    next.status.note(made.clone());
    Ok(Some(MovedChannel { next, made }))
}

/// The event of a move. `installed` is what it wrote of the tables of content.
pub fn event(made: &ChannelMove, installed: PackInstall) -> EventBody {
    let PackInstall { created, updated, removed, .. } = installed;
    let fields = ChannelMoved {
        pack: made.pack.clone(),
        from: made.from.clone(),
        to: made.to.clone(),
        created: created as u64,
        updated: updated as u64,
        removed: removed as u64,
    };
    match made.kind {
        ChannelMoveKind::Promoted | ChannelMoveKind::Withdrawn => EventBody::ChannelPromoted(fields),
        ChannelMoveKind::RolledBack => EventBody::ChannelRolledBack(fields),
    }
}

fn withdrawn(before: &Stored<Channel>, pack: &str) -> Result<String, Error> {
    if pack == CORE_PACK {
        let what = "every channel has a version of `core`: promote another version instead";
        return Err(Problem::new("/pack", what).coded(RefusalCode::Missing).into());
    }
    if before.spec.packs.contains_key(pack) {
        return Ok(pack.to_owned());
    }
    let what = format!("channel `{}` does not have the pack `{pack}`", before.key);
    Err(Problem::new("/pack", what).coded(RefusalCode::NotFound).into())
}

fn nothing_to_undo(before: &Stored<Channel>, pack: Option<&str>) -> Error {
    let of = pack.map(|pack| format!(" of the pack `{pack}`")).unwrap_or_default();
    let why = format!(
        "channel `{}` has no move{of} that can be rolled back: promote the version that you want",
        before.key
    );
    Error::Conflict(RefusalCode::WrongState, why)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn channel(name: &str) -> Stored<Channel> {
        let spec = serde_json::from_value(json!({"name": name, "packs": {"core": "1.0.0"}})).unwrap();
        Stored::new(name.to_owned(), spec, Timestamp::UNIX_EPOCH)
    }

    fn caller() -> Caller {
        Caller { actor: Actor::Token("ops".to_owned()), ..Caller::server(Timestamp::UNIX_EPOCH) }
    }

    fn promote(pack: &str, version: &str) -> ChannelAction {
        ChannelAction::Promote { pack: pack.to_owned(), version: version.to_owned() }
    }

    fn roll_back(pack: Option<&str>) -> ChannelAction {
        ChannelAction::RollBack { pack: pack.map(str::to_owned) }
    }

    fn after(before: &Stored<Channel>, action: &ChannelAction) -> Stored<Channel> {
        moved(before, action, &caller()).unwrap().unwrap().next
    }

    #[test]
    fn rollbacks_go_back_move_by_move_until_none_is_left() {
        let first = after(&channel("dev"), &promote("core", "1.1.0"));
        let second = after(&first, &promote("core", "1.2.0"));
        let back = after(&second, &roll_back(None));
        assert_eq!(back.spec.packs["core"], "1.1.0");
        let back = after(&back, &roll_back(Some("core")));
        assert_eq!(back.spec.packs["core"], "1.0.0");
        let refused = moved(&back, &roll_back(None), &caller()).unwrap_err();
        assert!(matches!(&refused, Error::Conflict(RefusalCode::WrongState, why) if why.contains("no move")));
        assert_eq!(back.status.history.len(), 4);
    }

    #[test]
    fn a_pack_that_was_promoted_first_is_gone_after_the_rollback() {
        let first = after(&channel("dev"), &promote("site-web", "1.0.0"));
        let back = after(&first, &roll_back(Some("site-web")));
        assert!(!back.spec.packs.contains_key("site-web"));
        assert_eq!(back.status.history.last().unwrap().kind, ChannelMoveKind::RolledBack);
        let other = moved(&first, &roll_back(Some("core")), &caller()).unwrap_err();
        assert!(other.to_string().contains("of the pack `core`"), "{other}");
    }

    #[test]
    fn core_stays_in_a_channel_and_other_packs_can_be_withdrawn() {
        let dev = channel("dev");
        let withdraw = |pack: &str| ChannelAction::Withdraw { pack: pack.to_owned() };
        assert!(moved(&dev, &withdraw("core"), &caller()).is_err());
        assert!(moved(&dev, &withdraw("site-web"), &caller()).is_err());
        let with = after(&dev, &promote("site-web", "1.0.0"));
        let without = after(&with, &withdraw("site-web"));
        assert_eq!(without.spec.packs.len(), 1);
        let again = after(&without, &roll_back(None));
        assert_eq!(again.spec.packs["site-web"], "1.0.0");
    }

    #[test]
    fn a_promotion_to_the_present_version_changes_nothing() {
        assert!(moved(&channel("dev"), &promote("core", "1.0.0"), &caller()).unwrap().is_none());
    }

    #[test]
    fn core_is_chosen_by_an_operators_move_of_prod_alone() {
        let chosen = |name: &str, caller: &Caller| {
            let moved = moved(&channel(name), &promote("core", "2.0.0"), caller).unwrap().unwrap();
            moved.next.status.core_is_chosen
        };
        assert!(chosen("prod", &caller()));
        assert!(!chosen("dev", &caller()));
        assert!(!chosen("prod", &Caller::server(Timestamp::UNIX_EPOCH)));
    }
}
