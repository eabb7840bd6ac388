// The filter of the list in the URL, as the API and `POST /bulk` take it, and in words.

/** The words of the page's URL that are not filters. */
export const PAGE_WORDS: readonly string[] = [
  "sort",
  "columns",
  "view",
  "tab",
  "limit",
  "cursor",
  "fields",
  "dialog",
];

export interface FilterTerm {
  /** A field, with its operator in brackets where there is one. */
  name: string;
  value: string;
}

/** The filters of a URL, in order. */
export function filterTerms(query: URLSearchParams): FilterTerm[] {
  return [...query]
    .filter(([name]) => !PAGE_WORDS.includes(name))
    .map(([name, value]) => ({ name, value }));
}

export function filterQuery(terms: readonly FilterTerm[]): URLSearchParams {
  return new URLSearchParams(terms.map(({ name, value }) => [name, value]));
}

/** A filter as one text: the same text for the same filter. */
export function filterText(terms: readonly FilterTerm[]): string {
  return filterQuery(terms).toString();
}

const OPERATORS: Record<string, string> = {
  eq: "=",
  like: "=",
  ne: "≠",
  in: "in",
  nin: "not in",
  gt: ">",
  gte: "≥",
  lt: "<",
  lte: "≤",
};

function describeTerm({ name, value }: FilterTerm): string {
  const [, field = name, operator = "eq"] = /^(.*)\[(\w+)\]$/u.exec(name) ?? [];
  if (operator === "exists") {
    return value === "false" ? `no ${field}` : `${field} exists`;
  }
  return `${field} ${OPERATORS[operator] ?? operator} ${value}`;
}

/** `status.state = failed and label.rack = r1` */
export function describeFilter(terms: readonly FilterTerm[]): string {
  return terms.map(describeTerm).join(" and ");
}

/** The page's URL for machines of this state. */
export function machinesUrl(terms: readonly FilterTerm[]): string {
  const text = filterText(terms);
  return text === "" ? "/machines" : `/machines?${text}`;
}

/** The number with the right word: `1 machine`, `4,312 machines`. */
export function countMachines(count: number): string {
  return `${count.toLocaleString("en")} ${count === 1 ? "machine" : "machines"}`;
}
