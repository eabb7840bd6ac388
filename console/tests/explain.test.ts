// The question in the address and as a packet, and the rules as a list.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  askChanges,
  discoverText,
  explainQuery,
  NOTHING,
  readAsk,
  subjectOf,
  type Ask,
} from "../src/screens/explain/ask";
import {
  compare,
  objectPath,
  remedy,
  ruleRows,
  verdictText,
  type Answered,
} from "../src/screens/explain/model";

const TRACE = [
  { rule: "subnet_mode", matched: false, detail: "the subnet may give boot data" },
  { rule: "bootenv", matched: true, detail: "no workflow is under way" },
  { rule: "loader", matched: false, detail: "the loader snponly.efi over TFTP" },
];

test("a question is the same after its address", () => {
  const ask: Ask = {
    ...NOTHING,
    who: "web1",
    stage: "ipxe",
    arch: "7",
    relay: "10.5.0.254",
    options: 'host_name "a"\noption 224 00',
  };
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(askChanges(ask, "b.")))
    if (value !== undefined) query.set(name, value);
  assert.deepEqual(readAsk(new URLSearchParams(query.toString()), "b."), ask);
  assert.deepEqual([...query.keys()], ["b.who", "b.stage", "b.arch", "b.relay", "b.options"]);
  assert.deepEqual(readAsk(new URLSearchParams("stage=none")), NOTHING);
});

test("who is asked about is seen by how it is written", () => {
  assert.deepEqual(subjectOf("52-54-00-AA-00-01"), { of: "mac", what: "52:54:00:aa:00:01" });
  assert.deepEqual(subjectOf("10.0.0.5"), { of: "address", what: "10.0.0.5" });
  assert.deepEqual(subjectOf("web1"), { of: "machine", what: "name:web1" });
  assert.deepEqual(subjectOf("machine:serial:ABC"), { of: "machine", what: "serial:ABC" });
  assert.equal(subjectOf("  "), undefined);
  assert.deepEqual(explainQuery({ ...NOTHING, vendor: "x" }, { of: "mac", what: "m" }), {
    mac: "m",
    vendor_class: "x",
  });
});

test("the packet of a client has what it would send, and what was typed counts", () => {
  const place = { mac: "52:54:00:aa:00:01", relay: "10.5.0.254", isOwnRelay: false };
  const lines = discoverText({ ...NOTHING, who: "m", arch: "0" }, place).split("\n");
  assert.ok(lines.includes("giaddr 10.5.0.254") && lines.includes("client_architectures 0"));
  assert.ok(lines.includes('vendor_class_identifier "PXEClient:Arch:00000:UNDI:003016"'));
  const typed = discoverText(
    { ...NOTHING, stage: "ipxe", options: "parameter_request_list 1" },
    { ...place, relay: undefined },
  );
  assert.equal(typed.match(/parameter_request_list/g)?.length, 1);
  assert.ok(typed.includes('user_class "iPXE"') && !typed.includes("giaddr"));
});

test("the rule that settled it stands out from those before and after it", () => {
  const objects = [
    { rule: "bootenv", kind: "machine", name: "web1" },
    { rule: "bootenv", kind: "machine", name: "web1" },
  ];
  const rows = ruleRows({ trace: TRACE }, objects);
  assert.deepEqual(
    rows.map((row) => row.role),
    ["passed", "settled", "follows"],
  );
  assert.equal(rows[1]?.objects.length, 1, "each object once");
  assert.match(remedy(rows[1]) ?? "", /Start a workflow/);
  assert.equal(
    verdictText({ verdict: "netboot", bootenv: "debian-12-install", answer: "loader", trace: [] }),
    "boots debian-12-install from the network",
  );
});

test("an object leads to the page that shows it", () => {
  assert.equal(objectPath({ kind: "machine", name: "a/b" }), "/machines/a%2Fb");
  assert.equal(objectPath({ kind: "subnet", name: "lan" }), "/networks/subnets/lan");
  assert.equal(objectPath({ kind: "pool", name: "x" }), undefined);
  assert.equal(
    objectPath({ kind: "bootenv", name: "debian-12-install" }),
    "/content/bootenvs/debian-12-install",
  );
});

test("two answers are compared line by line, also lines that only one has", () => {
  const answer = (detail: string, value: string): Answered => ({
    decision: {
      verdict: "local_disk",
      reason: "r",
      answer: "no_boot_data",
      trace: [{ rule: "bootenv", matched: true, detail }],
    },
    objects: [],
    classes: [],
    offer: undefined,
    reply: undefined,
    options: value ? [{ code: 3, name: "routers", value, scope: "subnet", from: "lan" }] : [],
  });
  const { rules, options } = compare(answer("a", "10.0.0.1"), answer("b", ""));
  assert.deepEqual(
    rules.filter((row) => row.differs).map((row) => row.key),
    ["rule bootenv"],
  );
  assert.deepEqual(options, [{ key: "3", title: "3 routers", a: "10.0.0.1", b: "", differs: true }]);
});
