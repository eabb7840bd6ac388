//! What somebody would be answered now, and why: the boot decision with its rules, the client classes, and
//! which scope gives which DHCP option.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::boot::Gathered;
use super::{App, Error};
use crate::boot::client::Client;
use crate::boot::decide::{Asked, Decision, arch_of};
use crate::dhcp::{ClassLine, Classes, Origin, Scopes, examine};
use crate::model::{Mac, Machine, Pool, ReadyOption, ReadyValue, Reservation, Stored, Subnet, World, hex};
use crate::proto::dhcp4::{Packet, codes};

/// Who is asked about.
#[derive(Clone, Debug)]
pub enum Who {
    Machine(String),
    Mac(Mac),
    Address(IpAddr),
}

/// What it would ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Firmware that asks for an address and a loader.
    #[default]
    Firmware,
    /// UEFI firmware that boots over HTTP.
    HttpFirmware,
    /// iPXE that asks for an address and a script.
    Ipxe,
    /// The script itself.
    Script,
}

/// What it would say of itself.
#[derive(Clone, Debug, Default)]
pub struct Asks {
    pub question: Question,
    /// The architecture code (option 93); that of x86-64 UEFI where none is given.
    pub arch: Option<u16>,
    /// The vendor class (option 60), where it is another than the question's.
    pub vendor_class: Option<String>,
    /// A user class (option 77).
    pub user_class: Option<String>,
}

/// The decision, with what else decides a DHCP answer.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Explained {
    #[serde(flatten)]
    pub decision: Decision,
    /// All client classes in the order they apply.
    pub client_classes: Vec<ClassLine>,
    /// The options it could be sent, by code. Templates stand as they were written.
    pub options: Vec<OptionLine>,
}

/// One DHCP option and where it comes from.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OptionLine {
    pub code: u8,
    pub name: String,
    pub value: String,
    /// `subnet`, `pool`, `reservation`, `machine` or `client_class`.
    pub scope: &'static str,
    /// The object's name; of a pool its range.
    pub from: String,
}

impl App {
    /// What would be answered now, with the rules that led there.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a machine that does not exist; a MAC or address nobody has is an unknown
    /// machine's.
    pub fn explain(&self, who: &Who, asks: &Asks) -> Result<Explained, Error> {
        let machine = match who {
            Who::Machine(reference) => Some(self.find::<Machine>(reference)?),
            Who::Mac(mac) => self.world().machines.find("mac", &mac.to_string()).cloned(),
            Who::Address(address) => self.machine_at(&self.world(), *address),
        };
        let world = self.world();
        let place = Place::of(&world, who, machine.as_deref());
        let packet = packet(place.mac, asks);
        let subnet = place.subnet.map(|subnet| subnet.name.as_str());
        let classes = Classes::of(&world, &packet, subnet);
        let client = classes.apply(Client::read(&packet));
        let mut gathered = Gathered::of(&world, &self.loaders, machine.as_ref());
        gathered.subnet_mode = place.subnet.map(|subnet| subnet.mode);
        gathered.asks = self.asks_of(machine.as_deref(), place.mac);
        gathered.client_arch = asks.arch.and_then(|_| arch_of(&client));
        gathered.serves_https = self.endpoints.boot_https_port.is_some();
        let asked = match asks.question {
            Question::Script => Asked::Script,
            _ => Asked::BootData(client),
        };
        let scopes = Scopes {
            subnet: place.subnet,
            pool: place.pool,
            reservation: place.reservation,
            machine: machine.as_deref(),
            classes: &classes,
        };
        Ok(Explained {
            decision: gathered.decide(&asked, self.now()),
            client_classes: examine(&world, &packet, subnet),
            options: scopes.effective().into_values().map(option_line).collect(),
        })
    }
}

/// Where a client is, as far as it is known.
struct Place<'a> {
    mac: Option<Mac>,
    subnet: Option<&'a Subnet>,
    pool: Option<&'a Pool>,
    reservation: Option<&'a Reservation>,
}

impl<'a> Place<'a> {
    fn of(world: &'a World, who: &Who, machine: Option<&Stored<Machine>>) -> Self {
        let asked_mac = match who {
            Who::Mac(mac) => Some(*mac),
            _ => None,
        };
        let own = || machine.and_then(|machine| machine.spec.macs.first().copied());
        let leased = |mac: Mac| world.leases.iter().find(|lease| lease.spec.mac == Some(mac));
        let address = match who {
            Who::Address(IpAddr::V4(address)) => Some(*address),
            _ => machine
                .and_then(|machine| machine.status.address)
                .or_else(|| Some(leased(asked_mac?)?.spec.address)),
        };
        let at = |address: Ipv4Addr| world.leases.get(&address.to_string())?.spec.mac;
        let mac = asked_mac.or_else(|| address.and_then(at)).or_else(own);
        let mut kept = world.reservations.iter().map(|row| &row.spec);
        let reservation = kept.find(|kept| {
            let of_machine = machine.is_some_and(|machine| kept.machine.as_ref() == Some(&machine.spec.name));
            let of_mac = kept.mac.is_some() && kept.mac == mac;
            of_machine || of_mac || Some(kept.address) == address
        });
        let address = address.or_else(|| reservation.map(|kept| kept.address));
        let mut subnets = world.subnets.iter().map(|row| &row.spec);
        let by_address = address.and_then(|address| subnets.find(|subnet| subnet.cidr.contains(address)));
        // Who was never seen is where everybody is, if there is one subnet only.
        let only = || world.subnets.iter().next().filter(|_| address.is_none() && world.subnets.len() == 1);
        let subnet = by_address.or_else(|| only().map(|row| &row.spec));
        let pools = subnet.into_iter().flat_map(|subnet| &subnet.pools);
        let pool = address.and_then(|address| pools.into_iter().find(|pool| pool.contains(address)));
        Place { mac, subnet, pool, reservation }
    }
}

/// What such a client would send.
fn packet(mac: Option<Mac>, asks: &Asks) -> Packet {
    let (vendor, default_arch) = match asks.question {
        Question::HttpFirmware => ("HTTPClient", 16),
        Question::Firmware | Question::Ipxe | Question::Script => ("PXEClient", 7),
    };
    let mut packet = Packet { op: 1, htype: 1, ..Packet::default() };
    if let Some(Mac(bytes)) = mac {
        packet.hlen = 6;
        packet.chaddr.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    }
    let named = asks.vendor_class.as_deref();
    let arch = asks.arch.or_else(|| named.is_none().then_some(default_arch));
    if let Some(arch) = arch {
        packet.options.set(codes::CLIENT_ARCHITECTURES, arch.to_be_bytes());
    }
    let vendor = named.map_or_else(
        || format!("{vendor}:Arch:{:05}:UNDI:003016", arch.unwrap_or(default_arch)),
        str::to_owned,
    );
    packet.options.set(codes::VENDOR_CLASS, vendor.as_str());
    if asks.question == Question::Ipxe {
        packet.options.set(codes::USER_CLASS, "iPXE");
        packet.options.set(codes::IPXE, [0x13, 1, 1]);
    }
    if let Some(class) = &asks.user_class {
        packet.options.set(codes::USER_CLASS, class.as_str());
    }
    packet
}

fn option_line((origin, option): (Origin<'_>, &ReadyOption)) -> OptionLine {
    let known = codes::by_code(option.code);
    let value = match &option.value {
        ReadyValue::Template(text) => text.clone(),
        ReadyValue::Bytes(bytes) => {
            let words = known.and_then(|row| row.kind.decode(bytes));
            words.map_or_else(|| hex(bytes), |words| words.join(" "))
        }
    };
    OptionLine {
        code: option.code,
        name: known.map_or_else(|| option.name.clone(), |row| row.name.to_owned()),
        value,
        scope: origin.scope(),
        from: origin.to_string(),
    }
}
