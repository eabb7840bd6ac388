// Machines by state: a bar of shares, and a count for each state that leads to the filtered list.

import type { JSX } from "preact";
import { Link } from "../../app/router";
import { StateBadge } from "../../ui/status";
import { stateCounts, type MachineCounts } from "./summary";

function ShareBar({ counts }: { counts: MachineCounts }): JSX.Element {
  let x = 0;
  const rects = stateCounts(counts).map(({ state, count, share }) => {
    const rect = (
      <rect key={state} class={`fleet-state-${state}`} x={x * 1000} y={0} width={share * 1000} height={12}>
        <title>{`${state}: ${count.toLocaleString("en")}`}</title>
      </rect>
    );
    x += share;
    return rect;
  });
  return (
    <svg
      class="fleet-share"
      viewBox="0 0 1000 12"
      preserveAspectRatio="none"
      role="img"
      aria-label="Share of each state"
    >
      {rects}
    </svg>
  );
}

const TRAITS = [
  ["armed", "armed to erase", "status.armed_until[exists]=true"],
  ["overdue", "overdue", "status.waiting.overdue=true"],
  ["paused", "paused", "status.run.paused=true"],
  ["locked", "locked", "locked=true"],
] as const;

export function MachineStates({ counts }: { counts: MachineCounts }): JSX.Element {
  return (
    <section class="fleet-states" aria-label="Machines by state">
      <ShareBar counts={counts} />
      <ul class="fleet-tiles">
        <li>
          <Link to="/machines" class="fleet-tile">
            <strong>{counts.total.toLocaleString("en")}</strong>
            <span>all machines</span>
          </Link>
        </li>
        {stateCounts(counts).map(({ state, count }) => (
          <li key={state}>
            <Link
              to={`/machines?status.state=${state}`}
              class={count === 0 ? "fleet-tile fleet-none" : "fleet-tile"}
            >
              <strong>{count.toLocaleString("en")}</strong>
              <StateBadge state={state} />
            </Link>
          </li>
        ))}
      </ul>
      <ul class="fleet-traits">
        {TRAITS.filter(([key]) => counts[key] > 0).map(([key, label, filter]) => (
          <li key={key}>
            <Link to={`/machines?${filter}`}>{`${counts[key].toLocaleString("en")} ${label}`}</Link>
          </li>
        ))}
      </ul>
    </section>
  );
}
