//! The operations on objects of every noun: create, read, list, filter, patch, delete. `rules` has what
//! differs from noun to noun.
//!
//! Start at `write`, then read `prepare` and `list`. Other houses handle what an object means to a machine.

pub mod adoption;
pub mod changes;
mod field_values;
mod fields;
mod filter;
pub mod lanes;
mod layering;
pub mod list;
mod named_filters;
pub mod param_migration;
pub mod patch;
mod prepare;
pub mod problem_cache;
pub mod read;
pub mod record_list;
pub mod rules;
mod sealing;
pub mod selection;
pub mod view;
pub mod work_size;
pub mod write;

use std::sync::Arc;

use crate::artifacts::roots::ArtifactRoots;
use crate::catalog::Catalog;
use crate::kernel::Kernel;
use lanes::WorkLanes;
use problem_cache::ProblemCache;

/// The objects that clients write and read.
#[derive(Debug)]
pub struct Objects {
    kernel: Arc<Kernel>,
    /// The packs whose objects those of the site can hide.
    catalog: Arc<Catalog>,
    /// Threads for work whose cost clients determine.
    pub lanes: WorkLanes,
    /// The directories of this host in which files of artifacts may be.
    roots: ArtifactRoots,
    /// The problems that were found and still hold.
    pub problems: Arc<ProblemCache>,
}

impl Objects {
    pub fn new(kernel: Arc<Kernel>, catalog: Arc<Catalog>, roots: ArtifactRoots) -> Arc<Self> {
        Arc::new(Objects { kernel, catalog, lanes: WorkLanes::default(), roots, problems: Arc::default() })
    }
}
