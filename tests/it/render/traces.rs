//! The recorded documents, rendered with the origins of their lines: not one byte differs, and each line has
//! an origin.

use metalwright::catalog::params::SecretMode;
use metalwright::catalog::rendering::{BootContext, RenderPurpose};
use metalwright::netboot::documents::BootDocument;
use metalwright::render::RenderedText;

use super::content::{Case, LOADERS, cases};
use super::{recorded, vectors};

/// What the loaders and the installer are given, by name.
fn documents(case: &Case) -> Vec<(String, BootDocument)> {
    let scripts = LOADERS.map(|kind| match case.is_install() {
        true => (kind.template("boot"), BootDocument::BootScript(kind)),
        false => (kind.template("local"), BootDocument::LocalScript(kind)),
    });
    let spec = case.spec();
    let files = spec.spec.templates.iter().map(|file| (file.path.clone(), BootDocument::File(file.clone())));
    scripts.into_iter().chain(files).collect()
}

/// A document with the origins of its lines.
fn traced(case: &Case, document: &BootDocument) -> RenderedText {
    let boot = BootContext { purpose: RenderPurpose::TracedPreview, ..case.boot() };
    let rendered = case.server().houses.netboot.render_document(&boot, document, SecretMode::Revealed);
    rendered.unwrap_or_else(|problem| panic!("{document:?}: {problem:#?}"))
}

#[test]
fn a_trace_changes_no_byte_of_any_recorded_document_and_tells_of_each_line() {
    let recorded = recorded(&vectors());
    let (mut compared, mut with_params) = (0, 0);
    for case in cases() {
        let cover = |text: &str| {
            let catalog = &case.server().houses.catalog;
            catalog.capability_cover(case.boot().attempt.as_ref())(text)
        };
        for (name, document) in documents(&case) {
            let place = format!("{}/{}/{name}", case.bootenv, case.variant);
            let plain = recorded.get(&place).unwrap_or_else(|| panic!("{place} is recorded"));
            let traced = traced(&case, &document);
            assert_eq!(traced.text, cover(plain), "{place}");
            assert_eq!(traced.lines.len(), traced.text.lines().count(), "{place}");
            let unknown = traced.lines.iter().find(|line| line.place.template.is_empty());
            assert_eq!(unknown, None, "{place}");
            compared += 1;
            with_params += usize::from(traced.lines.iter().any(|line| !line.params.is_empty()));
        }
    }
    assert!(compared > 20 && with_params > 5, "{compared} documents, {with_params} with params");
}
