//! What objects of the site hide, and overrides that copies can become.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::catalog::layers;
use crate::kernel::{Caller, Error};
use crate::model::{
    Kind, Object, OverrideKind, PACK_KINDS, Problem, RefusalCode, Stored, World, nearest, with_noun,
};
use crate::objects::Objects;
use crate::objects::rules::NounRules;

/// Most hidden objects in one answer.
pub const HIDDEN_MAX: usize = 1000;

/// An object of a pack that another one stands in place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HiddenItem {
    pub kind: Kind,
    pub name: String,
    /// What is hidden: `pack core@0.1.0`.
    pub source: String,
    /// The source of the object that is in force: `site`, or a pack with a higher priority.
    pub hidden_by: String,
}

/// The objects that are hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HiddenList {
    pub items: Vec<HiddenItem>,
    /// Whether these are all.
    pub complete: bool,
}

/// A copy, and the object of a pack that it was made of.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptionInput {
    pub kind: OverrideKind,
    /// The name of the copy.
    pub name: String,
    /// The name of the object of a pack.
    pub of: String,
}

/// The override that does what a copy does.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AdoptionProposal {
    /// The override, to be created; null if nothing of the copy can be one, or the two are the same.
    #[serde(rename = "override")]
    pub proposed: Option<Value>,
    /// What no override can have, by pointers into the copy.
    pub left: Vec<Problem>,
}

impl Objects {
    /// The objects of packs that are not in force, as far as the caller may read what hides them.
    pub fn hidden(&self, caller: &Caller) -> HiddenList {
        let mut items = self.kernel.read(|world| {
            let rows = PACK_KINDS.into_iter().flat_map(|kind| world.objects(kind));
            let hiding = rows.filter(|row| !row.hides().is_empty());
            let seen = hiding.filter(|row| caller.may_read(world, (row.kind(), row.key())));
            seen.flat_map(|row| items_of(&row)).take(HIDDEN_MAX + 1).collect::<Vec<_>>()
        });
        let complete = items.len() <= HIDDEN_MAX;
        items.truncate(HIDDEN_MAX);
        HiddenList { items, complete }
    }

    /// The override that makes of an object of a pack what a copy of the site is. Nothing is written.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the copy, [`Error::Invalid`] if no pack has the original.
    pub async fn propose_override(
        &self,
        caller: &Caller,
        input: AdoptionInput,
    ) -> Result<AdoptionProposal, Error> {
        let kind = input.kind.kind();
        let copy = with_noun!(kind, N => self.find_object::<N>(caller, &input.name))?;
        let packs = self.catalog.layers_of_prod().packs;
        let proposed = self.lanes.reads.run(move || {
            let brought = layers::brought(&packs, kind, &input.of);
            let Some(original) = brought.first() else {
                let objects = packs.iter().flat_map(|pack| &pack.objects);
                let names = objects.filter(|object| object.kind() == kind).map(Object::key);
                let near = nearest(&input.of, names);
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                let what = format!("no pack brings a {kind} `{}`{near}", input.of);
                let problem = Problem::new("/of", what).coded(RefusalCode::NotFound);
                return Err(Error::Invalid(vec![problem]));
            };
            Ok(proposal(&input, layers::adopt((original, &copy))))
        });
        proposed.await?
    }

    fn find_object<N: NounRules>(&self, caller: &Caller, reference: &str) -> Result<Object, Error>
    where
        World: crate::model::HasTable<N>,
    {
        let stored: Arc<Stored<N>> = self.kernel.find::<N>(caller, reference)?;
        Ok(N::object(stored))
    }
}

fn items_of(row: &Object) -> Vec<HiddenItem> {
    let hidden = row.hides().iter().map(|source| HiddenItem {
        kind: row.kind(),
        name: row.key().to_owned(),
        source: source.clone(),
        hidden_by: row.source().to_owned(),
    });
    hidden.collect()
}

fn proposal(input: &AdoptionInput, made: layers::CopyDifference) -> AdoptionProposal {
    let layers::CopyDifference { fields, blocks, left } = made;
    let mut body = json!({"name": input.name, "target": {"kind": input.kind, "name": input.of}});
    for (part, is_empty, value) in
        [("fields", fields.is_empty(), json!(fields)), ("blocks", blocks.is_empty(), json!(blocks))]
    {
        if let (false, Some(body)) = (is_empty, body.as_object_mut()) {
            body.insert(part.to_owned(), value);
        }
    }
    let is_something = !fields.is_empty() || !blocks.is_empty();
    AdoptionProposal { proposed: is_something.then_some(body), left }
}
