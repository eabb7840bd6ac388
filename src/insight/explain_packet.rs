//! The answer that a packet would get now, and why: the packet in words, the rules, the reply with each
//! option in words and as bytes. Start at [`Insight::explain_packet`].

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dhcp::decide::{
    ClassResult, DhcpQuery, DhcpReply, NetworkInterface, OptionScopes, PacketFacts, examine,
};
use crate::dhcp::dry_run::DryRun;
use crate::insight::Insight;
use crate::insight::explain::{OptionLine, option_line};
use crate::insight::looked_at::{RuleObject, RuleParties};
use crate::kernel::permissions::{AccessVerb, ObjectRef};
use crate::kernel::{Caller, Error};
use crate::model::{Problem, RefusalCode, World, hex};
use crate::netboot::decide::decision::BootDecision;
use crate::proto::dhcp4::{CapturedPacket, DhcpPacket, codes, quote, read_capture, to_text};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// The interface that stands for one of this host while none is served.
const NO_INTERFACE_MTU: u32 = 1500;

/// A packet that is asked about.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PacketQuestion {
    /// The packet: hex, with or without the headers of Ethernet, IPv4 and UDP; a hex dump of tcpdump,
    /// Wireshark, xxd or hexdump; or text, one field or option per line, as `text` of the answer has it.
    pub packet: String,
    /// The served interface that it comes in on. The default is the one that fits, else the first.
    #[serde(default)]
    pub interface: Option<String>,
    /// The server's port that it was sent to: 67, or 4011 for the boot server of PXE. The default is that of
    /// the capture, else 67.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
}

/// What a packet would be answered now. Nothing is written or sent.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PacketExplanation {
    pub request: PacketView,
    /// The interface that the packet is taken to come in on; absent while none is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The subnet of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// The name of the machine that sends such a packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The event that the packet would be on the timeline: `dhcp.offered`, `dhcp.pool_empty` …
    pub event: String,
    /// Why the packet is answered so.
    pub reason: String,
    /// The address that the packet is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// Whether the packet would begin a boot attempt of the machine.
    pub begins_attempt: bool,
    /// What the client boots, and the rules in the order in which they were checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<BootDecision>,
    /// The objects that the rules looked at.
    pub looked_at: Vec<RuleObject>,
    /// All client classes, in the order in which they apply.
    pub client_classes: Vec<ClassResult>,
    /// The options that are configured for the client, and where each comes from. The reply has those that
    /// the client asks for.
    pub options: Vec<OptionLine>,
    /// The reply; absent if the server does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyView>,
}

/// A reply, and how it is sent.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReplyView {
    #[serde(flatten)]
    pub packet: PacketView,
    /// The server's address that it is sent from.
    pub source: Ipv4Addr,
    /// `broadcast`, `unicast ADDRESS:PORT`, or `frame MAC ADDRESS:PORT` for a client without an address.
    pub destination: String,
    /// Options for which the client has no room.
    pub left_out: Vec<String>,
    /// Options whose values are templates. The server renders them when it answers.
    pub templates: Vec<OptionTemplate>,
}

/// An option whose value is a template.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OptionTemplate {
    pub code: u8,
    /// The option, and the object that has it.
    pub name: String,
    pub template: String,
}

/// A DHCP message in words and as bytes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PacketView {
    /// `discover`, `offer`, `request` …; absent for BOOTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The whole packet, one field or option per line. It can be asked about again.
    pub text: String,
    /// The next boot server (`siaddr`), if it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
    /// The name of the boot file (`file`), if it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The options in the order of the packet.
    pub options: Vec<PacketOption>,
    /// Faults that were skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// The bytes of the message, in hex, as they would be sent. Absent for the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bytes: String,
}

/// One option of a packet.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PacketOption {
    pub code: u8,
    /// Its name; `option` and the code if it has none here.
    pub name: String,
    /// The value in words; hex if the bytes do not fit the type of the option.
    pub value: String,
    /// The bytes of the value, in hex.
    pub bytes: String,
}

impl Insight {
    /// What a packet would be answered now, with the rules that led to it.
    ///
    /// # Errors
    /// The packet cannot be read, is not a client's, or the interface is not served. A machine that the
    /// caller may not read is treated as an unknown one.
    pub fn explain_packet(
        &self,
        caller: &Caller,
        asked: &PacketQuestion,
    ) -> Result<PacketExplanation, Error> {
        let captured = read_capture(&asked.packet).map_err(malformed)?;
        if captured.packet.op != 1 {
            let why = "it is the reply of a server: give what the client sent";
            return Err(malformed(why));
        }
        let served = self.dhcp.sights().interfaces.clone();
        let interface = chosen_interface(served, asked.interface.as_deref())?;
        Ok(self.kernel.read(|world| {
            let interface = interface.or_fitting(world);
            self.packet_explained(world, caller, &query((&captured, asked), &interface))
        }))
    }

    fn packet_explained(&self, world: &World, caller: &Caller, query: &DhcpQuery<'_>) -> PacketExplanation {
        let mut facts = PacketFacts::gather(*query, world);
        facts.machine = facts.machine.filter(|machine| caller.may(AccessVerb::Read, ObjectRef::of(machine)));
        let dry = self.dhcp.dry_run(facts.clone());
        let DryRun { outcome, decision, .. } = &dry;
        let link = facts.link.as_ref().ok();
        let subnet =
            link.and_then(|link| outcome.address.and_then(|at| link.subnet_of(at)).or(Some(link.selected)));
        let pools = subnet.into_iter().flat_map(|subnet| &subnet.pools);
        let scopes = OptionScopes {
            subnet,
            pool: pools.into_iter().find(|pool| outcome.address.is_some_and(|at| pool.contains(at))),
            reservation: dry.reservation,
            machine: facts.machine,
            classes: &facts.sender.classes,
        };
        let parties = RuleParties {
            world,
            subnet: facts.subnet(),
            machine: facts.machine,
            classes: &facts.sender.classes,
        };
        let trace = decision.as_ref().map(|decision| decision.trace.as_slice()).unwrap_or_default();
        PacketExplanation {
            request: PacketView::of(query.packet, &[]),
            interface: Some(query.interface.name.clone()).filter(|name| !name.is_empty()),
            subnet: subnet.map(|subnet| subnet.name.clone()),
            machine: facts.machine.map(|machine| machine.spec.name.clone()),
            event: outcome.kind.as_str().to_owned(),
            reason: outcome.reason.clone(),
            address: outcome.address,
            begins_attempt: dry.begins_attempt,
            looked_at: parties.looked_at(trace),
            client_classes: examine(world, query.packet, facts.subnet()),
            options: scopes.effective().into_values().map(option_line).collect(),
            reply: outcome.reply.as_ref().map(ReplyView::from),
            decision: dry.decision,
        }
    }
}

fn malformed(why: impl Into<String>) -> Error {
    Error::Invalid(vec![Problem::new("/packet", why).coded(RefusalCode::Malformed)])
}

/// The interface of a question.
enum AskedInterface {
    Named(Arc<NetworkInterface>),
    AnyOf(Vec<Arc<NetworkInterface>>),
}

impl AskedInterface {
    /// The named one, else the first with a network that is served, else the first.
    fn or_fitting(&self, world: &World) -> Arc<NetworkInterface> {
        let served = match self {
            AskedInterface::Named(interface) => return Arc::clone(interface),
            AskedInterface::AnyOf(served) => served,
        };
        let mut fitting = served
            .iter()
            .filter(|one| one.addresses.iter().any(|own| world.subnet_of(own.address).is_some()));
        let found = fitting.next().or(served.first()).cloned();
        found.unwrap_or_else(|| {
            Arc::new(NetworkInterface {
                name: String::new(),
                index: 0,
                addresses: Vec::new(),
                mtu: NO_INTERFACE_MTU,
            })
        })
    }
}

fn chosen_interface(served: Vec<Arc<NetworkInterface>>, name: Option<&str>) -> Result<AskedInterface, Error> {
    let Some(name) = name else { return Ok(AskedInterface::AnyOf(served)) };
    let found = served.iter().find(|one| one.name == name).cloned();
    found.map(AskedInterface::Named).ok_or_else(|| {
        let names: Vec<&str> = served.iter().map(|one| one.name.as_str()).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let why = format!("DHCP is not served on `{name}`; it is served on: {known}");
        Error::Invalid(vec![Problem::new("/interface", why).coded(RefusalCode::NotOneOf)])
    })
}

/// The packet as it would come in. A relay agent sends from its own address.
fn query<'a>(
    (captured, asked): (&'a CapturedPacket, &PacketQuestion),
    interface: &'a NetworkInterface,
) -> DhcpQuery<'a> {
    let packet = &captured.packet;
    let (source, sent_to) = captured.ends.unwrap_or((
        SocketAddrV4::new(packet.giaddr, CLIENT_PORT),
        SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT),
    ));
    DhcpQuery {
        packet,
        interface,
        source,
        local: Some(*sent_to.ip()).filter(|local| interface.has_address(*local)),
        port: asked.port.unwrap_or(sent_to.port()),
    }
}

impl PacketView {
    fn of(packet: &DhcpPacket, sent: &[u8]) -> Self {
        let options: Vec<PacketOption> =
            packet.options.iter().map(|(code, data)| PacketOption::of(code, data)).collect();
        let message = options.iter().find(|option| option.code == codes::MESSAGE_TYPE);
        PacketView {
            message: message.map(|option| option.value.clone()),
            text: to_text(packet),
            next_server: Some(packet.siaddr).filter(|server| !server.is_unspecified()),
            file: Some(&packet.file).filter(|file| !file.is_empty()).map(|file| words_of(file)),
            options,
            faults: packet.faults.iter().map(ToString::to_string).collect(),
            bytes: hex(sent),
        }
    }
}

impl PacketOption {
    fn of(code: u8, data: &[u8]) -> Self {
        let known = codes::by_code(code);
        let words = known.and_then(|row| row.kind.decode(data));
        PacketOption {
            code,
            name: option_name(code),
            value: words.map_or_else(|| hex(data), |words| words_of(words.join(" ").as_bytes())),
            bytes: hex(data),
        }
    }
}

fn option_name(code: u8) -> String {
    codes::by_code(code).map_or_else(|| format!("option {code}"), |row| row.name.to_owned())
}

/// A text for people: as it is, or with escapes where it has bytes that do not print.
fn words_of(text: &[u8]) -> String {
    // Firmware gets texts with a NUL at their end.
    let text = text.strip_suffix(&[0]).unwrap_or(text);
    match std::str::from_utf8(text) {
        Ok(plain) if !plain.chars().any(char::is_control) => plain.to_owned(),
        _ => quote(text),
    }
}

impl From<&DhcpReply> for ReplyView {
    fn from(reply: &DhcpReply) -> Self {
        ReplyView {
            packet: PacketView::of(&reply.packet, &reply.bytes),
            source: reply.source,
            destination: reply.destination.to_string(),
            left_out: reply.dropped.iter().map(|code| option_name(*code)).collect(),
            templates: reply
                .unfilled
                .iter()
                .map(|option| OptionTemplate {
                    code: option.code,
                    name: option.name.clone(),
                    template: option.template.clone(),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dhcp::decide::InterfaceAddress;
    use crate::houses::{Houses, testing};
    use crate::model::{Machine, Subnet};

    const MAC: &str = "52:54:00:aa:00:01";

    async fn lan() -> Arc<Houses> {
        let (houses, caller) = (testing::houses(), testing::caller());
        let own = InterfaceAddress { address: Ipv4Addr::new(10, 0, 0, 1), prefix: 24 };
        let eth1 = NetworkInterface { name: "eth1".into(), index: 1, addresses: vec![own], mtu: 1500 };
        houses.dhcp.dhcp_interfaces(vec![Arc::new(eth1)]);
        let pools = json!([{"start": "10.0.0.100", "end": "10.0.0.200"}]);
        let options = json!({"routers": ["10.0.0.254"], "root_path": "/{{ mac }}"});
        let lan = json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": pools, "options": options});
        houses.objects.create::<Subnet>(&caller, lan).await.unwrap();
        houses.objects.create::<Machine>(&caller, json!({"name": "web1", "macs": [MAC]})).await.unwrap();
        houses
    }

    fn explained(houses: &Houses, packet: &str) -> Value {
        let asked = PacketQuestion { packet: packet.to_owned(), interface: None, port: None };
        json!(houses.insight.explain_packet(&testing::caller(), &asked).unwrap())
    }

    #[tokio::test]
    async fn a_pasted_packet_is_explained_with_its_whole_reply_and_without_any_effect() {
        let houses = lan().await;
        let discover = format!(
            "chaddr {MAC}\nmessage_type discover\nparameter_request_list 1 3 17\nclient_architectures 7\n\
             vendor_class_identifier \"PXEClient:Arch:00007\""
        );
        let got = explained(&houses, &discover);
        assert_eq!((&got["event"], &got["machine"]), (&json!("dhcp.offered"), &json!("web1")), "{got}");
        assert_eq!((&got["subnet"], &got["decision"]["verdict"]), (&json!("lan"), &json!("local_disk")));
        let options = got["reply"]["options"].as_array().unwrap();
        let router = options.iter().find(|option| option["code"] == 3).unwrap();
        assert_eq!((&router["value"], &router["bytes"]), (&json!("10.0.0.254"), &json!("0a0000fe")));
        assert_eq!(got["reply"]["templates"][0]["template"], "/{{ mac }}");
        let of_rule = json!({"rule": "known_machine", "kind": "machine", "name": "web1"});
        assert!(got["looked_at"].as_array().unwrap().contains(&of_rule), "{got}");
        assert_eq!(explained(&houses, &discover), got, "the address is not held");
        let machine = houses.kernel.find::<Machine>(&testing::caller(), "name:web1").unwrap();
        assert!(machine.status.boot_attempt.is_none());
        let again = explained(&houses, got["request"]["text"].as_str().unwrap());
        assert_eq!(again["reply"], got["reply"]);
    }

    #[tokio::test]
    async fn a_packet_that_no_subnet_fits_gets_no_reply_and_the_reason() {
        let houses = lan().await;
        let got = explained(&houses, &format!("chaddr {MAC}\ngiaddr 10.9.0.1\nmessage_type discover"));
        assert_eq!((&got["event"], &got["reply"]), (&json!("dhcp.no_subnet"), &Value::Null));
        assert!(got["reason"].as_str().unwrap().contains("10.9.0.1"), "{got}");
    }
}
