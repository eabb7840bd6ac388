/** What can stand at the cursor of a template: params, functions, filters, variables, templates, blocks. */

import type { CompletionAnswer, CompletionAsk, CompletionSource, EditorCompletion } from "./types";
import {
  TEMPLATE_FILTERS,
  TEMPLATE_FUNCTIONS,
  TEMPLATE_STATEMENTS,
  TEMPLATE_TESTS,
  TEMPLATE_VARIABLES,
  type VocabularyWord,
} from "./vocabulary";

/** The names of this server, which the vocabulary of the language does not have. */
export interface TemplateNames {
  params: EditorCompletion[];
  templates: EditorCompletion[];
  /** The blocks of the template that this one extends. */
  blocks: EditorCompletion[];
  /** The variables of the machine that is looked at; without one those of every machine. */
  variables?: EditorCompletion[];
}

type Tag = "print" | "statement" | null;

/** The kind of tag that the end of a text is in. */
export function openTag(before: string): Tag {
  const print = before.lastIndexOf("{{");
  const statement = before.lastIndexOf("{%");
  const open = Math.max(print, statement);
  const comment = before.lastIndexOf("{#");
  if (open < 0 || (comment >= 0 && before.indexOf("#}", comment) < 0)) return null;
  const closed = before.indexOf(print > statement ? "}}" : "%}", open + 2);
  if (closed >= 0) return null;
  return print > statement ? "print" : "statement";
}

/** The source of completions for templates. `names` is asked at each completion, so that it may change. */
export function templateCompletions(names: () => TemplateNames): CompletionSource {
  return (ask) => completeTemplate(ask, names());
}

/** The completions at the cursor; null where there are none. */
export function completeTemplate(ask: CompletionAsk, names: TemplateNames): CompletionAnswer | null {
  const before = ask.text.slice(0, ask.offset);
  const tag = openTag(before);
  if (tag === null) return null;
  const inside = before.slice(Math.max(before.lastIndexOf("{{"), before.lastIndexOf("{%")) + 2);
  const quoted = completeQuoted(inside, ask.offset, names);
  if (quoted !== undefined) return quoted;
  const word = /[A-Za-z_][A-Za-z0-9_.]*$/.exec(inside)?.[0] ?? "";
  const answer = (items: EditorCompletion[]) => ({ from: ask.offset - word.length, items });
  const lead = inside.slice(0, inside.length - word.length);
  if (/\|\s*$/.test(lead)) return answer(TEMPLATE_FILTERS.map((filter) => completionOf(filter, "filter")));
  if (/\bis\s+(not\s+)?$/.test(lead)) return answer(testCompletions());
  if (tag === "statement" && /^-?\s*$/.test(lead)) return answer(statementCompletions());
  if (tag === "statement" && /^-?\s*block\s+$/.test(lead)) return answer(names.blocks);
  if (word === "" && !ask.explicit && !/[\s(,=]$/.test(lead) && lead !== "") return null;
  if (/[.\w)\]"']\s*$/.test(lead) && !/\b(if|elif|in|and|or|not|else)\s*$/.test(lead)) return null;
  return answer(valueCompletions(names));
}

/** Completions inside of a quoted text: the name of a param or of a template. Undefined outside of one. */
function completeQuoted(
  inside: string,
  offset: number,
  names: TemplateNames,
): CompletionAnswer | null | undefined {
  const quote = openQuote(inside);
  if (quote === null) return undefined;
  const word = inside.slice(quote + 1);
  const lead = inside.slice(0, quote);
  const answer = (items: EditorCompletion[]) => ({ from: offset - word.length, items });
  if (/\b(param|param_keys|has_param|compose)\s*\(\s*name\s*=\s*$/.test(lead)) return answer(names.params);
  if (/^-?\s*(include|extends)\s*(\[\s*)?$/.test(lead)) return answer(names.templates);
  if (/\binclude_optional\s*\(\s*name\s*=\s*$/.test(lead)) return answer(names.templates);
  return null;
}

/** Where the quoted text begins that the end of a text is in; null outside of one. */
function openQuote(text: string): number | null {
  let open: number | null = null;
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i] ?? "";
    if (open === null) {
      if (c === '"' || c === "'" || c === "`") open = i;
    } else if (c === "\\") i += 1;
    else if (c === text[open]) open = null;
  }
  return open;
}

function completionOf(word: VocabularyWord, kind: "filter" | "function" | "variable"): EditorCompletion {
  const item = { label: word.name, detail: word.args, info: word.about, kind };
  return kind === "function" ? { ...item, apply: appliedFunction(word) } : item;
}

/** A function that reads a param begins with its argument. */
function appliedFunction(word: VocabularyWord): string {
  const first = /^\((\w+)/.exec(word.args)?.[1];
  return first ? `${word.name}(${first}=` : `${word.name}()`;
}

function testCompletions(): EditorCompletion[] {
  return TEMPLATE_TESTS.map((label) => ({ label, kind: "test" as const }));
}

function statementCompletions(): EditorCompletion[] {
  return TEMPLATE_STATEMENTS.map((label) => ({ label, kind: "keyword" as const }));
}

function valueCompletions(names: TemplateNames): EditorCompletion[] {
  const functions = TEMPLATE_FUNCTIONS.map((word) => completionOf(word, "function"));
  const reads = names.params.map((param) => ({
    ...param,
    label: `param(name="${param.label}")`,
    apply: `param(name="${param.label}")`,
    kind: "param" as const,
  }));
  const general = () => TEMPLATE_VARIABLES.map((word) => completionOf(word, "variable"));
  return [...(names.variables ?? general()), ...functions, ...reads];
}
