//! What differs between two configurations, by the keys of the file.

use super::ServerConfig;

/// A key, and whether it has another value.
type ChangedKey = (&'static str, bool);

impl ServerConfig {
    /// The keys that have another value in `new` and that count from the next start only.
    pub fn needs_restart(&self, new: &ServerConfig) -> Vec<&'static str> {
        let keys: [ChangedKey; 20] = [
            ("data", self.data != new.data),
            ("user", self.user != new.user),
            ("api.listen", self.api != new.api),
            ("api.connections", self.api_connections != new.api_connections),
            (
                "api.connections_per_address",
                self.api_connections_per_address != new.api_connections_per_address,
            ),
            ("boot.http", self.boot_http != new.boot_http),
            ("boot.https", self.boot_https != new.boot_https),
            ("boot.https_dhe", self.boot_https_dhe != new.boot_https_dhe),
            ("boot.connections", self.boot_connections != new.boot_connections),
            (
                "boot.connections_per_address",
                self.boot_connections_per_address != new.boot_connections_per_address,
            ),
            ("boot.ignore_case", self.boot_ignore_case != new.boot_ignore_case),
            ("tftp", self.tftp != new.tftp),
            ("artifacts", self.artifacts != new.artifacts),
            ("fetch", self.fetch != new.fetch),
            ("packs", self.packs != new.packs),
            ("secrets", self.secrets != new.secrets),
            ("dhcp.interfaces", self.dhcp_interfaces != new.dhcp_interfaces),
            ("dhcp.port", self.dhcp_port != new.dhcp_port),
            ("dhcp.packets_per_second", self.dhcp_packets_per_second != new.dhcp_packets_per_second),
            ("log.format", self.log_format != new.log_format),
        ];
        let mut changed: Vec<&'static str> =
            keys.into_iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| key).collect();
        // A setting that has no row here yet is not passed over in silence.
        let rest = ServerConfig { log_level: self.log_level.clone(), ..new.clone() };
        let rest = ServerConfig { api_names: self.api_names.clone(), ..rest };
        if changed.is_empty() && rest != *self {
            changed.push("another setting");
        }
        changed
    }
}
