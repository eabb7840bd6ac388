//! Renders documents: the answer files, boot scripts and task scripts for machines.
//!
//! A render is a pure function of a template set, an [`RenderInput`] and [`RenderLimits`]; it also returns
//! its sources ([`Provenance`]). The caller decides who may have a document, and when a secret may be opened;
//! other modules send it.
//!
//! Start at [`engine`]: compile a content generation once, then render from it. [`params`] resolves the value
//! of a param, `functions` and `filters` are what templates can call (with `patterns`, `lists`, `dates`,
//! `digests`, `urls`, `versions` and `inner`), `references` finds what a text names and `nesting` how deep
//! its blocks nest, [`problem`] is the report for the author of a faulty template.
//! Worker processes render (`docs/adr/0020`): `pool` has the queue, `process` is a worker as the server sees
//! it, `wire` the protocol between them, [`worker`] the process itself, `draw` the render.
//! A traced render tells where each line comes from: `marking` marks its templates, `line_trace` notes what
//! the marks tell.

mod batch_adder;
mod blocks;
mod compile;
pub mod context;
mod dates;
mod digests;
mod disk_rule;
mod draw;
pub mod engine;
mod filters;
mod functions;
mod include_calls;
mod inner;
mod line_trace;
mod lists;
mod marking;
mod nesting;
pub mod params;
mod password;
mod patterns;
pub mod pool;
pub mod problem;
mod process;
mod quote;
mod references;
mod scope;
#[cfg(test)]
mod tests;
mod urls;
mod versions;
mod wire;
pub mod worker;

pub use blocks::{TemplateBlock, blocks, with_super};
pub use context::{CallbackUrls, PackageRepository, RenderInput};
pub use engine::{
    INLINE, InlineText, NamedTemplates, Provenance, RenderEngine, RenderLimits, RenderedText, TemplateSource,
    TemplateUse, check, check_all, included, rendered_path,
};
pub use params::{
    LayeredParams, ParamLayer, ParamLevel, ParamRead, ParamValues, ResolvedParam, SecretAccess,
};
pub use password::{is_broken_hash, is_locked};
pub use pool::{LOSSES, LaneCounts, PoolHealth, PoolUse, RenderPool};
pub use problem::{ProblemKind, RenderProblem};
pub use process::WorkerProgram;
