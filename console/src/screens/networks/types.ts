// What the API says of networks, as far as these screens read it.

import type { Fault } from "../../api/client";

export interface Stored {
  created_at: string;
  updated_at: string;
  revision: number;
  commit: number;
  labels: Record<string, string>;
  problems: Fault[];
  source?: string;
}

export interface Pool {
  start: string;
  end: string;
  options?: Record<string, unknown>;
}

export interface AddressRange {
  start: string;
  end: string;
}

export type SubnetMode = "managed" | "proxy" | "address_only";

export interface SubnetSpec {
  name: string;
  cidr: string;
  enabled?: boolean;
  mode?: SubnetMode;
  pools?: Pool[];
  excluded?: AddressRange[];
  options?: Record<string, unknown>;
  lease_seconds?: number;
  relays?: string[];
  next_server?: string | null;
  vrf?: string | null;
  shared_network?: string | null;
  probe?: "arp" | "icmp" | "none";
  tftp_block_bytes_max?: number | null;
  authoritative?: boolean;
  reservations_only?: boolean;
  always_broadcast?: boolean;
  ignore_link_selection?: boolean;
  bootp?: boolean;
  description?: string;
}

export type Subnet = SubnetSpec & Stored;

export type LeaseState = "offered" | "bound" | "released" | "expired" | "declined";

export interface Lease extends Stored {
  address: string;
  client: string;
  mac?: string | null;
  state: LeaseState;
  subnet: string;
  network: string;
  bound_at: string;
  expires_at: string;
  machine?: string | null;
  hostname?: string | null;
}

export interface ReservationSpec {
  address: string;
  mac?: string | null;
  client_id?: string | null;
  machine?: string | null;
  circuit_id?: string | null;
  remote_id?: string | null;
  subnet?: string | null;
  next_server?: string | null;
  options?: Record<string, unknown>;
  description?: string;
}

export type Reservation = ReservationSpec & Stored;

export interface ClientClass extends Stored {
  name: string;
  order: number;
  description?: string;
  match: Record<string, unknown>;
  options?: Record<string, unknown>;
  boot_file?: string | null;
  boot_data?: string;
  denied?: boolean;
}

export interface UnknownClient {
  mac?: string | null;
  address?: string | null;
  arch?: string | null;
  firmware?: string | null;
  vendor?: string | null;
  circuit?: string | null;
  interface?: string | null;
  relay?: string | null;
  subnet?: string | null;
  first_seen: string;
  last_seen: string;
  requests: number;
  asked: string;
  reason: string;
  similar?: { id: string; name: string; mac: string } | null;
}

export interface ExampleAnswer {
  event: string;
  reason: string;
  address?: string | null;
}

export interface SubnetStatus {
  name: string;
  network: string;
  cidr: string;
  mode: SubnetMode;
  enabled: boolean;
  pool_addresses: number;
  leased: number;
  quarantined: number;
  reserved: number;
  free: number;
}

export interface RelayStatus {
  address: string;
  interface: string;
  subnet?: string | null;
  packets: number;
  last_seen: string;
}

export interface OtherServer {
  address: string;
  mac?: string | null;
  interface: string;
  subnet?: string | null;
  first_seen: string;
  last_seen: string;
  packets: number;
  offered?: string | null;
  next_server?: string | null;
  misleads?: string | null;
  boot_data: boolean;
  expected: boolean;
}

export interface Unserved {
  reason: string;
  mac?: string | null;
  relay?: string | null;
  interface: string;
  packets: number;
  last_seen: string;
}

export interface DhcpStatus {
  warnings: string[];
  service: {
    enabled: boolean;
    receives: boolean;
    port: number;
    boot_server_fault?: string | null;
    hears_servers: boolean;
    probes_arp: boolean;
    probes_icmp: boolean;
  };
  store: {
    takes_writes: boolean;
    reason?: string;
    since?: string | null;
    is_short_of_space: boolean;
    free_bytes?: number | null;
    free_bytes_min: number;
  };
  interfaces: {
    name: string;
    addresses: string[];
    mtu: number;
    subnet?: string | null;
    example: ExampleAnswer;
  }[];
  subnets: SubnetStatus[];
  relays: RelayStatus[];
  servers: OtherServer[];
  unserved: Unserved[];
  unserved_packets: number;
}

export interface LeasePeriod {
  address: string;
  client?: string | null;
  mac?: string | null;
  machine?: string | null;
  hostname?: string | null;
  from?: string | null;
  until?: string | null;
  ended?: string | null;
  ended_by?: string | null;
}
