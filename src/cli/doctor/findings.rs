//! Turns facts into findings: each is fine, a warning or broken, and says what to do. Pure. Start at [`all`].

use serde::Serialize;

use crate::cli::doctor::ask::OfferAnswer;
use crate::cli::doctor::host::{Host, HostInterface};
use crate::cli::doctor::networks;
use crate::cli::doctor::owners::finding;
use crate::model::{DhcpStatus, InterfaceStatus, StoreStatus, SubnetMode};

/// How a server gets its capabilities.
const GRANTED: &str = "as root or with the capability (systemd: AmbientCapabilities, containers: --cap-add)";

/// The level of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Ok,
    Warn,
    Fail,
}

/// The result for one thing that was examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// The examined thing: `port 67`, `eth1`, `subnet lan`.
    pub what: String,
    /// What was found, and what to do about it.
    pub found: String,
}

impl Finding {
    pub fn row(&self) -> Vec<String> {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        vec![level.to_owned(), self.what.clone(), self.found.clone()]
    }
}

pub(super) fn line(level: Level, what: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding { level, what: what.into(), found: found.into() }
}

/// All facts.
#[derive(Debug, Clone, Copy)]
pub struct DoctorFacts<'a> {
    pub host: &'a Host,
    /// The server's status; `None` if the server was not reached.
    pub status: Option<&'a DhcpStatus>,
    /// Why it was not reached.
    pub unreachable: Option<&'a str>,
    /// The answers to the doctor's own DISCOVER, or why it could not be sent.
    pub answers: Option<&'a Result<Vec<OfferAnswer>, String>>,
}

/// All findings about DHCP on these interfaces.
pub fn all(facts: &DoctorFacts<'_>, names: &[String]) -> Vec<Finding> {
    let mut findings = server(facts);
    findings.extend(ports(facts));
    findings.extend(capabilities(facts));
    for name in names {
        findings.extend(interface(facts, name));
    }
    if let Some(status) = facts.status {
        findings.extend(database(&status.store));
        findings.extend(networks::behind_relays(status));
        findings.extend(networks::relays(status));
        findings.extend(networks::unserved(status));
        findings.extend(servers(status));
    }
    findings.extend(facts.answers.map(|answers| answered(facts, answers)).into_iter().flatten());
    findings
}

fn server(facts: &DoctorFacts<'_>) -> Vec<Finding> {
    match (facts.status, facts.unreachable) {
        (Some(status), _) if status.service.enabled && !status.service.receives => {
            let what =
                "it runs, and its DHCP socket fails: its log says why; it is opened anew until it works";
            vec![line(Level::Fail, "server", what)]
        }
        (Some(status), _) if status.service.enabled => {
            vec![line(Level::Ok, "server", "it runs and serves DHCP")]
        }
        (Some(_), _) => {
            let what = "it runs, and DHCP is off: start it with --dhcp-interface NAME";
            vec![line(Level::Fail, "server", what)]
        }
        (None, why) => {
            let why = why.unwrap_or("it does not answer");
            vec![line(
                Level::Warn,
                "server",
                format!("not asked, so that only this host is looked at: {why}"),
            )]
        }
    }
}

/// The finding about the server's database; none if it is fine.
fn database(store: &StoreStatus) -> Option<Finding> {
    match (store.outage(), store.space_warning()) {
        (Some(why), _) => {
            let what =
                format!("{why}; clients are offered addresses and told nothing when they ask for them");
            Some(line(Level::Fail, "database", what))
        }
        (None, Some(what)) => Some(line(Level::Warn, "database", what)),
        (None, None) => None,
    }
}

fn ports(facts: &DoctorFacts<'_>) -> Vec<Finding> {
    let proxies = facts.status.is_some_and(|status| {
        status.subnets.iter().any(|subnet| subnet.enabled && subnet.mode == SubnetMode::Proxy)
    });
    let dhcp_port = facts.status.map_or(67, |status| status.service.port);
    let mut findings = Vec::new();
    // Only tests use another port than the usual one.
    if matches!(dhcp_port, 0 | 67) {
        findings.push(finding(&facts.host.dhcp_port, "port 67", Level::Fail));
    }
    let fault = facts.status.and_then(|status| status.service.boot_server_fault.as_deref());
    if let Some(why) = fault.filter(|_| proxies) {
        let what = "not the server's since its start: UEFI in `proxy` subnets is not told what to boot";
        findings.push(line(Level::Warn, "port 4011", format!("{what}: {why}; then restart the server")));
    }
    if facts.host.pxe_port.bound || proxies {
        findings.push(finding(&facts.host.pxe_port, "port 4011", Level::Warn));
    }
    findings
}

fn capabilities(facts: &DoctorFacts<'_>) -> Vec<Finding> {
    let has = facts.host.capabilities;
    let Some(status) = facts.status.filter(|status| status.service.enabled) else {
        let missing: Vec<&str> =
            [(has.net_bind_service, "CAP_NET_BIND_SERVICE"), (has.net_raw, "CAP_NET_RAW")]
                .into_iter()
                .filter_map(|(there, name)| (!there).then_some(name))
                .collect();
        return vec![match missing.is_empty() {
            true => line(
                Level::Ok,
                "capabilities",
                "a server started from here may bind its ports and send frames",
            ),
            false => {
                let what = format!("{} missing here: start the server {GRANTED}", missing.join(" and "));
                line(Level::Warn, "capabilities", what)
            }
        }];
    };
    let service = &status.service;
    let lacks: Vec<&str> = [
        (service.probes_arp || service.probes_icmp, "addresses are not probed before they are offered"),
        (service.hears_servers, "other DHCP servers are not heard"),
        // The same kind of socket.
        (service.hears_servers, "clients without an address are sent broadcasts"),
    ]
    .into_iter()
    .filter_map(|(there, lack)| (!there).then_some(lack))
    .collect();
    vec![match lacks.is_empty() {
        true => line(Level::Ok, "capabilities", "the server probes addresses and hears other servers"),
        false => {
            let lacks = lacks.join(", ");
            let what = format!(
                "{lacks}: the server lacks CAP_NET_RAW: start it {GRANTED}; if it has it, see its log"
            );
            line(Level::Warn, "capabilities", what)
        }
    }]
}

fn interface(facts: &DoctorFacts<'_>, name: &str) -> Vec<Finding> {
    let Some(interface) = facts.host.interface(name) else {
        let known: Vec<&str> = facts.host.interfaces.iter().map(|one| one.name.as_str()).collect();
        return vec![line(
            Level::Fail,
            name,
            format!("there is no such interface; there are {}", known.join(", ")),
        )];
    };
    let mut findings = vec![link(interface)];
    findings.extend(reverse_path(facts, interface));
    let Some(status) = facts.status.filter(|status| status.service.enabled) else { return findings };
    match status.interfaces.iter().find(|served| served.name == name) {
        Some(served) => findings.extend(served_findings(status, served)),
        None => {
            let what = format!("it is not served: start the server with --dhcp-interface {name}");
            findings.push(line(Level::Fail, name, what));
        }
    }
    findings
}

fn link(interface: &HostInterface) -> Finding {
    let name = interface.name.as_str();
    let addresses: Vec<String> =
        interface.addresses.iter().map(|own| format!("{}/{}", own.address, own.prefix)).collect();
    match (interface.up, addresses.is_empty(), interface.running) {
        (false, ..) => line(Level::Fail, name, format!("it is down: ip link set {name} up")),
        (_, true, _) => {
            let what = format!("it has no IPv4 address to answer from: ip address add ADDRESS/24 dev {name}");
            line(Level::Fail, name, what)
        }
        (_, _, false) => line(Level::Warn, name, "it is up without a carrier: look at cable and switch"),
        _ => line(Level::Ok, name, format!("it is up with {}", addresses.join(", "))),
    }
}

/// Relayed packets may arrive on a route that the kernel would not use for replies (RFC 3704).
fn reverse_path(facts: &DoctorFacts<'_>, interface: &HostInterface) -> Option<Finding> {
    let strict = facts.host.rp_filter.max(interface.rp_filter) == 1;
    let what = format!(
        "rp_filter is 1: packets of relays that are routed back by another interface are dropped unseen; \
         sysctl net.ipv4.conf.{}.rp_filter=2 if relays are used",
        interface.name
    );
    let uses_relays = facts.status.is_some_and(|status| !status.relays.is_empty());
    strict.then(|| line(if uses_relays { Level::Ok } else { Level::Warn }, interface.name.as_str(), what))
}

fn served_findings(status: &DhcpStatus, served: &InterfaceStatus) -> Vec<Finding> {
    let name = served.name.as_str();
    let subnet = status.subnets.iter().find(|subnet| served.subnet.as_ref() == Some(&subnet.name));
    let Some(subnet) = subnet else {
        let what = format!(
            "no enabled subnet contains {}: metalwright subnets create name=lan cidr=NETWORK pools='[…]'",
            if served.addresses.is_empty() {
                "an address of it".to_owned()
            } else {
                served.addresses.join(", ")
            }
        );
        return vec![line(Level::Fail, name, what)];
    };
    let example = &served.example;
    let mut findings = vec![networks::pools(subnet, status)];
    let level = match example.event.as_str() {
        "dhcp.offered" => Level::Ok,
        "dhcp.ignored" if subnet.mode == SubnetMode::Proxy => Level::Ok,
        "dhcp.ignored" => Level::Warn,
        _ => Level::Fail,
    };
    findings.push(line(level, name, format!("an unknown machine that asks now: {}", example.reason)));
    findings
}

fn servers(status: &DhcpStatus) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for server in &status.servers {
        let mac = server.mac.map(|mac| format!(" ({mac})")).unwrap_or_default();
        let offered =
            server.offered.map(|address| format!(", gives addresses like {address}")).unwrap_or_default();
        let boots = if server.boot_data { ", tells what to boot" } else { "" };
        let found = format!(
            "answers on {}{mac}{offered}{boots}, last heard {:.0}",
            server.interface, server.last_seen
        );
        let what = format!("server {}", server.address);
        findings.push(match server.expected {
            true => {
                let misled = server.misleads.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
                line(Level::Ok, what, format!("{found}; it gives the addresses of this network{misled}"))
            }
            false => line(Level::Warn, what, format!("{found}: stop it, or set the subnet's mode to proxy")),
        });
    }
    // The server's warnings about proxies without another server; everything else is said above.
    let lonely = status.warnings.iter().filter(|warning| warning.contains("none was heard"));
    findings.extend(lonely.map(|warning| line(Level::Warn, "server", warning.as_str())));
    findings
}

fn answered(facts: &DoctorFacts<'_>, answers: &Result<Vec<OfferAnswer>, String>) -> Vec<Finding> {
    let answers = match answers {
        Ok(answers) => answers,
        Err(why) => {
            return vec![line(Level::Warn, "asked", format!("the question could not be asked: {why}"))];
        }
    };
    if answers.is_empty() {
        return vec![line(Level::Warn, "asked", "nobody answered a DISCOVER of an unknown machine")];
    }
    answers
        .iter()
        .map(|answer: &OfferAnswer| {
            let boots = answer.boot_words();
            let (level, whose) = if facts
                .host
                .interfaces
                .iter()
                .flat_map(|one| &one.addresses)
                .any(|own| own.address == answer.server)
            {
                (Level::Ok, "this host")
            } else {
                (Level::Warn, "another server")
            };
            line(level, "asked", format!("{whose}, {}, offers {}{boots}", answer.server, answer.offered))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::json;

    use super::*;
    use crate::cli::doctor::host::{HostAddress, HostCapabilities, PortUse};
    use crate::cli::doctor::owners::{PortOwner, ProcessOwner};
    use crate::port_owner::PortProcess;

    fn owner(name: &str) -> PortOwner {
        let whose = match name {
            "metalwright" => ProcessOwner::Ours,
            "of another file" => ProcessOwner::Unknown,
            _ => ProcessOwner::Anothers,
        };
        PortOwner { process: PortProcess { name: name.into(), pid: 7 }, whose }
    }

    fn host(owners: &[&str]) -> Host {
        let address = HostAddress { address: Ipv4Addr::new(10, 0, 0, 1), prefix: 24 };
        let eth1 = HostInterface {
            name: "eth1".into(),
            up: true,
            running: true,
            addresses: vec![address],
            ..HostInterface::default()
        };
        let owners: Vec<PortOwner> = owners.iter().map(|name| owner(name)).collect();
        Host {
            interfaces: vec![eth1],
            dhcp_port: PortUse { bound: !owners.is_empty(), owners },
            capabilities: HostCapabilities { net_raw: true, net_bind_service: true },
            ..Host::default()
        }
    }

    fn status() -> DhcpStatus {
        serde_json::from_value(json!({
            "warnings": [], "unserved": [], "unserved_packets": 0, "relays": [], "servers": [],
            "service": {"enabled": true, "port": 67, "boot_http_port": 8080, "hears_servers": true,
                        "receives": true, "probes_arp": true, "probes_icmp": true},
            "interfaces": [{"name": "eth1", "addresses": ["10.0.0.1/24"], "mtu": 1500, "subnet": "lan",
                "example": {"event": "dhcp.offered", "reason": "offered 10.0.0.100: it was never used",
                            "address": "10.0.0.100"}}],
            "subnets": [{"name": "lan", "cidr": "10.0.0.0/24", "mode": "managed", "enabled": true,
                "pool_addresses": 11, "leased": 2, "quarantined": 1, "reserved": 0, "free": 8,
                "network": "lan"}],
        }))
        .unwrap()
    }

    fn look(host: &Host, status: Option<&DhcpStatus>) -> Vec<Finding> {
        let facts = DoctorFacts { host, status, unreachable: None, answers: None };
        all(&facts, &["eth1".to_owned()])
    }

    fn worst(findings: &[Finding], words: &str) -> Option<Level> {
        findings.iter().find(|finding| finding.found.contains(words)).map(|finding| finding.level)
    }

    #[test]
    fn a_server_that_is_well_has_nothing_but_good_lines() {
        let findings = look(&host(&["metalwright"]), Some(&status()));
        assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:#?}");
        assert_eq!(worst(&findings, "2 of 11 addresses leased"), Some(Level::Ok));
        assert_eq!(worst(&findings, "offered 10.0.0.100"), Some(Level::Ok));
    }

    #[test]
    fn a_database_that_takes_no_writes_is_broken_and_a_full_disk_is_a_warning() {
        let mut status = status();
        let store = json!({"takes_writes": false, "since": "2026-11-29T10:00:00Z", "reason": "disk full",
            "free_bytes": 1 << 20, "free_bytes_min": 256 << 20, "is_short_of_space": true});
        status.store = serde_json::from_value(store).unwrap();
        let findings = look(&host(&["metalwright"]), Some(&status));
        assert_eq!(worst(&findings, "since 2026-11-29T10:00:00Z: disk full"), Some(Level::Fail));
        status.store.takes_writes = true;
        let findings = look(&host(&["metalwright"]), Some(&status));
        assert_eq!(worst(&findings, "1 MiB are free, below 256 MiB"), Some(Level::Warn));
    }

    #[test]
    fn a_server_whose_socket_fails_is_broken() {
        let mut status = status();
        status.service.receives = false;
        let findings = look(&host(&["metalwright"]), Some(&status));
        assert_eq!(worst(&findings, "its DHCP socket fails: its log says why"), Some(Level::Fail));
    }

    #[test]
    fn a_boot_server_port_that_was_taken_matters_where_a_subnet_is_another_servers() {
        let mut status = status();
        status.service.boot_server_fault = Some("UDP port 4011 is in use by dnsmasq (pid 7)".to_owned());
        let told = |status: &DhcpStatus| {
            worst(&look(&host(&["metalwright"]), Some(status)), "port 4011 is in use by dnsmasq (pid 7)")
        };
        assert_eq!(told(&status), None);
        status.subnets[0].mode = SubnetMode::Proxy;
        assert_eq!(told(&status), Some(Level::Warn));
        status.subnets[0].enabled = false;
        assert_eq!(told(&status), None);
    }

    #[test]
    fn whoever_has_the_port_is_named() {
        assert_eq!(
            worst(&look(&host(&["dnsmasq"]), None), "dnsmasq (pid 7) has it: stop it"),
            Some(Level::Fail)
        );
        let both = look(&host(&["metalwright", "dnsmasq"]), Some(&status()));
        assert_eq!(worst(&both, "dnsmasq (pid 7) has it as well"), Some(Level::Fail));
        assert_eq!(worst(&look(&host(&[]), None), "nobody listens"), Some(Level::Fail));
        let two = look(&host(&["metalwright", "metalwright"]), Some(&status()));
        assert_eq!(worst(&two, "metalwright (pid 7) has it as well"), Some(Level::Fail));
    }

    #[test]
    fn whoever_may_be_ours_is_not_said_to_be() {
        let alone = look(&host(&["of another file"]), Some(&status()));
        assert_eq!(worst(&alone, "(pid 7) has it, and was not seen to be started"), Some(Level::Warn));
        let both = look(&host(&["of another file", "metalwright"]), Some(&status()));
        assert_eq!(worst(&both, "of another file (pid 7) has it as well as metalwright"), Some(Level::Fail));
    }

    #[test]
    fn an_interface_that_cannot_be_served_says_why() {
        let mut host = host(&["metalwright"]);
        host.interfaces[0].addresses.clear();
        assert_eq!(worst(&look(&host, None), "no IPv4 address"), Some(Level::Fail));
        host.interfaces[0].up = false;
        assert_eq!(worst(&look(&host, None), "ip link set eth1 up"), Some(Level::Fail));
        host.interfaces[0].name = "eth0".into();
        assert_eq!(worst(&look(&host, None), "there are eth0"), Some(Level::Fail));
    }

    #[test]
    fn what_the_server_saw_is_told_with_what_to_do() {
        let mut status = status();
        let time = "2026-11-20T10:00:00Z";
        status.relays = serde_json::from_value(json!([
            {"address": "10.1.0.1", "interface": "eth1", "subnet": null, "packets": 3, "last_seen": time}
        ]))
        .unwrap();
        status.servers = serde_json::from_value(json!([
            {"address": "10.0.0.9", "mac": "02:00:00:00:00:09", "interface": "eth1", "subnet": "lan",
             "first_seen": time, "last_seen": time, "packets": 1, "offered": "10.0.0.50", "boot_data": true,
             "expected": false}
        ]))
        .unwrap();
        status.subnets[0].free = 0;
        let findings = look(&host(&["metalwright"]), Some(&status));
        assert_eq!(worst(&findings, "create the subnet that contains 10.1.0.1"), Some(Level::Fail));
        assert_eq!(
            worst(&findings, "answers on eth1 (02:00:00:00:00:09), gives addresses like 10.0.0.50"),
            Some(Level::Warn)
        );
        assert_eq!(worst(&findings, "a wider pool"), Some(Level::Fail));
        status.servers[0].expected = true;
        status.servers[0].misleads = Some("GRUB asks it for files".to_owned());
        status.interfaces.clear();
        let findings = look(&host(&["metalwright"]), Some(&status));
        assert_eq!(worst(&findings, "the addresses of this network; GRUB asks it"), Some(Level::Ok));
        assert_eq!(worst(&findings, "--dhcp-interface eth1"), Some(Level::Fail));
    }

    #[test]
    fn answers_to_our_own_question_are_told_apart() {
        let host = host(&["metalwright"]);
        let answer = |last| OfferAnswer {
            server: Ipv4Addr::new(10, 0, 0, last),
            from: Ipv4Addr::new(10, 0, 0, last),
            offered: Ipv4Addr::new(10, 0, 0, 100),
            next_server: Some(Ipv4Addr::new(10, 0, 0, last)),
            boot_file: None,
        };
        let answers = Ok(vec![answer(1), answer(9)]);
        let facts = DoctorFacts { host: &host, status: None, unreachable: None, answers: Some(&answers) };
        let findings = all(&facts, &[]);
        assert_eq!(worst(&findings, "this host, 10.0.0.1, offers"), Some(Level::Ok));
        let other = "another server, 10.0.0.9, offers 10.0.0.100 and the boot server 10.0.0.9";
        assert_eq!(worst(&findings, other), Some(Level::Warn));
    }
}
