//! Requests that are a little wrong, for the differential fuzzer: whole ones to begin with, and pieces that
//! matter to whoever reads where a request ends.

use crate::mutate::Random;

/// Longest text, in bytes.
const BYTES_MAX: usize = 4096;
const CHANGES_MAX: usize = 5;
const ODD_BYTES: [u8; 18] = [
    0, b'\t', b'\n', 0x0b, b'\r', b' ', b'#', b'+', b',', b'-', b'0', b'5', b':', b';', b'?', b'\\', 0x80,
    0xff,
];

/// What the fuzzer begins with: each was once read in two ways, or is what clients send.
pub const SEEDS: &[&[u8]] = &[
    b"GET /artifacts/files/x.efi HTTP/1.1\r\nHost: 10.0.0.1\r\nRange: bytes=0-99\r\n\r\n",
    b"HEAD //x.efi HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET \\Boot\\BCD HTTP/1.0\r\n\r\n",
    b"GET http://10.0.0.1:8080/boot.ipxe?mac=02%3A00 HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"POST /m/a/done HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
    b"POST /m/a/log HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nx: y\r\n\r\n",
    b"POST /m/a/done HTTP/1.1\r\nContent-Length: 45\xff\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    b"POST /m/a/done HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 45\xff\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    b"POST /m/a/done HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    b"POST /m/a/done HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /m/a/done HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 05\r\n\r\nhello",
    b"POST /m/a/done HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\nhello",
    b"POST /m/a/done HTTP/1.1\r\nContent-Length: +5\r\n\r\nhello",
    b"POST /m/a/done HTTP/1.1\r\nContent-Length: 0x5\r\n\r\nhello",
    b"POST /m/a/done HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\nhello",
    b"POST /m/a/done HTTP/1.1\r\nContent-Length: 5\r\n 6\r\n\r\nhello",
    b"POST /m/a/done HTTP/1.1\r\nContent-Length : 5\r\n\r\nhello",
    b"POST /m/a/done HTTP/1.1\r\nX: a\rContent-Length: 5\r\n\r\nhello",
    b"POST /m/a/done HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST /m/a/done HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n",
    b"POST /m/a/done HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x\n\r\nhello\r\n0\r\n\r\n",
    b"POST /m/a/done HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    b"GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n",
    b"GET http://10.0.0.1#/x HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\nGET http://10.0.0.1?a=b HTTP/1.1\r\n\r\n",
    b"GET /x?#y HTTP/1.1\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"GET /x HTTP/1.1\r\nRange: bytes=0-1\r\nRange: bytes=\xff\r\n\r\n",
    b"DELETE /x HTTP/1.1\r\nHost: a\xffb\r\n\r\n\r\nGET x.efi HTTP/1.1\nHost: x\n\n",
];

const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"POST /m/a/log HTTP/1.1\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length:\r\n",
    b"Content-Length: 5 \r\n",
    b"Content-Length: \xa05\r\n",
    b"content-length: 00000000000000000005\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"transfer-encoding:\tchunked\t\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: Keep-Alive, \x80\r\n",
    b"Host: \xff\r\n",
    b"Expect: 100-continue\r\n",
    b"Range: bytes=5-\r\n",
    b"Range: bytes=\xff\r\n",
    b"X-Name: \xe9\r\n",
    b" folded\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"FFFFFFFFFFFFFFFF1\r\n",
    b"00000005\r\n",
    b"5 ;x=\"y\"\r\n",
    b"CONNECT x:80 HTTP/1.1\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\n\r\n",
    b"GET http://h",
    b" http://a@b:1/",
    b"?a=b#",
];

/// A text made from two others.
pub fn mutated(random: &mut Random, (from, other): (&[u8], &[u8])) -> Vec<u8> {
    let mut bytes = from.to_vec();
    for _ in 0..=random.below(CHANGES_MAX) {
        change(random, &mut bytes, other);
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        bytes.extend_from_slice(random.of(SEEDS));
    }
    let at = random.below(bytes.len());
    match random.below(12) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.of(&ODD_BYTES),
        2 => bytes.insert(at, random.of(&ODD_BYTES)),
        3 => drop(bytes.remove(at)),
        4 => bytes.truncate(at),
        5 => {
            let piece = other.get(random.below(other.len())..).unwrap_or_default();
            bytes.truncate(at);
            bytes.extend_from_slice(piece);
        }
        6 => drop(bytes.splice(at..at, random.of(PIECES).iter().copied())),
        7 => bytes.extend_from_slice(random.of(SEEDS)),
        _ => {
            // A line of its own, where a line begins.
            let line = bytes.iter().skip(at).position(|byte| *byte == b'\n').map_or(0, |next| at + next + 1);
            drop(bytes.splice(line..line, random.of(PIECES).iter().copied()));
        }
    }
}
