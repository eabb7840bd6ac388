//! Rules for jobs: only the workflow writes them.

use crate::model::Job;
use crate::objects::rules::NounRules;

impl NounRules for Job {}
