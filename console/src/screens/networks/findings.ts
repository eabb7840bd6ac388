// What doctor finds in the status of DHCP, with what to do about it. Pure; `metalwright doctor dhcp` says
// the same and looks at the host besides.

import type { DhcpStatus } from "./types";

export type Severity = "ok" | "warn" | "bad";

export interface Finding {
  severity: Severity;
  /** What it is about: `service`, `subnet lan`, `relay 10.5.0.254`. */
  subject: string;
  what: string;
  todo?: string;
  /** Where in the console one goes on. */
  to?: string;
}

const ORDER: Record<Severity, number> = { bad: 0, warn: 1, ok: 2 };

export function findings(status: DhcpStatus): Finding[] {
  const all = [
    ...ofService(status),
    ...ofStore(status),
    ...ofAbilities(status),
    ...ofSubnets(status),
    ...ofInterfaces(status),
    ...ofRelays(status),
    ...ofServers(status),
    ...ofUnserved(status),
  ];
  return all.sort((a, b) => ORDER[a.severity] - ORDER[b.severity]);
}

export function worst(all: readonly Finding[]): Severity {
  return all.reduce<Severity>(
    (found, one) => (ORDER[one.severity] < ORDER[found] ? one.severity : found),
    "ok",
  );
}

function ofService({ service }: DhcpStatus): Finding[] {
  const subject = "service";
  if (!service.enabled) {
    const todo = "Start the server with --dhcp-interface NAME.";
    return [{ severity: "warn", subject, what: "DHCP is not served on any interface.", todo }];
  }
  if (!service.receives) {
    const what = `Requests to port ${service.port} cannot be read.`;
    return [
      {
        severity: "bad",
        subject,
        what,
        todo: "See the server's log. The server opens the socket again every few seconds.",
      },
    ];
  }
  const found: Finding[] = [{ severity: "ok", subject, what: `DHCP is served on port ${service.port}.` }];
  if (service.boot_server_fault) {
    const todo = "Stop that program and restart the server. UEFI in subnets of mode proxy needs the port.";
    found.push({ severity: "warn", subject: "port 4011", what: service.boot_server_fault, todo });
  }
  return found;
}

function ofStore({ store }: DhcpStatus): Finding[] {
  const subject = "database";
  if (!store.takes_writes) {
    const why = store.reason ?? "the reason is in the log";
    const what = `The database takes no writes: ${why}. No request is answered.`;
    return [
      {
        severity: "bad",
        subject,
        what,
        todo: "Free space on the server's disk. The server tries again every five seconds.",
      },
    ];
  }
  if (!store.is_short_of_space) return [];
  return [
    {
      severity: "warn",
      subject,
      what: "The disk of the database is nearly full.",
      todo: "Free space on the server's disk.",
    },
  ];
}

function ofAbilities({ service }: DhcpStatus): Finding[] {
  const lacks = [
    [service.hears_servers, "hear other DHCP servers"],
    [service.probes_arp, "probe addresses by ARP"],
    [service.probes_icmp, "probe addresses by ICMP"],
  ].flatMap(([can, what]) => (can ? [] : [String(what)]));
  if (!service.enabled || lacks.length === 0) return [];
  const todo = "Give the program CAP_NET_RAW, then restart the server.";
  return [
    { severity: "warn", subject: "capabilities", what: `The server cannot ${lacks.join(" or ")}.`, todo },
  ];
}

function ofSubnets({ subnets }: DhcpStatus): Finding[] {
  return subnets.flatMap((subnet): Finding[] => {
    const subject = `subnet ${subnet.name}`;
    const to = `/networks/subnets/${encodeURIComponent(subnet.name)}`;
    if (!subnet.enabled) return [{ severity: "ok", subject, what: "The subnet is not enabled.", to }];
    if (subnet.mode === "proxy")
      return [{ severity: "ok", subject, what: "Another server gives the addresses.", to }];
    if (subnet.pool_addresses === 0) {
      return [
        { severity: "ok", subject, what: "The subnet has no pool: only reservations get an address.", to },
      ];
    }
    const what = `${subnet.free} of ${subnet.pool_addresses} addresses are free.`;
    if (subnet.free === 0) {
      const todo = "Add a pool, shorten the lease time, or release leases of computers that are gone.";
      return [{ severity: "bad", subject, what: "The pools have no free address.", todo, to }];
    }
    const isLow = subnet.free * 10 < subnet.pool_addresses;
    return [
      {
        severity: isLow ? "warn" : "ok",
        subject,
        what,
        to,
        todo: isLow ? "Plan a further pool." : undefined,
      },
    ];
  });
}

const GIVES = new Set(["dhcp.offered", "dhcp.leased"]);

function ofInterfaces({ interfaces }: DhcpStatus): Finding[] {
  return interfaces.map((one): Finding => {
    const { event, reason } = one.example;
    const subject = `interface ${one.name}`;
    const what = `An unknown machine that asks now: ${reason}.`;
    if (GIVES.has(event)) return { severity: "ok", subject, what };
    const todo = event === "dhcp.no_subnet" ? "Create the subnet of this interface's network." : undefined;
    return { severity: event === "dhcp.ignored" ? "ok" : "warn", subject, what, todo };
  });
}

function ofRelays({ relays }: DhcpStatus): Finding[] {
  return relays.map((relay): Finding => {
    const subject = `relay ${relay.address}`;
    if (relay.subnet) return { severity: "ok", subject, what: `It relays for subnet ${relay.subnet}.` };
    const todo =
      "Create the subnet that contains this address, or list the address in `relays` of a subnet.";
    return {
      severity: "warn",
      subject,
      what: "No enabled subnet fits this relay agent: its clients get no answer.",
      todo,
    };
  });
}

function ofServers({ servers }: DhcpStatus): Finding[] {
  return servers.map((server): Finding => {
    const subject = `server ${server.address}`;
    const boots = server.boot_data ? " and gives boot data" : "";
    const heard = `Another DHCP server answers on ${server.interface}${boots}.`;
    if (server.misleads) return { severity: "warn", subject, what: server.misleads };
    if (server.expected) return { severity: "ok", subject, what: `${heard} The subnet expects it.` };
    const todo =
      "Switch it off on this network, or set the subnet's mode to proxy if it is to give the addresses.";
    return { severity: "bad", subject, what: heard, todo };
  });
}

function ofUnserved({ unserved }: DhcpStatus): Finding[] {
  return unserved.map((one): Finding => {
    const from = one.relay ? ` through relay ${one.relay}` : "";
    const what = `${one.packets} packets got no answer on ${one.interface}${from}: ${one.reason}.`;
    const todo = "Create or enable the subnet that fits, if these clients are to be served.";
    return { severity: "warn", subject: `clients ${one.mac ?? ""}`.trim(), what, todo };
  });
}
