//! Packs of content: bootenvs, client classes, templates, params, stages, tasks and workflows as files.
//!
//! The code that reads API input also reads packs, so a pack can contain nothing that a client could not
//! send. This module turns files into objects; the catalog decides whether they fit the stored ones.
//! [`core()`] is the pack inside of the program; start at [`read_pack`].

mod checks;
mod core;
mod files;

pub use core::{core, core_files};
pub use files::{ContentPack, PackRelease, load, read_checked_pack, read_pack};

pub use crate::pack_files::{FILE_BYTES_MAX, FILES_MAX, PackFile};
