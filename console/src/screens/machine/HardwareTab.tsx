// What is known of the machine's hardware, and what was seen of it at each boot.
import type { JSX } from "preact";
import type { Machine } from "../../api/schema";
import { Card, Empty, KeyValue, Time } from "./kit";
import { changesOfHardware, seenAtBoots } from "./hardware";
import type { Timeline } from "./timeline/useTimeline";

const ARCHES: Record<number, string> = {
  0: "x86 BIOS",
  6: "x86 UEFI, 32 bits",
  7: "x86-64 UEFI",
  9: "x86-64 UEFI",
  10: "ARM UEFI, 32 bits",
  11: "ARM UEFI, 64 bits",
  15: "x86 UEFI, HTTP boot",
  16: "x86-64 UEFI, HTTP boot",
  18: "ARM UEFI, 32 bits, HTTP boot",
  19: "ARM UEFI, 64 bits, HTTP boot",
};

export function archText(code: number | null | undefined): string {
  if (code === null || code === undefined) return "–";
  return `${code}: ${ARCHES[code] ?? "other"}`;
}

export function HardwareTab({ machine, timeline }: { machine: Machine; timeline: Timeline }): JSX.Element {
  const { status } = machine;
  const attempt = status.boot_attempt;
  const events = timeline.events.value;
  const agent = status.agent;
  return (
    <>
      <Card title="Known now">
        <KeyValue
          pairs={[
            ["Architecture", machine.arch ?? "amd64"],
            ["Firmware", archText(attempt?.client_arch)],
            attempt?.other_arch != null && ["Firmware, other protocol", archText(attempt.other_arch)],
            ["Boots from", attempt?.mac ?? "–"],
            ["Server's address it sees", attempt?.server ?? "–"],
            ["Serial number", machine.serial ?? "not set"],
            ["System UUID", machine.smbios_uuid ?? "not set"],
            ["MAC addresses", (machine.macs ?? []).join(", ") || "none"],
            [
              "Agent",
              agent ? `${agent.environment} system, boot ${agent.boot}` : "none has asked for work",
            ],
          ]}
        />
      </Card>
      <Boots events={events} />
      <Changes events={events} onAll={timeline.since.value === undefined ? undefined : timeline.showAll} />
    </>
  );
}

type Events = Timeline["events"]["value"];

function Boots({ events }: { events: Events }): JSX.Element {
  const boots = seenAtBoots(events);
  if (boots.length === 0)
    return (
      <Empty title="No boot was seen">
        What firmware says of itself stands here after the first boot from the network.
      </Empty>
    );
  return (
    <Card title="Seen at each boot">
      <div class="scroll-x" tabIndex={0} role="region" aria-label="Seen at each boot">
        <table class="plain">
          <thead>
            <tr>
              <th>Attempt</th>
              <th>When</th>
              <th>Firmware</th>
              <th>Interface</th>
              <th>Address</th>
              <th>Vendor class</th>
              <th>Client classes</th>
            </tr>
          </thead>
          <tbody>
            {boots.map((boot) => (
              <tr key={boot.attempt}>
                <td class="num">{boot.number ?? "?"}</td>
                <td>
                  <Time at={boot.at} />
                </td>
                <td class={boot.changed.includes("arch") ? "differs" : ""}>{archText(boot.arch)}</td>
                <td class={boot.changed.includes("mac") ? "differs" : ""}>{boot.mac || "–"}</td>
                <td>{boot.address || "–"}</td>
                <td class={boot.changed.includes("vendor") ? "wrap differs" : "wrap"}>
                  {boot.vendor || "–"}
                </td>
                <td class="wrap">{boot.classes.join(", ") || "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="muted">Marked: other than at the boot before.</p>
    </Card>
  );
}

function Changes({ events, onAll }: { events: Events; onAll: (() => void) | undefined }): JSX.Element {
  const changes = changesOfHardware(events);
  return (
    <Card title="Changes on record">
      {changes.length === 0 && <p class="muted">None in the time that is shown.</p>}
      <ul class="plain-list">
        {changes.map((change) => (
          <li key={change.seq}>
            <Time at={change.at} /> <span class="wrap">{change.text}</span>{" "}
            <span class="muted">by {change.by}</span>
          </li>
        ))}
      </ul>
      {onAll && (
        <button type="button" class="linklike" onClick={onAll}>
          Look through all that is kept
        </button>
      )}
    </Card>
  );
}
