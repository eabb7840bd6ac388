//! The table of DHCP options: code, name in snake_case, and what the value is made of.
//!
//! Subnets, reservations and the text form of packets all use these names (RFC 2132 and the IANA
//! BOOTP/DHCP parameters registry).

use crate::proto::dhcp4::Kind;

pub const SUBNET_MASK: u8 = 1;
pub const ROUTERS: u8 = 3;
pub const DOMAIN_NAME_SERVERS: u8 = 6;
pub const HOST_NAME: u8 = 12;
pub const DOMAIN_NAME: u8 = 15;
pub const BROADCAST_ADDRESS: u8 = 28;
pub const VENDOR_OPTIONS: u8 = 43;
pub const REQUESTED_ADDRESS: u8 = 50;
pub const LEASE_TIME: u8 = 51;
pub const OVERLOAD: u8 = 52;
pub const MESSAGE_TYPE: u8 = 53;
pub const SERVER_IDENTIFIER: u8 = 54;
pub const PARAMETER_REQUEST_LIST: u8 = 55;
pub const MESSAGE: u8 = 56;
pub const MAX_MESSAGE_SIZE: u8 = 57;
pub const RENEWAL_TIME: u8 = 58;
pub const REBINDING_TIME: u8 = 59;
pub const VENDOR_CLASS: u8 = 60;
pub const CLIENT_IDENTIFIER: u8 = 61;
pub const TFTP_SERVER_NAME: u8 = 66;
pub const BOOTFILE_NAME: u8 = 67;
pub const USER_CLASS: u8 = 77;
pub const CLIENT_FQDN: u8 = 81;
pub const RELAY_AGENT: u8 = 82;
pub const CLIENT_ARCHITECTURES: u8 = 93;
pub const CLIENT_INTERFACE: u8 = 94;
pub const CLIENT_MACHINE_ID: u8 = 97;
pub const SUBNET_SELECTION: u8 = 118;
pub const DOMAIN_SEARCH: u8 = 119;
pub const CLASSLESS_ROUTES: u8 = 121;
pub const VENDOR_IDENTIFYING: u8 = 125;
pub const TFTP_SERVER_ADDRESSES: u8 = 150;
pub const IPXE: u8 = 175;
pub const MICROSOFT_CLASSLESS_ROUTES: u8 = 249;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct OptionType {
    pub code: u8,
    pub name: &'static str,
    pub kind: Kind,
}

/// The row for `code`, if the option has a name here.
pub fn by_code(code: u8) -> Option<&'static OptionType> {
    OPTION_TYPES.binary_search_by_key(&code, |row| row.code).ok().and_then(|at| OPTION_TYPES.get(at))
}

/// The row called `name`.
pub fn by_name(name: &str) -> Option<&'static OptionType> {
    OPTION_TYPES.iter().find(|row| row.name == name)
}

const fn row(code: u8, name: &'static str, kind: Kind) -> OptionType {
    OptionType { code, name, kind }
}

/// Sorted by code; a test holds that.
pub static OPTION_TYPES: &[OptionType] = &[
    row(1, "subnet_mask", Kind::Address),
    row(2, "time_offset", Kind::I32),
    row(3, "routers", Kind::Addresses),
    row(4, "time_servers", Kind::Addresses),
    row(5, "name_servers", Kind::Addresses),
    row(6, "domain_name_servers", Kind::Addresses),
    row(7, "log_servers", Kind::Addresses),
    row(8, "cookie_servers", Kind::Addresses),
    row(9, "lpr_servers", Kind::Addresses),
    row(10, "impress_servers", Kind::Addresses),
    row(11, "resource_location_servers", Kind::Addresses),
    row(12, "host_name", Kind::Text),
    row(13, "boot_file_size", Kind::U16),
    row(14, "merit_dump_file", Kind::Text),
    row(15, "domain_name", Kind::Text),
    row(16, "swap_server", Kind::Address),
    row(17, "root_path", Kind::Text),
    row(18, "extensions_path", Kind::Text),
    row(19, "ip_forwarding", Kind::Flag),
    row(20, "non_local_source_routing", Kind::Flag),
    row(21, "policy_filters", Kind::AddressPairs),
    row(22, "max_datagram_reassembly_size", Kind::U16),
    row(23, "default_ip_ttl", Kind::U8),
    row(24, "path_mtu_aging_timeout", Kind::U32),
    row(25, "path_mtu_plateau_table", Kind::U16s),
    row(26, "interface_mtu", Kind::U16),
    row(27, "all_subnets_local", Kind::Flag),
    row(28, "broadcast_address", Kind::Address),
    row(29, "perform_mask_discovery", Kind::Flag),
    row(30, "mask_supplier", Kind::Flag),
    row(31, "perform_router_discovery", Kind::Flag),
    row(32, "router_solicitation_address", Kind::Address),
    row(33, "static_routes", Kind::AddressPairs),
    row(34, "trailer_encapsulation", Kind::Flag),
    row(35, "arp_cache_timeout", Kind::U32),
    row(36, "ethernet_encapsulation", Kind::Flag),
    row(37, "default_tcp_ttl", Kind::U8),
    row(38, "tcp_keepalive_interval", Kind::U32),
    row(39, "tcp_keepalive_garbage", Kind::Flag),
    row(40, "nis_domain", Kind::Text),
    row(41, "nis_servers", Kind::Addresses),
    row(42, "ntp_servers", Kind::Addresses),
    row(43, "vendor_encapsulated_options", Kind::Bytes),
    row(44, "netbios_name_servers", Kind::Addresses),
    row(45, "netbios_dd_servers", Kind::Addresses),
    row(46, "netbios_node_type", Kind::U8),
    row(47, "netbios_scope", Kind::Text),
    row(48, "font_servers", Kind::Addresses),
    row(49, "x_display_managers", Kind::Addresses),
    row(50, "requested_address", Kind::Address),
    row(51, "lease_time", Kind::U32),
    row(52, "option_overload", Kind::U8),
    row(53, "message_type", Kind::MessageType),
    row(54, "server_identifier", Kind::Address),
    row(55, "parameter_request_list", Kind::Codes),
    row(56, "message", Kind::Text),
    row(57, "max_message_size", Kind::U16),
    row(58, "renewal_time", Kind::U32),
    row(59, "rebinding_time", Kind::U32),
    row(60, "vendor_class_identifier", Kind::Opaque),
    row(61, "client_identifier", Kind::Bytes),
    row(62, "netware_ip_domain", Kind::Text),
    row(64, "nisplus_domain", Kind::Text),
    row(65, "nisplus_servers", Kind::Addresses),
    row(66, "tftp_server_name", Kind::Text),
    row(67, "bootfile_name", Kind::Text),
    row(68, "mobile_ip_home_agents", Kind::Addresses),
    row(69, "smtp_servers", Kind::Addresses),
    row(70, "pop3_servers", Kind::Addresses),
    row(71, "nntp_servers", Kind::Addresses),
    row(72, "www_servers", Kind::Addresses),
    row(73, "finger_servers", Kind::Addresses),
    row(74, "irc_servers", Kind::Addresses),
    row(75, "streettalk_servers", Kind::Addresses),
    row(76, "streettalk_directory_servers", Kind::Addresses),
    row(77, "user_class", Kind::Opaque),
    row(80, "rapid_commit", Kind::Empty),
    row(81, "client_fqdn", Kind::Bytes),
    row(82, "relay_agent_information", Kind::Relay),
    row(85, "nds_servers", Kind::Addresses),
    row(86, "nds_tree_name", Kind::Text),
    row(87, "nds_context", Kind::Text),
    row(93, "client_architectures", Kind::U16s),
    row(94, "client_network_interface", Kind::Interface),
    row(95, "ldap_servers", Kind::Text),
    row(97, "client_machine_identifier", Kind::Bytes),
    row(98, "user_authentication_servers", Kind::Text),
    row(100, "posix_timezone", Kind::Text),
    row(101, "tz_database_timezone", Kind::Text),
    row(108, "ipv6_only_preferred", Kind::U32),
    row(112, "netinfo_servers", Kind::Addresses),
    row(113, "netinfo_tag", Kind::Text),
    row(114, "captive_portal", Kind::Text),
    row(116, "auto_configure", Kind::U8),
    row(117, "name_service_search", Kind::U16s),
    row(118, "subnet_selection", Kind::Address),
    row(119, "domain_search", Kind::Names),
    row(120, "sip_servers", Kind::Bytes),
    row(121, "classless_static_routes", Kind::Routes),
    row(124, "vendor_identifying_class", Kind::Bytes),
    row(125, "vendor_identifying_options", Kind::Bytes),
    row(136, "pana_agents", Kind::Addresses),
    row(138, "capwap_controllers", Kind::Addresses),
    row(150, "tftp_server_addresses", Kind::Addresses),
    row(175, "ipxe_encapsulated_options", Kind::Bytes),
    row(208, "pxelinux_magic", Kind::Bytes),
    row(209, "pxelinux_configuration_file", Kind::Text),
    row(210, "pxelinux_path_prefix", Kind::Text),
    row(211, "pxelinux_reboot_time", Kind::U32),
    row(249, "microsoft_classless_static_routes", Kind::Routes),
    row(252, "web_proxy_auto_discovery", Kind::Text),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_no_name_is_used_twice() {
        assert!(OPTION_TYPES.windows(2).all(|pair| pair[0].code < pair[1].code));
        let names: std::collections::HashSet<_> = OPTION_TYPES.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), OPTION_TYPES.len());
        assert_eq!(by_code(54).unwrap().name, "server_identifier");
        assert!(by_code(200).is_none());
        assert_eq!(by_name("routers").unwrap().code, ROUTERS);
    }
}
