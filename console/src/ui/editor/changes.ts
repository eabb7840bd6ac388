/** Changes of an editor's text: the least that makes one text of another, and which of them come back. */

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

/** Texts that are remembered until the host shows them. */
const TOLD_MAX = 64;

/**
 * The texts that an editor told its host and that have not come back yet. The host shows them later, when the
 * user has typed on: such a text is no change.
 */
export class ToldTexts {
  private told: string[] = [];

  tell(text: string): void {
    this.told = [...this.told, text].slice(-TOLD_MAX);
  }

  /** Whether a text that the host shows is one that it was told. */
  isEcho(text: string): boolean {
    const at = this.told.indexOf(text);
    if (at >= 0) this.told = this.told.slice(at + 1);
    return at >= 0;
  }

  forget(): void {
    this.told = [];
  }
}
