//! The data directory: its files besides the database, their permissions, and their owner.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use nix::libc;
use nix::unistd::{Gid, Uid, User, initgroups, setgid, setuid};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use crate::kernel::ServerEndpoints;
use crate::model::{LOCK_FILE, sha256_hex};
use crate::server::ReadyLine;
use crate::server::certificates::host_names;
use crate::server::firmware_tls::{self, KeyAgreement, rsa};
use crate::server::ownership::{self, FileOwner, SkippedFiles};
use crate::store::SqliteStore;

/// The server's directory, accessible to its owner only.
pub struct DataDir {
    path: PathBuf,
}

/// The files that the server writes in the directory, and the folders that it writes in.
const WRITTEN: [&str; 9] = [
    "admin.token",
    "endpoint.json",
    "media",
    "metalwright.db",
    "metalwright.db-shm",
    "metalwright.db-wal",
    LOCK_FILE,
    "secret.key",
    "tls",
];

/// The boot side's certificate and its key, in PEM.
pub struct ServerCertificate {
    certificate: String,
    key: String,
}

impl DataDir {
    /// Creates the directory if it does not exist.
    ///
    /// # Errors
    /// It cannot be created, or others may read it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if !path.try_exists().with_context(|| directory_context(path))? {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .with_context(|| directory_context(path))?;
        }
        let path = path.canonicalize().with_context(|| directory_context(path))?;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW);
        let folder = options.open(&path).with_context(|| directory_context(&path))?;
        let mode = folder.metadata().with_context(|| directory_context(&path))?.permissions().mode();
        if mode & 0o077 != 0 {
            folder
                .set_permissions(fs::Permissions::from_mode(0o700))
                .with_context(|| directory_context(&path))?;
            let directory = path.display();
            tracing::warn!(%directory, "others could read the data directory; now they cannot");
        }
        Ok(DataDir { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the directory and its content to a user.
    ///
    /// # Errors
    /// There is no such user, or this process may not change the owner.
    pub fn give_to(&self, user: &str) -> anyhow::Result<()> {
        let (uid, gid) = ids(user)?;
        let place = self.path.display();
        let given = ownership::give(&self.path, FileOwner { user: uid, group: gid });
        let kept = given.with_context(|| format!("giving {place} to {user}"))?;
        if kept != SkippedFiles::default() {
            let SkippedFiles { several_names, no_files, foreign } = kept;
            tracing::warn!(
                directory = %place,
                several_names,
                no_files,
                foreign,
                "files with several names, what is no file, and files of others in a folder of the user were \
                 not given to the user: if they are the server's, change their owner yourself (chown -h)"
            );
        }
        Ok(())
    }

    /// Refuses to start where the certificates were lost: agents and command lines know the server by them,
    /// and others would shut all of them out. An empty folder says that others are meant.
    ///
    /// # Errors
    /// The folder of certificates is missing beside a database that was used.
    pub fn refuse_missing_certificate(&self) -> anyhow::Result<()> {
        let folder = self.path.join("tls");
        if folder.symlink_metadata().is_ok() || !SqliteStore::was_used(&self.path) {
            return Ok(());
        }
        let place = folder.display();
        Err(anyhow!(
            "{place} is missing, with the certificate that agents and command lines know. Restore it from \
             the backup (docs/operating/backup.md). If there is no copy, make an empty folder (mkdir -m 700 \
             {place}, owned by the server's user): the server makes another certificate, and every agent and \
             command line has to be told of it"
        ))
    }

    /// Checks for a server that stays root in a directory of another user: it must not follow links to the
    /// files that it writes.
    ///
    /// # Errors
    /// There is a link in the place of a file or folder that the server writes.
    pub fn refuse_links(&self) -> anyhow::Result<()> {
        let owner = fs::metadata(&self.path).with_context(|| self.path.display().to_string())?.uid();
        if !Uid::effective().is_root() || owner == 0 {
            return Ok(());
        }
        let place = self.path.display();
        tracing::warn!(
            directory = %place,
            owner,
            "the server runs as root in a directory of another user: set `user`"
        );
        for name in WRITTEN {
            let path = self.path.join(name);
            if path.is_symlink() {
                return Err(anyhow!(
                    "{} is a link, and {place} belongs to user {owner}: a server that runs as root does not \
                     write through it. Set `user` in the configuration, or put the file itself there",
                    path.display()
                ));
            }
        }
        Ok(())
    }

    /// The certificate of the boot side, which firmware is told to trust: it names the addresses of this
    /// host, because boot URLs do. The first start with that listener makes it, with a key that old firmware
    /// knows.
    ///
    /// # Errors
    /// The files cannot be read or written, or hold no certificate.
    pub fn boot_certificate(&self) -> anyhow::Result<ServerCertificate> {
        let folder = self.path.join("tls");
        let (certificate, key) = (folder.join("boot-cert.pem"), folder.join("boot-key.pem"));
        if !certificate.exists() {
            make_private_folder(&folder)?;
            let pair = rsa::generate()?;
            let names = host_names::names(&[])?;
            let mut params = CertificateParams::new(names).context("the names of a certificate")?;
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, subject(&pair));
            let made = params.self_signed(&pair).context("making a certificate")?;
            write_private(&key, &pair.serialize_pem())?;
            write_private(&certificate, &made.pem())?;
        }
        Ok(ServerCertificate { certificate: read_text(&certificate)?, key: read_text(&key)? })
    }

    /// Writes the administrator's token to a file that only its owner can read.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_admin_token(&self, token: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join("admin.token");
        write_private(&path, &format!("{token}\n"))?;
        Ok(path)
    }

    /// Writes the server's address for the command line and the simulator on this host.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_endpoint(&self, endpoints: &ServerEndpoints, ready: &ReadyLine<'_>) -> anyhow::Result<()> {
        let loopback = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        let api = match endpoints.api_url(loopback) {
            url if url.is_empty() => endpoints.api.map(|address| format!("https://{address}")),
            url => Some(url),
        };
        let endpoint = json!({
            "api": api,
            "fingerprint": endpoints.api_fingerprint,
            "boot_http": ready.boot_http,
            "tftp": ready.tftp,
            "dhcp_port": ready.dhcp_port,
        });
        write_private(&self.path.join("endpoint.json"), &format!("{endpoint}\n"))
    }
}

fn directory_context(path: &Path) -> String {
    format!("the data directory {}", path.display())
}

/// Makes a folder for its owner only, if it is not there yet.
///
/// # Errors
/// It cannot be made.
pub fn make_private_folder(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(folder).with_context(|| folder.display().to_string())
}

/// A file that holds text.
///
/// # Errors
/// It cannot be read.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

impl ServerCertificate {
    /// For the boot side's listener.
    ///
    /// # Errors
    /// The files do not hold a certificate with its key.
    pub fn acceptor(&self, agreement: KeyAgreement) -> anyhow::Result<TlsAcceptor> {
        let place = "tls/boot-cert.pem and tls/boot-key.pem";
        let (chain, key) = self.parts().context(place)?;
        let config = firmware_tls::config(chain, key, agreement).context(place)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn parts(&self) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        Ok((chain, PrivateKeyDer::from_pem_slice(self.key.as_bytes())?))
    }
}

/// Becomes a user permanently.
///
/// # Errors
/// There is no such user, or this process may not become it.
pub fn become_user(user: &str) -> anyhow::Result<()> {
    let (uid, gid) = ids(user)?;
    if Uid::effective() == uid {
        return Ok(());
    }
    let name = std::ffi::CString::new(user)?;
    initgroups(&name, gid).and_then(|()| setgid(gid)).and_then(|()| setuid(uid)).with_context(|| {
        format!("becoming {user}: a server that is to change its user has to be started by root")
    })
}

fn ids(user: &str) -> anyhow::Result<(Uid, Gid)> {
    let found = User::from_name(user)?.ok_or_else(|| anyhow!("there is no user {user}"))?;
    Ok((found.uid, found.gid))
}

/// Writes a file, whole or not at all, readable by the owner only.
///
/// # Errors
/// It cannot be written.
pub fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let write = || -> io::Result<()> {
        // One that was left behind may be a link that somebody else made.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().with_context(|| path.display().to_string())
}

/// No two certificates have one name: OpenSSL looks for a trusted one by its name, and where firmware trusts
/// two of one name it finds the first only. (They have no key usage: OpenSSL of before 3 takes a certificate
/// whose key may not sign certificates for one that somebody else has signed.)
pub fn subject(key: &KeyPair) -> String {
    format!("Metalwright {:.16}", sha256_hex(key.public_key_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_not_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("admin.token"));
        fs::write(&victim, "theirs").unwrap();
        for link in [&path, &path.with_extension("partial")] {
            std::os::unix::fs::symlink(&victim, link).unwrap();
        }
        write_private(&path, "ours").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "theirs");
        assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
        assert!(!path.is_symlink());
    }

    #[test]
    fn a_directory_that_cannot_be_looked_at_is_not_taken_for_one_that_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let round = folder.path().join("round");
        std::os::unix::fs::symlink(&round, &round).unwrap();
        let error = format!("{:#}", DataDir::open(&round).err().unwrap());
        assert!(error.contains("the data directory") && error.contains("symbolic links"), "{error}");
    }
}
