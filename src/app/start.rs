//! What the first start puts into an empty database.

use crate::app::auth::NewToken;
use crate::app::{App, Ctx, Error};
use crate::model::{Input, Setting, settings};

impl App {
    /// Writes the settings that are not there yet, with their defaults, and the administrator's token
    /// when there is no token at all. The caller shows the token: nobody can read it again.
    ///
    /// # Errors
    /// What the store says.
    pub async fn start(&self, ctx: &Ctx) -> Result<Option<NewToken>, Error> {
        for (name, value, _) in settings::known() {
            if self.world().settings.get(name).is_some() {
                continue;
            }
            let spec = Setting { name: name.to_owned(), value };
            self.create_from(ctx, Input { spec, labels: Default::default() }).await?;
        }
        self.first_token(ctx).await
    }
}
