//! Checks of what a run would give its machine: `answers` of params, `documents` of rendered texts, `names`
//! of the names of the field. All are pure.

pub mod answers;
pub mod documents;
mod names;
