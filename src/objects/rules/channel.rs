//! Rules for channels: promotions change their packs, and `prod` stays.

use crate::kernel::TrackedWorld;
use crate::model::{Channel, Noun, PROD_CHANNEL, Pack, Problem, RefusalCode, Stored};
use crate::objects::rules::{NounRules, ProposedWrite, RuleConflict};

impl NounRules for Channel {
    const HAS_LINEAR_CHECKS: bool = true;

    /// The versions of packs that the channel names are there.
    fn refused(&self, change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        let named = self.references().into_iter();
        let absent = named.filter(|named| change.world.get::<Pack>(&named.key).is_none());
        let told = absent.map(|named| {
            let what = format!("there is no pack {}: load it with `metalwright packs push`", named.key);
            Problem::new(named.pointer, what).coded(RefusalCode::NotFound)
        });
        told.collect()
    }

    /// Packs change by actions, which note what happened and can be rolled back.
    fn refuse_change(old: &Stored<Self>, new: &Stored<Self>) -> Option<RuleConflict> {
        (old.spec.packs != new.spec.packs).then(|| {
            let name = &old.spec.name;
            let why = format!(
                "the packs of channel `{name}` change by a promotion: `metalwright channels promote {name} \
                 PACK VERSION`; `withdraw` takes a pack out"
            );
            RuleConflict::plain(RefusalCode::ReadOnly, why)
        })
    }

    fn refuse_delete(stored: &Stored<Self>, _world: &TrackedWorld<'_>) -> Option<RuleConflict> {
        (stored.spec.name == PROD_CHANNEL).then(|| {
            let why = "channel `prod` cannot be deleted: machines without another channel follow it";
            RuleConflict::plain(RefusalCode::InUse, why.to_owned())
        })
    }
}
