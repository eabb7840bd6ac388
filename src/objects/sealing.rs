//! Sealing the values of secret params that a writer sends.

use crate::kernel::secrets::{self, SecretPlace};
use crate::kernel::{Error, TrackedWorld};
use crate::model::{Param, Stored};
use crate::objects::Objects;
use crate::objects::rules::NounRules;

impl Objects {
    /// Seals the values of secret params in an object that is about to replace `old`. A given value is sealed
    /// again, also if it is the one that is stored: if the revision told these apart, writers could guess
    /// secrets.
    ///
    /// # Errors
    /// A value could not be sealed.
    pub(super) fn seal<T: NounRules>(
        &self,
        world: &TrackedWorld<'_>,
        next: &mut Stored<T>,
        old: Option<&Stored<T>>,
    ) -> Result<(), Error> {
        let key = next.key.clone();
        let Some(params) = next.spec.params_mut() else { return Ok(()) };
        for (param, value) in params {
            let kept = old.and_then(|old| old.spec.params()?.get(param));
            if let (true, Some(kept)) = (secrets::means_stored(value), kept) {
                *value = kept.clone();
            } else if world.get::<Param>(param).is_some_and(|declared| declared.spec.secret) {
                let place = SecretPlace { kind: T::KIND, key: &key, param };
                let sealed = self.kernel.secrets.seal(place, value);
                *value = sealed.map_err(|error| Error::Failed(error.to_string()))?;
            }
        }
        Ok(())
    }
}
