// What the API answers, and the rules of a decision as a list for people. Pure.

import type { Fault } from "../../api/client";

export interface TraceRule {
  rule: string;
  matched: boolean;
  detail: string;
}

export interface RuleObject {
  rule: string;
  kind: string;
  name: string;
}

export interface Decision {
  verdict: string;
  bootenv?: string | null;
  reason?: string | null;
  answer: string;
  name?: string;
  over?: string;
  file?: string;
  menu?: string | null;
  trace: TraceRule[];
}

export interface ClassResult {
  name: string;
  order: number;
  matched: boolean;
  reason: string;
}

export interface OptionLine {
  code: number;
  name: string;
  value: string;
  scope: string;
  from: string;
}

export interface Explanation extends Decision {
  /** Absent in the answers of older servers. */
  looked_at?: RuleObject[];
  warnings?: string[];
  client_classes: ClassResult[];
  options: OptionLine[];
  offer?: { event: string; reason: string; address?: string | null } | null;
  disk?: string | null;
  start_faults?: Fault[];
  similar_clients?: {
    mac: string;
    last_seen: string;
    machine: { id: string; name: string; mac: string };
  }[];
}

export interface PacketOption {
  code: number;
  name: string;
  value: string;
  bytes: string;
}

export interface PacketView {
  message?: string;
  text: string;
  next_server?: string;
  file?: string;
  options: PacketOption[];
  faults?: string[];
  bytes?: string;
}

export interface Reply extends PacketView {
  source: string;
  destination: string;
  left_out: string[];
  templates: { code: number; name: string; template: string }[];
}

export interface PacketExplanation {
  request: PacketView;
  interface?: string;
  subnet?: string;
  machine?: string;
  event: string;
  reason: string;
  address?: string;
  begins_attempt: boolean;
  decision?: Decision;
  looked_at: RuleObject[];
  client_classes: ClassResult[];
  options: OptionLine[];
  reply?: Reply;
}

export type RuleRole = "passed" | "settled" | "follows";

export interface RuleRow {
  rule: string;
  title: string;
  role: RuleRole;
  detail: string;
  objects: RuleObject[];
}

const TITLES: Record<string, string> = {
  subnet_mode: "May the subnet give boot data?",
  known_machine: "Is it a registered machine?",
  machine_state: "Does its state let it go on?",
  bootenv: "What is it to boot?",
  armed: "Is it armed for what erases disks?",
  arch: "Does the architecture fit?",
  usable: "Are files and params ready?",
  loader_files: "Is there a loader for it?",
  netboot: "Boot from the network",
  leave_by_loader: "UEFI that boots its disk",
  secure_boot: "Secure Boot",
  loader: "Which loader?",
  chainload: "Does its loader lead in a circle?",
};

/** The rules in order: those that let it pass, the one that settled it, and what follows from that. */
export function ruleRows(
  decision: Pick<Decision, "trace">,
  objects: readonly RuleObject[] = [],
): RuleRow[] {
  const settled = decision.trace.findIndex((rule) => rule.matched);
  return decision.trace.map((rule, at) => ({
    rule: rule.rule,
    title: TITLES[rule.rule] ?? rule.rule.replace(/_/g, " "),
    role: rule.matched ? "settled" : settled >= 0 && at > settled ? "follows" : "passed",
    detail: rule.detail,
    objects: objects.filter(
      (object, index) =>
        object.rule === rule.rule &&
        objects.findIndex(
          (other) => other.rule === object.rule && other.kind === object.kind && other.name === object.name,
        ) === index,
    ),
  }));
}

export function verdictText(decision: Decision): string {
  switch (decision.verdict) {
    case "netboot":
      return `boots ${decision.bootenv ?? "a bootenv"} from the network`;
    case "local_disk":
      return "boots its disk";
    case "screen":
      return "shows on its console why it does not go on";
    case "menu":
      return "shows a menu on its console";
    case "ignore":
      return "gets nothing to boot from this server";
    default:
      return decision.verdict.replace(/_/g, " ");
  }
}

const OVER: Record<string, string> = { tftp: "TFTP", http: "HTTP", https: "HTTPS" };

export function answerText(decision: Decision): string {
  const over = decision.over ? ` over ${OVER[decision.over] ?? decision.over}` : "";
  switch (decision.answer) {
    case "no_boot_data":
      return "no boot data";
    case "loader":
      return `the loader ${decision.name} over TFTP`;
    case "loader_url":
      return `the URL of the loader ${decision.name}${over}`;
    case "boot_file":
      return `${decision.file}, by a client class${over}`;
    case "boot_server":
      return decision.menu
        ? `the boot menu ${decision.menu}, by a client class`
        : "the boot server's address";
    case "script_url":
      return "the URL of the boot script";
    case "boot_script":
      return "the script that boots the bootenv";
    case "local_script":
      return "the script that leaves to the disk";
    case "screen_script":
      return "a screen that says why it does not go on";
    case "menu_script":
      return "a menu of what it may boot";
    case "deny":
      return "nothing: it is not for this machine now";
    default:
      return decision.answer.replace(/_/g, " ");
  }
}

/** What to do, where the rule that settled it has a remedy. */
export function remedy(row: RuleRow | undefined): string | undefined {
  switch (row?.rule) {
    case "subnet_mode":
      return "Set the subnet's mode to managed if its clients are to boot from the network.";
    case "known_machine":
      return "Register the client as a machine, or change the setting unknown_machine.";
    case "machine_state":
      return "Look at the machine's reason; resume or retry its run.";
    case "bootenv":
      return /no workflow/.test(row.detail)
        ? "Start a workflow on the machine."
        : "Look at the step of its run.";
    case "armed":
      return "Arm the machine, or retry its run. Its next network boot then erases its disk.";
    case "arch":
      return "Correct the machine's architecture, or give the bootenv a kernel for it.";
    case "usable":
    case "loader_files":
      return "Provide what is missing, then let it boot again.";
    case "chainload":
      return "Name another loader in the bootenv, or replace the loader's file.";
    default:
      return undefined;
  }
}

/** Where the console shows an object. */
export function objectPath(object: { kind: string; name: string }): string | undefined {
  const name = encodeURIComponent(object.name);
  switch (object.kind) {
    case "machine":
      return `/machines/${name}`;
    case "run":
      return `/runs/${name}`;
    case "subnet":
      return `/networks/subnets/${name}`;
    case "pool":
      return undefined;
    case "reservation":
      return `/networks?tab=reservations&reservation=${name}`;
    case "client_class":
      return `/objects/client_classes/${name}`;
    case "setting":
      return "/settings";
    default:
      return `/content/${object.kind}s/${name}`;
  }
}

export interface Difference {
  key: string;
  title: string;
  a: string;
  b: string;
  differs: boolean;
}

function aligned(a: Map<string, [string, string]>, b: Map<string, [string, string]>): Difference[] {
  const keys = [...new Set([...a.keys(), ...b.keys()])];
  return keys.map((key) => {
    const [left, right] = [a.get(key), b.get(key)];
    const [leftText, rightText] = [left?.[1] ?? "", right?.[1] ?? ""];
    return {
      key,
      title: left?.[0] ?? right?.[0] ?? key,
      a: leftText,
      b: rightText,
      differs: leftText !== rightText,
    };
  });
}

/** Two answers side by side: verdict, each rule, what is sent. */
export function compare(
  a: Answered,
  b: Answered,
): { rules: Difference[]; options: Difference[]; classes: Difference[] } {
  return {
    rules: aligned(ruleMap(a), ruleMap(b)),
    options: aligned(optionMap(a), optionMap(b)),
    classes: aligned(classMap(a), classMap(b)),
  };
}

/** One question with all that was answered. */
export interface Answered {
  decision: Decision | undefined;
  objects: RuleObject[];
  classes: ClassResult[];
  options: OptionLine[];
  offer: { event: string; reason: string; address?: string | null } | undefined;
  reply: Reply | undefined;
}

function ruleMap({ decision, objects, offer }: Answered): Map<string, [string, string]> {
  const rows = decision ? ruleRows(decision, objects) : [];
  const map = new Map<string, [string, string]>();
  if (decision) {
    map.set("verdict", ["Verdict", [verdictText(decision), decision.reason].filter(Boolean).join(": ")]);
    map.set("answer", ["Answer", answerText(decision)]);
  }
  if (offer) map.set("offer", ["Address", offer.reason]);
  for (const row of rows)
    map.set(`rule ${row.rule}`, [
      row.title,
      `${row.role === "settled" ? "settled it: " : ""}${row.detail}`,
    ]);
  return map;
}

/** The reply's options, or what is configured where there is no reply. */
function optionMap({ reply, options }: Answered): Map<string, [string, string]> {
  const map = new Map<string, [string, string]>();
  if (reply?.next_server) map.set("siaddr", ["next server", reply.next_server]);
  if (reply?.file) map.set("file", ["boot file", reply.file]);
  for (const option of reply?.options ?? options)
    map.set(String(option.code), [`${option.code} ${option.name}`, option.value]);
  return map;
}

const classMap = ({ classes }: Answered): Map<string, [string, string]> =>
  new Map(classes.map((one) => [one.name, [one.name, one.matched ? "matches" : one.reason]]));
