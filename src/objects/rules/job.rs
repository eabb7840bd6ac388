//! Jobs are written by the workflow.

use crate::model::Job;
use crate::objects::rules::NounRules;

impl NounRules for Job {}
