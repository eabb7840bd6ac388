//! The netascii form of a text (RFC 1350 section 1, after RFC 764), as mode `netascii` sends it. The whole
//! text is converted before the transfer starts, so that blocks keep their offsets.

/// Converts bytes to netascii: a line feed becomes CR LF, a carriage return becomes CR NUL. A CR LF of the
/// file becomes CR NUL CR LF, so that a client that decodes gets the bytes of the file.
pub fn encode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 16);
    for byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"\r\n"),
            b'\r' => out.extend_from_slice(b"\r\0"),
            other => out.push(*other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::encode;

    /// As a client decodes it (RFC 764): CR LF is a line feed, CR NUL a carriage return.
    fn decode(text: &[u8]) -> Vec<u8> {
        let mut rest = text.iter().copied().peekable();
        let mut out = Vec::new();
        while let Some(byte) = rest.next() {
            out.push(match byte {
                b'\r' if rest.next_if_eq(&b'\n').is_some() => b'\n',
                b'\r' if rest.next_if_eq(&b'\0').is_some() => b'\r',
                other => other,
            });
        }
        out
    }

    #[test]
    fn line_ends_become_cr_lf_and_each_cr_gets_a_nul() {
        assert_eq!(encode(b"a\nb\n"), b"a\r\nb\r\n");
        assert_eq!(encode(b"a\rb"), b"a\r\0b");
        assert_eq!(encode(b"\r"), b"\r\0");
        assert_eq!(encode(b"a\r\n"), b"a\r\0\r\n");
    }

    #[test]
    fn a_client_that_decodes_gets_the_bytes_of_the_file() {
        for file in [&b"a\r\nb\r\n"[..], b"\r\r\n\n\r", b"\0\n\0\r\0", b"plain"] {
            assert_eq!(decode(&encode(file)), file);
        }
    }
}
