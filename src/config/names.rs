//! What the certificate of the API names besides this host (`api.names`).

use std::net::IpAddr;

use rustls::pki_types::DnsName;

/// Most names.
const NAMES_MAX: usize = 64;

/// The names of the flags, else those of the file, in small letters; what is wrong is added to `faults`.
pub(super) fn check(flags: Vec<String>, file: Option<Vec<String>>, faults: &mut Vec<String>) -> Vec<String> {
    let names = (!flags.is_empty()).then_some(flags).or(file).unwrap_or_default();
    if names.len() > NAMES_MAX {
        faults.push(format!("api.names: at most {NAMES_MAX} names"));
    }
    names.iter().filter_map(|name| read(name).map_err(|fault| faults.push(fault)).ok()).collect()
}

fn read(name: &str) -> Result<String, String> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let bare = name.strip_prefix("*.").unwrap_or(name);
    match DnsName::try_from(bare) {
        Ok(_) => Ok(name.to_ascii_lowercase()),
        Err(_) => Err(format!(
            "api.names: `{name}` is neither a name nor an address, like boot.example.com or 192.0.2.7"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_or_addresses() {
        let mut faults = Vec::new();
        let listed = ["Boot.example", "*.lab.example", "192.0.2.7", "fd00:0::1", "https://x", "a b", ""];
        let file = listed.map(str::to_owned).to_vec();
        let names = check(Vec::new(), Some(file.clone()), &mut faults);
        assert_eq!(names, ["boot.example", "*.lab.example", "192.0.2.7", "fd00::1"]);
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert_eq!(check(vec!["a".to_owned()], Some(file), &mut Vec::new()), ["a"]);
    }
}
