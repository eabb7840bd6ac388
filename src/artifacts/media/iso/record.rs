//! One record of a folder (ECMA-119 section 9.1).

use super::NameSource;

/// The shortest record: one with a name of one byte.
const RECORD_BYTES_MIN: usize = 34;
const FLAG_FOLDER: u8 = 0x02;
const FLAG_ASSOCIATED: u8 = 0x04;
const FLAG_GOES_ON: u8 = 0x80;

/// The place of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsoExtent {
    /// In sectors.
    pub block: u32,
    pub bytes: u64,
}

/// The name in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordName {
    /// The folder itself.
    Own,
    Parent,
    Of(Vec<u8>),
}

/// One record.
#[derive(Clone, Debug)]
pub struct FolderRecord {
    /// Length of the record in bytes.
    pub length: usize,
    pub extent: IsoExtent,
    pub is_folder: bool,
    pub is_associated: bool,
    /// Whether the next record has more of the same file.
    pub goes_on: bool,
    pub name: RecordName,
    /// The data after the name: Rock Ridge.
    pub system_use: Vec<u8>,
}

impl FolderRecord {
    /// The first record in `bytes`; none if there is no more.
    pub fn parse(bytes: &[u8]) -> Result<Option<FolderRecord>, String> {
        let length = match bytes.first() {
            None | Some(0) => return Ok(None),
            Some(length) => usize::from(*length),
        };
        let record = bytes
            .get(..length)
            .filter(|record| record.len() >= RECORD_BYTES_MIN)
            .ok_or_else(record_too_short)?;
        let (flags, name_bytes) = (byte_at(record, 25), usize::from(byte_at(record, 32)));
        if byte_at(record, 26) != 0 || byte_at(record, 27) != 0 {
            return Err("a file is interleaved, which is not read".to_owned());
        }
        let name = record.get(33..33 + name_bytes).ok_or_else(record_too_short)?;
        // A byte makes the length of the name odd (section 9.1.12).
        let system_use = record.get(33 + name_bytes + (name_bytes + 1) % 2..).unwrap_or_default();
        let block =
            number_at(record, 2)?.checked_add(u32::from(byte_at(record, 1))).ok_or_else(record_too_short)?;
        Ok(Some(FolderRecord {
            length,
            extent: IsoExtent { block, bytes: number_at(record, 10)?.into() },
            is_folder: flags & FLAG_FOLDER != 0,
            is_associated: flags & FLAG_ASSOCIATED != 0,
            goes_on: flags & FLAG_GOES_ON != 0,
            name: match name {
                [0] => RecordName::Own,
                [1] => RecordName::Parent,
                other => RecordName::Of(other.to_vec()),
            },
            system_use: system_use.to_vec(),
        }))
    }
}

fn number_at(record: &[u8], at: usize) -> Result<u32, String> {
    let bytes: Option<[u8; 4]> = record.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_le_bytes).ok_or_else(record_too_short)
}

fn byte_at(record: &[u8], at: usize) -> u8 {
    record.get(at).copied().unwrap_or_default()
}

fn record_too_short() -> String {
    "a record is cut short".to_owned()
}

impl RecordName {
    /// The name for people: without its version, and in lower case if it is a plain ISO name, as Linux shows
    /// it.
    pub fn text(&self, names: NameSource) -> Result<String, String> {
        let RecordName::Of(bytes) = self else { return Err("a folder's own record has no name".to_owned()) };
        let text = if names == NameSource::Joliet {
            let units = bytes
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)));
            char::decode_utf16(units)
                .collect::<Result<String, _>>()
                .map_err(|_| "a name is not UTF-16".to_owned())?
        } else {
            let text = String::from_utf8(bytes.clone()).map_err(|_| "a name is not text".to_owned())?;
            text.to_ascii_lowercase()
        };
        let text = text.rsplit_once(';').map_or(text.as_str(), |(name, _)| name);
        let text = text.strip_suffix('.').unwrap_or(text);
        part(text)
    }
}

/// A name that is a single part of a path.
pub fn part(text: &str) -> Result<String, String> {
    if matches!(text, "" | "." | "..") || text.contains('/') || text.chars().any(char::is_control) {
        return Err(format!("{text:?} is not a valid name"));
    }
    Ok(text.to_owned())
}
