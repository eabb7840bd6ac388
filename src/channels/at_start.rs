//! What the start of the server does with channels: `prod` is made, follows a new `core` of the program or
//! stays where it is, and the tables of content show what it has.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::channels::Channels;
use crate::channels::moves::ChannelAction;
use crate::kernel::{Caller, Changeset, Error};
use crate::model::settings::CORE_FOLLOWS_PROGRAM;
use crate::model::{CORE_PACK, Channel, Noun, PROD_CHANNEL, Stored, World};

/// What the start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelStart {
    /// The version of `core` that machines of `prod` get.
    pub core: String,
    /// The version of the program's own `core`, where `prod` has another.
    pub not_promoted: Option<String>,
    /// Objects of the site that stand in place of those of packs.
    pub shadowed: usize,
    /// Why the tables of content stay as they are.
    pub fault: Option<String>,
}

impl ChannelStart {
    /// Says in the log what an operator should know.
    pub fn log(&self) {
        let ChannelStart { core, not_promoted, shadowed, fault } = self;
        if *shadowed > 0 {
            tracing::info!(objects = shadowed, "the site's own objects stand in place of those of packs");
        }
        if let Some(fault) = fault {
            tracing::error!(fault, "the packs of channel prod cannot be used: content stays as it is");
        }
        if let Some(program) = not_promoted {
            tracing::info!(
                prod = core,
                program,
                "the program's core is not promoted; metalwright packs upgrade core --check tells its changes"
            );
        }
    }
}

impl Channels {
    /// Makes `prod` where it is absent, with this version of `core`; otherwise moves it there, if it follows
    /// the program. Then the tables of content show what `prod` has. Packs that cannot be read leave the
    /// tables as they are.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn start(self: &Arc<Self>, caller: &Caller, core: &str) -> Result<ChannelStart, Error> {
        let prod = self.kernel.read(|world| world.channels.get(PROD_CHANNEL).cloned());
        match prod {
            None => self.create_prod(caller, core).await?,
            Some(prod) if prod.spec.packs.get(CORE_PACK).is_some_and(|present| present == core) => {}
            Some(_) if self.kernel.read(follows_program) => {
                let (pack, version) = (CORE_PACK.to_owned(), core.to_owned());
                self.act(caller, PROD_CHANNEL, &ChannelAction::Promote { pack, version }).await?;
            }
            Some(_) => {}
        }
        let found = self.show_prod(caller).await?;
        let not_promoted = Some(core.to_owned()).filter(|core| *core != found.core);
        Ok(ChannelStart { not_promoted, ..found })
    }

    async fn create_prod(&self, caller: &Caller, core: &str) -> Result<(), Error> {
        let packs = BTreeMap::from([(CORE_PACK.to_owned(), core.to_owned())]);
        let description = "What machines get that follow no other channel".to_owned();
        let spec = Channel { name: PROD_CHANNEL.to_owned(), packs, description };
        let prod = Stored::new(PROD_CHANNEL.to_owned(), spec, caller.now);
        let changeset = Changeset::default().create(Channel::object(Arc::new(prod)));
        self.kernel.commit(changeset).await.map(drop)
    }

    /// Makes the tables show what `prod` has.
    async fn show_prod(self: &Arc<Self>, caller: &Caller) -> Result<ChannelStart, Error> {
        let (core, prod) =
            self.kernel.read(|world| (core_of_prod(world), world.channels.get(PROD_CHANNEL).cloned()));
        let channels = Arc::clone(self);
        let packs = prod.map(|prod| prod.spec.packs.clone()).unwrap_or_default();
        let found = self.plans.run(move || channels.catalog.packs_of(&packs)).await?;
        let packs = match found {
            Ok(packs) => packs,
            Err(fault) => {
                return Ok(ChannelStart { core, fault: Some(fault.to_string()), ..ChannelStart::default() });
            }
        };
        let installed = self.catalog.materialize(caller, &packs).await?;
        Ok(ChannelStart { core, shadowed: installed.shadowed, ..ChannelStart::default() })
    }
}

fn core_of_prod(world: &World) -> String {
    let prod = world.channels.get(PROD_CHANNEL);
    prod.and_then(|prod| prod.spec.packs.get(CORE_PACK)).cloned().unwrap_or_default()
}

/// Whether `prod` follows the `core` of the program: as the setting says, or until an operator has promoted
/// `core` or made another channel.
pub fn follows_program(world: &World) -> bool {
    match world.setting(CORE_FOLLOWS_PROGRAM) {
        Value::Bool(follows) => follows,
        _ => {
            let prod = world.channels.get(PROD_CHANNEL);
            let is_chosen = prod.is_some_and(|prod| prod.status.core_is_chosen);
            !is_chosen && world.channels.len() <= 1
        }
    }
}
