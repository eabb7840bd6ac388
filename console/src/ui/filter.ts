// The API's filters as text and as parts of the address; pure. `status.state[in]=failed,held`,
// `label.role=db`, `updated_at[gt]=-1h`; typed also as `revision>3` and `name!=web1`.

export interface Filter {
  field: string;
  /** `eq` where the address has none. */
  operator: Operator;
  value: string;
}

export const OPERATORS = ["eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "like", "exists"] as const;
export type Operator = (typeof OPERATORS)[number];

/** What each operator means, for the suggestions. */
export const OPERATOR_WORDS: Record<Operator, string> = {
  eq: "is",
  ne: "is not",
  in: "is one of",
  nin: "is none of",
  gt: "is above",
  gte: "is at least",
  lt: "is below",
  lte: "is at most",
  like: "is like",
  exists: "is there (true or false)",
};

/** Names of the address that are no filters. */
export const RESERVED: readonly string[] = [
  "tab",
  "sort",
  "view",
  "show",
  "open",
  "select",
  "file",
  "compare",
  "line",
  "fields",
  "limit",
  "cursor",
];

const NAME = /^([A-Za-z_][\w./-]*?)(?:\[([a-z]+)\])?$/;
const TYPED = /^\s*([A-Za-z_][\w./-]*?)\s*(?:\[([a-z]+)\]\s*=|(!=|>=|<=|=|>|<|~))\s*(.*?)\s*$/;
const SIGNS: Record<string, Operator> = {
  "=": "eq",
  "!=": "ne",
  ">": "gt",
  ">=": "gte",
  "<": "lt",
  "<=": "lte",
  "~": "like",
};

const isOperator = (word: string): word is Operator => (OPERATORS as readonly string[]).includes(word);

/** A name and value of the address; `undefined` if it is no filter. */
export function readFilter(name: string, value: string): Filter | undefined {
  const found = NAME.exec(name);
  const [field, word] = [found?.[1], found?.[2] ?? "eq"];
  if (!field || !isOperator(word) || RESERVED.includes(field)) return undefined;
  return { field, operator: word, value };
}

export function filtersOf(query: URLSearchParams, reserved: readonly string[] = []): Filter[] {
  return [...query].flatMap(([name, value]) => {
    const filter = reserved.includes(name) ? undefined : readFilter(name, value);
    return filter ? [filter] : [];
  });
}

/** The filters of an address as the query of a list. */
export function filterQuery(query: URLSearchParams, reserved: readonly string[] = []): URLSearchParams {
  const parts = new URLSearchParams();
  for (const filter of filtersOf(query, reserved)) parts.append(nameOf(filter), filter.value);
  return parts;
}

export const nameOf = ({ field, operator }: Filter): string =>
  operator === "eq" ? field : `${field}[${operator}]`;
export const filterText = (filter: Filter): string => `${nameOf(filter)}=${filter.value}`;

/** What was typed as a filter; `undefined` while it is none. */
export function parseTyped(text: string): Filter | undefined {
  const found = TYPED.exec(text);
  if (!found) return undefined;
  const [, field, word, sign, value] = found;
  const operator = word ?? SIGNS[sign ?? "="];
  if (!field || !operator || !isOperator(operator) || value === undefined || value === "") return undefined;
  return { field, operator, value };
}

/** A word without an operator looks for the name. */
export function parseOrName(text: string, field = "name"): Filter | undefined {
  const word = text.trim();
  if (word === "") return undefined;
  const isFilter = parseTyped(word);
  if (isFilter) return isFilter;
  if (TYPED.test(word)) return undefined;
  return { field, operator: "eq", value: word.includes("*") ? word : `*${word}*` };
}

/** The address with a filter more, or with one less. */
export function withFilter(query: URLSearchParams, filter: Filter): URLSearchParams {
  const next = new URLSearchParams(query);
  const name = nameOf(filter);
  if (!next.getAll(name).includes(filter.value)) next.append(name, filter.value);
  return next;
}

export function withoutFilter(query: URLSearchParams, filter: Filter): URLSearchParams {
  const next = new URLSearchParams();
  for (const [name, value] of query) {
    const other = readFilter(name, value);
    const isSame =
      other && other.field === filter.field && other.operator === filter.operator && value === filter.value;
    if (!isSame) next.append(name, value);
  }
  return next;
}

export interface Suggestion {
  /** What the input has when it is chosen. */
  text: string;
  label: string;
  about: string;
  /** Whether the text is a whole filter then. */
  isWhole: boolean;
}

interface KnownField {
  name: string;
  type: string;
  about: string;
  words: ReadonlyArray<{ value: string; about: string }>;
}

const SUGGESTIONS_MAX = 12;
const TIMES = ["-1h", "-1d", "-7d"];

/** What may follow what was typed: fields, then operators, then values. */
export function suggest(typed: string, fields: readonly KnownField[]): Suggestion[] {
  const text = typed.trimStart();
  const begun = /^([A-Za-z_][\w./-]*)(\[[a-z]*\]?|)(=?)(.*)$/.exec(text);
  const field = begun && fields.find((one) => one.name === begun[1]);
  if (begun && begun[3] === "=" && field) return suggestValues(text, begun[4] ?? "", field);
  if (field && begun && begun[3] !== "=") return suggestOperators(field);
  return suggestFields(text, fields);
}

function suggestFields(text: string, fields: readonly KnownField[]): Suggestion[] {
  const word = text.toLowerCase();
  const rank = (name: string) => {
    const at = name.toLowerCase().indexOf(word);
    return at < 0 ? -1 : at === 0 ? 0 : name[at - 1] === "." ? 1 : 2;
  };
  return fields
    .filter((field) => rank(field.name) >= 0)
    .sort((a, b) => rank(a.name) - rank(b.name) || a.name.split(".").length - b.name.split(".").length)
    .slice(0, SUGGESTIONS_MAX)
    .map((field) => ({ text: `${field.name}=`, label: field.name, about: field.about, isWhole: false }));
}

function suggestOperators(field: KnownField): Suggestion[] {
  const ordered = ["number", "time"].includes(field.type);
  const used: Operator[] = ordered
    ? ["eq", "gt", "lt", "gte", "lte", "exists"]
    : ["eq", "ne", "in", "like", "exists"];
  return used.map((operator) => {
    const text = `${nameOf({ field: field.name, operator, value: "" })}=`;
    return { text, label: text, about: OPERATOR_WORDS[operator], isWhole: false };
  });
}

function suggestValues(text: string, value: string, field: KnownField): Suggestion[] {
  const stem = text.slice(0, text.length - value.length);
  const isExists = stem.endsWith("[exists]=");
  const flags = field.type === "flag" || isExists ? ["true", "false"] : field.type === "time" ? TIMES : [];
  const words =
    isExists || field.words.length === 0 ? flags.map((word) => ({ value: word, about: "" })) : field.words;
  const comma = /\[n?in\]=$/.test(stem) ? value.lastIndexOf(",") + 1 : 0;
  const [done, last] = [value.slice(0, comma), value.slice(comma).toLowerCase()];
  return words
    .filter((word) => word.value.toLowerCase().startsWith(last))
    .slice(0, SUGGESTIONS_MAX)
    .map((word) => ({
      text: stem + done + word.value,
      label: word.value,
      about: word.about,
      isWhole: true,
    }));
}
