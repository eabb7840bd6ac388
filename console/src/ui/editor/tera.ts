/**
 * The colours of templates: Tera's tags in a text of any language. Lines of the text that begin with `#` are
 * comments, as in shell scripts, kickstarts, preseeds and YAML.
 */

/** A line that is read from its begin on, as CodeMirror's StringStream. */
export interface ReadLine {
  sol(): boolean;
  eatSpace(): boolean;
  next(): string | void;
  skipToEnd(): void;
  match(pattern: string | RegExp, consume?: boolean): boolean | RegExpMatchArray | null;
}

export interface TeraState {
  /** What the place is in: text, a comment, a tag, or a text as it is. */
  place: "text" | "comment" | "print" | "statement" | "raw";
  /** The first word of a statement comes next. */
  begins: boolean;
  /** A filter comes next. */
  filter: boolean;
  /** The quote of the text that goes on at the next line. */
  quote: string | null;
}

export function startState(): TeraState {
  return { place: "text", begins: false, filter: false, quote: null };
}

const WORDS = /^(?:and|or|not|in|is|if|else|for|as|true|false|none|null)\b/i;
const CONSTANTS = new Set(["true", "false", "none", "null", "True", "False", "None"]);
const RAW_END = /^\{%-?\s*endraw\s*-?%\}/;

/** The kind of the next token, in the names of CodeMirror's stream parsers; null for plain text. */
export function readToken(line: ReadLine, state: TeraState): string | null {
  switch (state.place) {
    case "comment":
      return readComment(line, state);
    case "print":
    case "statement":
      return readTag(line, state);
    case "raw":
      return readRaw(line, state);
    case "text":
      return readText(line, state);
  }
}

function readComment(line: ReadLine, state: TeraState): string {
  if (line.match(/^.*?#\}/)) state.place = "text";
  else line.skipToEnd();
  return "comment";
}

function readRaw(line: ReadLine, state: TeraState): string | null {
  if (line.match(RAW_END)) {
    state.place = "text";
    return "keyword";
  }
  line.next();
  line.match(/^[^{]*/);
  return null;
}

function readText(line: ReadLine, state: TeraState): string | null {
  const starts = line.sol();
  if (line.match("{#")) {
    state.place = "comment";
    return readComment(line, state);
  }
  if (line.match(/^\{%-?\s*raw\s*-?%\}/)) {
    state.place = "raw";
    return "keyword";
  }
  if (line.match(/^\{\{-?/)) return openTag(state, "print");
  if (line.match(/^\{%-?/)) return openTag(state, "statement");
  if (starts && line.match(/^\s*#[^{]*/)) return "comment";
  line.next();
  line.match(/^[^{]*/);
  return null;
}

function openTag(state: TeraState, place: "print" | "statement"): string {
  state.place = place;
  state.begins = place === "statement";
  state.filter = false;
  return "brace";
}

function readQuoted(line: ReadLine, state: TeraState): string {
  for (let c = line.next(); c !== undefined; c = line.next()) {
    if (c === "\\") line.next();
    else if (c === state.quote) {
      state.quote = null;
      break;
    }
  }
  return "string";
}

function readTag(line: ReadLine, state: TeraState): string | null {
  if (state.quote !== null) return readQuoted(line, state);
  if (line.eatSpace()) return null;
  if (line.match(/^-?(?:%\}|\}\})/)) {
    state.place = "text";
    return "brace";
  }
  if (line.match(/^["'`]/, false)) {
    state.quote = line.next() ?? null;
    return readQuoted(line, state);
  }
  if (line.match(/^\d+(?:\.\d+)?/)) return "number";
  return readWord(line, state);
}

function readWord(line: ReadLine, state: TeraState): string | null {
  const begins = state.begins;
  const filter = state.filter;
  state.begins = false;
  if (line.match(/^\|(?!\|)/)) {
    state.filter = true;
    return "operator";
  }
  state.filter = false;
  const known = line.match(WORDS);
  if (known && typeof known === "object") return CONSTANTS.has(known[0]) ? "atom" : "keyword";
  if (line.match(/^[A-Za-z_]\w*(?=\s*=[^=])/)) return "propertyName";
  if (line.match(/^[A-Za-z_]\w*(?=\s*\()/)) return filter ? "keyword" : "variableName.function";
  if (line.match(/^[A-Za-z_]\w*/)) return begins || filter ? "keyword" : "variableName";
  line.next();
  return null;
}
