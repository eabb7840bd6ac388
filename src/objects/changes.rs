//! The objects that changed since a commit, for followers: consoles, caches, other servers.
//!
//! A follower that reads all pages after a number, and then the objects that they name, has the present
//! state. Start at [`Objects::changes`]; [`ChangeFeed`] waits for further changes.

use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use crate::kernel::{Caller, Error};
use crate::model::{ChangePlace, Kind, ObjectChange, ReadPosition, RefusalCode, place_after};
use crate::objects::Objects;

/// Most changes on a page, and the default.
pub const LIMIT_MAX: usize = 1000;
pub const LIMIT_DEFAULT: usize = 100;

/// A query for changes.
#[derive(Clone, Debug)]
pub struct ChangeQuery {
    /// Only these kinds; all if empty.
    pub kinds: Vec<Kind>,
    pub start: ChangeStart,
    pub limit: usize,
}

/// The place after which a reader continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeStart {
    place: ChangePlace,
    /// The epoch of the commit, if the reader knows it.
    epoch: Option<Uuid>,
}

impl ChangeStart {
    /// Starts after a commit.
    pub fn after(commit: u64, epoch: Option<Uuid>) -> Self {
        ChangeStart { place: place_after(commit), epoch }
    }

    /// The last commit that was read completely.
    pub fn commit(&self) -> u64 {
        self.place.0.saturating_sub(1)
    }

    /// The cursor of the API: `1234.EPOCH.machine.0192…`.
    fn cursor(&self) -> String {
        let ((commit, kind, key), epoch) = (&self.place, self.epoch.unwrap_or_default());
        format!("{commit}.{}.{kind}.{key}", epoch.simple())
    }
}

impl FromStr for ChangeStart {
    type Err = Error;

    fn from_str(cursor: &str) -> Result<Self, Error> {
        parse_cursor(cursor)
            .ok_or_else(|| Error::BadRequest("this `cursor` is not from a page of changes".to_owned()))
    }
}

fn parse_cursor(cursor: &str) -> Option<ChangeStart> {
    let mut parts = cursor.splitn(4, '.').map(|part| Some(part).filter(|part| !part.is_empty()));
    let (commit, epoch) = (parts.next()??.parse().ok()?, parts.next()??.parse().ok()?);
    let (kind, key) = (Kind::of_word(parts.next()??)?, parts.next()??.into());
    Some(ChangeStart { place: (commit, kind, key), epoch: Some(epoch) })
}

/// A page of changes, in the order of commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeList {
    /// The changed objects, each at its last change.
    pub items: Vec<ObjectChange>,
    /// The `cursor` of the next page; null on the last page.
    pub next: Option<String>,
    /// All changes up to this commit are on this page or earlier pages. It is the `after` of the next query.
    pub commit: u64,
    /// The epoch of `commit`.
    pub epoch: Uuid,
}

impl Objects {
    /// A page of the changes that the caller may see. A page can have fewer changes than `limit` although
    /// others follow.
    ///
    /// # Errors
    /// [`Error::ReadAgain`]; [`Error::Forbidden`] for a kind of which the caller sees nothing.
    pub fn changes(&self, caller: &Caller, query: &ChangeQuery) -> Result<ChangeList, Error> {
        let kinds = visible_kinds(caller, &query.kinds)?;
        self.kernel.read(|world| {
            world.commits.check(query.start.commit(), query.start.epoch)?;
            let mut page = world.changes(&query.start.place, &kinds, query.limit);
            let ReadPosition { commit, epoch } = world.commits.position();
            let last = page.items.last().filter(|_| page.has_more);
            let next = last.map(|last| ChangeStart {
                place: (last.commit, last.kind, Arc::from(last.key.as_str())),
                epoch: Some(epoch),
            });
            page.items.retain(|change| caller.may_read(world, (change.kind, &change.key)));
            let commit = next.as_ref().map_or(commit, ChangeStart::commit);
            Ok(ChangeList { items: page.items, next: next.map(|next| next.cursor()), commit, epoch })
        })
    }

    /// The position of a reader that has just read everything.
    pub fn position(&self) -> ReadPosition {
        self.kernel.read(|world| world.commits.position())
    }

    /// A feed of the changes of a query.
    ///
    /// # Errors
    /// Those of [`Objects::changes`].
    pub fn change_feed(self: &Arc<Self>, caller: Caller, query: ChangeQuery) -> Result<ChangeFeed, Error> {
        let commits = self.kernel.commits();
        visible_kinds(&caller, &query.kinds)?;
        self.kernel.read(|world| world.commits.check(query.start.commit(), query.start.epoch))?;
        Ok(ChangeFeed { objects: Arc::clone(self), caller, query, commits })
    }
}

/// The kinds of a query of which the caller may see objects.
fn visible_kinds(caller: &Caller, wanted: &[Kind]) -> Result<Vec<Kind>, Error> {
    if let Some(hidden) = wanted.iter().find(|kind| !caller.sees_some(**kind)) {
        let scope = format!("{}:read", hidden.plural());
        let why = format!("this needs the scope `{scope}`, which the token does not have");
        return Err(Error::Forbidden(RefusalCode::ScopeMissing, why));
    }
    let wanted = if wanted.is_empty() { &Kind::ALL } else { wanted };
    Ok(wanted.iter().copied().filter(|kind| caller.sees_some(*kind)).collect())
}

/// A feed of changes.
pub struct ChangeFeed {
    objects: Arc<Objects>,
    caller: Caller,
    query: ChangeQuery,
    commits: watch::Receiver<u64>,
}

impl ChangeFeed {
    /// Waits for the next page. It can be empty if the caller may not see what changed. Dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// Those of [`Objects::changes`]; the store was closed.
    pub async fn next(&mut self) -> Result<ChangeList, Error> {
        while *self.commits.borrow_and_update() <= self.query.start.commit() {
            self.commits.changed().await.map_err(|_| Error::Failed("the store was closed".to_owned()))?;
        }
        let page = self.objects.changes(&self.caller, &self.query)?;
        self.query.start = match &page.next {
            Some(cursor) => cursor.parse()?,
            None => ChangeStart::after(page.commit, Some(page.epoch)),
        };
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let (place, epoch) = ((12, Kind::Lease, Arc::from("10.0.0.5")), Some(Uuid::new_v4()));
        let start = ChangeStart { place, epoch };
        assert_eq!(start.cursor().parse(), Ok(start));
        let epoch = Uuid::nil().simple();
        for wrong in ["", "12", "12.lease", "12.x.lease.y", &format!("12.{epoch}.leases.y")] {
            assert!(wrong.parse::<ChangeStart>().is_err(), "{wrong}");
        }
        assert!(format!("12.{epoch}.lease.").parse::<ChangeStart>().is_err());
    }
}
