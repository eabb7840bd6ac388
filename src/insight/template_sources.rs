//! Where the templates of a document come from: the site, a version of a pack, or a run that kept them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::rendering::BootContext;
use crate::kernel::Kernel;
use crate::model::{Bootenv, Stored, Template, TemplateUse, sha256_hex};
use crate::render::RenderedText;

/// The source of a text that a run kept and that is not the present one.
const KEPT_BY_RUN: &str = "kept by the run";

/// The rows of the present content under the names of what a document was made from.
struct PresentRows<'a> {
    templates: Vec<(&'a TemplateUse, Option<Arc<Stored<Template>>>)>,
    bootenv: Option<Arc<Stored<Bootenv>>>,
}

/// The sources of the templates and of the bootenv that a document was made from, by their names.
pub(super) fn sources_of(
    kernel: &Kernel,
    boot: &BootContext,
    rendered: &RenderedText,
) -> BTreeMap<String, String> {
    let rows = kernel.read(|world| {
        let present = boot.channel_content.as_deref().unwrap_or(world);
        let used = rendered.provenance.templates.iter();
        let bootenv = boot.bootenv.as_ref().and_then(|own| present.bootenvs.get(&own.spec.name));
        PresentRows {
            templates: used.map(|used| (used, present.templates.get(&used.name).cloned())).collect(),
            bootenv: bootenv.cloned(),
        }
    });
    let mut sources = BTreeMap::new();
    for (used, row) in rows.templates {
        let same = row.filter(|row| sha256_hex(&row.spec.body) == used.sha256);
        let kept = boot.run.as_ref().map(|_| KEPT_BY_RUN.to_owned());
        if let Some(source) = same.map(|row| row.source.clone()).or(kept) {
            sources.insert(used.name.clone(), source);
        }
    }
    if let Some(own) = &boot.bootenv {
        let same = rows.bootenv.filter(|row| row.spec == own.spec);
        let source = same.map_or_else(|| KEPT_BY_RUN.to_owned(), |row| row.source.clone());
        sources.insert(own.spec.name.clone(), source);
    }
    sources
}
