// IPv4 addresses as numbers, ranges of them, and networks. Pure.

export interface NumberRange {
  first: number;
  last: number;
}

/** The number of an address; undefined for what is no IPv4 address. */
export function addressNumber(text: string): number | undefined {
  const parts = text.trim().split(".");
  if (parts.length !== 4) return undefined;
  let number = 0;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    number = number * 256 + Number(part);
  }
  return number;
}

export function addressText(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join(".");
}

/** The addresses of `10.0.0.0/24`, with those of the network and of broadcasts. */
export function networkRange(cidr: string): NumberRange | undefined {
  const [address = "", length = ""] = cidr.trim().split("/");
  const number = addressNumber(address);
  if (number === undefined || !/^\d{1,2}$/.test(length) || Number(length) > 32) return undefined;
  const size = 2 ** (32 - Number(length));
  const first = Math.floor(number / size) * size;
  return { first, last: first + size - 1 };
}

export function rangeOf(range: { start: string; end: string }): NumberRange | undefined {
  const [first, last] = [addressNumber(range.start), addressNumber(range.end)];
  return first === undefined || last === undefined || last < first ? undefined : { first, last };
}

export const sizeOf = (range: NumberRange): number => range.last - range.first + 1;

export const holds = (range: NumberRange, number: number): boolean =>
  range.first <= number && number <= range.last;

/** Sorts and joins ranges that touch or overlap. */
export function joinRanges(ranges: readonly NumberRange[]): NumberRange[] {
  const joined: NumberRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
    const before = joined[joined.length - 1];
    if (before && range.first <= before.last + 1) before.last = Math.max(before.last, range.last);
    else joined.push({ ...range });
  }
  return joined;
}

/** A plain order of addresses as text. */
export function compareAddresses(a: string, b: string): number {
  return (addressNumber(a) ?? 0) - (addressNumber(b) ?? 0);
}

const MAC = /^[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}$/i;

/** A MAC with colons in lower case; undefined for what is none. */
export function macText(text: string): string | undefined {
  const digits = text.trim().replace(/[.]/g, "");
  if (!MAC.test(digits)) return undefined;
  const bytes = digits.replace(/[:-]/g, "").toLowerCase().match(/../g);
  return bytes?.join(":");
}
