//! Parses the iPXE scripting language: lines, labels, commands, and the expansion of `${settings}`.
//!
//! It reads what iPXE reads: a backslash at the end continues a line, `#` begins a comment, `||`, `&&` and
//! `;` between blanks join commands. [`super::interpreter`] runs the commands.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Largest script that is read, in bytes.
pub const SCRIPT_BYTES_MAX: usize = 64 * 1024;
/// Most lines of a script.
pub const LINES_MAX: usize = 1000;
/// Longest line, including its continuations and expanded settings, in bytes.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// A fault in a script, with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ScriptFault {
    /// Counted from 1.
    pub line: usize,
    pub reason: String,
}

/// A parsed script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpxeScript {
    pub lines: Vec<ScriptLine>,
}

/// One logical line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptLine {
    /// The number of its first physical line, from 1.
    pub number: usize,
    pub label: Option<String>,
    pub commands: Vec<ScriptCommand>,
}

/// A command of a line. An empty command succeeds and does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptCommand {
    pub when: CommandCondition,
    /// The words before the expansion of settings.
    pub words: Vec<String>,
}

/// When a command runs, by the result of the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandCondition {
    Always,
    Succeeded,
    Failed,
}

impl IpxeScript {
    /// Parses a script.
    ///
    /// # Errors
    /// The text is not an iPXE script, or is too large.
    pub fn parse(text: &str) -> Result<IpxeScript, ScriptFault> {
        if text.len() > SCRIPT_BYTES_MAX {
            return Err(script_fault(1, &format!("the script has more than {SCRIPT_BYTES_MAX} bytes")));
        }
        let magic = text.strip_prefix("#!ipxe").and_then(|rest| rest.chars().next());
        if !magic.is_some_and(char::is_whitespace) {
            let first: String = text.lines().next().unwrap_or_default().chars().take(80).collect();
            return Err(script_fault(
                1,
                &format!("a script begins with `#!ipxe`, and this begins with `{first}`"),
            ));
        }
        let mut lines = Vec::new();
        let mut whole = String::new();
        let mut number = 1;
        for (at, part) in text.lines().enumerate() {
            if at >= LINES_MAX {
                return Err(script_fault(at + 1, &format!("the script has more than {LINES_MAX} lines")));
            }
            if whole.is_empty() {
                number = at + 1;
            }
            let continued = part.strip_suffix('\\');
            whole.push_str(continued.unwrap_or(part));
            if whole.len() > LINE_BYTES_MAX {
                return Err(script_fault(number, &format!("the line has more than {LINE_BYTES_MAX} bytes")));
            }
            if continued.is_none() {
                lines.push(parse_line(number, &whole));
                whole.clear();
            }
        }
        if !whole.is_empty() {
            lines.push(parse_line(number, &whole));
        }
        Ok(IpxeScript { lines })
    }

    /// The index of the line with a label.
    pub fn label(&self, name: &str) -> Option<usize> {
        self.lines.iter().position(|line| line.label.as_deref() == Some(name))
    }
}

fn script_fault(line: usize, reason: &str) -> ScriptFault {
    ScriptFault { line, reason: reason.to_owned() }
}

fn parse_line(number: usize, text: &str) -> ScriptLine {
    let text = text.trim();
    let (label, text) = match text.strip_prefix(':') {
        Some(rest) => {
            let (label, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            (Some(label.to_owned()), rest)
        }
        None => (None, text),
    };
    let mut commands = Vec::new();
    let mut command = ScriptCommand { when: CommandCondition::Always, words: Vec::new() };
    for word in text.split_whitespace().take_while(|word| !word.starts_with('#')) {
        let when = match word {
            "||" => CommandCondition::Failed,
            "&&" => CommandCondition::Succeeded,
            ";" => CommandCondition::Always,
            word => {
                command.words.push(word.to_owned());
                continue;
            }
        };
        commands.push(std::mem::replace(&mut command, ScriptCommand { when, words: Vec::new() }));
    }
    commands.push(command);
    ScriptLine { number, label, commands }
}

/// Settings by name: `net0/mac`, `platform`, and what `set` adds.
pub type ScriptSettings = BTreeMap<String, String>;

/// Expands settings: `${name}` and `${name:type}`; an unset setting is empty.
///
/// # Errors
/// A `${` without an end, an unknown type, or a text that grows too long.
pub fn expand(word: &str, settings: &ScriptSettings) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) =
            after.split_once('}').ok_or_else(|| format!("`{word}` has a `${{` without `}}`"))?;
        text.push_str(before);
        text.push_str(&setting(name, settings)?);
        if text.len() > LINE_BYTES_MAX {
            return Err(format!("the line has more than {LINE_BYTES_MAX} bytes"));
        }
        rest = behind;
    }
    text.push_str(rest);
    Ok(text)
}

fn setting(name: &str, settings: &ScriptSettings) -> Result<String, String> {
    let (name, kind) = name.split_once(':').unwrap_or((name, "string"));
    let value = settings.get(name).map_or("", String::as_str);
    match kind {
        "string" | "hex" | "uuid" | "ipv4" => Ok(value.to_owned()),
        "hexhyp" => Ok(value.replace(':', "-")),
        "hexraw" => Ok(value.replace([':', '-'], "")),
        "uristring" => Ok(utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()),
        other => Err(format!("`${{{name}:{other}}}`: the type `{other}` is not known to the simulator")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_labels_and_joined_commands_without_comments() {
        let script = IpxeScript::parse("#!ipxe\n# a word\n:top a b && c ||\nx \\\n  y ; z # w\r\n").unwrap();
        let words = |at: usize| -> Vec<(CommandCondition, String)> {
            script.lines[at].commands.iter().map(|command| (command.when, command.words.join(" "))).collect()
        };
        assert_eq!(script.label("top"), Some(2));
        let said = |when, text: &str| (when, text.to_owned());
        assert_eq!(words(1), [said(CommandCondition::Always, "")]);
        assert_eq!(
            words(2),
            [
                said(CommandCondition::Always, "a b"),
                said(CommandCondition::Succeeded, "c"),
                said(CommandCondition::Failed, "")
            ]
        );
        assert_eq!(words(3), [said(CommandCondition::Always, "x y"), said(CommandCondition::Always, "z")]);
        assert_eq!(script.lines[3].number, 4);
    }

    #[test]
    fn what_is_no_script_is_refused_with_how_it_begins() {
        let fault = IpxeScript::parse("<html>\n").unwrap_err();
        assert!(fault.to_string().contains("begins with `<html>`"), "{fault}");
        assert!(IpxeScript::parse("#!ipxel\n").is_err());
        assert!(IpxeScript::parse(&format!("#!ipxe\n{}", "echo\n".repeat(LINES_MAX))).is_err());
        assert!(IpxeScript::parse(&format!("#!ipxe\n{}", "x".repeat(LINE_BYTES_MAX + 1))).is_err());
    }

    #[test]
    fn settings_are_put_in_by_type_and_unset_ones_are_empty() {
        let settings = ScriptSettings::from([("net0/mac".to_owned(), "52:54:00:aa:00:01".to_owned())]);
        let put = |word: &str| expand(word, &settings);
        assert_eq!(put("a?m=${net0/mac}&u=${uuid}").unwrap(), "a?m=52:54:00:aa:00:01&u=");
        assert_eq!(put("01-${net0/mac:hexhyp}").unwrap(), "01-52-54-00-aa-00-01");
        assert_eq!(put("${net0/mac:uristring}").unwrap(), "52%3A54%3A00%3Aaa%3A00%3A01");
        assert!(put("${net0").unwrap_err().contains("without `}`"));
        assert!(put("${net0/mac:float}").unwrap_err().contains("`float`"));
    }
}
