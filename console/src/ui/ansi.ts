// Text of terminals: colours become classes, other control sequences are left out; pure (ECMA-48, section
// 8.3.117).

export interface AnsiPart {
  text: string;
  /** Classes, such as `ansi-1 ansi-bold`. */
  look: string;
}

interface Look {
  colour: number | undefined;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  inverse: boolean;
}

const PLAIN: Look = {
  colour: undefined,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
};
const SEQUENCE = String.raw`\u001b(?:\[([0-9;:?]*)([@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])`;
const OTHER = String.raw`[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f]`;
const CONTROL = new RegExp(`${SEQUENCE}|${OTHER}`, "g");

/** What stays of a line that a program wrote over with carriage returns (progress). */
export function lastWritten(line: string): string {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  const at = text.lastIndexOf("\r");
  return at < 0 ? text : text.slice(at + 1);
}

/** One line as parts of one look each. */
export function parseAnsi(line: string): AnsiPart[] {
  const text = lastWritten(line);
  const parts: AnsiPart[] = [];
  let look: Look = { ...PLAIN };
  let from = 0;
  const push = (piece: string) => {
    if (piece !== "") parts.push({ text: piece, look: classesOf(look) });
  };
  for (const found of text.matchAll(CONTROL)) {
    push(text.slice(from, found.index));
    from = found.index + found[0].length;
    if (found[2] === "m") look = changed(look, found[1] ?? "");
  }
  push(text.slice(from));
  return parts;
}

/** The line without any control sequence. */
export const plainText = (line: string): string => lastWritten(line).replace(CONTROL, "");

function classesOf(look: Look): string {
  const words = [
    look.colour !== undefined && `ansi-${look.colour}`,
    look.bold && "ansi-bold",
    look.dim && "ansi-dim",
    look.italic && "ansi-italic",
    look.underline && "ansi-underline",
    look.inverse && "ansi-inverse",
  ];
  return words.filter((word) => word !== false).join(" ");
}

function changed(before: Look, codes: string): Look {
  let look = { ...before };
  const numbers = codes === "" ? [0] : codes.split(/[;:]/).map(Number);
  for (let index = 0; index < numbers.length; index += 1) {
    const code = numbers[index] ?? 0;
    if (code === 0) look = { ...PLAIN };
    else if (code === 1) look.bold = true;
    else if (code === 2) look.dim = true;
    else if (code === 3) look.italic = true;
    else if (code === 4) look.underline = true;
    else if (code === 7) look.inverse = true;
    else if (code === 22) {
      look.bold = false;
      look.dim = false;
    } else if (code === 23) look.italic = false;
    else if (code === 24) look.underline = false;
    else if (code === 27) look.inverse = false;
    else if (code >= 30 && code <= 37) look.colour = code - 30;
    else if (code >= 90 && code <= 97) look.colour = code - 90;
    else if (code === 39) look.colour = undefined;
    else if (code === 38 || code === 48) {
      const [kind, value] = [numbers[index + 1], numbers[index + 2] ?? 0];
      if (code === 38 && kind === 5 && value < 16) look.colour = value % 8;
      index += kind === 5 ? 2 : kind === 2 ? 4 : 1;
    }
  }
  return look;
}
