//! Text made safe for the language it is put into: shell words, command lines, preseed values.

/// One word of a POSIX shell, whatever the text is (XCU section 2.2.2): nothing is special between
/// single quotes but the quote itself.
pub(super) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// All lines as one, with single spaces between; blank lines and indents vanish.
pub(super) fn one_line<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let words = lines.into_iter().flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// A value for a preseed file: an answer is one logical line, continued with a backslash at the end
/// of each physical one. Line ends of the value become spaces when the installer reads it.
pub(super) fn preseed_value(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_end().trim_end_matches('\\').trim_end());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" \\\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preseed_value_is_continued_and_never_continues_past_its_end() {
        assert_eq!(preseed_value("in-target true; \\\n\necho done\n"), "in-target true; \\\n  echo done");
        assert_eq!(preseed_value("ends \\"), "ends");
        assert_eq!(preseed_value("plain"), "plain");
    }

    #[test]
    fn one_line_drops_blanks_and_indents() {
        assert_eq!(one_line(["auto=true\n   url=x\n\n", " quiet "]), "auto=true url=x quiet");
    }
}
