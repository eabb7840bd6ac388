//! The content of channels: what machines get that follow another channel than `prod`. Start at
//! [`Catalog::content_for`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::Catalog;
use crate::catalog::keeping::TemplateDigests;
use crate::catalog::layers::resolve;
use crate::catalog::params;
use crate::kernel::Error;
use crate::model::{Channel, GLOBAL_PROFILE, Machine, PROD_CHANNEL, RefusalCode, Stored, World};

/// Most contents of channels that are kept. A site has a few channels, and a check compares two contents.
const CONTENTS_MAX: usize = 8;

/// What is known of the contents of channels.
#[derive(Debug, Default)]
pub(super) struct ChannelContents {
    kept: Mutex<VecDeque<ChannelContent>>,
    /// The digests of the templates of contents, by their generation.
    pub(super) digests: Mutex<VecDeque<(u64, Arc<TemplateDigests>)>>,
}

/// The content that some packs give together with the site's.
#[derive(Clone, Debug)]
struct ChannelContent {
    packs: BTreeMap<String, String>,
    /// What it was made from.
    basis: Arc<World>,
    content: Arc<World>,
}

impl ChannelContents {
    fn find(&self, packs: &BTreeMap<String, String>, basis: &Arc<World>) -> Option<Arc<World>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = kept.iter().find(|kept| kept.packs == *packs && Arc::ptr_eq(&kept.basis, basis));
        same.map(|kept| Arc::clone(&kept.content))
    }

    /// Keeps a content in place of those of these packs that were made before.
    fn keep(&self, made: ChannelContent) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.packs != made.packs);
        if kept.len() >= CONTENTS_MAX {
            kept.pop_front();
        }
        kept.push_back(made);
    }

    /// The digests of the templates with this generation, made by `make` where they are not known.
    pub(super) fn digests_of(
        &self,
        generation: u64,
        make: impl FnOnce() -> TemplateDigests,
    ) -> Arc<TemplateDigests> {
        let known = self.digests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, digests)) = known.iter().find(|(of, _)| *of == generation) {
            return Arc::clone(digests);
        }
        let digests = Arc::new(make());
        let mut known = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CONTENTS_MAX {
            known.pop_front();
        }
        known.push_back((generation, Arc::clone(&digests)));
        digests
    }
}

/// The channel that a machine follows: its own, or that of the first of its profiles that has one, of which
/// `global` is the last; otherwise `prod`. The profiles are those of the tables.
pub fn channel_of<'a>(content: &'a World, machine: &'a Machine) -> &'a str {
    if let Some(own) = &machine.channel {
        return own;
    }
    let global = [GLOBAL_PROFILE.to_owned()];
    let profiles = params::expand(content.into(), &machine.profiles).into_iter();
    let profiles = profiles.chain(params::expand(content.into(), &global));
    profiles.filter_map(|profile| profile.channel.as_deref()).next().unwrap_or(PROD_CHANNEL)
}

impl Catalog {
    /// The content of the channel that a machine follows. Blocks.
    ///
    /// # Errors
    /// Those of [`Catalog::content_of`].
    pub fn content_for(&self, machine: &Machine) -> Result<Arc<World>, Error> {
        let content = self.content();
        match channel_of(&content, machine) {
            PROD_CHANNEL => Ok(content),
            channel => self.channel_content(&content, channel),
        }
    }

    /// The content of a channel: its packs below the site's objects, in a world that has nothing else, like
    /// [`Catalog::content`]. All callers share it until the content changes. Blocks.
    ///
    /// # Errors
    /// [`Error::Conflict`]: there is no such channel, or a version of a pack that it names is not there.
    pub fn content_of(&self, channel: &str) -> Result<Arc<World>, Error> {
        let content = self.content();
        match channel {
            PROD_CHANNEL => Ok(content),
            channel => self.channel_content(&content, channel),
        }
    }

    fn channel_content(&self, basis: &Arc<World>, channel: &str) -> Result<Arc<World>, Error> {
        let found: Option<&Arc<Stored<Channel>>> = basis.channels.get(channel);
        let found = found.ok_or_else(|| {
            let why = format!("there is no channel `{channel}`: create it, or name another");
            Error::Conflict(RefusalCode::NotUsable, why)
        })?;
        let is_prods =
            basis.channels.get(PROD_CHANNEL).is_some_and(|prod| prod.spec.packs == found.spec.packs);
        if is_prods {
            return Ok(Arc::clone(basis));
        }
        let made = self.content_with((basis, &found.spec.packs));
        made.map_err(|why| {
            Error::Conflict(RefusalCode::NotUsable, format!("channel `{channel}` has no content: {why}"))
        })
    }

    /// The content that these versions of packs would give with the site's present objects. Blocks.
    ///
    /// # Errors
    /// Those of [`Catalog::packs_of`].
    pub fn content_with(
        &self,
        (basis, packs): (&Arc<World>, &BTreeMap<String, String>),
    ) -> Result<Arc<World>, Error> {
        if let Some(content) = self.known.channels.find(packs, basis) {
            return Ok(content);
        }
        let resolved = resolve(&self.packs_of(packs)?, basis);
        let content = Arc::new(basis.with_pack_objects(resolved.objects));
        let made = ChannelContent { packs: packs.clone(), basis: Arc::clone(basis), content };
        let content = Arc::clone(&made.content);
        self.known.channels.keep(made);
        Ok(content)
    }
}
