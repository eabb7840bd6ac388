// The nouns of the API for the generic pages: what each is, and which columns its list has. A noun that is
// not here has a page all the same, with the columns that its fields suggest. Pure.

import type { FilterField } from "../../api/fields";

export interface NounView {
  /** The word of events and subjects: `client_class`. */
  word: string;
  /** The list of the API: `client_classes`. */
  plural: string;
  title: string;
  about: string;
  /** Fields that the list shows, after the name. */
  columns: readonly string[];
  /** The field that names an object. */
  nameField: string;
  group: "Fleet" | "Content" | "Network" | "Server";
  /** What a new object begins as. */
  blank?: Record<string, unknown>;
}

function noun(
  group: NounView["group"],
  [word, plural, title]: readonly [string, string, string],
  about: string,
  columns: string,
  more: Partial<NounView> = {},
): NounView {
  return { group, word, plural, title, about, columns: columns.split(" "), nameField: "name", ...more };
}

export const NOUNS: readonly NounView[] = [
  noun(
    "Fleet",
    ["machine", "machines", "Machines"],
    "Computers, metal or virtual",
    "status.state status.stage status.reason macs workflow",
    { blank: { name: "", macs: [], arch: "amd64" } },
  ),
  noun(
    "Fleet",
    ["run", "runs", "Runs"],
    "Starts of workflows, with their steps and their record",
    "machine_name workflow result seconds started_by started_at reason",
    { nameField: "id" },
  ),
  noun(
    "Fleet",
    ["job", "jobs", "Jobs"],
    "Runs of one task on one machine",
    "machine stage task state exit started_at reason",
    { nameField: "id" },
  ),
  noun(
    "Fleet",
    ["profile", "profiles", "Profiles"],
    "Named sets of param values",
    "description profiles channel source",
    { blank: { name: "", params: {} } },
  ),
  noun(
    "Content",
    ["bootenv", "bootenvs", "Bootenvs"],
    "Ways to boot: kernel, initrds, command line, files",
    "kind os.family os.version destructive source",
    { blank: { name: "", kind: "install" } },
  ),
  noun(
    "Content",
    ["template", "templates", "Templates"],
    "Snippets and documents",
    "description source updated_at",
    { blank: { name: "", body: "" } },
  ),
  noun(
    "Content",
    ["param", "params", "Params"],
    "Declarations of values",
    "schema.type default secret description",
    { blank: { name: "", schema: { type: "string" } } },
  ),
  noun(
    "Content",
    ["stage", "stages", "Stages"],
    "Steps of workflows: a bootenv, and tasks to run there",
    "bootenv tasks description source",
    { blank: { name: "", tasks: [] } },
  ),
  noun(
    "Content",
    ["task", "tasks", "Tasks"],
    "Scripts and files that run on machines",
    "interpreter timeout_seconds retries description source",
    { blank: { name: "", templates: [] } },
  ),
  noun(
    "Content",
    ["workflow", "workflows", "Workflows"],
    "Ordered lists of stages",
    "stages description source",
    { blank: { name: "", stages: [] } },
  ),
  noun(
    "Content",
    ["pack", "packs", "Packs"],
    "Bundles of content, each in several versions",
    "priority signed_by file_count bytes created_at description",
  ),
  noun(
    "Content",
    ["channel", "channels", "Channels"],
    "Which version of each pack machines get",
    "description updated_at",
    { blank: { name: "", packs: { core: "" } } },
  ),
  noun(
    "Content",
    ["override", "overrides", "Overrides"],
    "What the site changes of objects that packs bring",
    "target.kind target.name description",
    { blank: { name: "", target: { kind: "template", name: "" }, blocks: {} } },
  ),
  noun(
    "Content",
    ["content", "contents", "Kept content"],
    "Content that runs keep, by digest; secrets are sealed",
    "kind value.name updated_at",
    { nameField: "id" },
  ),
  noun(
    "Network",
    ["subnet", "subnets", "Subnets"],
    "IPv4 networks that the server serves",
    "cidr mode lease_seconds enabled",
    { blank: { name: "", cidr: "", pools: [] } },
  ),
  noun(
    "Network",
    ["reservation", "reservations", "Reservations"],
    "Fixed addresses, each for one client",
    "mac machine client_id subnet",
    { nameField: "address", blank: { address: "", machine: "" } },
  ),
  noun(
    "Network",
    ["lease", "leases", "Leases"],
    "Addresses that clients have or had; deleting a lease frees its address",
    "mac state expires_at machine hostname subnet",
    { nameField: "address" },
  ),
  noun(
    "Network",
    ["client_class", "client_classes", "Client classes"],
    "Kinds of DHCP clients that get other answers than the rest",
    "order boot_file description source",
    { blank: { name: "", order: 100, match: {}, options: {} } },
  ),
  noun(
    "Server",
    ["artifact", "artifacts", "Artifacts"],
    "Files that machines fetch",
    "status.state status.percent status.size status.reason description",
    { blank: { name: "", path: "" } },
  ),
  noun("Server", ["setting", "settings", "Settings"], "Preferences of the server", "value updated_at"),
  noun(
    "Server",
    ["token", "tokens", "Tokens"],
    "Bearer tokens, and what their holders may do",
    "scopes expires_at created_at",
  ),
  noun(
    "Server",
    ["session", "sessions", "Sessions"],
    "Browsers that signed in",
    "token peer expires_at created_at",
    { nameField: "id" },
  ),
  noun(
    "Server",
    ["view", "views", "Saved views"],
    "Filters and columns of lists under a name",
    "kind query columns description",
    { blank: { name: "", kind: "machines", query: "", columns: [] } },
  ),
];

const SIMPLE = new Set(["text", "number", "time", "flag", "word"]);
const COLUMNS_MAX = 6;

/** The noun of a list; made of its fields where it is not known. */
export function nounOf(plural: string, fields: readonly FilterField[]): NounView {
  const known = NOUNS.find((one) => one.plural === plural);
  if (known) return known;
  const nameField = fields.some((field) => field.name === "name") ? "name" : "id";
  const simple = fields.filter(
    (field) => SIMPLE.has(field.type) && !field.name.includes(".") && field.name !== nameField,
  );
  const columns = simple.slice(0, COLUMNS_MAX).map((field) => field.name);
  const title = plural.charAt(0).toUpperCase() + plural.slice(1).replaceAll("_", " ");
  return { word: wordOf(plural), plural, title, about: "", columns, nameField, group: "Server" };
}

/** All lists that the API has, also those that are not named here. */
export function allLists(fields: Record<string, readonly FilterField[]>): NounView[] {
  const others = Object.entries(fields).filter(([plural]) => !NOUNS.some((one) => one.plural === plural));
  return [...NOUNS, ...others.map(([plural, own]) => nounOf(plural, own))];
}

function wordOf(plural: string): string {
  if (plural.endsWith("sses")) return plural.slice(0, -2);
  return plural.replace(/s$/, "");
}

/** The list of a noun's word: `client_class` → `client_classes`. */
export const pluralOf = (word: string): string =>
  NOUNS.find((one) => one.word === word)?.plural ?? (word.endsWith("s") ? `${word}es` : `${word}s`);
