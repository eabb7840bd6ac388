//! Runs are written by the workflow.

use crate::model::Run;
use crate::objects::rules::NounRules;

impl NounRules for Run {}
