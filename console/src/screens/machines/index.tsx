import { useSignal } from "@preact/signals";
import type { Machine } from "../../api/schema";
import { go, Link, location } from "../../app/router";
import type { Screen } from "../../app/screen";
import { useCollection } from "../../live/collection";
import { PageHeader, Problem, StateBadge, Table, type Column } from "../../ui";

const COLUMNS: Array<Column<Machine>> = [
  { key: "name", title: "Name", value: (m) => m.name, width: "minmax(140px, 1fr)", render: (m) => <Link to={`/machines/${m.id}`}>{m.name}</Link> },
  { key: "state", title: "State", value: (m) => m.status.state, width: "140px", render: (m) => <StateBadge state={m.status.state} /> },
  { key: "address", title: "Address", value: (m) => m.status.address, width: "140px" },
];

function Machines() {
  const list = useCollection<Machine>("machines", { filter: location.value.query, fields: ["name", "status"] });
  const selection = useSignal<ReadonlySet<string>>(new Set());
  return (
    <>
      <PageHeader title="Machines" subtitle={`${list.total.value} machines`} />
      {list.problem.value && <Problem problem={list.problem.value} onRetry={list.reload} />}
      <Table name="machines" label="Machines" columns={COLUMNS} rows={list.rows} rowKey={(m) => m.id} selection={selection}
        onOpen={(m) => go(`/machines/${m.id}`)} />
    </>
  );
}

export const screens: Screen[] = [{
  path: "/machines",
  title: () => "Machines",
  nav: { label: "Machines", group: "Fleet", order: 2, icon: "machines" },
  needs: "machines:read",
  key: "m",
  view: Machines,
}];
