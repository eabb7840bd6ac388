// What a bulk action would do, or did: how many, what is erased, who is refused and why.

import type { JSX } from "preact";
import { Link } from "../../../app/router";
import { countMachines } from "../filters";
import { erasedThings, type BulkItem, type BulkSummary, type RefusalGroup } from "./report";

/** Most names that one group lists. */
const NAMES_MAX = 200;

function MachineNames({ items }: { items: readonly BulkItem[] }): JSX.Element {
  const shown = items.slice(0, NAMES_MAX);
  return (
    <details class="bulk-names">
      <summary>{shown.length === 1 ? "Which machine" : "Which machines"}</summary>
      <ul>
        {shown.map((item) => (
          <li key={item.ref}>
            <Link to={`/machines/${encodeURIComponent(item.ref)}`}>{item.name ?? item.ref}</Link>
          </li>
        ))}
        {items.length > shown.length && <li>{`and ${items.length - shown.length} more`}</li>}
      </ul>
    </details>
  );
}

function Refusal({ group }: { group: RefusalGroup }): JSX.Element {
  return (
    <li>
      <strong>{countMachines(group.items.length)}</strong>
      {`: ${group.reason} `}
      <code class="bulk-code">{group.code}</code>
      <MachineNames items={group.items} />
    </li>
  );
}

interface ReportProps {
  summary: BulkSummary;
  /** `would be paused`, `were paused` */
  outcome: string;
  unchanged: number;
  /** Whether what is erased is listed elsewhere. */
  hidesErased?: boolean;
}

export function ReportView({ summary, outcome, unchanged, hidesErased = false }: ReportProps): JSX.Element {
  const erased = erasedThings(summary);
  return (
    <div class="bulk-report">
      <p class="bulk-headline">
        <strong>{countMachines(summary.done.length)}</strong> {outcome}.
      </p>
      {summary.done.length > 0 && <MachineNames items={summary.done} />}
      {!hidesErased && erased.length > 0 && (
        <section class="bulk-erases">
          <h3>What the next boot erases</h3>
          <ul>
            {erased.map(([what, machines]) => (
              <li key={what}>{`${what}: on ${countMachines(machines)}`}</li>
            ))}
          </ul>
        </section>
      )}
      {unchanged > 0 && <p>{`${countMachines(unchanged)} already as wanted: nothing is sent for them.`}</p>}
      {summary.refusals.length > 0 && (
        <section class="bulk-refusals">
          <h3>{`Refused: ${countMachines(summary.refused)}`}</h3>
          <ul>
            {summary.refusals.map((group) => (
              <Refusal key={`${group.code} ${group.reason}`} group={group} />
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}
