//! Rules for packs: one that content of the server comes from cannot be deleted.

use crate::kernel::TrackedWorld;
use crate::model::{
    Bootenv, ClientClass, HasTable, Noun, Pack, Param, Profile, Stage, Stored, Task, Template, Workflow,
    World,
};
use crate::objects::rules::{DependentObject, NounRules};

/// Most objects that are named as those that come from a pack.
const NAMED_MAX: usize = 3;

impl NounRules for Pack {
    const HAS_LINEAR_CHECKS: bool = true;

    /// The objects of the server that come from it. What names it in a field is found besides.
    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
        let source = stored.spec.source();
        let mut found = of_kind::<Bootenv>(world, &source);
        found.extend(of_kind::<ClientClass>(world, &source));
        found.extend(of_kind::<Param>(world, &source));
        found.extend(of_kind::<Profile>(world, &source));
        found.extend(of_kind::<Stage>(world, &source));
        found.extend(of_kind::<Task>(world, &source));
        found.extend(of_kind::<Template>(world, &source));
        found.extend(of_kind::<Workflow>(world, &source));
        found.truncate(NAMED_MAX);
        found
    }
}

/// The objects of a kind with this source, or with this source and changes of the site.
fn of_kind<T: Noun>(world: &TrackedWorld<'_>, source: &str) -> Vec<DependentObject>
where
    World: HasTable<T>,
{
    let rows = world.specs::<T>().filter(|row| {
        row.source.strip_prefix(source).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    });
    let rows = rows.take(NAMED_MAX);
    rows.map(|row| DependentObject { kind: T::KIND, key: row.key.clone(), note: "".into() }).collect()
}
