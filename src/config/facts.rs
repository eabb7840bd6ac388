//! The settings that a server was started with, by name, for whoever sets it up again.

use std::collections::BTreeMap;

use super::{ListenAddress, ServerConfig};

impl ServerConfig {
    /// The settings that say what the server is for its network, as the configuration file names them.
    pub fn facts(&self) -> BTreeMap<String, String> {
        let mut facts = BTreeMap::from([
            ("api.listen", shown(self.api)),
            ("boot.http", shown(self.boot_http)),
            ("boot.https", shown(self.boot_https)),
            ("boot.ignore_case", self.boot_ignore_case.to_string()),
            ("data", self.data.display().to_string()),
            ("dhcp.interfaces", self.dhcp_interfaces.join(", ")),
            ("dhcp.port", self.dhcp_port.to_string()),
            ("tftp.listen", shown(self.tftp.listen)),
        ]);
        if let Some(user) = &self.user {
            facts.insert("user", user.clone());
        }
        if let Some(roots) = &self.artifacts.roots {
            let roots: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
            facts.insert("artifacts.roots", roots.join(", "));
        }
        if !self.api_names.is_empty() {
            facts.insert("api.names", self.api_names.join(", "));
        }
        if !self.fetch.allow.is_empty() {
            let places: Vec<String> = self.fetch.allow.iter().map(ToString::to_string).collect();
            facts.insert("fetch.allow", places.join(", "));
        }
        if !self.packs.keys.is_empty() {
            let keys: Vec<String> =
                self.packs.keys.iter().map(|(name, key)| format!("{name}:{key}")).collect();
            facts.insert("packs.trusted_keys", keys.join(", "));
        }
        let secrets = &self.secrets;
        if !secrets.env.is_empty() {
            facts.insert("secrets.env", secrets.env.join(", "));
        }
        if !secrets.files.is_empty() {
            let folders: Vec<String> = secrets.files.iter().map(|path| path.display().to_string()).collect();
            facts.insert("secrets.files", folders.join(", "));
        }
        if let Some(vault) = &secrets.vault {
            facts.insert("secrets.vault_address", vault.address.clone());
            facts.insert("secrets.vault_paths", vault.paths.join(", "));
        }
        facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn shown(listen: ListenAddress) -> String {
    match listen {
        ListenAddress::At(address) => address.to_string(),
        ListenAddress::Off => "off".to_owned(),
    }
}
