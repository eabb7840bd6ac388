/** The blocks of a template, what it includes, and its text with one of its blocks replaced. */

/** A block with the offsets of its text, between the tags. */
export interface TemplateBlock {
  name: string;
  /** The line of its first tag, from 1. */
  line: number;
  from: number;
  to: number;
  /** Whether there is nothing but white space in it. */
  empty: boolean;
  /** The override that put its text there. */
  override?: string;
  /** How many blocks it is in. */
  depth: number;
}

const TAG = /\{#[\s\S]*?#\}|\{%-?\s*(raw|endraw|block|endblock)\b\s*([A-Za-z_]\w*)?[\s\S]*?%\}/g;
const OVERRIDE = /\{#-?\s*override (\S+)\s*-?#\}/;
/** Most blocks of one template that are told. */
const BLOCKS_MAX = 1000;

/** The blocks of a template, in the order of the text. */
export function templateBlocks(text: string): TemplateBlock[] {
  const found: TemplateBlock[] = [];
  const open: TemplateBlock[] = [];
  let raw = false;
  let line = 1;
  let counted = 0;
  for (const match of text.matchAll(TAG)) {
    const word = match[1];
    if (word === "raw" || word === "endraw") raw = word === "raw";
    if (raw || word === undefined || word === "endraw") continue;
    line += countLines(text.slice(counted, match.index));
    counted = match.index;
    if (word === "block" && match[2] && found.length < BLOCKS_MAX) {
      const from = match.index + match[0].length;
      const block = { name: match[2], line, from, to: from, empty: true, depth: open.length };
      found.push(block);
      open.push(block);
    } else if (word === "endblock") closeBlock(text, open.pop(), match.index);
  }
  return found;
}

function closeBlock(text: string, block: TemplateBlock | undefined, end: number): void {
  if (!block) return;
  block.to = end;
  const inner = text.slice(block.from, end);
  const override = OVERRIDE.exec(inner)?.[1];
  if (override) block.override = override;
  block.empty = inner.trim() === "";
}

function countLines(text: string): number {
  return text.split("\n").length - 1;
}

/**
 * The text with another text in a block, as an override puts it there: `{{ super() }}` stands for what was in
 * the block. Null if there is no such block.
 */
export function withBlock(text: string, name: string, body: string, before?: string): string | null {
  const block = templateBlocks(text).find((known) => known.name === name);
  if (!block) return null;
  const own = before ?? text.slice(block.from, block.to);
  const filled = body.replace(/\{\{-?\s*super\(\)\s*-?\}\}/g, () => own);
  return text.slice(0, block.from) + filled + text.slice(block.to);
}

/** The text in a block; null if there is no such block. */
export function blockText(text: string, name: string): string | null {
  const block = templateBlocks(text).find((known) => known.name === name);
  return block ? text.slice(block.from, block.to) : null;
}

/** What a template reads: the templates that it includes or extends, and the params. */
export interface TemplateReads {
  includes: string[];
  extended: string | null;
  optional: string[];
  params: string[];
}

const INCLUDED = /\{%-?\s*(include|extends)\s+["']([^"']+)["']/g;
const OPTIONAL = /\binclude_optional\(\s*name\s*=\s*["']([^"']+)["']/g;
const PARAM = /\b(?:param|param_keys|has_param|compose)\(\s*name\s*=\s*["']([^"']+)["']/g;

/** What a template reads, by name; names that are made at the time of the render are not among them. */
export function templateReads(text: string): TemplateReads {
  const included = [...text.matchAll(INCLUDED)];
  const names = (word: string) =>
    included.filter((match) => match[1] === word).map((match) => match[2] ?? "");
  return {
    includes: unique(names("include")),
    extended: names("extends")[0] ?? null,
    optional: unique([...text.matchAll(OPTIONAL)].map((match) => match[1] ?? "")),
    params: unique([...text.matchAll(PARAM)].map((match) => match[1] ?? "")),
  };
}

function unique(names: string[]): string[] {
  return [...new Set(names)].sort();
}
