//! Checks of rendered documents that are cheap and certain: what they find stops the installer, or the shell.
//! No message quotes a document, because it may hold secrets.

/// The headers of kickstart sections, which end with `%end` (pykickstart's documentation, "Sections").
const SECTIONS: [&str; 11] = [
    "%pre",
    "%pre-install",
    "%post",
    "%packages",
    "%onerror",
    "%traceback",
    "%addon",
    "%anaconda",
    "%certificate",
    "%preinstall",
    "%onfailure",
];
/// The types of a preseeded question, and `seen`, which sets its flag (debconf-set-selections(1)).
const QUESTION_TYPES: [&str; 10] =
    ["string", "boolean", "select", "multiselect", "note", "text", "password", "title", "error", "seen"];

/// A fault, with its line from 1.
pub type LineFault = (usize, String);

/// A rendered document: its path, or the name of its place, and its text.
#[derive(Clone, Copy, Debug)]
pub struct DocumentText<'a> {
    pub path: &'a str,
    pub text: &'a str,
}

impl DocumentText<'_> {
    fn has_line(&self, beginning: &str) -> bool {
        self.text.lines().any(|line| line.starts_with(beginning))
    }
}

/// A kind of document: how it is known, and its check.
struct DocumentLint {
    fits: fn(&DocumentText<'_>) -> bool,
    check: fn(&str) -> Vec<LineFault>,
}

/// How expressions begin that nothing but a template of ours has.
const EXPRESSIONS: [&str; 2] = ["param(", "machine."];

const LINTS: [DocumentLint; 6] = [
    DocumentLint { fits: |of| of.text.contains("{{"), check: unrendered },
    DocumentLint { fits: |of| of.path.ends_with(".ks") || of.has_line("%packages"), check: kickstart },
    DocumentLint { fits: |of| of.has_line("d-i "), check: preseed },
    DocumentLint { fits: |of| of.path.ends_with(".sh") || of.text.starts_with("#!"), check: script },
    DocumentLint { fits: |of| of.path.ends_with(".json"), check: json },
    DocumentLint { fits: |of| of.path.ends_with(".toml"), check: toml },
];

/// The faults of a document.
pub fn faults(of: &DocumentText<'_>) -> Vec<LineFault> {
    LINTS.iter().filter(|lint| (lint.fits)(of)).flat_map(|lint| (lint.check)(of.text)).collect()
}

/// The lines of a text, counted from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, line)| (i + 1, line))
}

fn unrendered(text: &str) -> Vec<LineFault> {
    let left = numbered(text).filter(|(_, line)| {
        let mut inside = line.split("{{").skip(1).map(|rest| rest.trim_start_matches('-').trim_start());
        inside.any(|rest| EXPRESSIONS.iter().any(|of| rest.starts_with(of)))
    });
    let why = "this is the expression of a template, and was not rendered: the text is `verbatim`, in a raw \
               block, or the value of a param that no template expands";
    left.map(|(number, _)| (number, why.to_owned())).collect()
}

fn kickstart(text: &str) -> Vec<LineFault> {
    let mut found = Vec::new();
    let mut open: Option<(usize, &str)> = None;
    for (number, line) in numbered(text).filter(|(_, line)| line.starts_with('%')) {
        let word = line.split_whitespace().next().unwrap_or_default();
        match (open, word) {
            (Some(_), "%end") => open = None,
            (None, "%end") => found.push((number, "`%end` ends no section: one ended before it".to_owned())),
            (Some((at, section)), word) if SECTIONS.contains(&word) => {
                found.push((
                    number,
                    format!("`{word}` begins before `{section}` of line {at} has its `%end`"),
                ));
            }
            (None, word) if SECTIONS.contains(&word) => open = Some((number, word)),
            _ => {}
        }
    }
    found.extend(open.map(|(at, section)| (at, format!("the section `{section}` has no `%end`"))));
    found
}

fn preseed(text: &str) -> Vec<LineFault> {
    let mut found = Vec::new();
    let mut is_continued = false;
    for (number, line) in numbered(text) {
        let is_more = std::mem::replace(&mut is_continued, line.ends_with('\\'));
        let line = line.trim();
        if is_more || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().take(4).collect();
        let fault = match words.as_slice() {
            [_, question, kind, rest @ ..] => match rest {
                _ if !question.contains('/') => Some("the second word is no question, which has a `/`"),
                _ if !QUESTION_TYPES.contains(kind) => Some("the third word is no type of a question"),
                [value] if *kind == "boolean" && !["true", "false"].contains(value) => {
                    Some("a boolean is `true` or `false`")
                }
                _ => None,
            },
            _ => Some("a line of a preseed is `OWNER QUESTION TYPE VALUE`"),
        };
        found.extend(fault.map(|fault| (number, fault.to_owned())));
    }
    found
}

fn script(text: &str) -> Vec<LineFault> {
    let mut found = Vec::new();
    if let Some((number, _)) = numbered_raw(text).find(|(_, line)| line.ends_with('\r')) {
        found.push((
            number,
            "the line ends with CR LF, which a shell takes for a part of its word".to_owned(),
        ));
    }
    if let Some((number, _)) = numbered_raw(text).find(|(_, line)| line.contains('\0')) {
        found.push((number, "the line has a NUL byte".to_owned()));
    }
    let interpreter = text.strip_prefix("#!").and_then(|rest| rest.split_whitespace().next());
    if interpreter.is_some_and(|path| !path.starts_with('/')) {
        found.push((1, "the interpreter after `#!` is not an absolute path".to_owned()));
    }
    found
}

/// The lines as they are, with a CR before the LF.
fn numbered_raw(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split('\n').enumerate().map(|(i, line)| (i + 1, line))
}

fn json(text: &str) -> Vec<LineFault> {
    let read = serde_json::from_str::<serde::de::IgnoredAny>(text);
    read.err().map(|error| (error.line(), "this is not JSON".to_owned())).into_iter().collect()
}

fn toml(text: &str) -> Vec<LineFault> {
    let Err(error) = text.parse::<toml::Table>() else { return Vec::new() };
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    vec![(before.matches('\n').count() + 1, "this is not TOML".to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_of_ours_that_is_left_in_a_document_is_a_fault() {
        let lines = |text: &str| -> Vec<usize> {
            faults(&DocumentText { path: "x", text }).into_iter().map(|(line, _)| line).collect()
        };
        assert_eq!(lines("a\n{{- machine.name }}\nb {{ x }} {{param(name=\"y\")}}\n"), [2, 3]);
        assert_eq!(lines("echo ${#a[@]} {{ x }} {{ .Values.machine.name }} {machine.}"), [0; 0]);
    }

    fn told(path: &str, text: &str) -> Vec<LineFault> {
        faults(&DocumentText { path, text })
    }

    #[test]
    fn sections_of_a_kickstart_are_closed_and_do_not_nest() {
        let whole = "text\n%pre --erroronfail\nx\n%include /tmp/a\n%end\n%packages\n@core\n%end\n";
        assert_eq!(told("a.ks", whole), []);
        let lines = |text: &str| told("a.ks", text).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(lines("%post\ntrue\n"), [1]);
        assert_eq!(lines("%post\n%end\necho\n%end\n"), [4], "a script had an `%end` of its own");
        assert_eq!(lines("%pre\n%post\n%end\n"), [2]);
    }

    #[test]
    fn lines_of_a_preseed_have_owner_question_and_type() {
        let whole =
            "# x\nd-i a/b string\nd-i a/c string x \\\n  y z\nd-i a/d boolean true\n\nd-i a/b seen true\n";
        assert_eq!(told("preseed.cfg", whole), []);
        for (text, line) in [
            ("d-i a/b string x\nsecret\n", 2),
            ("d-i a/b strin x\n", 1),
            ("d-i question string x\n", 1),
            ("d-i a/b boolean yes\n", 1),
        ] {
            let found = told("preseed.cfg", text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].0, line);
            assert!(!found[0].1.contains("secret"), "{found:?}");
        }
    }

    #[test]
    fn what_no_shell_and_no_parser_reads_is_told_with_its_line() {
        assert_eq!(told("run", "#!/bin/sh\necho\n"), []);
        assert_eq!(told("run.sh", "echo\r\ntrue\r\n").len(), 1);
        assert_eq!(told("run", "#!sh\n").len(), 1);
        assert_eq!(told("a.json", "{\n\"a\": }")[0].0, 2);
        assert_eq!(told("a.toml", "a = 1\nb = \n")[0].0, 2);
        assert_eq!(told("a.txt", "%post\nd-i"), []);
    }
}
