//! Artifacts. Bootenvs name artifacts of the site, which may come and go: a missing one is the
//! bootenv's problem.

use crate::model::Artifact;
use crate::objects::rules::Managed;

impl Managed for Artifact {}
