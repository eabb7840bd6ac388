// One sentence that says how an attempt went, why it went no further, and what to do about it. What the
// server or the installer says itself comes first; the rest follows from the last thing that the machine
// did.
import type { Band } from "./attempts";
import { flagOf, listOf, numberOf, problemOf, textOf } from "./events";
import type { TimelineEvent } from "./events";
import type { Tone } from "./marks";
import { baseName } from "./marks";
import { bootsDisk } from "./milestones";
import { bytesText, spanText } from "./words";

export interface Diagnosis {
  tone: Tone;
  headline: string;
  why: string;
  todo: string;
  /** The event that shows it. */
  seq: number | null;
  /** The job that failed, whose log says more. */
  job: string | null;
}

type Rule = (band: Band, now: number) => Diagnosis | null;

function say(tone: Tone, headline: string, why: string, todo: string, event?: TimelineEvent): Diagnosis {
  return { tone, headline, why, todo, seq: event?.seq ?? null, job: textOf(event, "job") || null };
}

const last = (band: Band, ...kinds: string[]) =>
  band.events.findLast((event) => kinds.includes(event.kind));
const since = (band: Band, at: number) => spanText(Math.max(0, at - band.start));

const WELL: Rule = (band) => {
  if (band.result !== "done") return null;
  const event = last(band, "boot.attempt_ended");
  const took = since(band, event?.at ?? band.end);
  return say("ok", `${band.bootenv ?? "The boot"} is done after ${took}.`, "", "", event);
};

const FAILED_JOB: Rule = (band) => {
  const event = last(band, "job.finished", "job.failed", "job.lost", "job.started", "job.created");
  if (event?.kind !== "job.failed" && event?.kind !== "job.lost") return null;
  const exit = numberOf(event, "exit");
  const how =
    event.kind === "job.lost" ? "was lost" : exit === null ? "failed" : `failed with exit code ${exit}`;
  const todo = "Read the job's log under Steps, mend the cause, then retry.";
  return say("bad", `Task ${textOf(event, "task")} ${how}.`, textOf(event, "reason"), todo, event);
};

const ASKS: Rule = (band) => {
  const event = last(band, "boot.installer_asks", "boot.done", "boot.failed");
  if (event?.kind !== "boot.installer_asks") return null;
  const headline = `The installer asks at its console: ${textOf(event, "question")}`;
  const todo =
    "Answer at the console, or mend the param or template, cancel " +
    "the run, start the workflow again, and restart the machine.";
  return say("warn", headline, "It waits for a person; nothing else goes on.", todo, event);
};

const TOLD: { kind: string; headline: (event: TimelineEvent) => string; todo: string }[] = [
  {
    kind: "boot.failed",
    headline: () => "The installer reported that it failed.",
    todo: "Read installer.log under the run's documents, mend the cause, then retry.",
  },
  {
    kind: "boot.render_failed",
    headline: (event) => `${baseName(textOf(event, "label"))} could not be rendered.`,
    todo: "Mend the template or the param at this place, then restart the machine.",
  },
  { kind: "boot.stopped", headline: () => "The boot stopped on the machine.", todo: "" },
  { kind: "boot.loop_stopped", headline: () => "Loaders started each other in a circle.", todo: "" },
  { kind: "boot.no_loader", headline: () => "There is no loader for this machine.", todo: "" },
  { kind: "boot.screen", headline: () => "The machine's console shows why the boot stopped.", todo: "" },
];

const SAID: Rule = (band) => {
  if (last(band, "boot.done")) return null;
  for (const { kind, headline, todo } of TOLD) {
    const event = last(band, kind);
    if (!event) continue;
    const why = problemOf(event) || textOf(event, "reason") || textOf(event, "message");
    return say("bad", headline(event), why, todo, event);
  }
  return null;
};

const BROKEN_FILE: Rule = (band) => {
  const event = last(band, "boot.file_served");
  if (!event || flagOf(event, "complete") !== false) return null;
  const sent = bytesText(numberOf(event, "bytes") ?? 0);
  const headline = `The transfer of ${baseName(textOf(event, "path"))} broke off.`;
  const why =
    `${sent} of ${bytesText(numberOf(event, "size") ?? 0)} ` +
    `were sent; the machine asked for nothing more.`;
  return say(
    "bad",
    headline,
    why,
    "Look for packet loss, a firewall between them, or a machine that was reset.",
    event,
  );
};

const DISK: Rule = (band) => {
  if (!bootsDisk(band)) return null;
  const event = last(band, "boot.decided");
  return say("ok", "The machine was told to boot its local disk.", textOf(event, "reason"), "", event);
};

const REFUSED: Rule = (band) => {
  if (last(band, "boot.kernel_fetched")) return null;
  const event = last(band, "boot.denied", "boot.file_absent");
  if (!event) return null;
  const absent = event.kind === "boot.file_absent";
  const path = textOf(event, "path");
  const headline = absent
    ? `The machine asked for ${path}, which there is not.`
    : `The machine was refused ${path}.`;
  const todo = absent
    ? "The firmware, a client class or another DHCP server names " +
      "this file: correct the name, or mount an artifact there."
    : "";
  return say("bad", headline, textOf(event, "reason"), todo, event);
};

/** Silence after each point of a boot, the latest point first. */
const SILENCES: { is: (event: TimelineEvent) => boolean; headline: string; why: string; todo: string }[] = [
  {
    is: (event) => event.kind === "boot.answer_fetched",
    headline: "The installer has its answers and has not reported an end.",
    why: "It is at work, or it cannot reach this server any more.",
    todo: "Look at the machine's console; a slow mirror shows in the installer's log.",
  },
  {
    is: (event) => event.kind === "boot.kernel_fetched",
    headline: "The kernel was fetched, and the installer never asked for its answers.",
    why: "The installer has no network, or it stopped before it had one.",
    todo:
      "Look at its console, and at the DHCP events after " +
      "the kernel: is there an offer for the installer?",
  },
  {
    is: (event) => event.kind === "boot.script_fetched",
    headline: "The boot script was fetched, and the kernel never was.",
    why: "The loader could not follow the script, or the machine was reset.",
    todo: "Look at the machine's console, and preview boot.ipxe under Files.",
  },
  {
    is: (event) => event.kind === "boot.file_served" && textOf(event, "label").startsWith("loader:"),
    headline: "The loader was fetched and never asked for its script.",
    why:
      "Firmware did not start it: Secure Boot refuses an " +
      "unsigned loader, or it is for another architecture.",
    todo: "Look at the machine's console; for Secure Boot use signed loaders.",
  },
  {
    is: (event) => event.kind === "boot.file_served",
    headline: "The machine fetched a file and then nothing more.",
    why: "",
    todo: "Look at the machine's console.",
  },
];

const SILENT: Rule = (band, now) => {
  const found = SILENCES.find(({ is }) => band.events.some(is));
  if (!found) return null;
  const event = band.events.findLast(found.is);
  const heard = `Nothing for ${spanText((band.endedAt ?? now) - lastHeard(band))}.`;
  return say("warn", found.headline, `${found.why} ${heard}`.trim(), found.todo, event);
};

/** When the machine itself was last heard of. */
export function lastHeard(band: Band): number {
  return band.events.findLast((event) => event.kind !== "boot.attempt_ended")?.at ?? band.start;
}

const NO_FILE: Rule = (band, now) => {
  const lease = last(band, "dhcp.leased", "dhcp.renewed");
  const offer = last(band, "dhcp.offered");
  const waited = spanText((band.endedAt ?? now) - lastHeard(band));
  const event = lease ?? offer;
  if (!event) return null;
  const address = textOf(event, "address");
  if (!lease) {
    const why =
      `Nothing came for ${waited}: another DHCP server ` +
      `was taken, or the offer did not reach the machine.`;
    const todo =
      "Look for rival servers (metalwright doctor dhcp), the relay, VLAN and spanning tree of its port.";
    return say("bad", `The machine never took the address ${address} that was offered.`, why, todo, event);
  }
  const file = textOf(lease, "boot_file") || textOf(offer, "boot_file");
  if (!file) {
    const classes = listOf(lease, "client_classes");
    const why = [
      textOf(lease, "reason"),
      classes.length > 0 ? `client classes: ${classes.join(", ")}` : "",
    ];
    const todo = "Explain shows the rules that settled it.";
    return say(
      "warn",
      `The machine got ${address}, and no boot file.`,
      why.filter(Boolean).join("; "),
      todo,
      event,
    );
  }
  const over = file.startsWith("http") ? "HTTP" : "TFTP";
  const why =
    `It has the address ${address}; nothing came for ` +
    `${waited}, not even the first request of the file.`;
  const todo =
    over === "TFTP"
      ? "Check that UDP 69, and the ports that TFTP answers from, pass between machine and server."
      : "Check that the machine reaches the server's boot port " +
        "over TCP, and that its clock and certificates fit.";
  return say(
    "bad",
    `The machine never asked for ${baseName(file)} over ${over} after it took the offer.`,
    why,
    todo,
    event,
  );
};

const FRESH_MS = 15_000;

const UNDER_WAY: Rule = (band, now) => {
  if (band.endedAt !== null || now - lastHeard(band) > FRESH_MS) return null;
  const label = band.marks.at(-1)?.label ?? "power-on";
  const ago = spanText(Math.max(0, now - lastHeard(band)));
  return say("info", `The boot is under way; last: ${label}.`, `Heard ${ago} ago.`, "");
};

const RULES: Rule[] = [
  FAILED_JOB,
  WELL,
  ASKS,
  SAID,
  BROKEN_FILE,
  DISK,
  UNDER_WAY,
  REFUSED,
  SILENT,
  NO_FILE,
];

export function diagnose(band: Band, now: number): Diagnosis {
  for (const rule of RULES) {
    const found = rule(band, now);
    if (found) return found;
  }
  return say(
    "muted",
    "The machine sent nothing but its first packet.",
    "",
    "Look at its console and its cable.",
  );
}
