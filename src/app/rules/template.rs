//! Templates: their text is checked when they are saved.

use super::{Change, Managed};
use crate::model::{Problem, Template};

impl Managed for Template {
    fn refused(&self, change: &Change<'_, Self>) -> Vec<Problem> {
        (change.checks.template)(change.world, self)
    }
}
