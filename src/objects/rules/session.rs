//! Sessions: `access` begins and ends them; clients read them.

use std::sync::Arc;

use crate::kernel::{Caller, Changeset, TrackedWorld};
use crate::model::event::SessionEnded;
use crate::model::{Noun, Session, SessionEnd, Stored};
use crate::objects::rules::NounRules;

impl NounRules for Session {
    const HAS_LINEAR_CHECKS: bool = true;
    const HIDDEN: &'static [&'static str] = &["sha256"];
}

/// Adds the end of the sessions of a token that is deleted.
pub(super) fn end_with_token(
    token: &str,
    world: &TrackedWorld<'_>,
    caller: &Caller,
    changeset: Changeset,
) -> Changeset {
    let of_token = world.specs::<Session>().filter(|session| session.spec.token == token);
    of_token.fold(changeset, |changeset, session: &Arc<Stored<Session>>| {
        let ended = SessionEnded { token: token.to_owned(), why: SessionEnd::TokenDeleted };
        let event = caller.event_about(session, ended);
        changeset.delete(&Session::object(Arc::clone(session))).event(event)
    })
}
