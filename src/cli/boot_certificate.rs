//! `boot-certificate`: the certificate of the boot side's HTTPS listener, in the forms that firmware accepts.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// `EFI_CERT_X509_GUID`, as it is stored (UEFI 2.10 §32.4.1).
const X509: [u8; 16] =
    [0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72];
/// The owner of the entry: a fixed identity of this project, so that the entry can be found and removed.
const OWNER: [u8; 16] =
    [0x5d, 0x77, 0x1c, 0x0e, 0x3b, 0x8a, 0x42, 0x4f, 0x9e, 0x61, 0x2c, 0x5a, 0x70, 0xd4, 0x18, 0x93];

/// The form of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CertificateForm {
    /// Text, for iPXE, curl and most tools.
    Pem,
    /// Bytes, for the setup screens of firmware.
    Der,
    /// An EFI signature list: the variable `TlsCaCertificate`, and OVMF's `etc/edk2/https/cacerts`.
    Esl,
}

/// The certificate to write, and the destination.
#[derive(Args, Clone, Debug)]
pub struct BootCertificate {
    /// The server's data directory.
    #[arg(long, env = "METALWRIGHT_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// The form to write.
    #[arg(long, value_name = "FORM", default_value = "pem")]
    pub form: CertificateForm,
    /// The file to write [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Writes the certificate.
///
/// # Errors
/// There is none yet, or a file cannot be read or written.
pub fn export(args: &BootCertificate) -> Result<()> {
    let bytes = encoded(&args.data.join("tls/boot-cert.pem"), args.form)?;
    match &args.output {
        Some(file) => std::fs::write(file, bytes).with_context(|| file.display().to_string()),
        None => std::io::stdout().write_all(&bytes).context("standard output"),
    }
}

fn encoded(path: &Path, form: CertificateForm) -> Result<Vec<u8>> {
    let text = std::fs::read(path).with_context(|| {
        let path = path.display();
        format!("{path}: `metalwright serve --boot-https ADDRESS:PORT` makes it at its first start")
    })?;
    let read = CertificateDer::from_pem_slice(&text);
    let der = read.map_err(|error| anyhow!("{} holds no certificate: {error}", path.display()))?;
    Ok(match form {
        CertificateForm::Pem => text,
        CertificateForm::Der => der.to_vec(),
        CertificateForm::Esl => signature_list(&der)?,
    })
}

/// An `EFI_SIGNATURE_LIST` with one certificate: type, three lengths, then the owner and the certificate.
fn signature_list(der: &[u8]) -> Result<Vec<u8>> {
    let entry = u32::try_from(OWNER.len() + der.len())?;
    let head = u32::try_from(X509.len() + 3 * size_of::<u32>())?;
    let mut list = X509.to_vec();
    for length in [head + entry, 0, entry] {
        list.extend(length.to_le_bytes());
    }
    list.extend(OWNER);
    list.extend(der);
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_exported_in_each_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boot-cert.pem");
        let made = rcgen::generate_simple_self_signed(vec!["10.0.0.1".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        let der = made.cert.der().to_vec();
        assert_eq!(encoded(&path, CertificateForm::Pem).unwrap(), made.cert.pem().into_bytes());
        assert_eq!(encoded(&path, CertificateForm::Der).unwrap(), der);
        let list = encoded(&path, CertificateForm::Esl).unwrap();
        let number = |at: usize| u32::from_le_bytes(list[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!((number(16), number(20), number(24)), (list.len(), 0, 16 + der.len()));
        assert_eq!(list[..16], X509);
        assert_eq!(list[44..], der);
    }

    #[test]
    fn where_there_is_none_it_says_how_to_have_one() {
        let error = encoded(Path::new("/nonexistent/tls/boot-cert.pem"), CertificateForm::Pem).unwrap_err();
        assert!(error.to_string().contains("--boot-https"), "{error}");
    }
}
