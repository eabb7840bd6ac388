//! Jobs are written by the workflow.

use super::Managed;
use crate::model::Job;

impl Managed for Job {}
