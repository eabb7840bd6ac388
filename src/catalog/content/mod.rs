//! Packs of content: bootenvs, client classes, templates, params, stages, tasks and workflows as files.
//!
//! The code that reads API input also reads packs, so a pack can contain nothing that a client could not
//! send. This module turns files into objects; the catalog decides whether they fit the stored ones.
//! [`core()`] is the pack inside of the program; start at [`load`].

mod core;
mod files;

pub use core::core;
pub use files::{FILE_BYTES_MAX, FILES_MAX, Pack, PackFile, PackRelease, load};
