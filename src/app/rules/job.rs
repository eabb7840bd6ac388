//! Jobs are written by the workflow.

use crate::app::rules::Managed;
use crate::model::Job;

impl Managed for Job {}
