//! Checkers of others, where they are installed: ShellCheck for scripts, ksvalidator for kickstarts,
//! debconf-set-selections for preseeds.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::insight::lints::documents::DocumentText;
use crate::insight::lints::packs::{LintFinding, LintRule, LintSeverity};

/// Most findings of one text.
const FINDINGS_MAX: usize = 100;
/// Longest output of a checker that is told, in characters.
const SAID_CHARS_MAX: usize = 300;

const SHELL: LintRule = LintRule {
    name: "shellcheck",
    severity: LintSeverity::Warning,
    remedy: "see the page of its code at https://www.shellcheck.net/wiki/",
};
const SHELL_ERROR: LintRule = LintRule { severity: LintSeverity::Error, ..SHELL };
const SHELL_NOTE: LintRule = LintRule { severity: LintSeverity::Note, ..SHELL };
const KICKSTART: LintRule = LintRule {
    name: "ksvalidator",
    severity: LintSeverity::Error,
    remedy: "correct the command: the installer refuses the file",
};
const PRESEED: LintRule = LintRule {
    name: "debconf-set-selections",
    severity: LintSeverity::Error,
    remedy: "correct the line: the installer leaves it out",
};

/// A program that checks texts of one form.
struct OutsideChecker {
    program: &'static str,
    fits: fn(&DocumentText<'_>) -> bool,
    check: fn(&DocumentText<'_>) -> Option<Vec<LintFinding>>,
}

const CHECKERS: [OutsideChecker; 3] = [
    OutsideChecker { program: "shellcheck", fits: is_script, check: check_script },
    OutsideChecker { program: "ksvalidator", fits: is_kickstart, check: check_kickstart },
    OutsideChecker { program: "debconf-set-selections", fits: is_preseed, check: check_preseed },
];

/// What the installed checkers say of a text.
pub(super) fn findings(of: &DocumentText<'_>) -> Vec<LintFinding> {
    let fitting = CHECKERS.iter().filter(|checker| (checker.fits)(of) && is_installed(checker.program));
    fitting.filter_map(|checker| (checker.check)(of)).flatten().take(FINDINGS_MAX).collect()
}

/// The checkers that are not installed.
pub(super) fn missing() -> Vec<&'static str> {
    CHECKERS.iter().map(|checker| checker.program).filter(|program| !is_installed(program)).collect()
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_script(of: &DocumentText<'_>) -> bool {
    of.path.ends_with(".sh") || of.text.starts_with("#!/bin/sh") || of.text.starts_with("#!/bin/bash")
}

fn is_kickstart(of: &DocumentText<'_>) -> bool {
    of.path.ends_with(".ks") || of.text.lines().any(|line| line.starts_with("%packages"))
}

fn is_preseed(of: &DocumentText<'_>) -> bool {
    of.text.lines().any(|line| line.starts_with("d-i "))
}

/// The answer of ShellCheck in its format `json1`.
#[derive(Deserialize)]
struct ShellReport {
    comments: Vec<ShellComment>,
}

#[derive(Deserialize)]
struct ShellComment {
    line: usize,
    level: String,
    code: u32,
    message: String,
}

fn check_script(of: &DocumentText<'_>) -> Option<Vec<LintFinding>> {
    let mut command = Command::new("shellcheck");
    command.args(["--format", "json1"]);
    if !of.text.starts_with("#!") {
        command.args(["--shell", "sh"]);
    }
    let said = fed(command.arg("-"), of.text)?;
    let report: ShellReport = serde_json::from_str(&said.text).ok()?;
    let found = report.comments.into_iter().map(|comment| {
        let rule = match comment.level.as_str() {
            "error" => &SHELL_ERROR,
            "warning" => &SHELL,
            _ => &SHELL_NOTE,
        };
        LintFinding::of(
            rule,
            (of.path, Some(comment.line)),
            format!("SC{}: {}", comment.code, comment.message),
        )
    });
    Some(found.collect())
}

fn check_kickstart(of: &DocumentText<'_>) -> Option<Vec<LintFinding>> {
    // ksvalidator reads a file by name; a pipe has one.
    let said = fed(Command::new("ksvalidator").arg("/dev/stdin"), of.text)?;
    Some(refusal((&KICKSTART, of), said))
}

fn check_preseed(of: &DocumentText<'_>) -> Option<Vec<LintFinding>> {
    let said = fed(Command::new("debconf-set-selections").arg("--checkonly"), of.text)?;
    Some(refusal((&PRESEED, of), said))
}

/// One finding with what a checker said when it refused a text.
fn refusal((rule, of): (&LintRule, &DocumentText<'_>), said: CheckerAnswer) -> Vec<LintFinding> {
    if said.is_accepted {
        return Vec::new();
    }
    let text: String = said.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = text.chars().take(SAID_CHARS_MAX).collect();
    vec![LintFinding::of(rule, (of.path, None), format!("it is refused: {text}"))]
}

/// What a checker wrote, and whether it ended without an error.
struct CheckerAnswer {
    text: String,
    is_accepted: bool,
}

/// Runs a checker with a text as its input; none if it cannot be run.
fn fed(command: &mut Command, text: &str) -> Option<CheckerAnswer> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.current_dir(Path::new("/")).spawn().ok()?;
    let mut input = child.stdin.take()?;
    let text = text.to_owned();
    // A checker that has written much before it has read all waits for its reader.
    let writer = std::thread::spawn(move || {
        // One that ends early does not want the rest.
        let _ = input.write_all(text.as_bytes());
    });
    let output = child.wait_with_output().ok()?;
    writer.join().ok()?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() && said.trim().is_empty() {
        said = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    Some(CheckerAnswer { text: said, is_accepted: output.status.success() })
}
