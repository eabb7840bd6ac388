// Tests of settings as text, scopes of tokens, and the pages of objects.

import assert from "node:assert/strict";
import { test } from "node:test";
import { endOf, scopesOf } from "../src/screens/settings/scopes";
import { parseSetting, valuesText } from "../src/screens/settings/setting_values";
import { listPath, objectPath, subjectPath } from "../src/screens/objects/links";
import { nounOf, pluralOf } from "../src/screens/objects/nouns";
import { viewPath } from "../src/screens/objects/view_path";

test("a setting is typed as its schema has it", () => {
  const days = { type: ["integer", "null"], minimum: 1, maximum: 36500 };
  assert.deepEqual(parseSetting("90", days), { value: 90 });
  assert.deepEqual(parseSetting("null", days), { value: null });
  assert.ok("fault" in parseSetting("soon", days));
  assert.deepEqual(parseSetting("true", { type: "boolean" }), { value: true });
  assert.deepEqual(parseSetting("menu", { enum: ["local", "menu"] }), { value: "menu" });
  assert.equal(valuesText(days), "1 to 36500 or null");
});

test("writing an area needs reading it as well", () => {
  assert.deepEqual(scopesOf({ machines: "write", runs: "read", leases: "none" }), [
    "machines:read",
    "machines:write",
    "runs:read",
  ]);
  assert.equal(endOf("", 0), undefined);
  assert.equal(endOf("1", 0), "1970-01-02T00:00:00.000Z");
});

test("every object has a page, of its own screen or the generic one", () => {
  assert.equal(subjectPath("machine:0198"), "/machines/0198");
  assert.equal(subjectPath("client_class:onie"), "/objects/client_classes/onie");
  assert.equal(subjectPath("pack:core@0.1.0"), "/objects/packs/core%400.1.0");
  assert.equal(subjectPath("server"), undefined);
  assert.equal(objectPath("template", "site/motd"), "/content/templates/site%2Fmotd");
  assert.equal(listPath("events"), "/activity");
  assert.deepEqual(["client_class", "machine", "user"].map(pluralOf), [
    "client_classes",
    "machines",
    "users",
  ]);
});

test("a noun that the console does not know has the columns that its fields suggest", () => {
  const field = (name: string, type: "text" | "object") => ({ name, type, about: "", words: [] });
  const noun = nounOf("webhooks", [
    field("name", "text"),
    field("url", "text"),
    field("filter.kind", "text"),
    field("headers", "object"),
  ]);
  assert.deepEqual(
    [noun.title, noun.word, noun.nameField, noun.columns],
    ["Webhooks", "webhook", "name", ["url"]],
  );
});

test("a saved view opens its list with the filter, the order and the columns", () => {
  const machines = { kind: "machines", query: "status.state=failed&sort=-updated_at", columns: ["name"] };
  assert.equal(viewPath(machines), "/machines?status.state=failed&sort=-updated_at&columns=name");
  const events = { kind: "events", query: "kind=run.*&actor=token%3Aci&order=newest", columns: [] };
  assert.equal(viewPath(events), "/activity?kind=run.*&by=ci");
});
