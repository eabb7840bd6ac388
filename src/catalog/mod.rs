//! Content as machines see it: the templates as compiled, the params of a machine on all their levels, what
//! documents are rendered from, whether a run could go through, and the packs that content comes in.
//!
//! Start at [`Catalog::engine`] and [`Catalog::input`]. What a template may do is `render`'s; who may have a
//! document is decided by those who ask.

pub mod artifact_faults;
pub mod content;
pub mod packs;
pub mod params;
pub mod pools;
pub mod rendering;
pub mod repositories;
pub mod usable;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinError;

use crate::kernel::Kernel;
use crate::netboot::decide::capability;
use crate::render::RenderEngine;
use pools::{PREVIEWS_AT_ONCE_MAX, RenderPools};

/// Renders that have a thread to wait on. More would render no sooner, as there are no more workers that
/// render (`render::Pool`), and each costs memory: its input, and what the allocator keeps for the thread.
const AT_ONCE_MAX: usize = 16;

/// The content, and what renders it.
pub struct Catalog {
    kernel: Arc<Kernel>,
    pools: RenderPools,
    content: Mutex<Option<CompiledContent>>,
    /// The turns of those who render.
    turns: Arc<Semaphore>,
    preview_turns: Arc<Semaphore>,
    /// Previews that wait for a turn.
    previews: AtomicUsize,
    boot_key: capability::CapabilityKey,
}

/// The templates as compiled, and the generation they were compiled from.
struct CompiledContent {
    generation: u64,
    engine: RenderEngine,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Catalog")
    }
}

impl Catalog {
    pub fn new(kernel: Arc<Kernel>, pools: RenderPools) -> Arc<Self> {
        let boot_key = capability::CapabilityKey::new(&kernel.secrets.derive("boot capabilities"));
        let turns = Arc::new(Semaphore::new(AT_ONCE_MAX));
        let preview_turns = Arc::new(Semaphore::new(PREVIEWS_AT_ONCE_MAX));
        Arc::new(Catalog {
            kernel,
            pools,
            content: Mutex::default(),
            turns,
            preview_turns,
            previews: AtomicUsize::new(0),
            boot_key,
        })
    }

    /// The compiled templates of the present content.
    pub fn engine(&self) -> RenderEngine {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let world = self.kernel.world();
        let generation = world.templates.generation();
        if let Some(content) = content.as_ref().filter(|content| content.generation == generation) {
            return content.engine.clone();
        }
        let bodies: Vec<(String, String)> =
            world.templates.iter().map(|row| (row.spec.name.clone(), row.spec.body.clone())).collect();
        drop(world);
        let (engine, broken) = RenderEngine::compile(&self.pools.serve, bodies);
        for (name, problem) in &broken {
            tracing::warn!(template = name, %problem, "a template cannot be used");
        }
        *content = Some(CompiledContent { generation, engine: engine.clone() });
        engine
    }

    /// Has a thread that may wait do what renders, when its turn comes. The turn ends with the work, even if
    /// nobody waits for it any more.
    ///
    /// # Errors
    /// The work panicked, or the server is stopping.
    pub async fn render_aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // It is never closed, so there is a turn always.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::sync::mpsc;

    use super::*;
    use crate::houses::testing;

    #[tokio::test]
    async fn renders_beyond_the_bound_hold_no_thread_while_they_wait() {
        let app = testing::app();
        // The gate is open when its sender has gone.
        let (closed, gate) = mpsc::channel::<()>();
        let (gate, inside) = (Arc::new(Mutex::new(gate)), Arc::new(AtomicUsize::new(0)));
        let (begun_tx, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let renders: Vec<_> = (0..3 * AT_ONCE_MAX)
            .map(|_| {
                let (app, gate, inside) = (Arc::clone(&app), Arc::clone(&gate), Arc::clone(&inside));
                let begun = begun_tx.clone();
                tokio::spawn(async move {
                    let work = move || {
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        begun.send(now).unwrap();
                        gate.lock().unwrap().recv().unwrap_err();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        now
                    };
                    app.catalog.render_aside(work).await.unwrap()
                })
            })
            .collect();
        for _ in 0..AT_ONCE_MAX {
            begun.recv().await.unwrap();
        }
        assert_eq!(app.catalog.turns.available_permits(), 0);
        drop(closed);
        let mut most = 0;
        for render in renders {
            most = most.max(render.await.unwrap());
        }
        assert_eq!(most, AT_ONCE_MAX);
    }
}
