//! Encryption with a passphrase. The key is made by Argon2id (RFC 9106, the second recommendation of section
//! 4); the text is encrypted in chunks by XChaCha20-Poly1305 in the STREAM construction (Hoang, Reyhanitabar,
//! Rogaway, Vizár 2015), which tells a chunk that is missing, moved or the last one too early.
//!
//! ```text
//! magic, 16 bytes of salt, 19 bytes of nonce      the head, which every chunk is bound to
//! chunks of 65,536 bytes, each with a tag of 16; the last one is shorter, and may be empty
//! ```

use std::io::{self, Read, Write};

use aead_stream::{DecryptorBE32, EncryptorBE32};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::Payload;
use zeroize::Zeroizing;

/// What an encrypted backup begins with.
pub const MAGIC: &[u8; 28] = b"metalwright sealed backup 1\n";
/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 19;
const HEAD_BYTES: usize = MAGIC.len() + SALT_BYTES + NONCE_BYTES;
const CHUNK_BYTES: usize = 1 << 16;
const TAG_BYTES: usize = 16;
/// The unit tests encrypt often.
const MEMORY_KIB: u32 = if cfg!(test) { 64 } else { 64 << 10 };
const PASSES: u32 = 3;

/// What a backup is encrypted with; never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// A passphrase as it stands in a file; the end of its line does not belong to it.
    ///
    /// # Errors
    /// It is empty or too long.
    pub fn of_text(text: &[u8]) -> Result<Self, String> {
        let text = text.trim_ascii_end();
        match text.len() {
            0 => Err("the passphrase is empty".to_owned()),
            1..=PASSPHRASE_BYTES_MAX => Ok(Passphrase(Zeroizing::new(text.to_vec()))),
            _ => Err(format!("the passphrase has more than {PASSPHRASE_BYTES_MAX} bytes")),
        }
    }

    fn key(&self, salt: &[u8]) -> io::Result<Zeroizing<[u8; 32]>> {
        let mut key = Zeroizing::new([0; 32]);
        let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(failed)?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into(&self.0, salt, key.as_mut_slice()).map_err(failed)?;
        Ok(key)
    }
}

/// Encrypts what is written through it. Nothing is whole before [`EncryptingWriter::finish`].
pub struct EncryptingWriter<W> {
    to: W,
    head: Vec<u8>,
    cipher: EncryptorBE32<XChaCha20Poly1305>,
    chunk: Vec<u8>,
}

impl<W: Write> EncryptingWriter<W> {
    /// Writes the head.
    ///
    /// # Errors
    /// No random numbers or no memory; those of `to`.
    pub fn begin(mut to: W, passphrase: &Passphrase) -> io::Result<Self> {
        let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_BYTES]);
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        let head = [&MAGIC[..], &salt, &nonce].concat();
        to.write_all(&head)?;
        let key = passphrase.key(&salt)?;
        let cipher = EncryptorBE32::new(&(*key).into(), &nonce.into());
        Ok(EncryptingWriter { to, head, cipher, chunk: Vec::with_capacity(CHUNK_BYTES) })
    }

    /// Writes the last chunk.
    ///
    /// # Errors
    /// Those of what it writes to.
    pub fn finish(self) -> io::Result<W> {
        let EncryptingWriter { mut to, head, cipher, chunk } = self;
        let last = cipher.encrypt_last(Payload { msg: &chunk, aad: &head });
        to.write_all(&last.map_err(failed)?)?;
        Ok(to)
    }
}

impl<W: Write> Write for EncryptingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK_BYTES {
            let sealed = self.cipher.encrypt_next(Payload { msg: &self.chunk, aad: &self.head });
            self.to.write_all(&sealed.map_err(failed)?)?;
            self.chunk.clear();
        }
        let taken = bytes.get(..CHUNK_BYTES - self.chunk.len()).unwrap_or(bytes);
        self.chunk.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Decrypts what is read through it.
pub struct DecryptingReader<R> {
    from: R,
    head: Vec<u8>,
    /// None behind the last chunk.
    cipher: Option<DecryptorBE32<XChaCha20Poly1305>>,
    /// The next chunk, as it was read.
    sealed: Vec<u8>,
    opened: io::Cursor<Vec<u8>>,
}

impl<R: Read> DecryptingReader<R> {
    /// Reads what is behind the magic of the head.
    ///
    /// # Errors
    /// It is too short; no memory.
    pub fn begin(mut from: R, passphrase: &Passphrase) -> io::Result<Self> {
        let mut head = MAGIC.to_vec();
        (&mut from).take((HEAD_BYTES - MAGIC.len()) as u64).read_to_end(&mut head)?;
        let rest = head.get(MAGIC.len()..).unwrap_or_default();
        let (salt, nonce) = rest.split_at_checked(SALT_BYTES).unwrap_or_default();
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| cannot_decrypt())?;
        let key = passphrase.key(salt)?;
        let cipher = Some(DecryptorBE32::new(&(*key).into(), &nonce.into()));
        let sealed = chunk(&mut from)?;
        Ok(DecryptingReader { from, head, cipher, sealed, opened: io::Cursor::default() })
    }

    /// Opens the next chunk; which is the last one is known when there is none behind it.
    fn advance(&mut self) -> io::Result<()> {
        let next = chunk(&mut self.from)?;
        let payload = Payload { msg: &self.sealed, aad: &self.head };
        let opened = match (next.is_empty(), self.cipher.take()) {
            (_, None) => return Ok(()),
            (true, Some(cipher)) => cipher.decrypt_last(payload),
            (false, Some(mut cipher)) => {
                let opened = cipher.decrypt_next(payload);
                self.cipher = Some(cipher);
                opened
            }
        };
        self.opened = io::Cursor::new(opened.map_err(|_| cannot_decrypt())?);
        self.sealed = next;
        Ok(())
    }
}

impl<R: Read> Read for DecryptingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.opened.read(buffer)?;
            if read > 0 || self.cipher.is_none() || buffer.is_empty() {
                return Ok(read);
            }
            self.advance()?;
        }
    }
}

fn chunk(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut sealed = Vec::new();
    from.take((CHUNK_BYTES + TAG_BYTES) as u64).read_to_end(&mut sealed)?;
    Ok(sealed)
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("encryption: {error}"))
}

fn cannot_decrypt() -> io::Error {
    let why = "the passphrase is another, or the file is damaged or cut short";
    io::Error::other(format!("this backup does not decrypt: {why}"))
}
