//! Jobs are written by the workflow.

use crate::model::Job;
use crate::objects::rules::Managed;

impl Managed for Job {}
