// Compares an attempt with the last good one of this machine, another of its attempts, or one of a sibling
// that ran the same workflow.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Run, RunList } from "../../../api/schema";
import { api } from "../../../api/client";
import { useQuery } from "../../../api/query";
import { Empty, Loading, Problem } from "../kit";
import type { Band } from "./attempts";
import { bandsOf, lastGoodAttempt, newestAttempts } from "./attempts";
import type { ComparedRow } from "./compare";
import { compareAttempts } from "./compare";
import { timeText } from "./parts";
import { readTimeline } from "./useTimeline";

interface CompareProps {
  band: Band;
  bands: Band[];
  machine: string;
  workflow: string | null;
}

const SIBLINGS_MAX = 20;

interface Sibling {
  machine: string;
  name: string;
  attempt: string;
  number: number;
}

/** Attempts of other machines that ended well with the same bootenv, the newest run first. */
export function siblingsOf(runs: Run[], band: Band, machine: string): Sibling[] {
  const found: Sibling[] = [];
  for (const run of runs) {
    if (run.machine === machine || found.some((one) => one.machine === run.machine)) continue;
    const good = (run.attempts ?? []).findLast(
      (one) => one.result === "done" && (one.bootenv ?? null) === band.bootenv,
    );
    if (good)
      found.push({ machine: run.machine, name: run.machine_name, attempt: good.id, number: good.number });
  }
  return found;
}

export function CompareAttempt({ band, bands, machine, workflow }: CompareProps): JSX.Element {
  const own = newestAttempts(bands).filter((one) => one.attempt !== band.attempt);
  const picked = useSignal("");
  const runs = useQuery(workflow ? `siblings ${workflow}` : undefined, (signal) =>
    api.get<RunList>(
      "/runs",
      {
        workflow: workflow ?? "",
        result: "complete",
        sort: "-started_at",
        limit: SIBLINGS_MAX,
        fields: "id,machine,machine_name,attempts,started_at",
      },
      { signal },
    ),
  );
  const siblings = siblingsOf((runs.data.value?.items ?? []) as Run[], band, machine);
  const good = lastGoodAttempt(bands, band);
  const firstSibling = siblings[0];
  const chosen =
    picked.value ||
    (good ? `own:${good.attempt}` : firstSibling ? `${firstSibling.machine}:${firstSibling.attempt}` : "");
  if (own.length === 0 && siblings.length === 0) {
    if (workflow && runs.loading.value) return <Loading />;
    return (
      <Empty title="Nothing to compare with">
        No other attempt is known, of this machine or of another one with the same workflow.
      </Empty>
    );
  }
  return (
    <section class="compare" aria-label="Comparison of attempts">
      <label>
        Compare with{" "}
        <select value={chosen} onChange={(event) => void (picked.value = event.currentTarget.value)}>
          {own.map((one) => (
            <option key={one.attempt} value={`own:${one.attempt}`}>
              {`this machine, attempt ${one.number ?? "?"}, ` +
                `${one.result ?? "open"}, ${timeText(one.start).slice(0, 8)}`}
            </option>
          ))}
          {siblings.map((one) => (
            <option
              key={one.attempt}
              value={`${one.machine}:${one.attempt}`}
            >{`${one.name}, attempt ${one.number}, done`}</option>
          ))}
        </select>
      </label>
      <Comparison band={band} bands={bands} chosen={chosen} />
    </section>
  );
}

function Comparison({ band, bands, chosen }: { band: Band; bands: Band[]; chosen: string }): JSX.Element {
  const [machine = "", attempt = ""] = chosen.split(":");
  const isOwn = machine === "own";
  const events = useQuery(isOwn || !attempt ? undefined : chosen, (signal) =>
    readTimeline(machine, { attempt }, signal),
  );
  const problem = events.problem.value;
  if (problem) return <Problem problem={problem} />;
  const read = events.data.value;
  const other = isOwn
    ? bands.find((one) => one.attempt === attempt)
    : read && bandsOf(read).find((one) => one.attempt === attempt);
  if (!other) return <Loading />;
  return <ComparedTable rows={compareAttempts(band, other)} />;
}

const GROUPS: Record<ComparedRow["group"], string> = { progress: "How far", dhcp: "DHCP", files: "Files" };

function ComparedTable({ rows }: { rows: ComparedRow[] }): JSX.Element {
  const differing = rows.filter((row) => row.differs).length;
  return (
    <>
      <p>
        <strong>{differing === 0 ? "Nothing differs." : `${differing} of ${rows.length} differ.`}</strong>
      </p>
      <div class="scroll-x" tabIndex={0} role="region" aria-label="Comparison">
        <table class="plain">
          <thead>
            <tr>
              <th>
                <span class="visually-hidden">Differs</span>
              </th>
              <th>What</th>
              <th>This attempt</th>
              <th>The other</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.group + row.what} class={row.differs ? "differs" : ""}>
                <td>
                  {row.differs ? (
                    <span aria-label="differs" role="img">
                      ≠
                    </span>
                  ) : (
                    ""
                  )}
                </td>
                <td>
                  <span class="muted">{GROUPS[row.group]}</span> {row.what}
                </td>
                <td class="wrap">{row.here}</td>
                <td class="wrap">{row.there}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
