//! Quotes text for the language that it is put into: shell words, command lines, preseed values.

/// One word of a POSIX shell, whatever the text is (XCU section 2.2.2): between single quotes only the quote
/// itself is special.
pub(super) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// All lines as one line, joined by single spaces, without blank lines and indentation.
pub(super) fn one_line<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let words = lines.into_iter().flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// A value for a preseed file. An answer is one logical line; each physical line except the last ends in a
/// backslash. Line ends of the value become spaces when the installer reads it.
pub(super) fn preseed_value(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_end().trim_end_matches('\\').trim_end());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" \\\n  ")
}

/// One line without control characters, as every loader's language requires.
pub(super) fn pxelinux_text(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Words of an iPXE command. The language has no quotes: `${` would begin a setting, and `||`, `&&`, `;` or a
/// word that begins with `#` would end the command, so these are broken up.
pub(super) fn ipxe_words(text: &str) -> String {
    let line = pxelinux_text(text).replace("${", "$ {");
    line.split(' ')
        .map(|word: &str| match word {
            "||" => "| |".to_owned(),
            "&&" => "& &".to_owned(),
            ";" => ",".to_owned(),
            word if word.starts_with('#') => format!("'{word}"),
            word => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// One word of GRUB's shell, whose single quotes work like those of a POSIX shell.
pub(super) fn grub_word(text: &str) -> String {
    shell_word(&pxelinux_text(text))
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
    fn no_text_can_end_a_line_or_a_command_of_a_loader() {
        assert_eq!(pxelinux_text("one\nKERNEL x\r\t"), "one KERNEL x  ");
        assert_eq!(
            ipxe_words("a || b && c ; #d ${net0/mac}\nreboot"),
            "a | | b & & c , '#d $ {net0/mac} reboot"
        );
        assert_eq!(ipxe_words("ds=nocloud;s=http://x/?a=1&&b||c#d"), "ds=nocloud;s=http://x/?a=1&&b||c#d");
        assert_eq!(grub_word("it's $x;\nreboot"), r"'it'\''s $x; reboot'");
    }

    #[test]
    fn one_line_drops_blanks_and_indents() {
        assert_eq!(one_line(["auto=true\n   url=x\n\n", " quiet "]), "auto=true url=x quiet");
    }
}
