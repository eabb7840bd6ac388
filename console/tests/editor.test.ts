/** The tests of the editor without its chunk. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { blockText, templateBlocks, templateReads, withBlock } from "../src/ui/editor/blocks";
import { changeTo, ToldTexts } from "../src/ui/editor/changes";
import {
  characterOfUnits,
  offsetOfPlace,
  placeOfOffset,
  unitsOfBytes,
  unitsOfCharacters,
} from "../src/ui/editor/columns";
import { completeTemplate, openTag, type TemplateNames } from "../src/ui/editor/completion";
import { locatePointer } from "../src/ui/editor/pointers";
import { jsonFault, placeProblems, placeTemplateProblems } from "../src/ui/editor/problems";
import { readToken, startState, type ReadLine } from "../src/ui/editor/tera";
import {
  TEMPLATE_FILTERS,
  TEMPLATE_FUNCTIONS,
  TEMPLATE_TESTS,
  TEMPLATE_VARIABLES,
} from "../src/ui/editor/vocabulary";

test("a column in characters is the place in UTF-16 units, also behind an emoji and an umlaut", () => {
  assert.equal(unitsOfCharacters("üüü {{ nope }}", 8), 7);
  assert.equal(unitsOfCharacters("😀😀 {{ nope }}", 7), 8);
  assert.equal(unitsOfCharacters("ab", 99), 2);
  assert.equal(unitsOfCharacters("ab", 0), 0);
  assert.equal(characterOfUnits("😀😀 x", 5), 4);
});

test("a column in bytes of UTF-8 is the place in UTF-16 units", () => {
  assert.equal(unitsOfBytes("üüü {{ nope }}", 11), 7);
  assert.equal(unitsOfBytes("😀😀 x", 10), 5);
  assert.equal(unitsOfBytes("ü", 2), 0, "a byte inside of a character is that of its begin");
});

test("places and offsets lead back to each other", () => {
  const text = "a\nüü {{ x }}\n😀!\n";
  for (const place of [
    { line: 1, column: 1 },
    { line: 2, column: 4 },
    { line: 3, column: 2 },
  ]) {
    assert.deepEqual(placeOfOffset(text, offsetOfPlace(text, place)), place);
  }
  assert.equal(offsetOfPlace(text, { line: 99 }), text.length);
});

test("a pointer is found in JSON, with escaped names and in lists", () => {
  const text = '{\n  "name": "x",\n  "a/b": [1, {"c": "}"}, 3]\n}';
  assert.deepEqual(locatePointer(text, "/name", "json"), { line: 2, column: 3 });
  assert.deepEqual(locatePointer(text, "/a~1b/2", "json"), { line: 3, column: 26 });
  assert.deepEqual(locatePointer(text, "/a~1b/1/c", "json"), { line: 3, column: 15 });
  assert.deepEqual(locatePointer(text, "/missing", "json"), { line: 1, column: 1 });
  assert.equal(locatePointer("", "/x", "json"), null);
});

test("a pointer is found in YAML, in maps, lists and lists of maps", () => {
  const text =
    "name: x\n# a note\nparams:\n  'a: b': 1\nstages:\n- one\n- name: two\n  tasks: [a]\n" + "- three\n";
  assert.deepEqual(locatePointer(text, "/params/a: b", "yaml"), { line: 4, column: 3 });
  assert.deepEqual(locatePointer(text, "/stages/2", "yaml"), { line: 9, column: 1 });
  assert.deepEqual(locatePointer(text, "/stages/1/tasks", "yaml"), { line: 8, column: 3 });
  assert.deepEqual(locatePointer(text, "/stages/1/name", "yaml"), { line: 7, column: 3 });
});

test("problems of an object stand at their values, those of another template say where they are", () => {
  const placed = placeProblems('{\n"a": 1\n}', [{ pointer: "/a", message: "is wrong" }], "json");
  assert.deepEqual(placed, [{ line: 2, column: 1, message: "/a: is wrong", severity: "error" }]);
  const problems = [
    { pointer: "/body", message: "own", template: "site/a", line: 3, column: 7 },
    { pointer: "/body", message: "other", template: "site/b", line: 9, column: 2 },
  ];
  assert.deepEqual(placeTemplateProblems("site/a", problems), [
    { line: 3, column: 7, message: "own", severity: "error" },
    { line: 1, message: "site/b:9:2: other", severity: "error" },
  ]);
});

test("a text that is no JSON has a fault with a place", () => {
  assert.equal(jsonFault('{"a": 1}'), null);
  assert.match(jsonFault('{"a": }')?.message ?? "", /not JSON/);
});

const names: TemplateNames = {
  params: [{ label: "timezone" }],
  templates: [{ label: "site/a" }],
  blocks: [{ label: "after_clock" }],
  variables: [{ label: "machine.name" }],
};

function complete(text: string): string[] {
  const ask = { text, offset: text.length, line: text, before: text, explicit: true };
  return completeTemplate(ask, names)?.items.map((item) => item.label) ?? [];
}

test("completions fit their place in a template", () => {
  assert.deepEqual(complete('{{ param(name="'), ["timezone"]);
  assert.deepEqual(complete('{% include "si'), ["site/a"]);
  assert.deepEqual(complete("{%- block "), ["after_clock"]);
  assert.ok(complete("{{ machine.name | ").includes("b64encode"));
  assert.ok(!complete("{{ machine.name | ").includes("param"));
  assert.ok(complete("{% if x is ").includes("defined"));
  assert.ok(complete("{% ").includes("endif"));
  assert.ok(complete("{{ mach").includes("machine.name"));
  assert.deepEqual(complete("plain mach"), []);
  assert.deepEqual(complete('{{ "mach'), []);
  assert.deepEqual(complete("{{ a }} mach"), []);
});

test("a completion replaces the word before the cursor", () => {
  const text = 'x\n{{ param(name="time';
  const ask = { text, offset: text.length, line: "", before: "", explicit: true };
  assert.equal(completeTemplate(ask, names)?.from, text.length - "time".length);
});

test("a tag is open until it is closed, and a comment is none", () => {
  assert.equal(openTag("a {{ b"), "print");
  assert.equal(openTag("a {{ b }} {% c"), "statement");
  assert.equal(openTag("a {{ b }}"), null);
  assert.equal(openTag("{# {{ x"), null);
});

const PAGE =
  "a {% block one -%}\ntext {{ x }}\n{%- endblock %}\n{# {% block no %} #}" +
  "{% raw %}{% block raw %}{% endraw %}\n" +
  "{% block two %}{# override mine #}t{# end of override #}{% endblock %}";

test("blocks are told with their lines, their text and the override that filled them", () => {
  const blocks = templateBlocks(PAGE);
  assert.deepEqual(
    blocks.map((block) => [block.name, block.line, block.empty, block.override]),
    [
      ["one", 1, false, undefined],
      ["two", 5, false, "mine"],
    ],
  );
  assert.equal(blockText(PAGE, "one"), "\ntext {{ x }}\n");
});

test("an override is put between the tags, and super stands for what was there", () => {
  const text = "{% block a %}old\n{% endblock %}!";
  assert.equal(withBlock(text, "a", "{{ super() }}$& new\n"), "{% block a %}old\n$& new\n{% endblock %}!");
  assert.equal(withBlock(text, "b", "x"), null);
});

test("what a template reads is found by name", () => {
  const text =
    '{% extends "base" %}{% include "a" %}{{ include_optional(name="site/x") }}' +
    '{{ param(name="p") }}' +
    "{{ compose( name = 'q' ) }}";
  assert.deepEqual(templateReads(text), {
    includes: ["a"],
    extended: "base",
    optional: ["site/x"],
    params: ["p", "q"],
  });
});

test("a change of a text keeps what is the same at both ends", () => {
  assert.deepEqual(changeTo("abcd", "abXd"), { from: 2, to: 3, insert: "X" });
  assert.deepEqual(changeTo("aa", "aaa"), { from: 2, to: 2, insert: "a" });
  assert.deepEqual(changeTo("same", "same"), { from: 4, to: 4, insert: "" });
});

/** The documentation's words in the first column of its tables below a heading. */
function documented(heading: string): string[] {
  const page = readFileSync("../docs/operating/templates.md", "utf8");
  const part = page.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return [...part.matchAll(/^\| `([a-z_0-9.]+)/gm)].map((match) => match[1] ?? "");
}

test("the vocabulary is that of the documentation", () => {
  const words = (list: readonly { name: string }[]) => list.map((word) => word.name);
  assert.deepEqual(words(TEMPLATE_FUNCTIONS), documented("Functions"));
  assert.deepEqual(words(TEMPLATE_FILTERS), [
    ...documented("Filters of Metalwright"),
    ...documented("Filters of the engine"),
  ]);
  assert.deepEqual(words(TEMPLATE_VARIABLES), documented("Variables"));
  const tests = documented("Statements and expressions");
  assert.ok(TEMPLATE_TESTS.every((word) => tests.includes(word)));
});

/** A line as CodeMirror's StringStream reads it. */
class Line implements ReadLine {
  at = 0;
  constructor(readonly text: string) {}
  sol(): boolean {
    return this.at === 0;
  }
  eatSpace(): boolean {
    const start = this.at;
    while (/\s/.test(this.text[this.at] ?? "")) this.at += 1;
    return this.at > start;
  }
  next(): string | void {
    if (this.at < this.text.length) return this.text[this.at++];
  }
  skipToEnd(): void {
    this.at = this.text.length;
  }
  match(pattern: string | RegExp, consume = true): boolean | RegExpMatchArray | null {
    const rest = this.text.slice(this.at);
    if (typeof pattern === "string") {
      if (!rest.startsWith(pattern)) return false;
      if (consume) this.at += pattern.length;
      return true;
    }
    const found = rest.match(pattern);
    if (found && found.index === 0 && consume) this.at += found[0].length;
    return found && found.index === 0 ? found : null;
  }
}

function tokens(text: string): string[] {
  const state = startState();
  const found: string[] = [];
  for (const line of text.split("\n")) {
    const read = new Line(line);
    while (read.at < line.length) {
      const start = read.at;
      const kind = readToken(read, state);
      assert.ok(read.at > start, "each token has a text");
      if (kind) found.push(`${kind}:${line.slice(start, read.at)}`);
    }
  }
  return found;
}

test("the tags of a template are read word by word, over lines", () => {
  assert.deepEqual(tokens('# a note\nx {{ param(name="a\\"b") | sh }}{% if not x %}{# c\nd #}'), [
    "comment:# a note",
    "brace:{{",
    "variableName.function:param",
    "propertyName:name",
    'string:"a\\"b"',
    "operator:|",
    "keyword:sh",
    "brace:}}",
    "brace:{%",
    "keyword:if",
    "keyword:not",
    "variableName:x",
    "brace:%}",
    "comment:{# c",
    "comment:d #}",
  ]);
  assert.deepEqual(tokens("{% raw %}{{ a }}{% endraw %}b"), ["keyword:{% raw %}", "keyword:{% endraw %}"]);
});

test("a text that comes back late is no change of the host, another one is", () => {
  const told = new ToldTexts();
  for (const text of ["a", "ab", "abc"]) told.tell(text);
  assert.ok(told.isEcho("ab"), "the host shows what was typed a moment ago");
  assert.ok(!told.isEcho("a"), "an older text is one that the host sets");
  assert.ok(told.isEcho("abc"));
  assert.ok(!told.isEcho("abc"));
});
