//! What the first start puts into an empty database.

use crate::access::Access;
use crate::access::tokens::NewToken;
use crate::kernel::{Caller, Error};
use crate::model::settings::KnownSetting;
use crate::model::{Input, Setting, settings};

impl Access {
    /// Writes the settings that are not there yet, with their defaults, and the administrator's token
    /// when there is no token at all. The caller shows the token: nobody can read it again.
    ///
    /// # Errors
    /// What the store says.
    pub async fn start(&self, caller: &Caller) -> Result<Option<NewToken>, Error> {
        for KnownSetting { name, default: value, .. } in settings::known() {
            if self.kernel.read(|world| world.settings.get(name).is_some()) {
                continue;
            }
            let spec = Setting { name: name.to_owned(), value };
            self.objects.create_from(caller, Input { spec, labels: Default::default() }).await?;
        }
        self.first_token(caller).await
    }
}
