//! What becomes of a backup that is whole, damaged, cut short, of a later version, or made by somebody else.

use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::cipher::{DecryptingReader, EncryptingWriter, MAGIC, Passphrase};
use super::read::unpack;
use super::write::ArchiveWriter;
use super::*;

const SCHEMA: u64 = 12;

fn facts() -> BackupFacts {
    BackupFacts {
        format: FORMAT,
        program: "1.0.0".into(),
        schema: SCHEMA,
        created_at: Timestamp::UNIX_EPOCH,
        configuration: BTreeMap::new(),
        artifacts: Vec::new(),
    }
}

/// A data directory with one of everything.
fn data() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    for folder in ["tls", "media/trees/ab/pool"] {
        fs::create_dir_all(data.path().join(folder)).unwrap();
    }
    for (name, text) in [("metalwright.db", "database"), ("secret.key", "key"), ("tls/cert.pem", "pem")] {
        fs::write(data.path().join(name), text).unwrap();
    }
    fs::write(data.path().join("media/trees/ab/pool/linux"), [7; 100_000]).unwrap();
    symlink("pool/linux", data.path().join("media/trees/ab/vmlinuz")).unwrap();
    data
}

fn backup_of(data: &Path, facts: &BackupFacts) -> Vec<u8> {
    let mut writer = ArchiveWriter::begin(Vec::new(), facts).unwrap();
    for name in [DATABASE, "secret.key"] {
        writer.add_file(name, &data.join(name)).unwrap();
    }
    for folder in FOLDERS.iter().chain(&ARTIFACT_FOLDERS) {
        writer.add_folder(folder, &data.join(folder)).unwrap();
    }
    writer.finish().unwrap().0
}

fn unpacked(backup: impl Read) -> (io::Result<BackupFacts>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (unpack(backup, folder.path(), SCHEMA), folder)
}

fn refusal(backup: impl Read) -> String {
    unpacked(backup).0.unwrap_err().to_string()
}

/// A tar with these members, as anybody can make it.
fn foreign(members: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, kind, content) in members {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        if *kind == EntryType::Symlink {
            header.set_link_name("/etc").unwrap();
            header.set_size(0);
        }
        header.set_cksum();
        tar.append(&header, if *kind == EntryType::Symlink { &[][..] } else { content }).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn what_was_backed_up_comes_back_as_it_was_and_for_its_owner_only() {
    let data = data();
    let backup = backup_of(data.path(), &facts());
    let (read, folder) = unpacked(backup.as_slice());
    assert_eq!(read.unwrap(), facts());
    for name in ["metalwright.db", "secret.key", "tls/cert.pem", "media/trees/ab/pool/linux"] {
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), fs::read(data.path().join(name)).unwrap());
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    let link = fs::read_link(folder.path().join("media/trees/ab/vmlinuz")).unwrap();
    assert_eq!(link, Path::new("pool/linux"));
    assert!(!folder.path().join(FACTS).exists(), "it is no file of a data directory");
}

#[test]
fn the_digests_are_those_that_sha256sum_checks() {
    let mut tar = Vec::new();
    GzDecoder::new(backup_of(data().path(), &facts()).as_slice()).read_to_end(&mut tar).unwrap();
    let text = String::from_utf8_lossy(&tar);
    let sum = crate::model::sha256_hex("database");
    assert!(text.contains(&format!("\n{sum}  metalwright.db\n")), "the list of digests is plain text");
}

#[test]
fn a_backup_that_was_cut_short_anywhere_is_refused() {
    let backup = backup_of(data().path(), &facts());
    for end in (0..backup.len()).step_by(37).chain([backup.len() - 1]) {
        assert!(unpacked(&backup[..end]).0.is_err(), "{end} of {} bytes", backup.len());
    }
}

#[test]
fn a_bit_that_is_another_anywhere_is_noticed_although_nothing_reads_it() {
    let backup = backup_of(data().path(), &facts());
    for at in (0..backup.len()).step_by(7) {
        let mut flipped = backup.clone();
        flipped[at] ^= 1 << (at / 7 % 8);
        assert!(unpacked(flipped.as_slice()).0.is_err(), "byte {at} of {}", backup.len());
    }
    assert!(unpacked([backup.as_slice(), b"more"].concat().as_slice()).0.is_err());
}

#[test]
fn a_backup_of_an_earlier_version_has_no_digest_at_its_end_and_is_restored() {
    let data = data();
    let old = backup_of(data.path(), &BackupFacts { format: 1, ..facts() });
    for old in [&old[..old.len() - 535], old.as_slice()] {
        let (read, folder) = unpacked(old);
        assert_eq!(read.unwrap().format, 1);
        assert_eq!(fs::read(folder.path().join("secret.key")).unwrap(), b"key");
    }
    let new = backup_of(data.path(), &facts());
    let refused = refusal(&new[..new.len() - 535]);
    assert!(refused.contains("the digest at its end"), "{refused}");
}

#[test]
fn a_backup_of_a_later_version_is_refused_before_anything_else_is_read() {
    let data = data();
    let later = backup_of(data.path(), &BackupFacts { schema: SCHEMA + 1, ..facts() });
    assert!(refusal(later.as_slice()).contains("a later version made it"));
    let format = backup_of(data.path(), &BackupFacts { format: FORMAT + 1, ..facts() });
    let (refused, folder) = unpacked(format.as_slice());
    assert!(refused.unwrap_err().to_string().contains("later format"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn no_member_leads_out_of_the_folder() {
    let facts = serde_json::to_vec(&facts()).unwrap();
    let first = (FACTS, EntryType::Regular, facts.as_slice());
    for name in ["../x", "/etc/x", "tls/../../x", "tls//x", "x", "metalwright.lock", "tls", "media/fetched/x"]
    {
        let said = refusal(foreign(&[first, (name, EntryType::Regular, b"x")]).as_slice());
        assert!(said.contains("does not belong into it"), "{name}: {said}");
    }
    for kind in [EntryType::Link, EntryType::Char, EntryType::Fifo, EntryType::Directory] {
        assert!(refusal(foreign(&[first, ("tls/x", kind, b"")]).as_slice()).contains("does not belong"));
    }
    let twice = [first, ("tls/x", EntryType::Regular, b"a"), ("tls/x", EntryType::Regular, b"b")];
    assert!(refusal(foreign(&twice).as_slice()).contains("does not belong"));
}

#[test]
fn nothing_is_written_through_a_link_of_a_backup() {
    let facts = serde_json::to_vec(&facts()).unwrap();
    let database = b"db".as_slice();
    let members: [(&str, EntryType, &[u8]); 5] = [
        (FACTS, EntryType::Regular, &facts),
        (DATABASE, EntryType::Regular, database),
        ("loaders/etc", EntryType::Symlink, b""),
        ("loaders/etc/passwd", EntryType::Regular, b"x"),
        ("loaders/etc/link", EntryType::Symlink, b""),
    ];
    let sum = |name: &str, text: &[u8]| format!("{}  {name}\n", crate::model::sha256_hex(text));
    let sums = [sum(FACTS, &facts), sum(DATABASE, database), sum("loaders/etc/passwd", b"x")].concat();
    let all = [&members[..], &[(SUMS, EntryType::Regular, sums.as_bytes())]].concat();
    let (refused, folder) = unpacked(foreign(&all).as_slice());
    assert!(refused.is_err());
    // The file is in a folder of that name, and the link was not made in its place.
    assert_eq!(fs::read(folder.path().join("loaders/etc/passwd")).unwrap(), b"x");
}

#[test]
fn an_encrypted_backup_opens_with_its_passphrase_only_and_whole_only() {
    let passphrase = Passphrase::of_text(b"correct horse\n").unwrap();
    for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let text: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let mut writer = EncryptingWriter::begin(Vec::new(), &passphrase).unwrap();
        writer.write_all(&text).unwrap();
        let sealed = writer.finish().unwrap();
        let open = |sealed: &[u8], passphrase: &Passphrase| -> io::Result<Vec<u8>> {
            let mut opened = Vec::new();
            let behind_magic = Cursor::new(sealed[MAGIC.len()..].to_vec());
            DecryptingReader::begin(behind_magic, passphrase)?.read_to_end(&mut opened)?;
            Ok(opened)
        };
        assert_eq!(open(&sealed, &passphrase).unwrap(), text, "{length}");
        assert!(!sealed.windows(40).any(|part| text.starts_with(part)), "{length}");
        if length != 200_000 {
            continue;
        }
        assert!(open(&sealed, &Passphrase::of_text(b"other").unwrap()).is_err());
        for end in [MAGIC.len(), 60, 63, 65_615, 65_616, 131_168, sealed.len() - 1] {
            assert!(open(&sealed[..end], &passphrase).is_err(), "{end}");
        }
        for at in [30, 50, 64, 65_615, sealed.len() - 1] {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(open(&flipped, &passphrase).is_err(), "{at}");
        }
    }
    assert!(Passphrase::of_text(b"\n").is_err() && Passphrase::of_text(&[b'x'; 2000]).is_err());
}
