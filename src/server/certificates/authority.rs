//! The certificate authority of the data directory: its key, which clients trust, and what it signs. Start at
//! [`HostAuthority::open`].

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::client::authority::{self, AUTHORITY_ORGANIZATION};
use crate::client::{CertificateFacts, Fingerprint};
use crate::server::data::{read_text, subject, write_private};

const AUTHORITY_DAYS: i64 = 3652;
/// Its certificate is made anew for the same key when it has no longer to run.
const AUTHORITY_RENEWED_DAYS: i64 = 365;
const CERTIFICATE_DAYS: i64 = 365;
/// The certificate of this host is made anew when it has no longer to run.
pub const RENEWED_DAYS: i64 = 60;
/// Certificates begin so much earlier: clocks differ.
const EARLIER_DAYS: i64 = 1;

/// The authority, with its key.
pub struct HostAuthority {
    key: KeyPair,
    pub certificate: CertificateDer<'static>,
    pub facts: CertificateFacts,
    /// What clients trust.
    pub fingerprint: Fingerprint,
}

impl HostAuthority {
    /// The authority in `folder`, `ca.pem` and `ca-key.pem`. The first start makes it.
    ///
    /// # Errors
    /// The files cannot be read or written, or do not belong together.
    pub fn open(folder: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
        if !key.try_exists().with_context(|| key.display().to_string())? {
            if certificate.exists() {
                bail!(
                    "{} is missing: put it back from a backup. Without it no certificate can be signed that \
                     agents and command lines trust; to begin anew, delete {} too",
                    key.display(),
                    certificate.display()
                );
            }
            let made = KeyPair::generate().context("making a key")?;
            write_private(&key, &made.serialize_pem())?;
        }
        let pair = KeyPair::from_pem(&read_text(&key)?).with_context(|| key.display().to_string())?;
        let fingerprint = Fingerprint::of(&pair.subject_public_key_info());
        if let Some((certificate, facts)) = kept(&certificate, fingerprint)?
            && is_good(&facts, AUTHORITY_RENEWED_DAYS, now)
        {
            return Ok(HostAuthority { key: pair, certificate, facts, fingerprint });
        }
        let made = params(fingerprint, now)?.self_signed(&pair).context("making ca.pem")?;
        write_private(&certificate, &made.pem())?;
        let facts = CertificateFacts::read(made.der()).context("ca.pem")?;
        Ok(HostAuthority { key: pair, certificate: made.der().clone(), facts, fingerprint })
    }

    /// A new certificate for these names and addresses, and after it its key, in PEM.
    ///
    /// # Errors
    /// A name that cannot stand in a certificate.
    pub fn sign(&self, names: &[String], now: Timestamp) -> anyhow::Result<String> {
        let key = KeyPair::generate().context("making a key")?;
        let mut wanted = CertificateParams::new(names).context("the names of a certificate")?;
        wanted.distinguished_name = DistinguishedName::new();
        wanted.distinguished_name.push(DnType::CommonName, subject(&key));
        wanted.is_ca = IsCa::ExplicitNoCa;
        wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        wanted.use_authority_key_identifier_extension = true;
        set_validity(&mut wanted, now, CERTIFICATE_DAYS)?;
        let own = params(self.fingerprint, now)?;
        let signed = wanted.signed_by(&key, &Issuer::from_params(&own, &self.key));
        let signed = signed.context("signing a certificate")?;
        Ok(format!("{}{}", signed.pem(), key.serialize_pem()))
    }
}

/// Whether a certificate is valid now and for so many days.
pub fn is_good(facts: &CertificateFacts, days: i64, now: Timestamp) -> bool {
    let left = facts.ends.as_second().saturating_sub(now.as_second());
    facts.begins <= now && left > days * 24 * 60 * 60
}

fn kept(
    path: &Path,
    fingerprint: Fingerprint,
) -> anyhow::Result<Option<(CertificateDer<'static>, CertificateFacts)>> {
    if !path.exists() {
        return Ok(None);
    }
    let place = path.display();
    let read = CertificateDer::from_pem_slice(read_text(path)?.as_bytes());
    let chain = [read.map_err(|error| anyhow!("{place}: {error}"))?];
    if authority::find(&chain).is_none_or(|found| found.key != fingerprint) {
        bail!(
            "{place} is not the certificate of ca-key.pem beside it: put both back from one backup, or \
             delete both to begin anew. A certificate of your own goes into cert.pem and key.pem"
        );
    }
    let [certificate] = chain;
    let facts = CertificateFacts::read(&certificate).with_context(|| place.to_string())?;
    Ok(Some((certificate, facts)))
}

/// The authority's own certificate.
fn params(fingerprint: Fingerprint, now: Timestamp) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, AUTHORITY_ORGANIZATION);
    params.distinguished_name.push(DnType::CommonName, fingerprint.hex());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, AUTHORITY_DAYS)?;
    Ok(params)
}

/// From a day ago until the beginning of the day that is so many days away.
fn set_validity(params: &mut CertificateParams, now: Timestamp, days: i64) -> anyhow::Result<()> {
    let today: Date = now.to_zoned(TimeZone::UTC).date();
    let day = |away: i64| {
        let date = today.checked_add(Span::new().try_days(away)?).context("the clock of this host")?;
        let (month, day) = (u8::try_from(date.month())?, u8::try_from(date.day())?);
        anyhow::Ok(rcgen::date_time_ymd(i32::from(date.year()), month, day))
    };
    (params.not_before, params.not_after) = (day(-EARLIER_DAYS)?, day(days)?);
    Ok(())
}
