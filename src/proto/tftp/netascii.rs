//! The netascii form of a text (RFC 1350 section 1, after RFC 764), as mode `netascii` sends it. The whole
//! text is converted before the transfer starts, so that blocks keep their offsets.

/// Converts bytes to netascii: a line feed becomes CR LF, a lone carriage return becomes CR NUL. An existing
/// CR LF stays as it is.
pub fn encode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 16);
    let mut rest = text.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'\n' => out.extend_from_slice(b"\r\n"),
            b'\r' if rest.next_if_eq(&b'\n').is_some() => out.extend_from_slice(b"\r\n"),
            b'\r' => out.extend_from_slice(b"\r\0"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn line_ends_become_cr_lf_and_a_lone_cr_gets_a_nul() {
        assert_eq!(encode(b"a\nb\n"), b"a\r\nb\r\n");
        assert_eq!(encode(b"a\rb"), b"a\r\0b");
        assert_eq!(encode(b"\r"), b"\r\0");
    }

    #[test]
    fn a_text_that_has_cr_lf_already_is_not_doubled() {
        assert_eq!(encode(b"a\r\nb\r\n"), b"a\r\nb\r\n");
    }
}
