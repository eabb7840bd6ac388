//! Artifacts. Bootenvs name artifacts of the site, which may come and go: a missing one is the
//! bootenv's problem.

use crate::app::rules::Managed;
use crate::model::Artifact;

impl Managed for Artifact {}
