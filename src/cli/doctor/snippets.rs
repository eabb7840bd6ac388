//! The configuration with which another DHCP server makes its machines boot from this one: the next server, a
//! loader by architecture (RFC 5970), a URL for HTTP firmware, and the script's URL for iPXE, which would
//! otherwise load itself for ever. Start at [`write()`].

use std::net::Ipv4Addr;

use crate::cli::command::DhcpDialect;

/// The loader for a kind of firmware. The names of loaders are those that this server serves.
struct FirmwareSnippet {
    /// For tags and class names.
    name: &'static str,
    /// Codes of option 93.
    codes: &'static [u16],
    loader: &'static str,
    http: bool,
}

const fn firmware(name: &'static str, codes: &'static [u16], loader: &'static str) -> FirmwareSnippet {
    FirmwareSnippet { name, codes, loader, http: false }
}

const FIRMWARES: [FirmwareSnippet; 5] = [
    firmware("bios", &[0], "undionly.kpxe"),
    firmware("uefi-x64", &[7, 9], "snponly.efi"),
    firmware("uefi-arm64", &[11], "snponly-arm64.efi"),
    FirmwareSnippet { http: true, ..firmware("http-x64", &[16], "snponly.efi") },
    FirmwareSnippet { http: true, ..firmware("http-arm64", &[19], "snponly-arm64.efi") },
];

/// The snippet in one program's language; `server` is this server's address as machines see it.
pub fn write(dialect: DhcpDialect, server: Ipv4Addr, http_port: u16) -> String {
    let http = format!("http://{server}:{http_port}");
    match dialect {
        DhcpDialect::Kea => kea(server, &http),
        DhcpDialect::Dnsmasq => dnsmasq(server, &http),
        DhcpDialect::Isc => isc(server, &http),
    }
}

/// Members of `Dhcp4`. The first class with a file counts.
fn kea(server: Ipv4Addr, http: &str) -> String {
    let mut classes = vec![format!(
        "    {{ \"name\": \"metalwright-ipxe\", \"test\": \"option[77].hex == 'iPXE'\",\n\
         \x20     \"next-server\": \"{server}\", \"boot-file-name\": \"{http}/boot.ipxe\" }}"
    )];
    for FirmwareSnippet { name, codes, loader, http: over_http } in &FIRMWARES {
        let codes: Vec<String> = codes.iter().map(|code| format!("option[93].hex == {code:#06x}")).collect();
        let codes = codes.join(" or ");
        let test = format!("not member('metalwright-ipxe') and ({codes})");
        let (file, option) = match over_http {
            false => ((*loader).to_owned(), ""),
            true => (
                format!("{http}/{loader}"),
                ",\n      \"option-data\": \
                 [{ \"name\": \"vendor-class-identifier\", \"data\": \"HTTPClient\" }]",
            ),
        };
        classes.push(format!(
            "    {{ \"name\": \"metalwright-{name}\", \"test\": \"{test}\",\n\
             \x20     \"next-server\": \"{server}\", \"boot-file-name\": \"{file}\"{option} }}"
        ));
    }
    format!(
        "// Kea: into \"Dhcp4\", before the subnets.\n\
         \"client-classes\": [\n{}\n]\n",
        classes.join(",\n")
    )
}

fn dnsmasq(server: Ipv4Addr, http: &str) -> String {
    let mut text = format!(
        "# dnsmasq: a file in /etc/dnsmasq.d. iPXE is known by its options, so that it is not sent itself.\n\
         dhcp-match=set:metalwright-ipxe,175\ndhcp-userclass=set:metalwright-ipxe,iPXE\n\
         dhcp-boot=tag:metalwright-ipxe,{http}/boot.ipxe,,{server}\n"
    );
    for FirmwareSnippet { name, codes, loader, http: over_http } in &FIRMWARES {
        let tag = format!("metalwright-{name}");
        codes.iter().for_each(|code| text += &format!("dhcp-match=set:{tag},option:client-arch,{code}\n"));
        let file = if *over_http { format!("{http}/{loader}") } else { (*loader).to_owned() };
        text += &format!("dhcp-boot=tag:{tag},tag:!metalwright-ipxe,{file},,{server}\n");
        if *over_http {
            text += &format!("dhcp-option-force=tag:{tag},tag:!metalwright-ipxe,60,HTTPClient\n");
        }
    }
    text
}

fn isc(server: Ipv4Addr, http: &str) -> String {
    let mut text = format!(
        "# ISC dhcpd: at the top of dhcpd.conf, outside of any subnet.\n\
         option metalwright-arch code 93 = unsigned integer 16;\n\
         next-server {server};\n\
         if exists user-class and option user-class = \"iPXE\" {{\n    filename \"{http}/boot.ipxe\";\n}}"
    );
    for FirmwareSnippet { codes, loader, http: over_http, .. } in &FIRMWARES {
        // As bytes: dhcpd accepts a number here too, but then nothing is equal to it.
        let codes: Vec<String> = codes
            .iter()
            .map(|code: &u16| {
                let [high, low] = code.to_be_bytes();
                format!("option metalwright-arch = {high:02x}:{low:02x}")
            })
            .collect();
        text += &format!(" elsif {} {{\n", codes.join(" or "));
        text += &match over_http {
            false => format!("    filename \"{loader}\";\n}}"),
            true => format!(
                "    option vendor-class-identifier \"HTTPClient\";\n    filename \"{http}/{loader}\";\n}}"
            ),
        };
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::netboot::decide::loader::{LoaderTransport, client_arch};

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    #[test]
    fn the_loaders_are_those_that_we_would_give() {
        for firmware in &FIRMWARES {
            for code in firmware.codes {
                let ours = client_arch(*code).unwrap();
                assert_eq!(ours.loader, Some(firmware.loader), "{code}");
                assert_eq!(ours.transport == LoaderTransport::Http, firmware.http, "{code}");
            }
        }
    }

    #[test]
    fn every_dialect_keeps_ipxe_from_loading_itself_for_ever() {
        for dialect in [DhcpDialect::Kea, DhcpDialect::Dnsmasq, DhcpDialect::Isc] {
            let text = write(dialect, SERVER, 8080);
            for part in
                ["iPXE", "http://10.0.0.1:8080/boot.ipxe", "http://10.0.0.1:8080/snponly.efi", "HTTPClient"]
            {
                assert!(text.contains(part), "{dialect:?} {part}\n{text}");
            }
            assert!(text.contains("undionly.kpxe") && text.contains("snponly-arm64.efi"), "{text}");
        }
    }

    /// The result of a program's configuration check; `None`, with a line on stderr, if it is not installed.
    fn checked(program: &str, words: &[&str], text: &str) -> Option<(bool, String)> {
        let found = ["/usr/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(program));
        let Some(program) = found.iter().find(|path| path.exists()) else {
            eprintln!("skipped: {program} is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("snippet.conf");
        std::fs::write(&file, text).unwrap();
        let output = Command::new(program).args(words).arg(&file).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    #[test]
    fn kea_takes_its_snippet() {
        let snippet = write(DhcpDialect::Kea, SERVER, 8080);
        let rest = "\"lease-database\": {\"type\": \"memfile\", \"persist\": false},
            \"subnet4\": [{\"subnet\": \"10.0.0.0/24\"}]";
        let config = |snippet: &str| format!("{{ \"Dhcp4\": {{\n{snippet},\n{rest}\n}} }}\n");
        if let Some((taken, said)) = checked("kea-dhcp4", &["-t"], &config(&snippet)) {
            assert!(taken, "{said}");
            let broken = config(&snippet.replace("not member(", "not number("));
            assert!(!checked("kea-dhcp4", &["-t"], &broken).unwrap().0, "the check finds nothing");
        }
    }

    #[test]
    fn dnsmasq_takes_its_snippet() {
        let snippet = write(DhcpDialect::Dnsmasq, SERVER, 8080);
        if let Some((taken, said)) = checked("dnsmasq", &["--test", "-C"], &snippet) {
            assert!(taken, "{said}");
            let broken = snippet.replace("dhcp-match", "dhcp-mismatch");
            assert!(!checked("dnsmasq", &["--test", "-C"], &broken).unwrap().0, "the check finds nothing");
        }
    }

    #[test]
    fn isc_dhcpd_takes_its_snippet() {
        let snippet = write(DhcpDialect::Isc, SERVER, 8080);
        let bytes = "elsif option metalwright-arch = 00:07 or option metalwright-arch = 00:09 {";
        assert!(snippet.contains(bytes), "{snippet}");
        let config = |snippet: &str| format!("{snippet}subnet 10.0.0.0 netmask 255.255.255.0 {{}}\n");
        if let Some((taken, said)) = checked("dhcpd", &["-t", "-cf"], &config(&snippet)) {
            assert!(taken, "{said}");
            let broken = config(&snippet.replace("elsif", "elseif-not"));
            assert!(!checked("dhcpd", &["-t", "-cf"], &broken).unwrap().0, "the check finds nothing");
        }
    }
}
