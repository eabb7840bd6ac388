//! The database as a whole: snapshots, its check, and what of it cannot be read or opened.

use std::path::PathBuf;

use crate::kernel::secrets::{SealedValue, SecretKey, is_there, sealed_values};
use crate::kernel::{DamagedRow, Error, Kernel};
use crate::model::World;

/// Most values that do not open which are remembered.
const SHUT_MAX: usize = 1024;

/// The values of a world that were sealed with another key, the first [`SHUT_MAX`].
pub(super) fn shut_values(world: &World, key: &SecretKey) -> Vec<SealedValue> {
    let shut = sealed_values(world).filter(|sealed| key.open(sealed.place(), &sealed.value).is_err());
    shut.take(SHUT_MAX).collect()
}

impl Kernel {
    /// How many of the sealed values that did not open at the start are still there.
    pub fn shut_secrets(&self) -> usize {
        if self.shut.is_empty() {
            return 0;
        }
        self.read(|world| self.shut.iter().filter(|shut| is_there(world, shut)).count())
    }

    /// What operators have to do about rows that cannot be read and values that do not open.
    pub fn data_warnings(&self) -> Vec<String> {
        let shut = self.shut_secrets();
        let shut = (shut > 0).then(|| {
            format!(
                "{shut} secret values do not open with secret.key: restore the key that they were sealed \
                 with, or set them anew"
            )
        });
        shut.into_iter().chain(self.damage_warning()).collect()
    }

    /// Names no object: whoever asks whether the server is ready reads it.
    fn damage_warning(&self) -> Option<String> {
        let damaged = self.damaged_rows().len();
        (damaged > 0).then(|| {
            format!(
                "{damaged} rows of the database cannot be read, and the names of their objects stay taken: \
                 `metalwright check --data DIR` says which and what to do"
            )
        })
    }

    /// Rows of the database that cannot be read.
    pub fn damaged_rows(&self) -> &[DamagedRow] {
        self.store.damaged()
    }

    /// Writes a snapshot of the database to a file; see [`Store::snapshot`](crate::store::Store::snapshot).
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn snapshot(&self, into: PathBuf) -> Result<(), Error> {
        Ok(self.store.snapshot(into).await?)
    }

    /// What is wrong with the file of the database.
    ///
    /// # Errors
    /// It cannot be read at all.
    pub async fn integrity(&self) -> Result<Vec<String>, Error> {
        Ok(self.store.integrity().await?)
    }
}
