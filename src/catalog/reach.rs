//! The texts that a document can be made from: its own, and those of all templates that it can include.

use std::collections::BTreeSet;

use crate::model::{BootTemplate, ContentView, TemplateText};
use crate::render::included;

/// The text of a file of a bootenv.
pub fn text_of<'a>(content: ContentView<'a>, file: &'a BootTemplate) -> Option<TemplateText<'a>> {
    let inline = file.inline.as_deref().map(|body| TemplateText { body, verbatim: file.verbatim });
    inline.or_else(|| content.template(file.template.as_deref()?))
}

/// Whether a template among the texts, or one that they can include, fits. The search ends after so many
/// bytes.
pub fn any_template<'a>(
    content: ContentView<'a>,
    texts: impl IntoIterator<Item = TemplateText<'a>>,
    (bytes_max, fits): (usize, fn(&str) -> bool),
) -> bool {
    let mut open: Vec<TemplateText<'a>> = texts.into_iter().collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut searched: usize = 0;
    while let Some(text) = open.pop().filter(|_| searched < bytes_max) {
        if text.verbatim {
            continue;
        }
        searched = searched.saturating_add(text.body.len());
        if fits(text.body) {
            return true;
        }
        let named = included(text.body);
        let below = named.folders.iter().flat_map(|folder| content.templates_below(folder));
        let names: Vec<String> = named.names.iter().cloned().chain(below.map(str::to_owned)).collect();
        let further = names.into_iter().filter(|name| seen.insert(name.clone()));
        open.extend(further.filter_map(|name| content.template(&name)));
    }
    false
}

/// Whether one of the texts is that of this template, or can include it.
pub fn reaches<'a>(
    content: ContentView<'a>,
    (named, texts): (&[&'a str], &[TemplateText<'a>]),
    template: &str,
) -> bool {
    let mut open: Vec<TemplateText<'a>> = texts.to_vec();
    let mut seen: BTreeSet<String> = named.iter().map(|name| (*name).to_owned()).collect();
    open.extend(named.iter().filter_map(|name| content.template(name)));
    while let Some(text) = open.pop().filter(|_| !seen.contains(template)) {
        if text.verbatim {
            continue;
        }
        let found = included(text.body);
        let below = found.folders.iter().flat_map(|folder| content.templates_below(folder));
        let names: Vec<String> = found.names.iter().cloned().chain(below.map(str::to_owned)).collect();
        let further = names.into_iter().filter(|name| seen.insert(name.clone()));
        open.extend(further.filter_map(|name| content.template(&name)));
    }
    seen.contains(template)
}
