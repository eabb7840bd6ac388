//! The objects that the first start writes to an empty database.

use crate::access::Access;
use crate::access::tokens::NewToken;
use crate::kernel::{Caller, Error};
use crate::model::settings::KnownSetting;
use crate::model::{Input, Setting, settings};

impl Access {
    /// Writes missing settings with their defaults, and the administrator's token if there is no token at
    /// all. The caller has to show the token: it cannot be read again.
    ///
    /// # Errors
    /// Those of the store.
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
