//! The content that machines get: compiled templates, the params of a machine on all levels, the input of
//! renders, checks before a run, and packs of content.
//!
//! Start at [`Catalog::engine`] and [`Catalog::input`]. `render` defines what a template may do; the callers
//! decide who may have a document.

pub mod artifact_faults;
pub mod channel_content;
pub mod content;
pub mod content_copy;
pub mod disk_choice;
pub mod extra_initrds;
pub mod keeping;
pub mod layers;
pub mod network_variables;
pub mod pack_store;
#[cfg(test)]
mod pack_store_tests;
pub mod packs;
pub mod params;
pub mod pools;
pub mod reach;
pub mod rendering;
pub mod repositories;
pub mod secret_cover;
pub mod usable;

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinError;

use crate::kernel::Kernel;
use crate::model::{Content, ContentView, Run, Stored, Template, TemplateText, World};
use crate::netboot::decide::capability;
use crate::render::{RenderEngine, TemplateSource};
use content_copy::KnownContent;
use pools::{PREVIEWS_AT_ONCE_MAX, RenderPools};

/// Renders that have a thread to wait on. More would not be faster, because there are no more render workers
/// (`render::pool`), and each thread costs memory: its input, and what the allocator reserves for it.
const AT_ONCE_MAX: usize = 16;
/// Most sets of templates of runs that are kept compiled, and most of channels, besides the present set.
const KEPT_ENGINES_MAX: usize = 8;

/// The content, and its renderer.
pub struct Catalog {
    kernel: Arc<Kernel>,
    pools: RenderPools,
    compiled: Mutex<CompiledTemplates>,
    known: KnownContent,
    /// The turns of those who render.
    turns: Arc<Semaphore>,
    preview_turns: Arc<Semaphore>,
    /// Number of previews that wait for a turn.
    previews: AtomicUsize,
    boot_key: capability::CapabilityKey,
}

/// Compiled templates.
#[derive(Default)]
struct CompiledTemplates {
    present: Option<PresentTemplates>,
    /// The sets that runs kept, by digest; the oldest is dropped first.
    kept: VecDeque<(String, RenderEngine)>,
    /// The sets of channels, by the generation of their templates; the oldest is dropped first.
    channels: VecDeque<(u64, RenderEngine)>,
}

/// The present templates, with their generation and digest.
#[derive(Clone)]
struct PresentTemplates {
    generation: u64,
    digest: String,
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
            compiled: Mutex::default(),
            known: KnownContent::default(),
            turns,
            preview_turns,
            previews: AtomicUsize::new(0),
            boot_key,
        })
    }

    /// The compiled templates of the present content.
    pub fn engine(&self) -> RenderEngine {
        self.present(&mut self.compiled.lock().unwrap_or_else(PoisonError::into_inner)).engine
    }

    /// The compiled templates that a run kept, or the present ones if it kept none.
    pub fn engine_of_run(&self, run: Option<&Run>) -> RenderEngine {
        let kept =
            self.kernel.read(|world| ContentView::of_run(world, run).templates_digest().map(str::to_owned));
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.present(&mut compiled);
        let Some(digest) = kept.filter(|digest| *digest != present.digest) else { return present.engine };
        if let Some((_, engine)) = compiled.kept.iter().find(|(of, _)| *of == digest) {
            return engine.clone();
        }
        let bodies: Vec<TemplateSource> = self.kernel.read(|world| {
            let templates = ContentView::of_run(world, run).templates().into_iter();
            templates.map(|(name, text)| source(name, text)).collect()
        });
        let (engine, _) = RenderEngine::compile(&self.pools.serve, bodies);
        if compiled.kept.len() >= KEPT_ENGINES_MAX {
            compiled.kept.pop_front();
        }
        compiled.kept.push_back((digest, engine.clone()));
        engine
    }

    /// The compiled templates of a content.
    pub fn engine_of_content(&self, content: &World) -> RenderEngine {
        if !content.is_derived() {
            return self.engine();
        }
        let generation = content.templates.generation();
        let known = self.compiled.lock().unwrap_or_else(PoisonError::into_inner).channels.clone();
        if let Some((_, engine)) = known.iter().find(|(of, _)| *of == generation) {
            return engine.clone();
        }
        // Boots wait for the lock: it is not held for what somebody else has the server compile.
        let bodies = ContentView::from(content).templates().into_iter();
        let bodies = bodies.map(|(name, text)| source(name, text));
        let (engine, _) = RenderEngine::compile(&self.pools.serve, bodies);
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have been faster: all share one, which workers load once.
        if let Some((_, first)) = compiled.channels.iter().find(|(of, _)| *of == generation) {
            return first.clone();
        }
        if compiled.channels.len() >= KEPT_ENGINES_MAX {
            compiled.channels.pop_front();
        }
        compiled.channels.push_back((generation, engine.clone()));
        engine
    }

    fn present(&self, compiled: &mut CompiledTemplates) -> PresentTemplates {
        let generation = self.kernel.read(|world| world.templates.generation());
        if let Some(present) = compiled.present.as_ref().filter(|present| present.generation == generation) {
            return present.clone();
        }
        // Whoever writes templates chooses how long all that takes: the world is not held for it.
        let (generation, templates) = self.kernel.read(|world| {
            let templates: Vec<Arc<Stored<Template>>> = world.templates.iter().cloned().collect();
            (world.templates.generation(), templates)
        });
        let digests = self.digests_of(generation, templates.iter());
        let digest = Content::Templates(digests.as_ref().clone()).digest();
        let bodies = templates.iter().map(|row| {
            source(&row.spec.name, TemplateText { body: &row.spec.body, verbatim: row.spec.verbatim })
        });
        let (engine, broken) = RenderEngine::compile(&self.pools.serve, bodies);
        for (name, problem) in &broken {
            tracing::warn!(template = name, %problem, "a template cannot be used");
        }
        let present = PresentTemplates { generation, digest, engine };
        compiled.present = Some(present.clone());
        present
    }

    /// Runs rendering work on a thread for blocking work, when its turn comes. The turn ends with the work,
    /// even if nobody waits for the result any more.
    ///
    /// # Errors
    /// The work panicked, or the server is stopping.
    pub async fn render_aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // The semaphore is never closed, so there is always a turn.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await
    }
}

fn source(name: &str, text: TemplateText<'_>) -> TemplateSource {
    TemplateSource { name: name.to_owned(), body: text.body.to_owned(), verbatim: text.verbatim }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::sync::mpsc;

    use super::*;
    use crate::houses::testing;

    #[tokio::test]
    async fn renders_beyond_the_bound_hold_no_thread_while_they_wait() {
        let houses = testing::houses();
        // The gate opens when its sender is dropped.
        let (closed, gate) = mpsc::channel::<()>();
        let (gate, inside) = (Arc::new(Mutex::new(gate)), Arc::new(AtomicUsize::new(0)));
        let (begun_tx, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let renders: Vec<_> = (0..3 * AT_ONCE_MAX)
            .map(|_| {
                let (houses, gate, inside) = (Arc::clone(&houses), Arc::clone(&gate), Arc::clone(&inside));
                let begun = begun_tx.clone();
                tokio::spawn(async move {
                    let work = move || {
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        begun.send(now).unwrap();
                        gate.lock().unwrap().recv().unwrap_err();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        now
                    };
                    houses.catalog.render_aside(work).await.unwrap()
                })
            })
            .collect();
        for _ in 0..AT_ONCE_MAX {
            begun.recv().await.unwrap();
        }
        assert_eq!(houses.catalog.turns.available_permits(), 0);
        drop(closed);
        let mut most = 0;
        for render in renders {
            most = most.max(render.await.unwrap());
        }
        assert_eq!(most, AT_ONCE_MAX);
    }
}
