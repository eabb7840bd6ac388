//! Channels: promotions, rollbacks, and what a new `core` of the program means for them. `moves` decides
//! what an action makes of a channel; `at_start` has what the start of the server does. Start at
//! [`Channels::act`].
//!
//! A move of `prod` writes the tables of content in the same changeset. What that costs depends on the packs,
//! so it is planned in a lane on a copy of the content, without the world's lock; the commit is refused as
//! stale if any of the content has changed, and the move is planned anew. Runs that have begun keep the
//! content that they began with (`catalog::keeping`).

pub mod at_start;
pub mod moves;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::catalog::Catalog;
use crate::catalog::content::ContentPack;
use crate::catalog::packs::PackInstall;
use crate::kernel::permissions::{AccessVerb, ObjectRef};
use crate::kernel::{Caller, Changeset, ChangesetRead, Error, Kernel, STALE_RETRIES_MAX, StoreError};
use crate::model::{Channel, Kind, Noun, PROD_CHANNEL, RefusalCode, Stored, pack_key};
use crate::objects::lanes::WorkLane;
use moves::{ChannelAction, MovedChannel, moved};

/// Most moves that are planned at once.
const MOVES_MAX: usize = 1;
/// Longest time that a plan may have taken if it is to be made anew while the writer is held.
const HELD_PLAN_MAX: Duration = Duration::from_millis(100);

/// The channels, and how they move.
#[derive(Debug)]
pub struct Channels {
    kernel: Arc<Kernel>,
    catalog: Arc<Catalog>,
    plans: WorkLane,
}

/// A move that is ready to be committed.
struct PlannedMove {
    channel: Arc<Stored<Channel>>,
    changeset: Changeset,
    /// The packs that the tables show afterwards; none if they do not change.
    tables: Option<Vec<Arc<ContentPack>>>,
}

/// A channel after a move, with its packs.
struct MoveDraft {
    moved: MovedChannel,
    packs: Vec<Arc<ContentPack>>,
}

impl Channels {
    pub fn new(kernel: Arc<Kernel>, catalog: Arc<Catalog>) -> Arc<Self> {
        Arc::new(Channels { kernel, catalog, plans: WorkLane::new(MOVES_MAX) })
    }

    /// Carries out an action and returns the channel afterwards.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`]; [`Error::Invalid`] if the version of the pack is not there,
    /// or packs do not fit each other; [`Error::Conflict`] if there is nothing to roll back.
    pub async fn act(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        action: &ChannelAction,
    ) -> Result<Arc<Stored<Channel>>, Error> {
        let key = self.may_move(caller, reference)?;
        let mut took = Duration::ZERO;
        for attempt in 0..STALE_RETRIES_MAX {
            // The writer waits for a holder for a short time only, and everybody waits for the writer.
            let hold = if took > HELD_PLAN_MAX { None } else { self.kernel.hold_for(attempt).await? };
            let begun = Instant::now();
            let planned = self.plan(caller, &key, action, hold.is_some()).await?;
            took = begun.elapsed();
            if planned.changeset.writes.is_empty() {
                return Ok(planned.channel);
            }
            match self.kernel.commit_with(hold, planned.changeset).await {
                Ok(_) => {
                    planned.tables.iter().for_each(|packs| self.catalog.keep_prod(packs));
                    return Ok(planned.channel);
                }
                Err(StoreError::Stale { .. }) => {}
                Err(other) => return Err(self.kernel.refusal(caller, other)),
            }
        }
        Err(Error::Busy(format!("channel {key} or the content is being changed by many at once; try again")))
    }

    /// The key of a channel that the caller may write.
    fn may_move(&self, caller: &Caller, reference: &str) -> Result<String, Error> {
        let channel = self.kernel.find::<Channel>(caller, reference)?;
        if caller.may(AccessVerb::Write, ObjectRef::of(&channel)) {
            return Ok(channel.key.clone());
        }
        let why = format!("your token may read channel `{}`, but not change it", channel.key);
        Err(Error::Forbidden(RefusalCode::NotYours, why))
    }

    /// Plans an action: the channel, and for `prod` the tables of content.
    async fn plan(
        self: &Arc<Self>,
        caller: &Caller,
        key: &str,
        action: &ChannelAction,
        is_held: bool,
    ) -> Result<PlannedMove, Error> {
        let before = self.kernel.get::<Channel>(key)?;
        let Some(moved) = moved(&before, action, caller)? else {
            return Ok(PlannedMove { channel: before, changeset: Changeset::default(), tables: None });
        };
        let channels = Arc::clone(self);
        let draft = move || {
            let packs = channels.catalog.packs_of(&moved.next.spec.packs)?;
            Ok::<_, Error>(MoveDraft { moved, packs })
        };
        let MoveDraft { moved: MovedChannel { next, made }, packs } = match is_held {
            true => self.plans.run_at_once(draft).await??,
            false => self.plans.run(draft).await??,
        };
        let is_prod = next.key == PROD_CHANNEL;
        let (changeset, installed) = match is_prod {
            true => self.catalog.materialized(caller, &packs).await?,
            false => (Changeset::default(), PackInstall::default()),
        };
        let channel = Arc::new(next);
        let event = caller.event_about(channel.as_ref(), moves::event(&made, installed));
        let changeset = changeset.update(Channel::object(Arc::clone(&channel))).event(event);
        let changeset = changeset.with_reads(self.pack_reads(&channel.spec));
        Ok(PlannedMove { channel, changeset, tables: is_prod.then_some(packs) })
    }

    /// That the packs of a channel are there: none of them is deleted before the channel names it.
    fn pack_reads(&self, channel: &Channel) -> Vec<ChangesetRead> {
        self.kernel.read(|world| {
            let keys = channel.packs.iter().map(|(name, version)| pack_key(name, version));
            keys.map(|key| {
                let (kind, version) = (Kind::Pack, world.version(Kind::Pack, &key));
                ChangesetRead::Row { kind, key: key.into(), version }
            })
            .collect()
        })
    }
}
