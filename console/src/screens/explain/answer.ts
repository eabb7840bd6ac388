// Asks the API: the explanation of a client, and what a packet of it would be answered.

import { computed, type ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { api, asProblem, ref, type ApiProblem } from "../../api/client";
import { useQuery } from "../../api/query";
import { discoverText, explainQuery, subjectOf, type Ask, type Subject } from "./ask";
import type { Answered, Explanation, PacketExplanation } from "./model";
import { addressText, networkRange } from "../networks/addresses";
import type { DhcpStatus, Lease, Subnet } from "../networks/types";

export interface FullAnswer {
  explanation: Explanation | undefined;
  packet: PacketExplanation | undefined;
  /** Why nothing is known of the reply. */
  packetProblem: ApiProblem | string | undefined;
  machine: string | undefined;
}

export interface AnswerState {
  data: ReadonlySignal<FullAnswer | undefined>;
  problem: ReadonlySignal<ApiProblem | undefined>;
  loading: ReadonlySignal<boolean>;
  reload: () => void;
}

export function useAnswer(ask: Ask): AnswerState {
  const subject = subjectOf(ask.who);
  const isAsked = ask.packet.trim() !== "" || subject !== undefined;
  const key = isAsked ? JSON.stringify(ask) : undefined;
  return useQuery(key, (signal) =>
    ask.packet.trim() ? ofPacket(ask, signal) : ofClient(ask, subject, signal),
  );
}

async function ofPacket(ask: Ask, signal: AbortSignal): Promise<FullAnswer> {
  const packet = await explainPacket(ask.packet, ask.interface, signal);
  return { explanation: undefined, packet, packetProblem: undefined, machine: packet.machine };
}

const explainPacket = (packet: string, name: string, signal: AbortSignal): Promise<PacketExplanation> =>
  api.post<PacketExplanation>(
    "/explain/packet",
    { packet, ...(name ? { interface: name } : {}) },
    { signal },
  );

async function ofClient(ask: Ask, subject: Subject | undefined, signal: AbortSignal): Promise<FullAnswer> {
  if (!subject) throw new Error("Say who: a MAC, a machine or an address.");
  const explanation = await api.get<Explanation>("/explain", explainQuery(ask, subject), { signal });
  const machine = machineName(explanation);
  try {
    const text = ask.stage === "script" ? undefined : await packetText(ask, subject, explanation, signal);
    if (text === undefined)
      return { explanation, packet: undefined, packetProblem: noPacket(ask), machine };
    const packet = await explainPacket(text, ask.interface, signal);
    return { explanation, packet, packetProblem: undefined, machine: machine ?? packet.machine };
  } catch (error) {
    if (signal.aborted) throw error;
    return { explanation, packet: undefined, packetProblem: asProblem(error), machine };
  }
}

const noPacket = (ask: Ask): string =>
  ask.stage === "script"
    ? "A script is fetched over HTTP or TFTP: no packet is sent for it."
    : "The client's MAC is not known.";

function machineName(explanation: Explanation): string | undefined {
  const known = explanation.looked_at?.find((object) => object.kind === "machine");
  const detail = explanation.trace.find((rule) => rule.rule === "known_machine" && !rule.matched)?.detail;
  return known?.name ?? /^it is (.+)$/.exec(detail ?? "")?.[1];
}

interface MachineMacs {
  macs: string[];
  status?: { address?: string | null };
}

/** The DISCOVER that the client would send, through the relay agent that was seen for its subnet. */
async function packetText(
  ask: Ask,
  subject: Subject,
  explanation: Explanation,
  signal: AbortSignal,
): Promise<string | undefined> {
  const mac = await macOf(subject, signal);
  if (!mac) return undefined;
  if (ask.relay === "none") return discoverText(ask, { mac, relay: undefined, isOwnRelay: false });
  const status = await api.get<DhcpStatus>("/dhcp/status", undefined, { signal }).catch(() => undefined);
  const subnet =
    explanation.looked_at?.find((object) => object.kind === "subnet")?.name ??
    (await subnetOf(mac, signal));
  const isHere = status?.interfaces.some((one) => one.subnet === subnet);
  const seen = isHere
    ? undefined
    : status?.relays.find((relay) => relay.subnet && relay.subnet === subnet)?.address;
  const relay = ask.relay || (isHere ? undefined : (seen ?? (await likelyRelay(subnet, signal))));
  const own =
    status?.interfaces.flatMap((one) => one.addresses.map((address) => address.split("/")[0])) ?? [];
  return discoverText(ask, { mac, relay, isOwnRelay: relay !== undefined && own.includes(relay) });
}

/** Where no relay agent was seen yet: one that the subnet lists, else the first host of its network. */
async function likelyRelay(subnet: string | undefined, signal: AbortSignal): Promise<string | undefined> {
  if (!subnet) return undefined;
  const found = await api
    .get<Subnet>(`/subnets/${ref(subnet)}`, undefined, { signal })
    .catch(() => undefined);
  const network = networkRange(found?.cidr ?? "");
  return found?.relays?.[0] ?? (network && addressText(network.first + 1));
}

async function macOf(subject: Subject, signal: AbortSignal): Promise<string | undefined> {
  if (subject.of === "mac") return subject.what;
  if (subject.of === "machine")
    return (await api.get<MachineMacs>(`/machines/${ref(subject.what)}`, undefined, { signal })).macs[0];
  const lease = await api
    .get<Lease>(`/leases/${ref(subject.what)}`, undefined, { signal })
    .catch(() => undefined);
  return lease?.mac ?? undefined;
}

async function subnetOf(mac: string, signal: AbortSignal): Promise<string | undefined> {
  const leases = await api
    .get<{ items: Lease[] }>("/leases", { mac, limit: 1, sort: "-updated_at" }, { signal })
    .catch(() => undefined);
  return leases?.items[0]?.subnet;
}

/** Both answers as one: the client's, and what only its packet tells. */
export function answered(full: FullAnswer | undefined): Answered {
  const { explanation, packet } = full ?? {};
  return {
    decision: explanation ?? packet?.decision,
    objects: explanation?.looked_at ?? packet?.looked_at ?? [],
    classes: explanation?.client_classes ?? packet?.client_classes ?? [],
    options: packet?.options ?? explanation?.options ?? [],
    offer: packet
      ? { event: packet.event, reason: packet.reason, address: packet.address }
      : (explanation?.offer ?? undefined),
    reply: packet?.reply,
  };
}

export function useAnswered(state: AnswerState): ReadonlySignal<Answered> {
  return useMemo(() => computed(() => answered(state.data.value)), [state.data]);
}
