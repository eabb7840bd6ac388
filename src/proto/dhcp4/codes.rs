//! The table of DHCP options: code, name in snake_case, and type of the value.
//!
//! Subnets, reservations and the text form of packets all use these names (RFC 2132 and the IANA
//! BOOTP/DHCP parameters registry).

use crate::proto::dhcp4::ValueType;

pub const SUBNET_MASK: u8 = 1;
pub const ROUTERS: u8 = 3;
pub const DOMAIN_NAME_SERVERS: u8 = 6;
pub const HOST_NAME: u8 = 12;
pub const DOMAIN_NAME: u8 = 15;
pub const ROOT_PATH: u8 = 17;
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
pub const PXELINUX_CONFIG_FILE: u8 = 209;
pub const PXELINUX_PATH_PREFIX: u8 = 210;
pub const MICROSOFT_CLASSLESS_ROUTES: u8 = 249;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct OptionType {
    pub code: u8,
    pub name: &'static str,
    pub kind: ValueType,
}

/// The row for `code`, if the option has a name here.
pub fn by_code(code: u8) -> Option<&'static OptionType> {
    OPTION_TYPES.binary_search_by_key(&code, |row| row.code).ok().and_then(|at| OPTION_TYPES.get(at))
}

/// The row with this name.
pub fn by_name(name: &str) -> Option<&'static OptionType> {
    OPTION_TYPES.iter().find(|row| row.name == name)
}

const fn row(code: u8, name: &'static str, kind: ValueType) -> OptionType {
    OptionType { code, name, kind }
}

/// Sorted by code, which a test checks.
pub static OPTION_TYPES: &[OptionType] = &[
    row(1, "subnet_mask", ValueType::Address),
    row(2, "time_offset", ValueType::I32),
    row(3, "routers", ValueType::Addresses),
    row(4, "time_servers", ValueType::Addresses),
    row(5, "name_servers", ValueType::Addresses),
    row(6, "domain_name_servers", ValueType::Addresses),
    row(7, "log_servers", ValueType::Addresses),
    row(8, "cookie_servers", ValueType::Addresses),
    row(9, "lpr_servers", ValueType::Addresses),
    row(10, "impress_servers", ValueType::Addresses),
    row(11, "resource_location_servers", ValueType::Addresses),
    row(12, "host_name", ValueType::Text),
    row(13, "boot_file_size", ValueType::U16),
    row(14, "merit_dump_file", ValueType::Text),
    row(15, "domain_name", ValueType::Text),
    row(16, "swap_server", ValueType::Address),
    row(17, "root_path", ValueType::Text),
    row(18, "extensions_path", ValueType::Text),
    row(19, "ip_forwarding", ValueType::Flag),
    row(20, "non_local_source_routing", ValueType::Flag),
    row(21, "policy_filters", ValueType::AddressPairs),
    row(22, "max_datagram_reassembly_size", ValueType::U16),
    row(23, "default_ip_ttl", ValueType::U8),
    row(24, "path_mtu_aging_timeout", ValueType::U32),
    row(25, "path_mtu_plateau_table", ValueType::U16s),
    row(26, "interface_mtu", ValueType::U16),
    row(27, "all_subnets_local", ValueType::Flag),
    row(28, "broadcast_address", ValueType::Address),
    row(29, "perform_mask_discovery", ValueType::Flag),
    row(30, "mask_supplier", ValueType::Flag),
    row(31, "perform_router_discovery", ValueType::Flag),
    row(32, "router_solicitation_address", ValueType::Address),
    row(33, "static_routes", ValueType::AddressPairs),
    row(34, "trailer_encapsulation", ValueType::Flag),
    row(35, "arp_cache_timeout", ValueType::U32),
    row(36, "ethernet_encapsulation", ValueType::Flag),
    row(37, "default_tcp_ttl", ValueType::U8),
    row(38, "tcp_keepalive_interval", ValueType::U32),
    row(39, "tcp_keepalive_garbage", ValueType::Flag),
    row(40, "nis_domain", ValueType::Text),
    row(41, "nis_servers", ValueType::Addresses),
    row(42, "ntp_servers", ValueType::Addresses),
    row(43, "vendor_encapsulated_options", ValueType::Bytes),
    row(44, "netbios_name_servers", ValueType::Addresses),
    row(45, "netbios_dd_servers", ValueType::Addresses),
    row(46, "netbios_node_type", ValueType::U8),
    row(47, "netbios_scope", ValueType::Text),
    row(48, "font_servers", ValueType::Addresses),
    row(49, "x_display_managers", ValueType::Addresses),
    row(50, "requested_address", ValueType::Address),
    row(51, "lease_time", ValueType::U32),
    row(52, "option_overload", ValueType::U8),
    row(53, "message_type", ValueType::MessageType),
    row(54, "server_identifier", ValueType::Address),
    row(55, "parameter_request_list", ValueType::Codes),
    row(56, "message", ValueType::Text),
    row(57, "max_message_size", ValueType::U16),
    row(58, "renewal_time", ValueType::U32),
    row(59, "rebinding_time", ValueType::U32),
    row(60, "vendor_class_identifier", ValueType::Opaque),
    row(61, "client_identifier", ValueType::Bytes),
    row(62, "netware_ip_domain", ValueType::Text),
    row(64, "nisplus_domain", ValueType::Text),
    row(65, "nisplus_servers", ValueType::Addresses),
    row(66, "tftp_server_name", ValueType::Text),
    row(67, "bootfile_name", ValueType::Text),
    row(68, "mobile_ip_home_agents", ValueType::Addresses),
    row(69, "smtp_servers", ValueType::Addresses),
    row(70, "pop3_servers", ValueType::Addresses),
    row(71, "nntp_servers", ValueType::Addresses),
    row(72, "www_servers", ValueType::Addresses),
    row(73, "finger_servers", ValueType::Addresses),
    row(74, "irc_servers", ValueType::Addresses),
    row(75, "streettalk_servers", ValueType::Addresses),
    row(76, "streettalk_directory_servers", ValueType::Addresses),
    row(77, "user_class", ValueType::Opaque),
    row(80, "rapid_commit", ValueType::Empty),
    row(81, "client_fqdn", ValueType::Bytes),
    row(82, "relay_agent_information", ValueType::Relay),
    row(85, "nds_servers", ValueType::Addresses),
    row(86, "nds_tree_name", ValueType::Text),
    row(87, "nds_context", ValueType::Text),
    row(93, "client_architectures", ValueType::U16s),
    row(94, "client_network_interface", ValueType::Interface),
    row(95, "ldap_servers", ValueType::Text),
    row(97, "client_machine_identifier", ValueType::Bytes),
    row(98, "user_authentication_servers", ValueType::Text),
    row(100, "posix_timezone", ValueType::Text),
    row(101, "tz_database_timezone", ValueType::Text),
    row(108, "ipv6_only_preferred", ValueType::U32),
    row(112, "netinfo_servers", ValueType::Addresses),
    row(113, "netinfo_tag", ValueType::Text),
    row(114, "captive_portal", ValueType::Text),
    row(116, "auto_configure", ValueType::U8),
    row(117, "name_service_search", ValueType::U16s),
    row(118, "subnet_selection", ValueType::Address),
    row(119, "domain_search", ValueType::Names),
    row(120, "sip_servers", ValueType::Bytes),
    row(121, "classless_static_routes", ValueType::Routes),
    row(124, "vendor_identifying_class", ValueType::Bytes),
    row(125, "vendor_identifying_options", ValueType::Bytes),
    row(136, "pana_agents", ValueType::Addresses),
    row(138, "capwap_controllers", ValueType::Addresses),
    row(150, "tftp_server_addresses", ValueType::Addresses),
    row(175, "ipxe_encapsulated_options", ValueType::Bytes),
    row(208, "pxelinux_magic", ValueType::Bytes),
    row(209, "pxelinux_configuration_file", ValueType::Text),
    row(210, "pxelinux_path_prefix", ValueType::Text),
    row(211, "pxelinux_reboot_time", ValueType::U32),
    row(249, "microsoft_classless_static_routes", ValueType::Routes),
    row(252, "web_proxy_auto_discovery", ValueType::Text),
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
