//! Checks of what a run would give its machine: `answers` of params, `documents` of rendered texts, `names`
//! of the names of the field; and of `packs`, before they are loaded. All are pure.

pub mod answers;
pub mod documents;
mod names;
pub mod packs;
