// What is asked: who, as which firmware, from where; in the address of the page, as a query of the API, and
// as the packet that such a client would send. Pure.

import { addressNumber, macText } from "../networks/addresses";

export const STAGES = ["firmware", "http_firmware", "ipxe", "script"] as const;
export type Stage = (typeof STAGES)[number];

export const STAGE_WORDS: Record<Stage, string> = {
  firmware: "firmware (PXE)",
  http_firmware: "UEFI that boots over HTTP",
  ipxe: "iPXE",
  script: "the boot script itself",
};

/** The common codes of option 93. */
export const ARCHES: { value: string; label: string }[] = [
  { value: "", label: "as the machine or stage has it" },
  { value: "0", label: "0: x86 BIOS" },
  { value: "6", label: "6: x86 UEFI, 32 bit" },
  { value: "7", label: "7: x86-64 UEFI" },
  { value: "9", label: "9: x86-64 UEFI (EBC)" },
  { value: "10", label: "10: ARM UEFI, 32 bit" },
  { value: "11", label: "11: ARM64 UEFI" },
  { value: "16", label: "16: x86-64 UEFI over HTTP" },
  { value: "19", label: "19: ARM64 UEFI over HTTP" },
  { value: "27", label: "27: RISC-V 64 UEFI" },
  { value: "14", label: "14: POWER (Petitboot)" },
];

export type Subject = { of: "mac" | "machine" | "address"; what: string };

export interface Ask {
  /** A name, a MAC or an address as it was typed. */
  who: string;
  /** A packet, which then counts instead. */
  packet: string;
  stage: Stage;
  arch: string;
  vendor: string;
  user: string;
  /** A relay agent's address, or `none`; empty is the one that was seen for the client's subnet. */
  relay: string;
  interface: string;
  /** Further options of the packet, one a line. */
  options: string;
}

export const NOTHING: Ask = {
  who: "",
  packet: "",
  stage: "firmware",
  arch: "",
  vendor: "",
  user: "",
  relay: "",
  interface: "",
  options: "",
};

const NAMES = [
  "who",
  "packet",
  "stage",
  "arch",
  "vendor",
  "user",
  "relay",
  "interface",
  "options",
] as const;

/** The question in the address; `b.` begins the names of the second one. */
export function readAsk(query: URLSearchParams, prefix = ""): Ask {
  const read = Object.fromEntries(NAMES.map((name) => [name, query.get(prefix + name) ?? NOTHING[name]]));
  const stage = STAGES.find((one) => one === read.stage) ?? "firmware";
  return { ...NOTHING, ...read, stage };
}

/** What the address says of a question; what is as usual is left out. */
export function askChanges(ask: Ask, prefix = ""): Record<string, string | undefined> {
  return Object.fromEntries(
    NAMES.map((name) => [prefix + name, ask[name] === NOTHING[name] ? undefined : ask[name]]),
  );
}

export const isEmptyAsk = (ask: Ask): boolean => ask.who.trim() === "" && ask.packet.trim() === "";

/** A MAC, an address, or else a machine by its name or a reference such as `serial:X`. */
export function subjectOf(who: string): Subject | undefined {
  const text = who.trim();
  const marked = /^(mac|machine|address):(.+)$/.exec(text);
  const bare = marked?.[2] ?? text;
  if (bare === "") return undefined;
  const mac = macText(bare);
  if (mac && marked?.[1] !== "machine") return { of: "mac", what: mac };
  if (addressNumber(bare) !== undefined && marked?.[1] !== "machine") return { of: "address", what: bare };
  const isReference =
    /^(name|serial|smbios_uuid|id):/.test(bare) || /^[0-9a-f]{8}-[0-9a-f]{4}-/i.test(bare);
  return { of: "machine", what: isReference ? bare : `name:${bare}` };
}

/** The query of `GET /explain`. */
export function explainQuery(ask: Ask, subject: Subject): Record<string, string> {
  const query: Record<string, string> = { [subject.of]: subject.what };
  if (ask.stage !== "firmware") query.stage = ask.stage;
  if (ask.arch !== "") query.arch = ask.arch;
  if (ask.vendor !== "") query.vendor_class = ask.vendor;
  if (ask.user !== "") query.user_class = ask.user;
  return query;
}

const DEFAULT_ARCH: Record<Stage, number> = { firmware: 7, http_firmware: 16, ipxe: 7, script: 7 };
/** What UEFI asks for; BIOS ROMs ask for about the same. */
const FIRMWARE_LIST = "1 3 6 12 15 17 28 42 43 50 51 54 58 59 60 66 67 97";
const IPXE_LIST = "1 3 6 7 12 15 17 26 43 60 66 67 119 121 150 175";

const quoted = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;

export interface PacketPlace {
  mac: string;
  relay: string | undefined;
  /** Whether the relay is on the server's own host, and takes replies at its own port. */
  isOwnRelay: boolean;
}

/** The DISCOVER that such a client would send, in the text form of the API. */
export function discoverText(ask: Ask, place: PacketPlace): string {
  const arch = ask.arch === "" ? (ask.vendor === "" ? String(DEFAULT_ARCH[ask.stage]) : "") : ask.arch;
  const kind = ask.stage === "http_firmware" ? "HTTPClient" : "PXEClient";
  const vendor = ask.vendor || `${kind}:Arch:${(arch || "0").padStart(5, "0")}:UNDI:003016`;
  const user = ask.user || (ask.stage === "ipxe" ? "iPXE" : "");
  const lines = [
    "op request",
    `chaddr ${place.mac}`,
    place.relay ? `giaddr ${place.relay}` : "",
    "message_type discover",
    "max_message_size 1472",
    `parameter_request_list ${ask.stage === "ipxe" ? IPXE_LIST : FIRMWARE_LIST}`,
    `vendor_class_identifier ${quoted(vendor)}`,
    arch ? `client_architectures ${arch}` : "",
    user ? `user_class ${quoted(user)}` : "",
    ask.stage === "ipxe" ? "ipxe_encapsulated_options 130101" : "",
    place.relay && place.isOwnRelay ? "relay_agent_information 19=" : "",
  ];
  return [...withOptions(lines.filter(Boolean), ask.options)].join("\n");
}

/** Options that somebody typed take the place of those of the same name. */
function withOptions(lines: string[], typed: string): string[] {
  const own = typed
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  const names = new Set(own.map((line) => line.split(/\s/)[0]));
  return [...lines.filter((line) => !names.has(line.split(/\s/)[0])), ...own];
}
