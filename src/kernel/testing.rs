//! A kernel on an empty store of its own, for tests of houses.

use std::sync::{Arc, LazyLock};

use tokio::runtime::{Builder, Runtime};

use crate::kernel::secrets::SecretKey;
use crate::kernel::{Kernel, ServerEndpoints};
use crate::store::{SharedStore, SqliteStore};

/// A kernel on an empty store. Events queued with [`Kernel::note`] are not written.
pub fn kernel(endpoints: ServerEndpoints) -> Arc<Kernel> {
    Kernel::new(store(), SecretKey::from_key([1; 32]), endpoints).0
}

/// An empty store in a temporary folder. It belongs to a runtime that outlives the runtimes of the tests, so
/// that tests without a runtime can use it too.
fn store() -> SharedStore {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
    let open = || RUNTIME.block_on(SqliteStore::open_in_a_new_folder());
    std::thread::spawn(open).join().unwrap()
}
