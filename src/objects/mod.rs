//! Objects of every noun alike: create, read, list, filter, patch, delete. What differs a noun is in `rules`.
//!
//! Start at `write`, then `prepare` and `list`. What an object means to a machine is left to other houses.

pub mod changes;
mod fields;
mod filter;
pub mod lanes;
pub mod list;
pub mod patch;
mod prepare;
pub mod read;
pub mod rules;
mod sealing;
pub mod view;
pub mod write;

use std::sync::Arc;

use crate::artifacts::roots::ArtifactRoots;
use crate::kernel::Kernel;
use lanes::WorkLanes;

/// The objects that clients write and read.
#[derive(Debug)]
pub struct Objects {
    kernel: Arc<Kernel>,
    /// Threads for work whose cost a client chooses.
    pub lanes: WorkLanes,
    /// Where on the host the files of artifacts may be.
    roots: ArtifactRoots,
}

impl Objects {
    pub fn new(kernel: Arc<Kernel>, roots: ArtifactRoots) -> Arc<Self> {
        Arc::new(Objects { kernel, lanes: WorkLanes::default(), roots })
    }
}
