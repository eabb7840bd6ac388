//! Rules for runs: only the workflow writes them.

use crate::model::Run;
use crate::objects::rules::NounRules;

impl NounRules for Run {}
