//! Runs are written by the workflow.

use crate::model::Run;
use crate::objects::rules::Managed;

impl Managed for Run {}
