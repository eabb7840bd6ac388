//! Where a boot stopped, and what that means. Firmware and loaders do not report that they refused a file;
//! they just never request the next one. Start at [`why`].

use std::net::Ipv4Addr;

use crate::netboot::decide::namespace::ScriptKind;
use crate::netboot::decide::second_stage::{OtherBootServer, leads_to_grub};
use crate::netboot::decide::signed::{self, ChainRole};

/// A sign of a machine's boot that tells how far it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootSign {
    /// The machine began to fetch this loader, by its name in the boot namespace.
    Fetches(String),
    /// The machine has the whole loader.
    Loader(String),
    /// A running loader asked for an address.
    LoaderRuns,
    /// Firmware asked for an address: the boot begins, or firmware tries its next way to boot.
    FirmwareAsks,
    Script(ScriptKind),
    /// The machine has the whole kernel.
    Kernel,
    /// The machine began to fetch an initrd.
    Initrd,
    /// The machine asked for a loader over HTTPS, and the TLS handshake failed.
    NoTls(TlsFailure),
}

/// Why a TLS handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// The client and the listener with its certificate have no cipher suite in common.
    NothingInCommon,
    /// The client saw the certificate and closed the connection, with this alert (RFC 5246 section 7.2) or
    /// without one.
    Left(Option<String>),
}

/// The evidence after the last sign: the next sign, or a long silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopVerdict<'a> {
    Next(&'a BootSign),
    /// Nothing arrived for a while.
    Nothing,
}

/// How long a loader may take for its first request after it was fetched.
pub const SILENCE_SECONDS: i64 = 45;

/// Facts about the machine that explain a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopContext {
    pub is_bios: bool,
    /// The loader that fetched the machine's script.
    pub by: Option<ScriptKind>,
    /// Whether a shim was fetched in this attempt.
    pub has_shim: bool,
    /// The server that gives the machine its address in place of this one, with this server's address.
    pub beside: Option<(OtherBootServer, Ipv4Addr)>,
}

/// Why a boot stopped after `last`, for a person; `None` if it did not stop, or may still continue.
pub fn why(last: &BootSign, seen: StopVerdict<'_>, about: StopContext) -> Option<String> {
    match (last, seen) {
        // A retry of firmware is not reported again.
        (BootSign::NoTls(_), _) => None,
        (_, StopVerdict::Next(BootSign::NoTls(why))) => Some(no_tls(why)),
        // shim asks for MokManager if it does not trust the file that it should start.
        (BootSign::Loader(name), StopVerdict::Next(BootSign::Fetches(next)))
            if signed::role(next) == Some(ChainRole::MokManager) =>
        {
            Some(format!(
                "shim fetched {name}, did not start it, and started MokManager: \"Verification failed\" \
                 (Security Violation). {DISTRUST}"
            ))
        }
        (BootSign::Loader(name), StopVerdict::Nothing | StopVerdict::Next(BootSign::FirmwareAsks)) => {
            Some(loader_stopped(name, about))
        }
        (BootSign::Kernel, StopVerdict::Nothing | StopVerdict::Next(BootSign::Script(_)))
            if about.by == Some(ScriptKind::Grub) && !about.is_bios =>
        {
            Some(
                "GRUB fetched the kernel and never asked for the initrd. With Secure Boot on, shim refuses a \
                 kernel that its own distribution did not sign (\"bad shim signature\"): the kernel of the \
                 artifact and the chain in the bootenv's `secure_boot` must be of one distribution. If the \
                 console does not say so, the machine was reset, or it has too little memory"
                    .to_owned(),
            )
        }
        _ => None,
    }
}

/// UEFI from before 2023 is built without elliptic curves, so it supports no certificate with such a key.
fn no_tls(why: &TlsFailure) -> String {
    match why {
        TlsFailure::NothingInCommon => {
            "the firmware came for its loader over HTTPS, and it has no cipher suite in common with the \
             listener and its certificate. Firmware of before 2023 knows no elliptic curves: set \
             boot.https_dhe. It needs a certificate with an RSA key: if that of tls/boot-cert.pem has \
             another, delete it and tls/boot-key.pem, restart the server, and enrol the new one"
                .to_owned()
        }
        TlsFailure::Left(alert) => {
            let said = alert.as_ref().map_or("without a word".to_owned(), |alert| format!("with {alert}"));
            format!(
                "the firmware came for its loader over HTTPS, was shown the certificate, and went away \
                 {said}: the certificate is not enrolled in it (`metalwright boot-certificate`), does not \
                 name the address in the URL, or is not valid yet or any more by the machine's clock"
            )
        }
    }
}

const DISTRUST: &str = "A shim starts only what its own distribution signed, and nothing that was revoked \
                        since (SBAT): put shim and loader of one distribution, and of about one age, into \
                        its folder of signed loaders";

fn loader_stopped(name: &str, about: StopContext) -> String {
    let came = format!("the firmware fetched {name}, and nothing came after it");
    match signed::role(name) {
        Some(ChainRole::Shim) => format!(
            "{came}: it did not start this shim, whose signature its Secure Boot does not trust (\"Access \
             Denied\": the key of Microsoft's third-party UEFI CA is not enrolled, or the shim was revoked), \
             or the shim could not reach the server"
        ),
        Some(ChainRole::Second) => second_stopped(name, about),
        Some(ChainRole::MokManager) => format!(
            "shim fetched {name} and waits for somebody at the console: it could not verify what it was to \
             start. {DISTRUST}"
        ),
        Some(ChainRole::Image) => format!(
            "{came}: it makes no disk of such an image, or its Secure Boot does not trust the shim on it, or \
             the shim does not trust the GRUB beside it. {DISTRUST}"
        ),
        None if about.is_bios => {
            format!("{came}: the loader does not run on this machine, or finds no network")
        }
        None => format!(
            "{came}: with Secure Boot on, firmware refuses a loader that is not signed (\"Access Denied\"). \
             Set the machine's param `secure_boot` to true, or switch Secure Boot off in the firmware. If it \
             is off, the loader finds no network"
        ),
    }
}

/// A second stage that nothing came after. Who refused it depends on who fetched it, and a GRUB that runs may
/// ask another server: what tells the causes apart is on the console.
fn second_stopped(name: &str, about: StopContext) -> String {
    let elsewhere = about.beside.filter(|_| leads_to_grub(name));
    let elsewhere = elsewhere.and_then(|(other, ours)| other.misleads(ours));
    let refused = match about.has_shim {
        true => format!("shim did not start it (\"Verification failed\", Security Violation). {DISTRUST}"),
        false => "the firmware's Secure Boot did not trust it (\"Access Denied\"), or it runs and finds no \
                  network"
            .to_owned(),
    };
    match elsewhere {
        Some(misled) => format!(
            "{name} was fetched, and nothing came after it. If the console says \"Welcome to GRUB!\", \
             {misled}. If it does not, {refused}"
        ),
        None => format!("{name} was fetched, and nothing came after it: {refused}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loader(name: &str) -> BootSign {
        BootSign::Loader(name.into())
    }

    #[test]
    fn what_was_refused_and_by_whom_is_told_from_the_last_file() {
        let uefi = StopContext { has_shim: true, ..StopContext::default() };
        let cases = [
            (loader("snponly.efi"), StopVerdict::Nothing, "\"Access Denied\""),
            (loader("snponly.efi"), StopVerdict::Next(&BootSign::FirmwareAsks), "secure_boot"),
            (loader("debian/shimx64.efi"), StopVerdict::Nothing, "third-party UEFI CA"),
            (loader("debian/grubx64.efi"), StopVerdict::Nothing, "Verification failed"),
            (
                loader("debian/efi.img"),
                StopVerdict::Next(&BootSign::FirmwareAsks),
                "no disk of such an image",
            ),
            (loader("debian/mmx64.efi"), StopVerdict::Nothing, "at the console"),
        ];
        for (last, seen, said) in cases {
            let reason = why(&last, seen, uefi).unwrap();
            assert!(reason.contains(said), "{last:?}: {reason}");
        }
        let mok = BootSign::Fetches("debian/mmx64.efi".into());
        let reason = why(&loader("debian/grubx64.efi"), StopVerdict::Next(&mok), uefi).unwrap();
        assert!(reason.contains("debian/grubx64.efi") && reason.contains("Security Violation"), "{reason}");
        let bios = StopContext { is_bios: true, ..StopContext::default() };
        assert!(!why(&loader("undionly.kpxe"), StopVerdict::Nothing, bios).unwrap().contains("Secure Boot"));
    }

    #[test]
    fn a_grub_is_said_to_be_refused_or_misled_only_where_that_can_be() {
        let stopped = |has_shim, next_server: Option<u8>| {
            let at = |last| Ipv4Addr::new(10, 0, 0, last);
            let other = OtherBootServer { server: at(9), next_server: next_server.map(at) };
            let beside = next_server.map(|_| (other, at(1)));
            let about = StopContext { has_shim, beside, ..StopContext::default() };
            why(&loader("debian/grubx64.efi"), StopVerdict::Nothing, about).unwrap()
        };
        let (shim, misled) = ("shim did not start it", "GRUB asks 10.0.0.9");
        for (has_shim, next_server, said, unsaid) in [
            (true, None, shim, "Welcome to GRUB"),
            (true, Some(1), shim, "Welcome to GRUB"),
            (true, Some(9), misled, "never"),
            (false, Some(9), misled, "shim did"),
            (false, None, "the firmware's Secure Boot", "shim did"),
        ] {
            let reason = stopped(has_shim, next_server);
            assert!(reason.contains(said) && !reason.contains(unsaid), "{reason}");
        }
        assert!(stopped(true, Some(9)).contains(shim), "both can be");
    }

    #[test]
    fn tls_that_did_not_come_about_is_told_once_and_says_what_to_do() {
        let left = |alert: &str| BootSign::NoTls(TlsFailure::Left(Some(alert.to_owned())));
        let cases = [
            (BootSign::NoTls(TlsFailure::NothingInCommon), "RSA key"),
            (left("UnknownCA"), "went away with UnknownCA: the certificate is not enrolled"),
            (BootSign::NoTls(TlsFailure::Left(None)), "went away without a word"),
        ];
        for (sign, said) in cases {
            let reason =
                why(&BootSign::FirmwareAsks, StopVerdict::Next(&sign), StopContext::default()).unwrap();
            assert!(reason.contains(said), "{reason}");
            for seen in
                [StopVerdict::Next(&sign), StopVerdict::Next(&BootSign::FirmwareAsks), StopVerdict::Nothing]
            {
                assert_eq!(why(&sign, seen, StopContext::default()), None, "{seen:?}");
            }
        }
    }

    #[test]
    fn a_boot_that_goes_on_has_not_stopped() {
        let next = loader("debian/grubx64.efi");
        let asks = BootSign::Fetches("debian/grubx64.efi".into());
        let shim = loader("debian/shimx64.efi");
        let grub = StopContext { by: Some(ScriptKind::Grub), ..StopContext::default() };
        let ipxe = StopContext { by: Some(ScriptKind::Ipxe), ..grub };
        let again = BootSign::Script(ScriptKind::Grub);
        for (last, seen, about) in [
            (&shim, StopVerdict::Next(&asks), grub),
            (&asks, StopVerdict::Next(&next), grub),
            (&asks, StopVerdict::Nothing, grub),
            (&next, StopVerdict::Next(&again), grub),
            (&loader("snponly.efi"), StopVerdict::Next(&BootSign::LoaderRuns), grub),
            (&BootSign::Kernel, StopVerdict::Next(&BootSign::Initrd), grub),
            (&BootSign::Kernel, StopVerdict::Nothing, ipxe),
            (&BootSign::Initrd, StopVerdict::Nothing, grub),
            (&BootSign::LoaderRuns, StopVerdict::Nothing, ipxe),
        ] {
            assert_eq!(why(last, seen, about), None, "{last:?} {seen:?}");
        }
    }

    #[test]
    fn a_kernel_that_shim_refuses_is_known_by_its_initrd_that_nobody_wants() {
        let grub = StopContext { by: Some(ScriptKind::Grub), ..StopContext::default() };
        let again = BootSign::Script(ScriptKind::Grub);
        for seen in [StopVerdict::Nothing, StopVerdict::Next(&again)] {
            assert!(why(&BootSign::Kernel, seen, grub).unwrap().contains("bad shim signature"));
        }
    }
}
