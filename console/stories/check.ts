// What stories claim: a claim that does not hold ends the story with what was expected and what was there.

export class Untrue extends Error {}

export function claim(holds: boolean, what: string): void {
  if (!holds) throw new Untrue(what);
}

export function same<T>(found: T, expected: T, what: string): void {
  claim(Object.is(found, expected), `${what}: expected ${String(expected)}, found ${String(found)}`);
}

export function includes(text: string, part: string, what: string): void {
  claim(text.includes(part), `${what}: expected \`${part}\` in \`${text.slice(0, 600)}\``);
}

export const pause = (milliseconds: number) => new Promise<void>((done) => setTimeout(done, milliseconds));

/** Waits until `look` answers with something true, and gives it back. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  milliseconds = 10_000,
): Promise<T> {
  const deadline = Date.now() + milliseconds;
  let trouble: unknown;
  while (Date.now() < deadline) {
    try {
      const found = await look();
      if (found) return found;
    } catch (error) {
      trouble = error;
    }
    await pause(50);
  }
  throw new Untrue(`not within ${milliseconds} ms: ${what}${trouble ? ` (${String(trouble)})` : ""}`);
}
