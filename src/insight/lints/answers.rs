//! Checks of the params from which the documents of an installation are rendered. Only a param that a
//! document read is checked: a site whose documents have no accounts needs no login here.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::names::{NameTable, look_up};
use crate::model::{Cidr, Problem, RefusalCode};
use crate::render::{LayeredParams, ParamLevel, is_broken_hash, is_locked};

/// The params of a machine, and those that its documents read.
#[derive(Clone, Copy)]
pub struct AnswerParams<'a> {
    pub params: &'a LayeredParams,
    pub read: &'a BTreeSet<String>,
}

type AnswerCheck = fn(&AnswerParams<'_>) -> Vec<Problem>;

const CHECKS: [AnswerCheck; 2] = [field_names, network];
/// The checks of accounts. A rehearsal makes none.
const ACCOUNT_CHECKS: [AnswerCheck; 3] = [ssh_keys, passwords, login];
/// The param of a rehearsal, which installs nothing.
const REHEARSE: &str = "rehearse";

/// Everything that is wrong with the params.
pub fn faults(of: &AnswerParams<'_>) -> Vec<Problem> {
    let accounts = if of.rehearses() { &[][..] } else { &ACCOUNT_CHECKS };
    CHECKS.iter().chain(accounts).flat_map(|check| check(of)).collect()
}

impl AnswerParams<'_> {
    /// The value of a param that a document read.
    fn value(&self, name: &str) -> Option<&Value> {
        let found = self.params.get(name).ok().flatten().filter(|_| self.read.contains(name));
        found.map(|found| found.value)
    }

    /// Whether nothing is installed.
    fn rehearses(&self) -> bool {
        self.value(REHEARSE) == Some(&Value::Bool(true))
    }

    /// The values of a list that is joined over all levels.
    fn joined(&self, name: &str) -> Vec<Value> {
        let composed = self.params.compose(name).ok().flatten().filter(|_| self.read.contains(name));
        composed.and_then(|composed| composed.value.as_array().cloned()).unwrap_or_default()
    }

    fn fault(&self, (name, rest): (&str, &str), code: RefusalCode, what: String) -> Problem {
        let from = match self.params.level_of(name) {
            None | Some(ParamLevel::Machine) => String::new(),
            Some(level) => format!(" (it comes from {level})"),
        };
        Problem::new(format!("/params/{name}{rest}"), format!("{what}{from}")).coded(code)
    }
}

fn field_names(of: &AnswerParams<'_>) -> Vec<Problem> {
    let tables = [
        ("timezone", NameTable::TimeZones, RefusalCode::UnknownTimeZone, "time zone"),
        ("locale", NameTable::Locales, RefusalCode::UnknownLocale, "locale"),
        ("keyboard", NameTable::Keyboards, RefusalCode::UnknownKeyboard, "keyboard layout"),
    ];
    let mut found = Vec::new();
    for (name, table, code, noun) in tables {
        let Some(value) = of.value(name).and_then(Value::as_str) else { continue };
        if let Err(near) = look_up(table, value) {
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            found.push(of.fault((name, ""), code, format!("there is no {noun} `{value}`{near}")));
        }
    }
    found
}

fn ssh_keys(of: &AnswerParams<'_>) -> Vec<Problem> {
    let shared = of.joined("ssh_keys");
    let shared = shared.iter().enumerate().map(|(i, key)| ("ssh_keys", format!("/{i}"), key.clone()));
    let users = of.value("users").and_then(Value::as_array).into_iter().flatten().enumerate();
    let own = users.flat_map(|(i, user)| {
        let keys = user.get("ssh_keys").and_then(Value::as_array).into_iter().flatten().enumerate();
        keys.map(move |(j, key)| ("users", format!("/{i}/ssh_keys/{j}"), key.clone()))
    });
    let mut found = Vec::new();
    for (name, rest, key) in shared.chain(own) {
        if let Some(what) = key.as_str().and_then(key_fault) {
            found.push(of.fault((name, &rest), RefusalCode::BadSshKey, what.to_owned()));
        }
    }
    found
}

/// Why a line of `authorized_keys` holds no public key: none of its words is a type whose name begins the
/// data that follow it (RFC 4253 section 6.6).
fn key_fault(line: &str) -> Option<&'static str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.windows(2).any(is_key) {
        return None;
    }
    Some(match line.contains("PRIVATE KEY") {
        true => "this is a part of a private key: name the public one, the line of the file `….pub`",
        false => "this is no public key: it is one line, `TYPE DATA COMMENT`, as in the file `….pub`",
    })
}

/// Whether the second of two words is the data of a key of the type that the first one names.
fn is_key(pair: &[&str]) -> bool {
    let [kind, data] = pair else { return false };
    let length = u32::try_from(kind.len()).unwrap_or(u32::MAX).to_be_bytes();
    let start = [&length[..], kind.as_bytes()].concat();
    STANDARD.decode(data).is_ok_and(|data| data.starts_with(&start))
}

/// Hashes that are cut or mistyped: they would be taken for passwords in plain text.
fn passwords(of: &AnswerParams<'_>) -> Vec<Problem> {
    let root =
        of.value("root_password").and_then(Value::as_str).map(|text| ("root_password", String::new(), text));
    let users = of.value("user_passwords").and_then(Value::as_object).into_iter().flatten();
    let users = users.filter_map(|(user, text)| Some(("user_passwords", format!("/{user}"), text.as_str()?)));
    let broken = root.into_iter().chain(users).filter(|(_, _, text)| is_broken_hash(text));
    let what = "this begins like a hash of crypt(5) and is none, so it would itself be the password: take \
                all of what `openssl passwd -6` prints";
    broken
        .map(|(name, rest, _)| of.fault((name, &rest), RefusalCode::BadPasswordHash, what.to_owned()))
        .collect()
}

fn network(of: &AnswerParams<'_>) -> Vec<Problem> {
    let Some(network) = of.value("network") else { return Vec::new() };
    let prefix =
        network.get("prefix_length").and_then(Value::as_u64).and_then(|bits| u8::try_from(bits).ok());
    let (Some(own), Some(prefix @ 1..=32)) = (address(network, "address"), prefix) else { return Vec::new() };
    let cidr = Cidr::around(own, prefix);
    let mut found = Vec::new();
    if !cidr.has_host(own) {
        let end = if own == cidr.address { "address of the network itself" } else { "broadcast address" };
        let what = format!("{own} is the {end}: give the machine an address between them");
        found.push(of.fault(("network", "/address"), RefusalCode::UnusableAddress, what));
    }
    let gateway = address(network, "gateway");
    if let Some(gateway) = gateway.filter(|gateway| !cidr.contains(*gateway) || *gateway == own) {
        let what = format!("the gateway {gateway} is not another host of {cidr}");
        found.push(of.fault(("network", "/gateway"), RefusalCode::UnreachableGateway, what));
    }
    found
}

fn address(network: &Value, field: &str) -> Option<Ipv4Addr> {
    network.get(field)?.as_str()?.parse().ok()
}

/// Whether a password opens an account.
fn opens(password: Option<&Value>) -> bool {
    let text = password.and_then(Value::as_str);
    text.is_some_and(|text| !text.is_empty() && !is_locked(text))
}

fn has_items(value: Option<&Value>) -> bool {
    value.and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}

/// Whether somebody could log in to what is installed.
fn login(of: &AnswerParams<'_>) -> Vec<Problem> {
    if !["users", "ssh_keys", "root_password"].iter().any(|name| of.read.contains(*name)) {
        return Vec::new();
    }
    let [users, passwords, root] = ["users", "user_passwords", "root_password"]
        .map(|name| of.params.get(name).ok().flatten().map(|found| found.value));
    let users = users.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let has_own = users.iter().any(|user| {
        let name = user.get("name").and_then(Value::as_str).unwrap_or_default();
        opens(passwords.and_then(|passwords| passwords.get(name))) || has_items(user.get("ssh_keys"))
    });
    let shared = of.params.compose("ssh_keys").ok().flatten();
    let has_shared = shared.is_some_and(|composed| has_items(Some(&composed.value)));
    let takes_shared =
        users.is_empty() || users.iter().any(|user| user.get("sudo").and_then(Value::as_bool) == Some(true));
    if has_own || (has_shared && takes_shared) || opens(root) {
        return Vec::new();
    }
    let what = "nobody could log in: no account has a key or a password. Set `ssh_keys` (for accounts with \
                sudo), keys of an account in `users`, `user_passwords` or `root_password`";
    vec![Problem::new("/params/ssh_keys", what).coded(RefusalCode::NoLogin)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::{ParamLayer, ParamValues, SecretAccess};

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g me@host";

    fn told(params: Value, read: &[&str]) -> Vec<(String, RefusalCode)> {
        let values: ParamValues = params.as_object().unwrap().clone();
        let layer = ParamLayer::new(ParamLevel::Machine, values);
        let params = LayeredParams::new(vec![layer], BTreeSet::new(), SecretAccess::Open);
        let read: BTreeSet<String> = read.iter().map(|name| (*name).to_owned()).collect();
        let found = faults(&AnswerParams { params: &params, read: &read });
        found.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn what_no_document_reads_is_no_fault() {
        let params = json!({"timezone": "Mars/Base", "ssh_keys": ["x"], "users": []});
        assert!(told(params, &["packages"]).is_empty());
    }

    #[test]
    fn names_that_do_not_exist_are_told_each() {
        let params = json!({"timezone": "Mars/Base", "locale": "xx_YY.UTF-8", "keyboard": "zz"});
        let expected = [
            ("/params/timezone".to_owned(), RefusalCode::UnknownTimeZone),
            ("/params/locale".to_owned(), RefusalCode::UnknownLocale),
            ("/params/keyboard".to_owned(), RefusalCode::UnknownKeyboard),
        ];
        assert_eq!(told(params, &["timezone", "locale", "keyboard"]), expected);
    }

    #[test]
    fn keys_that_are_none_are_told_by_their_place() {
        assert_eq!(key_fault(KEY), None);
        assert_eq!(key_fault(&format!("from=\"10.0.0.0/8\",command=\"a b\" {KEY}")), None);
        assert!(key_fault("-----BEGIN OPENSSH PRIVATE KEY-----").unwrap().contains("private"));
        assert!(key_fault("ssh-ed25519 AAAA").is_some());
        assert!(
            key_fault(&KEY.replace("ssh-ed25519 ", "ssh-rsa ")).is_some(),
            "another type than the data's"
        );
        let users = json!([{"name": "a", "ssh_keys": [KEY, "mykey"]}]);
        let params = json!({"ssh_keys": [KEY, "", "key"], "users": users});
        let told = told(params, &["ssh_keys", "users"]);
        let places: Vec<&str> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(places, ["/params/ssh_keys/1", "/params/ssh_keys/2", "/params/users/0/ssh_keys/1"]);
    }

    #[test]
    fn a_hash_that_is_cut_is_told_and_a_password_is_not() {
        let cut = json!({"root_password": "$6$salt$short", "user_passwords": {"a": "$y$x", "b": "$ecret"}});
        let told = told(cut, &["root_password", "user_passwords"]);
        let places: Vec<&str> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(places, ["/params/root_password", "/params/user_passwords/a"]);
    }

    #[test]
    fn a_gateway_elsewhere_and_an_address_of_nobody_are_told() {
        let of = |address: &str, prefix: u32, gateway: &str| {
            let network =
                json!({"mode": "static", "address": address, "prefix_length": prefix, "gateway": gateway});
            let told = told(json!({ "network": network }), &["network"]);
            told.into_iter().map(|(_, code)| code).collect::<Vec<_>>()
        };
        assert_eq!(of("10.0.0.5", 24, "10.0.0.1"), []);
        assert_eq!(of("10.0.0.5", 24, "10.0.1.1"), [RefusalCode::UnreachableGateway]);
        assert_eq!(of("10.0.0.5", 24, "10.0.0.5"), [RefusalCode::UnreachableGateway]);
        assert_eq!(of("10.0.0.0", 24, "10.0.0.1"), [RefusalCode::UnusableAddress]);
        assert_eq!(of("10.0.0.255", 24, "10.0.0.1"), [RefusalCode::UnusableAddress]);
        assert_eq!(of("10.0.0.4", 31, "10.0.0.5"), []);
    }

    #[test]
    fn somebody_can_log_in_with_a_key_or_a_password_that_is_not_locked() {
        let read = ["users", "ssh_keys", "root_password"];
        let admin = json!([{"name": "admin", "sudo": true}]);
        let nobody = [
            json!({"users": admin}),
            json!({"users": admin, "ssh_keys": []}),
            json!({"users": [{"name": "a"}], "ssh_keys": [KEY]}),
            json!({"users": admin, "root_password": "*"}),
            json!({"users": admin, "user_passwords": {"other": "x"}}),
        ];
        for params in nobody {
            assert_eq!(told(params.clone(), &read).len(), 1, "{params}");
        }
        let somebody = [
            json!({"users": admin, "ssh_keys": [KEY]}),
            json!({"users": [], "ssh_keys": [KEY]}),
            json!({"users": [{"name": "a", "ssh_keys": [KEY]}]}),
            json!({"users": admin, "user_passwords": {"admin": "x"}}),
            json!({"users": admin, "root_password": "x"}),
        ];
        for params in somebody {
            assert_eq!(told(params.clone(), &read), [], "{params}");
        }
        let rehearsal = json!({"users": admin, "rehearse": true});
        assert_eq!(told(rehearsal, &["users", "rehearse"]), [], "nothing is installed");
    }
}
