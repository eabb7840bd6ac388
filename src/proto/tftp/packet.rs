//! TFTP packets: parsing and encoding (RFC 1350 section 5, RFC 2347).
//!
//! Parsing is tolerant, because option ROMs pad, truncate and repeat: a missing last NUL, trailing bytes and
//! broken options are skipped. What is read of a name or value that is not text ends in something that is no
//! part of any name: firmware that ignores lengths sends rubbish behind them. A packet that cannot be served
//! is a `ParseError` with the ERROR to answer.

use std::borrow::Cow;

/// Longest path in a request, in bytes.
pub const PATH_BYTES_MAX: usize = 512;
/// Most options that are read from one packet; further ones are ignored.
pub const OPTIONS_MAX: usize = 16;
/// Longest message of an ERROR packet that is kept or sent, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 200;
/// Bytes before the payload of a DATA packet.
pub const DATA_HEADER_BYTES: usize = 4;

const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OPTIONS_ACK: u16 = 6;

/// The code of an ERROR packet (RFC 1350 section 5, RFC 2347 for 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    pub const OTHER: Self = Self(0);
    pub const NOT_FOUND: Self = Self(1);
    pub const ACCESS: Self = Self(2);
    pub const ILLEGAL: Self = Self(4);
    pub const UNKNOWN_TRANSFER: Self = Self(5);
    pub const OPTIONS: Self = Self(8);
}

/// The form in which the file is sent. Mode `mail` is refused by the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferMode {
    Octet,
    Netascii,
}

/// An option as it is in the packet; names are compared without case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionField<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

/// A read or write request. `path` is not normalised: at most `PATH_BYTES_MAX` bytes without NUL; what is not
/// UTF-8 in it was replaced by U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TftpRequest<'a> {
    pub path: Cow<'a, str>,
    pub mode: TransferMode,
    pub options: Vec<OptionField<'a>>,
}

/// Any TFTP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TftpPacket<'a> {
    Read(TftpRequest<'a>),
    Write(TftpRequest<'a>),
    Data { block: u16, payload: &'a [u8] },
    Ack { block: u16 },
    Error { code: ErrorCode, message: Cow<'a, str> },
    OptionsAck(Vec<OptionField<'a>>),
}

/// Why bytes are not a packet that can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("{0} bytes are too few for a TFTP packet of this kind")]
    Short(usize),
    #[error("unknown TFTP opcode {0}")]
    Opcode(u16),
    #[error("the request has no path")]
    PathMissing,
    #[error("the path of the request is longer than {PATH_BYTES_MAX} bytes")]
    PathTooLong,
    #[error("the request has a mode other than octet and netascii")]
    Mode,
}

impl ParseError {
    /// The ERROR to answer, or none if the packet gets no answer.
    pub fn reply(self) -> Option<(ErrorCode, &'static str)> {
        match self {
            Self::Short(_) => None,
            Self::Opcode(_) => Some((ErrorCode::ILLEGAL, "unknown operation")),
            Self::PathMissing => Some((ErrorCode::ACCESS, "no path")),
            Self::PathTooLong => Some((ErrorCode::ACCESS, "path too long")),
            Self::Mode => Some((ErrorCode::ILLEGAL, "mode must be octet or netascii")),
        }
    }
}

/// Parses one datagram.
pub fn parse(bytes: &[u8]) -> Result<TftpPacket<'_>, ParseError> {
    let short = ParseError::Short(bytes.len());
    let (opcode, rest) = take_u16(bytes).ok_or(short)?;
    match opcode {
        READ => parse_request(rest).map(TftpPacket::Read),
        WRITE => parse_request(rest).map(TftpPacket::Write),
        DATA => take_u16(rest).map(|(block, payload)| TftpPacket::Data { block, payload }).ok_or(short),
        // Bytes after the block number are padding of the link layer.
        ACK => take_u16(rest).map(|(block, _)| TftpPacket::Ack { block }).ok_or(short),
        ERROR => take_u16(rest).map(|(code, text)| parse_error(code, text)).ok_or(short),
        OPTIONS_ACK => Ok(TftpPacket::OptionsAck(parse_options(rest))),
        other => Err(ParseError::Opcode(other)),
    }
}

impl TftpPacket<'_> {
    /// Appends the encoded packet to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Read(request) => encode_request(READ, request, out),
            Self::Write(request) => encode_request(WRITE, request, out),
            Self::Data { block, payload } => {
                out.extend_from_slice(&data_header(*block));
                out.extend_from_slice(payload);
            }
            Self::Ack { block } => put_u16s(out, ACK, *block),
            Self::Error { code, message } => {
                put_u16s(out, ERROR, code.0);
                out.extend(message.bytes().filter(|byte| *byte != 0).take(MESSAGE_BYTES_MAX));
                out.push(0);
            }
            Self::OptionsAck(options) => {
                out.extend_from_slice(&OPTIONS_ACK.to_be_bytes());
                options.iter().for_each(|option| encode_option(option, out));
            }
        }
    }

    /// An encoded ERROR packet.
    pub fn error_bytes(code: ErrorCode, message: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(DATA_HEADER_BYTES + message.len() + 1);
        TftpPacket::Error { code, message: message.into() }.encode(&mut out);
        out
    }
}

/// The four bytes before the payload of a DATA packet.
pub fn data_header(block: u16) -> [u8; DATA_HEADER_BYTES] {
    let [high, low] = block.to_be_bytes();
    [0, DATA as u8, high, low]
}

fn parse_request(rest: &[u8]) -> Result<TftpRequest<'_>, ParseError> {
    let (path, rest) = take_string(rest).ok_or(ParseError::PathMissing)?;
    if path.is_empty() {
        return Err(ParseError::PathMissing);
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(ParseError::PathTooLong);
    }
    let path = String::from_utf8_lossy(path);
    let (mode, rest) = take_string(rest).ok_or(ParseError::Mode)?;
    let mode = match mode {
        name if name.eq_ignore_ascii_case(b"octet") => TransferMode::Octet,
        name if name.eq_ignore_ascii_case(b"netascii") => TransferMode::Netascii,
        _ => return Err(ParseError::Mode),
    };
    Ok(TftpRequest { path, mode, options: parse_options(rest) })
}

/// Reads pairs of name and value until the bytes or the bound are used up. A pair whose name is not text is
/// skipped; an empty name is padding. A value ends before the first byte that is not text.
fn parse_options(mut rest: &[u8]) -> Vec<OptionField<'_>> {
    let mut options = Vec::new();
    for _ in 0..OPTIONS_MAX {
        let Some((name, after_name)) = take_string(rest) else { break };
        let Some((value, after_value)) = take_string(after_name) else { break };
        if name.is_empty() {
            break;
        }
        rest = after_value;
        if let Ok(name) = std::str::from_utf8(name) {
            options.push(OptionField { name, value: text_before(value) });
        }
    }
    options
}

/// The longest part from the beginning that is UTF-8.
fn text_before(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

fn parse_error(code: u16, text: &[u8]) -> TftpPacket<'_> {
    let text = take_string(text).map_or(text, |(text, _)| text);
    let text = text.get(..MESSAGE_BYTES_MAX).unwrap_or(text);
    TftpPacket::Error { code: ErrorCode(code), message: String::from_utf8_lossy(text) }
}

fn encode_request(opcode: u16, request: &TftpRequest<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(&opcode.to_be_bytes());
    put_string(out, &request.path);
    put_string(out, if request.mode == TransferMode::Octet { "octet" } else { "netascii" });
    request.options.iter().for_each(|option| encode_option(option, out));
}

fn encode_option(option: &OptionField<'_>, out: &mut Vec<u8>) {
    put_string(out, option.name);
    put_string(out, option.value);
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn put_u16s(out: &mut Vec<u8>, opcode: u16, value: u16) {
    out.extend_from_slice(&opcode.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}

fn take_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    bytes.split_first_chunk().map(|(number, rest)| (u16::from_be_bytes(*number), rest))
}

/// A string up to its NUL, or up to the end if there is no NUL; none if no bytes are left.
fn take_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    Some((parts.next()?, parts.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> TftpRequest<'_> {
        match parse(bytes) {
            Ok(TftpPacket::Read(request)) => request,
            other => panic!("not a read request: {other:?}"),
        }
    }

    #[test]
    fn a_request_gives_path_mode_and_options_in_order() {
        let request = read(b"\0\x01a/b.efi\0OcTeT\0tsize\x000\0BLKSIZE\x001468\0");
        assert_eq!((&*request.path, request.mode), ("a/b.efi", TransferMode::Octet));
        let names: Vec<_> = request.options.iter().map(|option| (option.name, option.value)).collect();
        assert_eq!(names, [("tsize", "0"), ("BLKSIZE", "1468")]);
    }

    #[test]
    fn a_missing_last_nul_and_padding_are_tolerated() {
        assert_eq!(read(b"\0\x01a\0octet").mode, TransferMode::Octet);
        assert_eq!(read(b"\0\x01a\0octet\0blksize\x001024").options[0].value, "1024");
        assert!(read(b"\0\x01a\0octet\0\0\0\0\0").options.is_empty());
        assert_eq!(parse(b"\0\x04\0\x07\0\0\0"), Ok(TftpPacket::Ack { block: 7 }));
    }

    #[test]
    fn an_option_that_is_not_text_is_passed_over() {
        let request = read(b"\0\x01a\0octet\0\xff\x001\0tsize\x000\0");
        assert_eq!(request.options.len(), 1);
    }

    #[test]
    fn rubbish_behind_a_name_or_a_value_costs_neither_of_them() {
        let request = read(b"\0\x01undionly.kpxe\xff\0octet\0blksize\x001468\xfe7\0tsize\x000\0");
        assert_eq!(request.path, "undionly.kpxe\u{fffd}");
        let values: Vec<_> = request.options.iter().map(|option| option.value).collect();
        assert_eq!(values, ["1468", "0"]);
    }

    #[test]
    fn options_after_the_bound_are_passed_over() {
        let mut bytes = b"\0\x01a\0octet\0".to_vec();
        (0..100).for_each(|_| bytes.extend_from_slice(b"x\0y\0"));
        assert_eq!(read(&bytes).options.len(), OPTIONS_MAX);
    }

    #[test]
    fn requests_that_cannot_be_served_name_their_error() {
        let long = [b"\0\x01".as_slice(), &[b'a'; PATH_BYTES_MAX + 1], b"\0octet\0"].concat();
        for (bytes, error, code) in [
            (long.as_slice(), ParseError::PathTooLong, Some(ErrorCode::ACCESS)),
            (b"\0\x01\0octet\0", ParseError::PathMissing, Some(ErrorCode::ACCESS)),
            (b"\0\x01a\0mail\0", ParseError::Mode, Some(ErrorCode::ILLEGAL)),
            (b"\0\x01a", ParseError::Mode, Some(ErrorCode::ILLEGAL)),
            (b"\0\x09a", ParseError::Opcode(9), Some(ErrorCode::ILLEGAL)),
            (b"\0\x04\0", ParseError::Short(3), None),
            (b"\0", ParseError::Short(1), None),
        ] {
            assert_eq!(parse(bytes), Err(error));
            assert_eq!(error.reply().map(|(code, _)| code), code);
        }
    }

    #[test]
    fn an_error_message_keeps_its_bound_and_its_nul() {
        let bytes = TftpPacket::error_bytes(ErrorCode::OTHER, &"x".repeat(1000));
        assert_eq!(bytes.len(), DATA_HEADER_BYTES + MESSAGE_BYTES_MAX + 1);
        assert_eq!(bytes.last(), Some(&0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_read_is_written_the_same(
            opcode in 1u8..7,
            rest in proptest::collection::vec(prop_oneof![Just(0u8), b'a'..b'f', any::<u8>()], 0..60),
        ) {
            let bytes = [&[0, opcode], rest.as_slice()].concat();
            if let Ok(packet) = parse(&bytes) {
                let mut out = Vec::new();
                packet.encode(&mut out);
                prop_assert_eq!(parse(&out), Ok(packet));
            }
        }

        #[test]
        fn requests_survive_both_ways(
            path in "[^\0]{1,40}",
            options in proptest::collection::vec(("[a-z]{1,9}", "[0-9]{0,6}"), 0..8),
        ) {
            let options: Vec<_> =
                options.iter().map(|(name, value)| OptionField { name, value }).collect();
            let (path, mode) = (path.into(), TransferMode::Netascii);
            let packet = TftpPacket::Read(TftpRequest { path, mode, options });
            let mut out = Vec::new();
            packet.encode(&mut out);
            prop_assert_eq!(parse(&out), Ok(packet));
        }
    }
}
