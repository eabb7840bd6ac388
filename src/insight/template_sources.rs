//! Where the templates of a document come from: the site, a version of a pack, or a run that kept them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::rendering::BootContext;
use crate::kernel::Kernel;
use crate::model::{Bootenv, Stored, Template, TemplateUse, sha256_hex};
use crate::render::RenderedText;

/// The source of a text that a run kept and that is not the present one.
const KEPT_BY_RUN: &str = "kept by the run";

/// What a document was made from, and what is known of it.
struct PresentRows<'a> {
    templates: Vec<UsedTemplate<'a>>,
    bootenv: Option<Arc<Stored<Bootenv>>>,
}

/// A template that a document was made from.
struct UsedTemplate<'a> {
    used: &'a TemplateUse,
    /// The source that the run kept.
    kept: Option<String>,
    /// The present template of its name.
    row: Option<Arc<Stored<Template>>>,
}

/// The sources of the templates and of the bootenv that a document was made from, by their names.
pub(super) fn sources_of(
    kernel: &Kernel,
    boot: &BootContext,
    rendered: &RenderedText,
) -> BTreeMap<String, String> {
    let rows = kernel.read(|world| {
        let present = boot.channel_content.as_deref().unwrap_or(world);
        let content = boot.content(world);
        let templates = rendered.provenance.templates.iter().map(|used| UsedTemplate {
            used,
            kept: content.template_source(&used.name).filter(|_| content.is_kept()).map(str::to_owned),
            row: present.templates.get(&used.name).cloned(),
        });
        let bootenv = boot.bootenv.as_ref().and_then(|own| present.bootenvs.get(&own.spec.name));
        PresentRows { templates: templates.collect(), bootenv: bootenv.cloned() }
    });
    let mut sources = BTreeMap::new();
    for UsedTemplate { used, kept, row } in rows.templates {
        let same = row.filter(|row| sha256_hex(&row.spec.body) == used.sha256);
        let of_run = boot.run.as_ref().map(|_| KEPT_BY_RUN.to_owned());
        if let Some(source) = kept.or(same.map(|row| row.source.clone())).or(of_run) {
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
