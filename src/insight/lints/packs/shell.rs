//! Values that are put into a shell script without quotes of the shell: a value with a blank, a quote or a
//! `$` changes the command.

use super::{LintFinding, LintRule, LintSeverity, LintedText, VERBATIM, pattern};

const UNQUOTED: LintRule = LintRule {
    name: "unquoted-shell",
    severity: LintSeverity::Warning,
    remedy: "write {{ … | sh }}, which makes it one word of the shell, without quotes around it",
};

/// Names that the server makes or checks: none has a character that a shell takes for its own.
const SAFE_NAMES: [&str; 16] = [
    "machine.id",
    "machine.name",
    "machine.short_name",
    "machine.domain",
    "machine.arch",
    "machine.kernel_arch",
    "machine.mac",
    "machine.address",
    "machine.smbios_uuid",
    "stage.name",
    "task.name",
    "job.id",
    "bootenv.name",
    "server.",
    "loop.index",
    "bootenv.artifact_url",
];
/// Calls whose results are URLs or names of the server's own.
const SAFE_CALLS: [&str; 4] = ["callback_url(", "file_url(", "agent_token(", "include_from("];
/// Filters after which a value has no such character either.
const SAFE_FILTERS: [&str; 13] = [
    "sh",
    "int",
    "float",
    "length",
    "b64encode",
    "urlencode",
    "urlencode_path",
    "sha256",
    "sha512",
    "md5",
    "hex_ip",
    "dashed",
    "prefix_length",
];

/// Where a text is a script of a shell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScriptPart {
    /// All of it.
    Whole,
    /// Between `%pre` or `%post` and `%end` of a kickstart; the flag says whether that is here.
    Sections { inside: bool },
    /// Inside of a literal block of a YAML file: the value of `inline`, or of a template without a path.
    Inline { indent: Option<usize> },
}

pub(super) fn findings(text: &LintedText) -> Vec<LintFinding> {
    let Some(expression) = pattern(r"\{\{-?\s*(.*?)\s*-?\}\}") else { return Vec::new() };
    let Some(mut part) = part_of(text) else { return Vec::new() };
    let mut found = Vec::new();
    for (line, written) in text.lines() {
        if !is_inside(&mut part, written) || written.trim_start().starts_with('#') {
            continue;
        }
        let inner = expression.captures_iter(written).filter_map(|found| found.get(1));
        for inner in inner.map(|inner| inner.as_str()).filter(|inner| !is_safe(inner)) {
            let what = format!("the value of `{}` stands unquoted in a script", shown(inner));
            found.push(LintFinding::of(&UNQUOTED, (&text.path, Some(line)), what));
        }
    }
    found
}

fn part_of(text: &LintedText) -> Option<ScriptPart> {
    if text.path.starts_with(VERBATIM) {
        return None;
    }
    if text.path.starts_with("workflows/tasks/") {
        return Some(ScriptPart::Inline { indent: None });
    }
    let is_script = text.path.ends_with(".sh") || first_line(&text.text).starts_with("#!");
    match is_script {
        true => Some(ScriptPart::Whole),
        false => text.is_text_file().then_some(ScriptPart::Sections { inside: false }),
    }
}

/// The first line after a comment of the template.
fn first_line(text: &str) -> &str {
    let rest = text.strip_prefix("{#").and_then(|rest| rest.split_once("#}")).map_or(text, |(_, rest)| rest);
    rest.trim_start().lines().next().unwrap_or_default()
}

/// Whether a line belongs to a script; the part is taken along.
fn is_inside(part: &mut ScriptPart, line: &str) -> bool {
    match part {
        ScriptPart::Whole => true,
        ScriptPart::Sections { inside } => {
            let is_header = line.starts_with("%pre") || line.starts_with("%post");
            *inside = (*inside || is_header) && !line.starts_with("%end");
            *inside && !is_header
        }
        ScriptPart::Inline { indent } => {
            let (deep, bare) = (line.len() - line.trim_start().len(), line.trim());
            let is_in = indent.is_some_and(|indent| deep > indent || bare.is_empty());
            if !is_in {
                let begins = bare.trim_start_matches("- ").starts_with("inline: |");
                *indent = begins.then_some(deep);
            }
            is_in
        }
    }
}

fn is_safe(expression: &str) -> bool {
    let mut parts = expression.split('|').map(str::trim);
    let value = parts.next().unwrap_or_default();
    let filter = parts.next_back().unwrap_or_default();
    let filter = filter.split('(').next().unwrap_or_default().trim();
    let is_number = value.parse::<f64>().is_ok();
    is_number
        || SAFE_FILTERS.contains(&filter)
        || SAFE_NAMES.iter().any(|name| value == *name || name.ends_with('.') && value.starts_with(name))
        || SAFE_CALLS.iter().any(|call| value.starts_with(call))
}

/// The expression, cut to what a line can show.
fn shown(expression: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut short: String = expression.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < expression.len() {
        short.push('…');
    }
    short
}
