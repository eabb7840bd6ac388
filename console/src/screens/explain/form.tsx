// The question as a form: who, or a packet, and what the client would send.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { useCollection } from "../../live/collection";
import { Button, Select, TextField } from "../../ui";
import type { DhcpStatus } from "../networks/types";
import { ARCHES, STAGE_WORDS, STAGES, type Ask, type Stage } from "./ask";

interface FormProps {
  ask: Ask;
  onAsk: (ask: Ask) => void;
  /** What distinguishes the two forms of a comparison. */
  label: string;
}

export function AskForm({ ask, onAsk, label }: FormProps): JSX.Element {
  const draft = useSignal(ask);
  const isPacket = useSignal(ask.packet !== "");
  const change = (part: Partial<Ask>) => void (draft.value = { ...draft.value, ...part });
  const send = (event?: Event) => {
    event?.preventDefault();
    onAsk({ ...draft.value, ...(isPacket.value ? { who: "" } : { packet: "" }) });
  };
  return (
    <form class="ask" onSubmit={send} aria-label={label}>
      <div class="ask-kind" role="group" aria-label="What is asked about">
        <Button
          size="small"
          kind={isPacket.value ? "quiet" : "primary"}
          onClick={() => void (isPacket.value = false)}
        >
          Client
        </Button>
        <Button
          size="small"
          kind={isPacket.value ? "primary" : "quiet"}
          onClick={() => void (isPacket.value = true)}
        >
          Packet
        </Button>
      </div>
      {isPacket.value ? (
        <PacketFields draft={draft.value} change={change} />
      ) : (
        <ClientFields draft={draft.value} change={change} />
      )}
      <div class="ask-end">
        <Button kind="primary" type="submit" icon="explain">
          Explain
        </Button>
      </div>
    </form>
  );
}

interface PartProps {
  draft: Ask;
  change: (part: Partial<Ask>) => void;
}

function ClientFields({ draft, change }: PartProps) {
  const machines = useCollection<{ name: string }>("machines", { fields: ["name"] });
  const isDetailed =
    [draft.arch, draft.vendor, draft.user, draft.relay, draft.options].some(Boolean) ||
    draft.stage !== "firmware";
  // A list of thousands of names would make the page slow.
  const names = machines.rows.value.length <= 500 ? machines.rows.value.map((machine) => machine.name) : [];
  return (
    <>
      <TextField
        label="MAC, machine or address"
        value={draft.who}
        placeholder="52:54:00:aa:00:01, web1 or 10.0.0.105"
        suggestions={names}
        autofocus={draft.who === ""}
        onInput={(who) => change({ who })}
      />
      <details open={isDetailed}>
        <summary>What it would send</summary>
        <div class="ask-grid">
          <Select
            label="Asks as"
            value={draft.stage}
            onChange={(stage) => change({ stage: stage as Stage })}
            options={STAGES.map((stage) => ({ value: stage, label: STAGE_WORDS[stage] }))}
          />
          <Select
            label="Architecture (option 93)"
            value={draft.arch}
            options={ARCHES}
            onChange={(arch) => change({ arch })}
          />
          <TextField
            label="Vendor class (option 60)"
            value={draft.vendor}
            placeholder="PXEClient:Arch:00007"
            onInput={(vendor) => change({ vendor })}
          />
          <TextField
            label="User class (option 77)"
            value={draft.user}
            placeholder="iPXE"
            onInput={(user) => change({ user })}
          />
          <RelayField draft={draft} change={change} />
          <InterfaceField draft={draft} change={change} />
        </div>
        <TextField
          multiline
          label="Further options, one a line"
          value={draft.options}
          hint='By name and value: parameter_request_list 1 3 6 · host_name "web1" · option 224 0a0b'
          onInput={(options) => change({ options })}
        />
      </details>
    </>
  );
}

function useStatus() {
  return useQuery("explain dhcp/status", (signal) =>
    api.get<DhcpStatus>("/dhcp/status", undefined, { signal, quiet: true }),
  );
}

function RelayField({ draft, change }: PartProps) {
  const relays = useStatus().data.value?.relays ?? [];
  return (
    <TextField
      label="Relay agent"
      value={draft.relay}
      suggestions={["none", ...relays.map((relay) => relay.address)]}
      hint="Empty: the one that was seen for its subnet. none: on the server's own link."
      onInput={(relay) => change({ relay: relay.trim() })}
    />
  );
}

function InterfaceField({ draft, change }: PartProps) {
  const interfaces = useStatus().data.value?.interfaces ?? [];
  return (
    <Select
      label="Comes in on"
      value={draft.interface}
      onChange={(name) => change({ interface: name })}
      options={[
        { value: "", label: "the interface that fits" },
        ...interfaces.map((one) => ({ value: one.name, label: `${one.name} ${one.addresses.join(" ")}` })),
      ]}
    />
  );
}

const PACKET_HINT =
  "Hex, with or without the headers of Ethernet, IPv4 and UDP; a hex dump of tcpdump -xx, Wireshark, " +
  "xxd or hexdump; or the text form, one field or option a line.";

function PacketFields({ draft, change }: PartProps) {
  return (
    <>
      <TextField
        multiline
        label="Packet of a client"
        value={draft.packet}
        hint={PACKET_HINT}
        onInput={(packet) => change({ packet })}
      />
      <InterfaceField draft={draft} change={change} />
    </>
  );
}
