//! The digest at the end of a backup, over every byte before it: also over those that nothing reads, such as
//! the padding of tar and the unused codes of deflate.
//!
//! It is a gzip member of its own with one stored block, so that gzip(1) and tar(1) read the file as before:
//! `tail -c 535 FILE | zcat` shows it, and `head -c -535 FILE | sha256sum` computes it.

use std::io::{self, Read, Write};

use flate2::Crc;
use sha2::{Digest, Sha256};

use crate::model::hex;

/// What gzip has in front of a stored block without name, time and flags (RFC 1952 §2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The text: the digest, a line feed and zeros up to a block of tar.
const TEXT_BYTES: u16 = 512;
/// Header, the head of the block, the text, its checksum and its length.
const MEMBER_BYTES: usize = HEADER.len() + 5 + TEXT_BYTES as usize + 8;
/// Most bytes behind the end of the first gzip member that are read to find the digest.
const REST_BYTES_MAX: u64 = 1 << 20;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// The gzip member with a digest; there is one way to write it.
fn member(digest: Sha256) -> Vec<u8> {
    let mut text = (hex(&digest.finalize()) + "\n").into_bytes();
    text.resize(TEXT_BYTES.into(), 0);
    let mut checksum = Crc::new();
    checksum.update(&text);
    let mut member = HEADER.to_vec();
    member.push(1);
    member.extend(TEXT_BYTES.to_le_bytes());
    member.extend((!TEXT_BYTES).to_le_bytes());
    member.extend(text);
    member.extend(checksum.sum().to_le_bytes());
    member.extend(u32::from(TEXT_BYTES).to_le_bytes());
    member
}

/// Writes to `W`, and the digest of all that at the end.
pub struct EndDigestWriter<W: Write> {
    to: W,
    digest: Sha256,
}

impl<W: Write> EndDigestWriter<W> {
    pub fn new(to: W) -> Self {
        EndDigestWriter { to, digest: Sha256::new() }
    }

    /// Adds the digest, and gives what it was written to.
    ///
    /// # Errors
    /// The writer fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&member(self.digest))?;
        Ok(self.to)
    }
}

impl<W: Write> Write for EndDigestWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.digest.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads from `R`, without the digest at its end. What ends in no digest, or in a wrong one, is read as it
/// is.
pub struct EndDigestReader<R: Read> {
    from: R,
    digest: Sha256,
    /// What was read and not passed on: the last bytes may be the digest.
    held: Vec<u8>,
    end: ReadEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadEnd {
    NotYet,
    Digest,
    NoDigest,
}

impl<R: Read> EndDigestReader<R> {
    pub fn new(from: R) -> Self {
        EndDigestReader { from, digest: Sha256::new(), held: Vec::new(), end: ReadEnd::NotYet }
    }

    /// Reads the rest, and says whether all of it ended in its digest.
    ///
    /// # Errors
    /// The reader fails.
    pub fn ends_right(mut self) -> io::Result<bool> {
        io::copy(&mut (&mut self).take(REST_BYTES_MAX), &mut io::sink())?;
        Ok(self.end == ReadEnd::Digest)
    }

    /// Reads until there is something to pass on, or the end.
    fn fill(&mut self) -> io::Result<()> {
        while self.end == ReadEnd::NotYet && self.held.len() <= MEMBER_BYTES {
            let had = self.held.len();
            self.held.resize(had + CHUNK_BYTES, 0);
            let read = self.from.read(self.held.get_mut(had..).unwrap_or_default());
            self.held.truncate(had + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                let is_digest = self.held == member(self.digest.clone());
                self.end = if is_digest { ReadEnd::Digest } else { ReadEnd::NoDigest };
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for EndDigestReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let kept = if self.end == ReadEnd::NoDigest { 0 } else { MEMBER_BYTES };
        let count = self.held.len().saturating_sub(kept).min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), self.held.get(..count)) {
            to.copy_from_slice(from);
            self.digest.update(from);
        }
        self.held.drain(..count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8]) -> Vec<u8> {
        let mut writer = EndDigestWriter::new(Vec::new());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    /// What is read, and whether its digest is right.
    fn read(bytes: &[u8]) -> (Vec<u8>, bool) {
        let (mut reader, mut text) = (EndDigestReader::new(bytes), Vec::new());
        reader.read_to_end(&mut text).unwrap();
        (text, reader.ends_right().unwrap())
    }

    #[test]
    fn what_was_written_is_read_without_its_digest() {
        for length in [0, 1, 534, 535, 536, 65_535, 65_536, 66_070, 66_071, 66_072, 200_000] {
            let text: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let whole = written(&text);
            assert_eq!(whole.len(), text.len() + MEMBER_BYTES);
            assert_eq!(read(&whole), (text.clone(), true), "{length}");
            assert_eq!(read(&text), (text, false), "{length}, of an earlier version");
        }
        let mut shown = String::new();
        let whole = written(b"text");
        flate2::read::GzDecoder::new(whole.get(4..).unwrap()).read_to_string(&mut shown).unwrap();
        assert_eq!(shown.trim_end_matches('\0'), format!("{}\n", crate::model::sha256_hex("text")));
    }

    #[test]
    fn no_bit_is_another_and_no_byte_is_gone_without_notice() {
        let whole = written(b"every byte counts");
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!read(&flipped).1, "bit {bit}");
        }
        for end in 0..whole.len() {
            assert!(!read(&whole[..end]).1, "{end} bytes");
            let gap = [&whole[..end], &whole[end + 1..]].concat();
            assert!(!read(&gap).1, "without byte {end}");
        }
        assert!(!read(&[whole.as_slice(), b"x"].concat()).1);
    }
}
