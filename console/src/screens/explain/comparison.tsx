// Two answers side by side: what differs stands out, and can be all that is shown.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Card, Toggle } from "../../ui";
import { compare, type Answered, type Difference } from "./model";

interface Props {
  a: Answered;
  b: Answered;
  names: readonly [string, string];
}

export function Comparison({ a, b, names }: Props): JSX.Element {
  const onlyDifferences = useSignal(false);
  const { rules, options, classes } = compare(a, b);
  const all = [...rules, ...options, ...classes];
  const count = all.filter((row) => row.differs).length;
  const tables: [string, Difference[]][] = [
    ["Rules", rules],
    ["What is sent", options],
    ["Client classes", classes],
  ];
  return (
    <div class="stack">
      <div class="filters">
        <strong role="status">
          {count === 0 ? "Both get the same." : `${count} of ${all.length} lines differ.`}
        </strong>
        <Toggle
          label="Only what differs"
          checked={onlyDifferences.value}
          onChange={(only) => void (onlyDifferences.value = only)}
        />
      </div>
      {tables.map(([title, rows]) => {
        const shown = onlyDifferences.value ? rows.filter((row) => row.differs) : rows;
        return (
          shown.length > 0 && (
            <Card key={title} title={title}>
              <Table rows={shown} names={names} />
            </Card>
          )
        );
      })}
    </div>
  );
}

function Table({ rows, names }: { rows: Difference[]; names: readonly [string, string] }) {
  return (
    <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
      <table class="plain comparison">
        <thead>
          <tr>
            <th>Line</th>
            <th>{names[0]}</th>
            <th>{names[1]}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.key} class={row.differs ? "differs" : ""}>
              <th scope="row">
                {row.differs && (
                  <span title="differs" aria-label="differs">
                    ≠{" "}
                  </span>
                )}
                {row.title}
              </th>
              <td class="wrap">{row.a || <span class="muted">–</span>}</td>
              <td class="wrap">{row.b || <span class="muted">–</span>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
