//! Client classes: which classes a client is in, and their combined settings.
//!
//! All classes whose conditions hold apply, in ascending order and then by name; a later class wins. Start at
//! [`DhcpClient::of`], which runs once per packet.

use std::net::Ipv4Addr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::dhcp::decide::{ClientKey, DhcpQuery, Link};
use crate::model::{ClassBoot, ClassMatch, ClientClass, Octets, Stored, SubnetMode, World};
use crate::netboot::decide::client::{BootProgram, ClientQuirks, FirstFile, NetbootClient};
use crate::proto::dhcp4::DhcpPacket;

/// The classes that a client is in, in the order in which they apply.
#[derive(Debug, Clone, Default)]
pub struct MatchedClasses {
    matched: Vec<Arc<Stored<ClientClass>>>,
}

/// The sender of a packet, by what it says about itself, with its client classes.
#[derive(Debug, Clone)]
pub struct DhcpClient {
    /// The owner of its lease; `None` if it sends neither a hardware address nor an identifier.
    pub key: Option<ClientKey>,
    /// How it boots, with the settings of its classes.
    pub client: NetbootClient,
    pub classes: MatchedClasses,
    /// Mode of the client's subnet, if a subnet was selected.
    pub subnet_mode: Option<SubnetMode>,
}

impl DhcpClient {
    /// Reads the sender. `link` is the client's shared network, if there is one.
    pub fn of(query: &DhcpQuery<'_>, (world, link): (&World, Option<&Link<'_>>)) -> Self {
        let subnet = link.map(|link| link.selected);
        let asker = ConditionInput {
            packet: query.packet,
            client: NetbootClient::read(query.packet),
            subnet: subnet.map(|subnet| subnet.name.as_str()),
        };
        let classes = MatchedClasses::matching(world, &asker);
        DhcpClient {
            key: ClientKey::of(query.packet),
            client: classes.apply(asker.client),
            classes,
            subnet_mode: subnet.map(|subnet| subnet.mode),
        }
    }
}

/// One class, and whether the client is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClassResult {
    pub name: String,
    pub order: i32,
    pub matched: bool,
    /// The first condition that does not hold, with the value it saw; empty if all hold.
    pub reason: String,
}

/// The input of conditions.
struct ConditionInput<'a> {
    packet: &'a DhcpPacket,
    client: NetbootClient,
    subnet: Option<&'a str>,
}

impl MatchedClasses {
    /// The classes of the sender of `packet` in `subnet`.
    pub fn of(world: &World, packet: &DhcpPacket, subnet: Option<&str>) -> Self {
        Self::matching(world, &ConditionInput { packet, client: NetbootClient::read(packet), subnet })
    }

    fn matching(world: &World, asker: &ConditionInput<'_>) -> Self {
        let all = world.client_classes.iter();
        let mut matched: Vec<_> =
            all.filter(|class| first_miss(&class.spec.conditions, asker).is_none()).cloned().collect();
        // The table is ordered by name, and the sort is stable.
        matched.sort_by_key(|class| class.spec.order);
        MatchedClasses { matched }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &ClientClass> {
        self.matched.iter().map(|row| &row.spec)
    }

    pub fn next_server(&self) -> Option<Ipv4Addr> {
        self.iter().rev().find_map(|class| class.next_server)
    }

    pub fn always_broadcast(&self) -> bool {
        self.iter().any(|class| class.always_broadcast)
    }

    /// The class that denies the client every answer.
    pub fn denying(&self) -> Option<&str> {
        self.iter().find(|class| class.denied).map(|class| class.name.as_str())
    }

    pub fn proxy_discovery_control(&self) -> Option<bool> {
        self.iter().rev().find_map(|class| class.proxy_discovery_control)
    }

    /// Adds the settings of the classes to the client.
    pub fn apply(&self, client: NetbootClient) -> NetbootClient {
        // An iPXE that was started by a class's file sends requests too, and must not get that file again.
        let is_ipxe = matches!(client.stage, BootProgram::Ipxe(_));
        let mut quirks = ClientQuirks::default();
        for class in self.iter() {
            quirks.firmware |= class.firmware;
            if let Some(https) = class.https {
                quirks.https = https.then(|| class.name.clone());
            }
            let first = match (class.boot_data, &class.boot_file) {
                (_, Some(_)) if is_ipxe && class.conditions.user_class.is_none() => continue,
                (_, Some(file)) => FirstFile::File(file.clone()),
                (Some(ClassBoot::Server), None) => FirstFile::Server { menu: class.pxe_menu.clone() },
                (Some(ClassBoot::None), None) => FirstFile::Nothing { class: class.name.clone() },
                (Some(ClassBoot::Loader), None) => FirstFile::Loader,
                (None, None) => continue,
            };
            quirks.first_file = first;
        }
        client.with(quirks)
    }
}

/// Every class in the order of application, with the result, for people.
pub fn examine(world: &World, packet: &DhcpPacket, subnet: Option<&str>) -> Vec<ClassResult> {
    let asker = ConditionInput { packet, client: NetbootClient::read(packet), subnet };
    let mut classes: Vec<&Arc<Stored<ClientClass>>> = world.client_classes.iter().collect();
    classes.sort_by_key(|class| class.spec.order);
    classes
        .into_iter()
        .map(|class: &Arc<Stored<ClientClass>>| {
            let miss = first_miss(&class.spec.conditions, &asker);
            let reason = miss.map(|condition| format!("{condition}: {}", saw(condition, &asker)));
            ClassResult {
                name: class.key.clone(),
                order: class.spec.order,
                matched: miss.is_none(),
                reason: reason.unwrap_or_default(),
            }
        })
        .collect()
}

/// Tests one condition of a class.
type ConditionTest = fn(&ClassMatch, &ConditionInput<'_>) -> bool;

/// The conditions by name, in the order of evaluation: cheap and selective ones first.
const CONDITIONS: [(&str, ConditionTest); 10] = [
    ("vendor_class", |of, asker| text(&of.vendor_class, || asker.packet.vendor_class())),
    ("user_class", |of, asker| {
        of.user_class.as_ref().is_none_or(|pattern: &Octets| {
            asker.packet.user_classes().into_iter().any(|class| fits(pattern, class))
        })
    }),
    ("arches", |of, asker| any(&of.arches, |code| asker.client.arches.contains(code))),
    ("mac_prefixes", |of, asker| {
        any(&of.mac_prefixes, |prefix| prefix.fits(asker.packet.hardware_address()))
    }),
    ("machine_id", |of, asker| text(&of.machine_id, || asker.packet.machine_identifier())),
    ("htypes", |of, asker| any(&of.htypes, |htype| *htype == asker.packet.htype)),
    ("circuit_id", |of, asker| text(&of.circuit_id, || asker.packet.relay_agent()?.circuit_id())),
    ("remote_id", |of, asker| text(&of.remote_id, || asker.packet.relay_agent()?.remote_id())),
    ("relays", |of, asker| {
        let packet = asker.packet;
        any(&of.relays, |cidr| packet.is_relayed() && cidr.contains(packet.giaddr))
    }),
    ("subnets", |of, asker| any(&of.subnets, |name| asker.subnet == Some(name))),
];

/// The first condition that does not hold.
fn first_miss(of: &ClassMatch, asker: &ConditionInput<'_>) -> Option<&'static str> {
    CONDITIONS.iter().find(|(_, holds)| !holds(of, asker)).map(|(condition, _)| *condition)
}

/// Whether a value matches a pattern; without a pattern every value does.
fn text<'a>(pattern: &Option<Octets>, found: impl FnOnce() -> Option<&'a [u8]>) -> bool {
    pattern.as_ref().is_none_or(|pattern| found().is_some_and(|found| fits(pattern, found)))
}

/// Whether an item of a list matches; an empty list matches everything.
fn any<T>(listed: &[T], fits: impl FnMut(&T) -> bool) -> bool {
    listed.is_empty() || listed.iter().any(fits)
}

/// The value that a condition saw, for people.
fn saw(condition: &str, asker: &ConditionInput<'_>) -> String {
    let packet = asker.packet;
    let relay = packet.relay_agent();
    let seen = match condition {
        "vendor_class" => octets_text(packet.vendor_class()),
        "user_class" => {
            let classes: Vec<_> =
                packet.user_classes().into_iter().filter_map(|class| octets_text(Some(class))).collect();
            (!classes.is_empty()).then(|| classes.join(", "))
        }
        "arches" => {
            let codes: Vec<_> = asker.client.arches.iter().map(u16::to_string).collect();
            (!codes.is_empty()).then(|| codes.join(", "))
        }
        "mac_prefixes" => {
            let octets_text: Vec<_> =
                packet.hardware_address().iter().map(|byte| format!("{byte:02x}")).collect();
            (!octets_text.is_empty()).then(|| octets_text.join(":"))
        }
        "machine_id" => octets_text(packet.machine_identifier()),
        "htypes" => Some(packet.htype.to_string()),
        "circuit_id" => octets_text(relay.and_then(|agent| agent.circuit_id())),
        "remote_id" => octets_text(relay.and_then(|agent| agent.remote_id())),
        "relays" => packet.is_relayed().then(|| packet.giaddr.to_string()),
        _ => asker.subnet.map(|subnet| format!("`{subnet}`")),
    };
    seen.map_or_else(|| "the client has none".to_owned(), |seen| format!("the client has {seen}"))
}

fn octets_text(found: Option<&[u8]>) -> Option<String> {
    found.map(|found| format!("`{}`", Octets::new(found)))
}

/// Whether `found` matches a pattern. Patterns that are text may contain `*` and `?`.
fn fits(pattern: &Octets, found: &[u8]) -> bool {
    let is_text = pattern.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'));
    if is_text { is_like(pattern, found) } else { pattern.as_bytes() == found }
}

/// Matches `*` with any run of bytes and `?` with any single byte. Linear except for the last `*`, which is
/// tried at each place.
fn is_like(pattern: &Octets, text: &[u8]) -> bool {
    let pattern = pattern.as_bytes();
    let (mut at, mut place) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(place) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((after, tried)) = star else { return false };
                star = Some((after, tried + 1));
                at = after + 1;
                place = tried + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Object;
    use crate::proto::dhcp4::from_text;
    use serde_json::json;

    fn world(classes: &[serde_json::Value]) -> World {
        let mut world = World::default();
        for class in classes {
            let class: ClientClass = serde_json::from_value(class.clone()).unwrap();
            let row = Stored::new(class.name.clone(), class, jiff::Timestamp::UNIX_EPOCH);
            world.put(Object::ClientClass(row.into()));
        }
        world
    }

    /// Whether the client of a packet is in a class with these conditions.
    fn classes(conditions: serde_json::Value, text: &str) -> bool {
        let world = world(&[json!({"name": "a", "match": conditions})]);
        MatchedClasses::of(&world, &from_text(text).unwrap(), Some("lan")).iter().count() == 1
    }

    #[test]
    fn a_star_is_any_run_and_a_question_mark_any_one() {
        let like = |pattern: &str, text: &str| is_like(&Octets::new(pattern.as_bytes()), text.as_bytes());
        assert!(like("PXEClient*", "PXEClient:Arch:00007") && like("*", "") && like("a?c*d", "abcxxd"));
        assert!(
            like("ab*b", "abb") && !like("ab*b", "ab") && !like("PXEClient", "PXEClient:") && !like("?", "")
        );
    }

    #[test]
    fn every_condition_is_looked_at_and_all_must_hold() {
        let text = "chaddr b8:27:eb:00:00:01\ngiaddr 10.5.0.254\n\
                    vendor_class_identifier \"PXEClient:Arch:00011\"\n\
                    user_class \"lab\"\nrelay_agent_information 1=457468312f37 2=00ff";
        let held = json!({
            "vendor_class": "PXEClient*", "user_class": "l?b", "arches": [7, 11], "mac_prefixes": ["b8:27"],
            "htypes": [1], "circuit_id": "Eth1/*", "remote_id": "0x00ff", "relays": ["10.5.0.0/24"],
            "subnets": ["lan"],
        });
        assert!(classes(held.clone(), text));
        let wrong = json!({
            "vendor_class": "PXEClient", "user_class": "lab2", "arches": [0], "mac_prefixes": ["b8:28"],
            "htypes": [32], "circuit_id": "Eth2/*", "remote_id": "0x00", "relays": ["10.6.0.0/24"],
            "subnets": ["wan"],
        });
        for (condition, value) in wrong.as_object().unwrap() {
            let mut one_off = held.clone();
            one_off[condition] = value.clone();
            assert!(!classes(one_off, text), "{condition}");
        }
        assert!(classes(json!({}), "host_name \"x\""), "no condition is everybody");
    }

    #[test]
    fn classes_apply_by_order_and_then_by_name_and_the_later_wins() {
        let server = |name: &str, order: i32, last: u8| {
            let next_server = format!("10.0.0.{last}");
            json!({"name": name, "order": order, "match": {}, "next_server": next_server})
        };
        let world = world(&[server("b", 5, 1), server("c", 5, 2), server("a", 9, 3), server("d", -1, 4)]);
        let packet = DhcpPacket::default();
        let classes = MatchedClasses::of(&world, &packet, None);
        assert_eq!(classes.iter().map(|class| class.name.as_str()).collect::<Vec<_>>(), ["d", "b", "c", "a"]);
        assert_eq!(classes.next_server(), Some(Ipv4Addr::new(10, 0, 0, 3)));
    }

    #[test]
    fn the_last_class_that_says_so_decides_on_https_and_is_named() {
        let class = |name: &str, https: serde_json::Value| {
            let mut class = json!({"name": name, "match": {}});
            class.as_object_mut().unwrap().extend(https.as_object().unwrap().clone());
            class
        };
        let packet = from_text("vendor_class_identifier \"HTTPClient:Arch:00016\"").unwrap();
        let named = |classes: &[serde_json::Value]| {
            MatchedClasses::of(&world(classes), &packet, None)
                .apply(NetbootClient::read(&packet))
                .quirks
                .https
        };
        let (on, off, silent) = (json!({"https": true}), json!({"https": false}), json!({}));
        assert_eq!(named(&[class("a", on.clone()), class("b", silent)]), Some("a".to_owned()));
        assert_eq!(named(&[class("a", on.clone()), class("b", off.clone())]), None);
        assert_eq!(named(&[class("a", off), class("b", on)]), Some("b".to_owned()));
    }

    #[test]
    fn an_explanation_names_the_first_condition_that_did_not_hold() {
        let world = world(&[
            json!({"name": "pi", "match": {"mac_prefixes": ["b8:27:eb"], "arches": [0]}}),
            json!({"name": "all", "order": 1, "match": {}}),
        ]);
        let lines = examine(&world, &from_text("chaddr 52:54:00:00:00:01").unwrap(), None);
        let shown: Vec<_> =
            lines.iter().map(|line| (line.name.as_str(), line.matched, line.reason.as_str())).collect();
        assert_eq!(shown, [("all", true, ""), ("pi", false, "arches: the client has none")]);
    }

    #[test]
    fn ipxe_is_not_given_the_file_that_may_have_started_it() {
        let file = |conditions| json!({"name": "a", "match": conditions, "boot_file": "x.efi"});
        let packet = from_text("user_class \"iPXE\"\nclient_architectures 7").unwrap();
        let first = |world: &World| {
            MatchedClasses::of(world, &packet, None).apply(NetbootClient::read(&packet)).quirks.first_file
        };
        assert_eq!(first(&world(&[file(json!({}))])), FirstFile::Loader);
        assert_eq!(first(&world(&[file(json!({"user_class": "iPXE"}))])), FirstFile::File("x.efi".into()));
    }
}
