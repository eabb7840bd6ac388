// What one looks for first: the state, why, what is waited for and until when, and what the last boot came
// to.
import type { JSX } from "preact";
import { Link } from "../../app/router";
import type { Machine, Run } from "../../api/schema";
import { Card, Copy, Duration, KeyValue, now, StateBadge, Time } from "./kit";
import type { Timeline } from "./timeline/useTimeline";
import type { Band } from "./timeline/attempts";
import { newestAttempts } from "./timeline/attempts";
import { diagnose } from "./timeline/diagnosis";
import { expectedOf } from "./timeline/expected";
import { LastLines } from "./LastLines";
import { DiagnosisLine, ExpectedLine, MilestoneStrip } from "./timeline/parts";
import type { WorkflowUsual } from "./timeline/usual";

interface StateCardProps {
  machine: Machine;
  run: Run | undefined;
  timeline: Timeline;
  usual: WorkflowUsual | null;
  onEvent: (seq: number) => void;
}

export function StateCard({ machine, run, timeline, usual, onEvent }: StateCardProps): JSX.Element {
  const { status } = machine;
  const expected = expectedOf(status, usual, now.value);
  const attempt = newestAttempts(timeline.bands.value)[0] ?? timeline.bands.value.at(-1);
  const step = run?.steps?.[status.cursor ?? 0];
  return (
    <Card class="state-card">
      <p class="state-line">
        <StateBadge state={status.state} />
        <strong class="wrap">{status.reason || "no workflow is under way"}</strong>
        {status.since && (
          <span class="muted">
            since <Time at={status.since} />
          </span>
        )}
      </p>
      {step && status.run && !status.run.ended_at && (
        <p class="muted">
          Step {(status.cursor ?? 0) + 1} of {status.steps_total ?? run?.steps?.length}: {step.kind}{" "}
          <strong>{step.name}</strong> of stage {step.stage} in{" "}
          <Link to={`/runs/${status.run.id}`}>{status.run.workflow}</Link>
          {step.started_at && (
            <>
              , for <Duration from={step.started_at} />
            </>
          )}
        </p>
      )}
      {expected && <ExpectedLine expected={expected} />}
      {status.run?.paused && (
        <p class="note warn">Paused{status.run.pause_reason ? `: ${status.run.pause_reason}` : ""}.</p>
      )}
      {status.armed_until && (
        <p class="note bad" role="status">
          <strong>
            Armed until <Time at={status.armed_until} absolute />.
          </strong>{" "}
          The next boot from the network erases {status.erases || "the disk that the installer chooses"}.
        </p>
      )}
      {machine.locked && <p class="note warn">The machine is locked.</p>}
      {attempt && <LastBoot band={attempt} onEvent={onEvent} />}
      {(machine.problems ?? []).map((problem) => (
        <p class="note bad" key={problem.pointer + problem.message}>
          <code>{problem.pointer}</code> {problem.message}
        </p>
      ))}
    </Card>
  );
}

interface LastBootProps {
  band: Band;
  onEvent: (seq: number) => void;
}

/** What the last boot came to; without one, only what failed. */
function LastBoot({ band, onEvent }: LastBootProps): JSX.Element | null {
  const found = diagnose(band, now.value);
  const isBoot = band.attempt !== null;
  if (!isBoot && found.tone !== "bad") return null;
  return (
    <div class="last-boot">
      {isBoot && (
        <p class="muted">
          Last boot: attempt {band.number ?? "?"}, <Time at={band.start} />
        </p>
      )}
      <DiagnosisLine diagnosis={found} onShow={onEvent} />
      {found.job !== null && found.tone === "bad" && <LastLines key={found.job} job={found.job} />}
      {isBoot && <MilestoneStrip band={band} />}
    </div>
  );
}

function Codes({ values }: { values: string[] }): JSX.Element {
  return (
    <>
      {values.map((value) => (
        <span key={value} class="code-copy">
          <code>{value}</code>
          <Copy text={value} label={`Copy ${value}`} />
        </span>
      ))}
    </>
  );
}

export function FactsCard({ machine }: { machine: Machine }): JSX.Element {
  const { status } = machine;
  const labels = Object.entries(machine.labels ?? {});
  return (
    <Card title="Machine">
      <KeyValue
        pairs={[
          [
            "Address",
            status.address ? (
              <Codes values={[status.address]} />
            ) : (
              <span class="muted">none on record</span>
            ),
          ],
          ["MAC addresses", <Codes values={machine.macs ?? []} />],
          ["Serial", machine.serial ?? <span class="muted">not set</span>],
          [
            "System UUID",
            machine.smbios_uuid ? (
              <Codes values={[machine.smbios_uuid]} />
            ) : (
              <span class="muted">not set</span>
            ),
          ],
          ["Architecture", machine.arch ?? "amd64"],
          ["Channel", machine.channel ?? <span class="muted">that of its profiles, else prod</span>],
          [
            "Profiles",
            (machine.profiles ?? []).length > 0 ? (
              <>
                {(machine.profiles ?? []).map((name) => (
                  <Link key={name} to={`/content/profiles/${encodeURIComponent(name)}`}>
                    {name}{" "}
                  </Link>
                ))}
              </>
            ) : (
              <span class="muted">none</span>
            ),
          ],
          ["Workflow", machine.workflow ?? <span class="muted">not set</span>],
          labels.length > 0 && ["Labels", labels.map(([key, value]) => `${key}=${value}`).join(", ")],
          [
            "Last heard",
            status.last_seen ? <Time at={status.last_seen} /> : <span class="muted">never</span>,
          ],
        ]}
      />
    </Card>
  );
}
