// The machine list's pure parts: columns, filters, files, saved views, the form of a new machine.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  columnOf,
  columnsOf,
  DEFAULT_COLUMNS,
  fieldsOf,
  formatColumns,
  moveColumn,
  parseColumns,
  toggleColumn,
} from "../src/screens/machines/columns";
import { fileName, toCsv, toJson } from "../src/screens/machines/export";
import { csvCell } from "../src/ui/csv";
import { describeFilter, filterTerms, filterText } from "../src/screens/machines/filters";
import { machineOf, EMPTY_MACHINE } from "../src/screens/machines/machine_form";
import type { MachineRow } from "../src/screens/machines/row";
import { BUILT_IN_VIEWS, isShown, viewOf, viewUrl } from "../src/screens/machines/saved_views";

const keys = (columns: readonly { key: string }[]): string[] => columns.map((column) => column.key);

test("columns of the address are those of the API, labels and params by name, without unknown ones", () => {
  assert.deepEqual(keys(parseColumns("name,label.rack,param.timezone,nonsense,name")), [
    "name",
    "label.rack",
    "param.timezone",
  ]);
  assert.deepEqual(keys(parseColumns(null)), DEFAULT_COLUMNS);
  assert.deepEqual(keys(parseColumns("nonsense")), DEFAULT_COLUMNS);
  assert.equal(formatColumns(columnsOf(DEFAULT_COLUMNS)), null);
  assert.equal(
    formatColumns(parseColumns("name,labels.example.org/owner")),
    "name,label.example.org/owner",
  );
});

test("a query reads what its columns show and what every row needs, within the API's bound", () => {
  const fields = fieldsOf(parseColumns("name,status.cursor,label.rack"));
  for (const field of [
    "id",
    "name",
    "status.state",
    "locked",
    "status.cursor",
    "status.steps_total",
    "label.rack",
  ]) {
    assert.ok(fields.includes(field), field);
  }
  assert.ok(!fields.includes("problems"));
  assert.ok(fieldsOf(parseColumns("name"), "-status.since").includes("status.since"));
  assert.ok(
    fieldsOf(parseColumns(Array.from({ length: 40 }, (_, i) => `label.l${i}`).join(","))).length <= 32,
  );
});

test("the last column cannot be removed, and a column moves by one place", () => {
  const one = parseColumns("name");
  assert.deepEqual(keys(toggleColumn(one, "name")), ["name"]);
  const three = parseColumns("name,arch,serial");
  assert.deepEqual(keys(moveColumn(three, "serial", -1)), ["name", "serial", "arch"]);
  assert.deepEqual(keys(moveColumn(three, "name", -1)), ["name", "arch", "serial"]);
});

test("a sealed param is named as a secret and never shown", () => {
  const row: MachineRow = { id: "1", name: "a", params: { root_password: { sealed: true }, disks: ["a"] } };
  assert.equal(columnOf("param.root_password")?.read(row), "(secret)");
  assert.equal(columnOf("param.disks")?.read(row), '["a"]');
  assert.equal(columnOf("param.absent")?.read(row), null);
});

test("a cell that a spreadsheet would run begins with an apostrophe", () => {
  for (const formula of ["=1+1", "+49", "-2+3", "@SUM(A1)", "\t=1", " =1", "\uFF1D1", "\r=1"]) {
    assert.match(csvCell(formula), /^"?'/, JSON.stringify(formula));
  }
  assert.equal(csvCell("-12.5"), "-12.5");
  assert.equal(csvCell(-3), "-3");
  assert.equal(csvCell("web1"), "web1");
});

test("quotes, commas and line ends stay inside of their cell", () => {
  const row: MachineRow = { id: "1", name: 'a "b", c', status: { reason: "one\ntwo" } };
  assert.equal(
    toCsv(parseColumns("name,status.reason"), [row]),
    'name,status.reason\r\n"a ""b"", c","one\ntwo"\r\n',
  );
  assert.deepEqual(JSON.parse(toJson([row])), [row]);
  assert.equal(fileName("csv", new Date("2026-11-30T21:45:10Z")), "machines-2026-11-30T2145Z.csv");
});

test("a filter is read from the address without the page's own words, and said in words", () => {
  const query = new URLSearchParams(
    "status.state[in]=failed,held&sort=-name&columns=name&dialog=create&label.rack=r1",
  );
  const terms = filterTerms(query);
  assert.deepEqual(
    terms.map((term) => term.name),
    ["status.state[in]", "label.rack"],
  );
  assert.equal(describeFilter(terms), "status.state in failed,held and label.rack = r1");
  assert.equal(describeFilter([{ name: "serial[exists]", value: "false" }]), "no serial");
  assert.equal(new URLSearchParams(filterText(terms)).get("label.rack"), "r1");
});

test("a saved view keeps filter, order and columns, and is told from another", () => {
  const query = new URLSearchParams("label.rack=r7&sort=-updated_at&columns=name,label.rack");
  const view = viewOf(" rack-7 ", "", query);
  assert.deepEqual(view, {
    name: "rack-7",
    kind: "machines",
    query: "label.rack=r7&sort=-updated_at",
    columns: ["name", "label.rack"],
    description: "",
  });
  assert.ok(isShown(view, query));
  assert.ok(!isShown(view, new URLSearchParams("label.rack=r7")));
  const [all] = BUILT_IN_VIEWS;
  assert.ok(all && isShown(all, new URLSearchParams("dialog=columns")));
  assert.equal(all && viewUrl(all), "/machines");
});

test("a new machine has only what was filled in", () => {
  assert.deepEqual(
    machineOf({ ...EMPTY_MACHINE, name: " web1 ", macs: "52:54:00:aa:00:01, 52:54:00:aa:00:02" }),
    {
      name: "web1",
      macs: ["52:54:00:aa:00:01", "52:54:00:aa:00:02"],
      arch: "amd64",
    },
  );
  const labels = machineOf({ ...EMPTY_MACHINE, name: "a", labels: "rack=r1 spare", profiles: "web db" });
  assert.deepEqual([labels.labels, labels.profiles], [{ rack: "r1", spare: "" }, ["web", "db"]]);
});
