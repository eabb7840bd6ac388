//! Packs of content: bootenvs, client classes, templates, params, stages, tasks and workflows as files.
//!
//! A pack is read by the same code as API input, so it can say nothing a client could not. This module
//! makes objects of files; whether they fit what else is stored is decided by the catalog. [`core()`] is
//! the pack inside the program; start reading at [`load`].

mod core;
mod files;

pub use core::core;
pub use files::{FILE_BYTES_MAX, FILES_MAX, Pack, PackFile, PackRelease, load};
