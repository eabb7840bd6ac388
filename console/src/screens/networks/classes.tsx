// The tab with the client classes: firmware with wishes of its own, in the order in which they apply.

import type { JSX } from "preact";
import { Link } from "../../app/router";
import { useCollection } from "../../live/collection";
import { Empty, Loading, Problem } from "../../ui/status";
import type { ClientClass } from "./types";

export function ClassesTab(): JSX.Element {
  const classes = useCollection<ClientClass>("client_classes");
  const rows = [...classes.rows.value].sort((a, b) => a.order - b.order || a.name.localeCompare(b.name));
  if (classes.problem.value && rows.length === 0)
    return <Problem problem={classes.problem.value} onRetry={classes.reload} />;
  if (classes.state.value === "loading" && rows.length === 0) return <Loading />;
  if (rows.length === 0)
    return (
      <Empty title="No client class">
        A client class gives clients by what they send other options or boot files.
      </Empty>
    );
  return (
    <div class="stack">
      <p class="muted">
        Classes apply in this order; the options of a later class win. Explain shows for a client why a
        class does not match.
      </p>
      <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
        <table class="plain">
          <thead>
            <tr>
              <th>Order</th>
              <th>Class</th>
              <th>Matches</th>
              <th>Gives</th>
              <th>From</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.name} id={`class-${row.name}`}>
                <td>{row.order}</td>
                <td>
                  <Link to={`/objects/client_classes/${encodeURIComponent(row.name)}`} class="strong">
                    {row.name}
                  </Link>
                  {row.description && <div class="muted">{row.description}</div>}
                  {row.problems.map((problem) => (
                    <div class="warn-text" key={problem.pointer}>
                      ⚠ {problem.message}
                    </div>
                  ))}
                </td>
                <td>
                  <Conditions match={row.match} />
                </td>
                <td>
                  <Gives row={row} />
                </td>
                <td>{row.source}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function Conditions({ match }: { match: Record<string, unknown> }) {
  const entries = Object.entries(match);
  if (entries.length === 0) return <span class="muted">every client</span>;
  return (
    <ul class="bare">
      {entries.map(([name, value]) => (
        <li key={name}>
          <span class="muted">{name.replace(/_/g, " ")}</span> <code>{words(value)}</code>
        </li>
      ))}
    </ul>
  );
}

const words = (value: unknown): string =>
  Array.isArray(value)
    ? value.map(words).join(", ")
    : typeof value === "object"
      ? JSON.stringify(value)
      : String(value);

/** Fields that every object has, or that stand in another column. */
const NOT_GIVEN = new Set([
  "name",
  "order",
  "description",
  "match",
  "labels",
  "problems",
  "source",
  "revision",
  "commit",
  "created_at",
  "updated_at",
  "hides",
]);

function Gives({ row }: { row: ClientClass }) {
  const given = Object.entries(row).filter(([name, value]) => {
    const isEmpty =
      value === null ||
      value === "" ||
      value === false ||
      (typeof value === "object" && value !== null && Object.keys(value).length === 0);
    return !NOT_GIVEN.has(name) && !isEmpty;
  });
  if (given.length === 0) return <span class="muted">nothing of its own</span>;
  return (
    <ul class="bare">
      {given.map(([name, value]) => (
        <li key={name}>
          <span class="muted">{name.replace(/_/g, " ")}</span> <code>{words(value)}</code>
        </li>
      ))}
    </ul>
  );
}
