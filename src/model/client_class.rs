//! Client classes: kinds of DHCP clients that get other answers than the rest.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::name::check_name;
use super::{
    Cidr, Kind, NoStatus, Noun, Object, ObjectReference, Octets, OptionSet, Problem, RefusalCode, Stored,
};

/// Longest file name that leaves room for its NUL in the `file` field (RFC 2131 2).
pub const BOOT_FILE_BYTES_MAX: usize = 127;
/// Longest URL of a boot file: the URL is one option of at most 255 bytes.
const BOOT_URL_BYTES_MAX: usize = 255;
/// Longest text of a menu. It shares option 43 with other suboptions.
const MENU_BYTES_MAX: usize = 128;
/// Entries of one list of conditions.
const LISTED_MAX: usize = 64;

/// A kind of DHCP client, recognised by what it sends, and what it gets. A client belongs to every class
/// whose conditions all hold. Where two classes set the same thing, the later class wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientClass {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Classes apply in ascending order; classes of the same order apply by name.
    #[serde(default = "default_order")]
    pub order: i32,
    /// The conditions of the class: a client must meet all that are given. Without any, every client is in
    /// it.
    #[serde(rename = "match")]
    pub conditions: ClassMatch,
    /// DHCP options of the class. They win over those of the machine, the reservation, the pool and the
    /// subnet.
    #[serde(default, skip_serializing_if = "OptionSet::is_empty")]
    pub options: OptionSet,
    /// The boot server. It wins over the reservation's and the subnet's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
    /// The file (or `http`, `https` or `tftp` URL) that booting clients get instead of their loader; may be a
    /// template. iPXE gets it only if `match` names a `user_class`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_file: Option<String>,
    /// The first file of a client that boots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_data: Option<ClassBoot>,
    /// Whether UEFI HTTP boot clients get `https://` URLs; the default is `http://`. The HTTPS boot listener
    /// (`boot.https`) must be on, and the firmware must trust its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<bool>,
    /// The text of a PXE boot menu with one entry (option 43), for firmware that expects a menu. Only with
    /// `boot_data: server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pxe_menu: Option<String>,
    /// Whether replies without an address (ProxyDHCP) tell the client to boot at once, without a menu or a
    /// search for servers (option 43.6). By default BIOS clients get this option and UEFI clients do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_discovery_control: Option<bool>,
    /// The client is firmware that wants to boot, though it does not call itself a PXE client.
    #[serde(default, skip_serializing_if = "is_false")]
    pub firmware: bool,
    /// Replies are broadcast even to clients that accept unicast.
    #[serde(default, skip_serializing_if = "is_false")]
    pub always_broadcast: bool,
    /// Clients of the class get no answer to anything: no address, no refusal, no boot data.
    #[serde(default, skip_serializing_if = "is_false")]
    pub denied: bool,
}

/// The first file of booting clients of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassBoot {
    /// The loader or script that fits the client.
    Loader,
    /// The boot server's address alone: the firmware knows the names of its files.
    Server,
    /// No boot data: an address at most.
    None,
}

/// The conditions of a class. In texts `*` stands for any run of characters and `?` for one character. Bytes
/// that are not text are written in hex behind `0x` and must be equal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassMatch {
    /// The vendor class (option 60): `PXEClient*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_class: Option<Octets>,
    /// One of the client's user classes (option 77): `iPXE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_class: Option<Octets>,
    /// Architecture codes: the client must send one of them (option 93, or its vendor class).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arches: Vec<u16>,
    /// First bytes of hardware addresses: `b8:27:eb`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mac_prefixes: Vec<MacPrefix>,
    /// The machine identifier (option 97) with its type byte: `??iPR*` is a Raspberry Pi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<Octets>,
    /// Hardware types: 1 is Ethernet, 32 InfiniBand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub htypes: Vec<u8>,
    /// The port of the relay or switch (option 82.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_id: Option<Octets>,
    /// The relay or switch (option 82.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<Octets>,
    /// Networks: the relay's address must be in one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<Cidr>,
    /// Names of subnets: the client must be in one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<String>,
}

/// The first one to six bytes of a MAC address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacPrefix(Vec<u8>);

impl MacPrefix {
    pub fn fits(&self, hardware_address: &[u8]) -> bool {
        hardware_address.starts_with(&self.0)
    }
}

impl FromStr for MacPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: Option<Vec<u8>> = text
            .split([':', '-'])
            .map(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() == 2))
            .collect();
        bytes
            .filter(|bytes| (1..=6).contains(&bytes.len()))
            .map(MacPrefix)
            .ok_or_else(|| format!("`{text}` is not the beginning of a MAC address: write it like b8:27:eb"))
    }
}

impl fmt::Display for MacPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<String> = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        f.write_str(&bytes.join(":"))
    }
}

impl fmt::Debug for MacPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for MacPrefix {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MacPrefix> for String {
    fn from(prefix: MacPrefix) -> String {
        prefix.to_string()
    }
}

impl JsonSchema for MacPrefix {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MacPrefix".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The first one to six bytes of a MAC address, like b8:27:eb.",
            "examples": ["b8:27:eb"],
            "pattern": "^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){0,5}$",
        })
    }
}

fn default_order() -> i32 {
    100
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Whether the text of an option is a template that is rendered for each client.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// What is wrong with the name or URL of a boot file; none if nothing is.
fn boot_file_fault(file: &str) -> Option<String> {
    let is_url = file.contains("://");
    let known = ["http://", "https://", "tftp://"].iter().any(|scheme| file.starts_with(scheme));
    match file {
        "" => Some("must not be empty; `boot_data: none` gives no boot data".to_owned()),
        _ if file.bytes().any(|byte| byte < b' ' || byte == 0x7f) => {
            Some("must not hold control characters".to_owned())
        }
        _ if is_template(file) => (file.len() > 1024).then(|| "longer than 1024 bytes".to_owned()),
        _ if file.contains('\\') => Some("separate the parts of a path by `/`, not `\\`".to_owned()),
        _ if is_url && !known => Some("a URL must begin with http://, https:// or tftp://".to_owned()),
        _ if is_url && file.len() > BOOT_URL_BYTES_MAX => {
            Some(format!("a URL of {} bytes: at most {BOOT_URL_BYTES_MAX}", file.len()))
        }
        _ if !is_url && file.len() > BOOT_FILE_BYTES_MAX => {
            Some(format!("a name of {} bytes: firmware takes {BOOT_FILE_BYTES_MAX}", file.len()))
        }
        _ => None,
    }
}

/// Checks the name or URL of a boot file after it was rendered.
///
/// # Errors
/// What is wrong with it.
pub fn check_boot_file(file: &str) -> Result<(), String> {
    match boot_file_fault(file) {
        None if is_template(file) => Err("it is still a template".to_owned()),
        None => Ok(()),
        Some(fault) => Err(fault),
    }
}

impl Noun for ClientClass {
    const KIND: Kind = Kind::ClientClass;
    const REFERS_TO: &'static [Kind] = &[Kind::Subnet];
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn references(&self) -> Vec<ObjectReference> {
        ObjectReference::list(Kind::Subnet, &self.conditions.subnets, "/match/subnets")
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        let fault = self.boot_file.as_deref().and_then(boot_file_fault);
        problems.extend(fault.map(|fault| Problem::new("/boot_file", fault).coded(RefusalCode::Malformed)));
        if self.boot_file.is_some() && !matches!(self.boot_data, None | Some(ClassBoot::Loader)) {
            let what = "a class that gives no file has no `boot_file`: leave one of them out";
            problems.push(Problem::new("/boot_data", what).coded(RefusalCode::Exclusive));
        }
        if self.https == Some(true) && self.boot_file.as_ref().is_some_and(|file| file.starts_with("http://"))
        {
            let what = "its `boot_file` is an `http://` URL: write `https://`, or a path of this server";
            problems.push(Problem::new("/https", what).coded(RefusalCode::Exclusive));
        }
        if let Some(menu) = &self.pxe_menu {
            let fits =
                (1..=MENU_BYTES_MAX).contains(&menu.len()) && menu.bytes().all(|b| (32..127).contains(&b));
            if !fits {
                let what = format!("1 to {MENU_BYTES_MAX} printable ASCII characters");
                problems.push(Problem::new("/pxe_menu", what).coded(RefusalCode::Malformed));
            }
            if self.boot_data != Some(ClassBoot::Server) {
                problems.push(
                    Problem::new("/pxe_menu", "a menu goes with `boot_data: server`")
                        .coded(RefusalCode::Exclusive),
                );
            }
        }
        let conditions = &self.conditions;
        let lists = [
            ("arches", conditions.arches.len()),
            ("mac_prefixes", conditions.mac_prefixes.len()),
            ("htypes", conditions.htypes.len()),
            ("relays", conditions.relays.len()),
            ("subnets", conditions.subnets.len()),
        ];
        problems.extend(lists.into_iter().filter(|(_, length)| *length > LISTED_MAX).map(|(list, _)| {
            Problem::new(format!("/match/{list}"), format!("at most {LISTED_MAX} entries"))
                .coded(RefusalCode::TooLarge)
        }));
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::ClientClass(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(class: serde_json::Value) -> Vec<String> {
        let class: ClientClass = serde_json::from_value(class).unwrap();
        class.check().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_boot_file_that_firmware_cannot_take_is_refused() {
        let of = |file: &str| problems(json!({"name": "a", "match": {}, "boot_file": file}));
        for good in ["boot/pxelinux.0", "http://10.0.0.1/x.efi", "{{ server.http }}/a\\b", &"x".repeat(127)] {
            assert_eq!(of(good), [""; 0], "{good}");
        }
        for bad in ["", "a\\b", "ftp://10.0.0.1/x", "a\nb", &"x".repeat(128)] {
            assert!(of(bad).first().is_some_and(|told| told.starts_with("/boot_file: ")), "{bad}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let both = json!({"name": "a", "match": {}, "boot_file": "x", "boot_data": "none"});
        assert_eq!(problems(both).len(), 1);
        assert_eq!(problems(json!({"name": "a", "match": {}, "pxe_menu": "Boot"})).len(), 1);
        let plain = |https| json!({"name": "a", "match": {}, "boot_file": "http://h/x.efi", "https": https});
        let told = problems(plain(true));
        assert!(told.len() == 1 && told[0].starts_with("/https: "), "{told:?}");
        assert_eq!(problems(plain(false)), [""; 0]);
        assert_eq!(
            problems(json!({"name": "a", "match": {}, "pxe_menu": "B", "boot_data": "server"})),
            [""; 0]
        );
    }

    #[test]
    fn a_mac_prefix_is_whole_bytes() {
        assert!("B8-27-eb".parse::<MacPrefix>().unwrap().fits(&[0xb8, 0x27, 0xeb, 1, 2, 3]));
        for wrong in ["", "b8:2", "b8:27:eb:00:00:00:00", "zz"] {
            assert!(wrong.parse::<MacPrefix>().is_err(), "{wrong}");
        }
    }
}
