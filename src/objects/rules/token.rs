//! Tokens: scopes that exist. That a token gives no more than its maker has is `auth`'s.

use crate::kernel::scope::check_scope;
use crate::model::{Problem, Token};
use crate::objects::rules::{Change, Managed};

impl Managed for Token {
    const HIDDEN: &'static [&'static str] = &["sha256"];

    fn refused(&self, _change: &Change<'_, Self>) -> Vec<Problem> {
        let faults = self.scopes.iter().enumerate();
        faults.filter_map(|(i, scope)| check_scope(scope, &format!("/scopes/{i}"))).collect()
    }
}
