//! Templates that nothing uses.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;

use super::{LintFinding, LintRule, LintSeverity, LintedText};

const UNUSED: LintRule = LintRule {
    name: "unused-template",
    severity: LintSeverity::Warning,
    remedy: "include it, name it in a bootenv or task, or delete it",
};

/// The texts that a template is known by: its name, and its folder in each kind of quotes.
const FORMS: usize = 3;

/// A template is used if another text has its name, or the name of its folder between quotes, which
/// `include_from` takes. One with the name of a template of another pack stands in for that.
pub(super) fn findings(own: &[LintedText], base: &[LintedText]) -> Vec<LintFinding> {
    let known: BTreeSet<&str> = base.iter().filter_map(LintedText::template).collect();
    let named: Vec<(&LintedText, &str)> = own
        .iter()
        .filter_map(|text| Some((text, text.template()?)))
        .filter(|(_, name)| !known.contains(name))
        .collect();
    let mut patterns: Vec<String> = Vec::new();
    for (_, name) in &named {
        patterns.extend(match name.rsplit_once('/') {
            Some((folder, _)) => [(*name).to_owned(), format!("\"{folder}\""), format!("'{folder}'")],
            None => [*name; FORMS].map(str::to_owned),
        });
    }
    let Ok(finder) = AhoCorasick::new(&patterns) else { return Vec::new() };
    let mut used: BTreeSet<usize> = BTreeSet::new();
    for text in own.iter().chain(base) {
        let of_itself = named.iter().position(|(of, _)| of.path == text.path);
        let hits = finder.find_overlapping_iter(&text.text).map(|hit| hit.pattern().as_usize() / FORMS);
        used.extend(hits.filter(|place| Some(*place) != of_itself));
    }
    let unused = named.iter().enumerate().filter(|(place, _)| !used.contains(place));
    unused
        .map(|(_, (text, name))| {
            LintFinding::of(&UNUSED, (&text.path, None), format!("nothing uses the template `{name}`"))
        })
        .collect()
}
