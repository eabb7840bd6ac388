/** The least change that makes one text of another. */

export interface TextChange {
  from: number;
  to: number;
  insert: string;
}

/** What both texts begin and end with stays as it is, so that a cursor there stays too. */
export function changeTo(before: string, after: string): TextChange {
  const most = Math.min(before.length, after.length);
  let from = 0;
  while (from < most && before.charCodeAt(from) === after.charCodeAt(from)) from += 1;
  let end = 0;
  while (end < most - from && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  return { from, to: before.length - end, insert: after.slice(from, after.length - end) };
}
