//! The pools of render workers: one for documents that machines are served, a small one for previews, and one
//! for checks of upgrades. Workers are started when a pool is first used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::catalog::Catalog;
use crate::catalog::rendering::{BootContext, RenderPurpose};
use crate::durations::DurationCounts;
use crate::kernel::Error;
use crate::render::{LaneCounts, PoolHealth, PoolUse, RenderEngine, RenderPool, WorkerProgram};

/// Most previews that have a thread to wait on, and most that wait for such a thread.
pub(super) const PREVIEWS_AT_ONCE_MAX: usize = 2;
const PREVIEWS_WAITING_MAX: usize = 64;
/// The workers that render previews.
const PREVIEW_LANES: LaneCounts = LaneCounts { usual: 1, most: PREVIEWS_AT_ONCE_MAX };
const PREVIEW_NICENESS: i32 = 10;
/// How long a preview may wait for its turn.
const PREVIEW_WAIT: Duration = Duration::from_secs(5);

/// The workers for documents that machines are served, and the workers for previews.
#[derive(Clone)]
pub struct RenderPools {
    pub serve: Arc<RenderPool>,
    pub preview: Arc<RenderPool>,
    /// For checks of upgrades, which render for many machines.
    pub check: Arc<RenderPool>,
}

impl RenderPools {
    /// The pools of a server. Previews are rendered with a lower priority.
    pub fn of_this_program() -> Self {
        let program = WorkerProgram::own();
        let preview = program.clone().with_niceness(PREVIEW_NICENESS);
        let lanes = LaneCounts::for_this_host();
        let check =
            RenderPool::new(preview.clone(), LaneCounts { most: lanes.usual, ..lanes }, PoolUse::Previews);
        RenderPools {
            serve: Arc::new(RenderPool::new(program, LaneCounts::for_this_host(), PoolUse::Boots)),
            preview: Arc::new(RenderPool::new(preview, PREVIEW_LANES, PoolUse::Previews)),
            check: Arc::new(check),
        }
    }

    #[cfg(test)]
    pub fn of_tests() -> Self {
        let [serve, preview, check] = [1, 1, 1].map(|lanes| Arc::new(RenderPool::of_tests(lanes)));
        RenderPools { serve, preview, check }
    }
}

impl Catalog {
    /// Like [`Catalog::render_aside`], in one of the few turns of previews, so that boots do not wait for
    /// them.
    ///
    /// # Errors
    /// [`Error::Busy`] if all turns are taken; [`Error::Failed`].
    pub async fn render_preview<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let waiting = WaitGuard::of(&self.previews).ok_or_else(previews_busy)?;
        let turn = Arc::clone(&self.preview_turns).acquire_owned();
        let turn = tokio::time::timeout(PREVIEW_WAIT, turn).await.map_err(|_| previews_busy())?;
        drop(waiting);
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|error| Error::Failed(error.to_string()))
    }

    /// The templates for a boot, with the workers for its purpose.
    pub fn engine_for(&self, boot: &BootContext) -> RenderEngine {
        let engine = match (&boot.run, &boot.channel_content) {
            (Some(run), Some(content)) if run.spec.content.is_none() => self.engine_of_content(content),
            (None, Some(content)) => self.engine_of_content(content),
            (run, _) => self.engine_of_run(run.as_ref().map(|run| &run.spec)),
        };
        self.with_workers(boot.purpose, engine)
    }

    /// The templates of the present content, with the workers for this purpose.
    pub fn present_engine_for(&self, purpose: RenderPurpose) -> RenderEngine {
        self.with_workers(purpose, self.engine())
    }

    fn with_workers(&self, purpose: RenderPurpose, engine: RenderEngine) -> RenderEngine {
        match purpose {
            RenderPurpose::Serve => engine,
            RenderPurpose::Preview => engine.on(&self.pools.preview),
            RenderPurpose::TracedPreview => engine.traced().on(&self.pools.preview),
            RenderPurpose::Check => engine.on(&self.pools.check),
        }
    }

    /// The health of the workers for machines, and of those for previews.
    pub fn render_conditions(&self) -> [PoolHealth; 2] {
        let RenderPools { serve, preview, .. } = &self.pools;
        [serve.condition(), preview.condition()]
    }

    /// How long renders for machines take, and previews.
    pub fn render_durations(&self) -> [DurationCounts; 2] {
        [self.pools.serve.durations(), self.pools.preview.durations()]
    }

    /// Warnings about renders that still work.
    pub fn render_warnings(&self) -> Vec<String> {
        let [serve, preview] = self.render_conditions();
        [serve.warning, preview.warning, preview.outage].into_iter().flatten().collect()
    }

    /// Why no rendered document can be served.
    pub fn render_outage(&self) -> Option<String> {
        let [serve, _] = self.render_conditions();
        serve.outage
    }
}

fn previews_busy() -> Error {
    Error::Busy("other previews are being rendered; try again".to_owned())
}

/// A waiting preview, counted until it is dropped.
struct WaitGuard<'a>(&'a AtomicUsize);

impl<'a> WaitGuard<'a> {
    fn of(count: &'a AtomicUsize) -> Option<Self> {
        let waiting = WaitGuard(count);
        (count.fetch_add(1, Ordering::Relaxed) < PREVIEWS_WAITING_MAX).then_some(waiting)
    }
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
