//! The file of a backup on the disk: written beside its place, for its owner only, and put there when it is
//! whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::cipher::{DecryptingReader, EncryptingWriter, MAGIC, Passphrase};

/// What every gzip file begins with (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Where a backup is written.
type Sink = Box<dyn Write + Send>;

/// A backup that is being written.
pub struct BackupFile {
    to: BackupSink,
    /// The file that is written, and its place; none for standard output.
    places: Option<(PathBuf, PathBuf)>,
}

enum BackupSink {
    Plain(Sink),
    Encrypted(Box<EncryptingWriter<Sink>>),
}

/// Whether a file that is there already may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingFile {
    Kept,
    Replaced,
}

impl BackupFile {
    /// Begins a file; `-` is standard output.
    ///
    /// # Errors
    /// The file is there already, or cannot be written.
    pub fn create(path: &Path, existing: ExistingFile, with: Option<&Passphrase>) -> io::Result<Self> {
        let (sink, places): (Sink, _) = if path == Path::new("-") {
            (Box::new(io::stdout()), None)
        } else {
            if existing == ExistingFile::Kept && path.symlink_metadata().is_ok() {
                let what = format!("{} is there already: --force replaces it", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            let mut name = path.as_os_str().to_owned();
            name.push(".partial");
            let partial = PathBuf::from(name);
            match fs::remove_file(&partial) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&partial, &error)),
                _ => {}
            }
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
            let file = file.map_err(|error| at(&partial, &error))?;
            (Box::new(BufWriter::new(file)), Some((partial, path.to_owned())))
        };
        let to = match with {
            None => BackupSink::Plain(sink),
            Some(passphrase) => BackupSink::Encrypted(Box::new(EncryptingWriter::begin(sink, passphrase)?)),
        };
        Ok(BackupFile { to, places })
    }

    /// Puts the file in its place, on the disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> io::Result<()> {
        let to = std::mem::replace(&mut self.to, BackupSink::Plain(Box::new(io::sink())));
        let mut sink = match to {
            BackupSink::Plain(sink) => sink,
            BackupSink::Encrypted(writer) => writer.finish()?,
        };
        sink.flush()?;
        drop(sink);
        let Some((partial, place)) = self.places.take() else { return Ok(()) };
        File::open(&partial)?.sync_all()?;
        fs::rename(&partial, &place).map_err(|error| at(&place, &error))
    }
}

/// What was not finished is of no use.
impl Drop for BackupFile {
    fn drop(&mut self) {
        if let Some((partial, _)) = &self.places {
            drop(fs::remove_file(partial));
        }
    }
}

impl Write for BackupFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            BackupSink::Plain(sink) => sink.write(bytes),
            BackupSink::Encrypted(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            BackupSink::Plain(sink) => sink.flush(),
            BackupSink::Encrypted(writer) => writer.flush(),
        }
    }
}

/// Opens a backup, decrypted; `-` is standard input.
///
/// # Errors
/// It cannot be read, is no backup, or is encrypted and there is no passphrase.
pub fn open(path: &Path, with: Option<&Passphrase>) -> io::Result<Box<dyn Read>> {
    let mut file: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(BufReader::new(File::open(path).map_err(|error| at(path, &error))?)),
    };
    let mut first = Vec::new();
    (&mut file).take(MAGIC.len() as u64).read_to_end(&mut first)?;
    match with {
        Some(passphrase) if first == MAGIC => Ok(Box::new(DecryptingReader::begin(file, passphrase)?)),
        None if first == MAGIC => Err(io::Error::other(
            "this backup is encrypted: name the file with its passphrase by --passphrase-file",
        )),
        _ if first.starts_with(&GZIP_MAGIC) => Ok(Box::new(Cursor::new(first).chain(file))),
        _ => Err(io::Error::other(format!("{} is not a backup", path.display()))),
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
