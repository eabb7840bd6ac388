// A call as what one would type: `curl`, and the command line where it has such a command; pure.

import type { Call } from "./calls";

/** A word as a shell takes it. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export function curlOf(call: Call, origin: string): string {
  const url = `${origin}/api/v1${call.path}${call.query ? `?${call.query}` : ""}`;
  const words = ["curl", "-g", "-H", '"Authorization: Bearer $METALWRIGHT_TOKEN"'];
  if (call.method !== "GET") words.push("-X", call.method);
  if (call.body !== undefined) {
    const media =
      call.media ?? (call.method === "PATCH" ? "application/merge-patch+json" : "application/json");
    words.push("-H", shellWord(`Content-Type: ${media}`), "-d", shellWord(call.body));
  }
  return [...words, shellWord(url)].join(" ");
}

/** Words of a query that are flags of `list` and not filters. */
const FLAGS: Record<string, string> = { fields: "--fields", sort: "--sort", limit: "" };

/** The command that makes the same call, or one to the same path (`metalwright` knows most nouns alike). */
export function commandOf(call: Call): string | undefined {
  const [noun, ref, ...rest] = call.path
    .split("/")
    .filter((part) => part !== "")
    .map(decodeURIComponent);
  if (!noun || rest.length > 2) return undefined;
  const query = new URLSearchParams(call.query);
  if (call.method === "GET" && ref === undefined) return listCommand(noun, query);
  if (ref === undefined) return undefined;
  const target = shellWord(ref.replace(/^name:/, ""));
  if (call.method === "GET" && rest.length === 0) return `metalwright ${nounWord(noun)} show ${target}`;
  if (call.method === "DELETE" && rest.length === 0)
    return `metalwright ${nounWord(noun)} delete ${target}`;
  if (noun === "machines" && rest[0] === "actions" && rest[1]) {
    return `metalwright machines ${rest[1].replaceAll("_", "-")} ${target}`;
  }
  const sight =
    rest.length === 1 && call.method === "GET" && noun === "machines" ? SIGHTS[rest[0] ?? ""] : undefined;
  return sight && `metalwright ${sight} ${target}`;
}

/** Commands for what lies below a machine. */
const SIGHTS: Record<string, string> = {
  timeline: "timeline",
  explain: "explain machine",
  files: "files",
  diff: "diff",
  variables: "vars",
  params: "machines params",
  runs: "machines runs",
};

const nounWord = (noun: string): string => noun.replaceAll("_", "-");

/** What one asks for without a noun of the command line. */
const NO_LISTS = [
  "summary",
  "session",
  "sessions",
  "changes",
  "views",
  "unknown_clients",
  "explain",
  "diff",
  "catalog",
];

function listCommand(noun: string, query: URLSearchParams): string | undefined {
  const words = ["metalwright", nounWord(noun), "list"];
  if (NO_LISTS.includes(noun)) return undefined;
  for (const [name, value] of query) {
    const flag = FLAGS[name];
    if (flag === "") continue;
    if (flag) words.push(flag, shellWord(value));
    else if (noun === "events") words.push(`--${name.replaceAll("_", "-")}`, shellWord(value));
    else words.push("--filter", shellWord(`${name}=${value}`));
  }
  return words.join(" ");
}
