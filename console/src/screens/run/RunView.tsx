// One run: its steps against what is usual, the documents that the machine was served, who is congruent with
// it, and failures that are alike elsewhere.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Link } from "../../app/router";
import type { Params } from "../../app/screen";
import type { Run } from "../../api/schema";
import { useObject } from "../../live/collection";
import {
  Card,
  Duration,
  Json,
  KeyValue,
  Loading,
  openTab,
  PageHeader,
  Problem,
  StateBadge,
  Tabs,
  Time,
} from "../machine/kit";
import { usualText } from "../machine/timeline/expected";
import { useUsual } from "../machine/useWorkflow";
import { Congruence } from "./CongruenceView";
import { Documents } from "./Documents";
import { Failures } from "./FailuresView";
import { StepTable } from "./StepTable";
import "../machine/details.css";
import "../machine/machine.css";
import "../machine/timeline/timeline.css";

const TABS = [
  { id: "steps", label: "Steps" },
  { id: "documents", label: "Documents as served" },
  { id: "congruence", label: "Congruence" },
  { id: "failures", label: "Failures" },
  { id: "record", label: "Record" },
];

export function RunView({ params }: { params: Params }): JSX.Element {
  const run = useObject<Run>("runs", params.ref ?? "");
  const value = run.value.value;
  if (!value) {
    return (
      <>
        <PageHeader title="Run" subtitle={params.ref} />
        {run.problem.value ? (
          <Problem problem={run.problem.value} />
        ) : (
          <Loading label="Loading the run" height={400} />
        )}
      </>
    );
  }
  return <RunPage key={value.id} run={value} />;
}

function RunPage({ run: value }: { run: Run }): JSX.Element {
  const tab = openTab(TABS);
  useEffect(() => {
    document.title = document.title.replace(/^[^·]*/, `${value.workflow} on ${value.machine_name} `);
  }, [value.workflow, value.machine_name]);
  return (
    <div class="machine run">
      <PageHeader
        title={
          <span class="row">
            {value.workflow} <StateBadge state={value.result ?? stateOf(value)} />
          </span>
        }
        subtitle={
          <>
            on <Link to={`/machines/${value.machine}`}>{value.machine_name}</Link>,{" "}
            <Time at={value.started_at} />
          </>
        }
        tabs={<Tabs tabs={TABS} label="Views of the run" />}
      />
      {tab === "steps" && <StepsView run={value} />}
      {tab === "documents" && <Documents run={value} />}
      {tab === "congruence" && <Congruence run={value} />}
      {tab === "failures" && <Failures run={value} />}
      {tab === "record" && <RecordView run={value} />}
    </div>
  );
}

/** A run without a result is open, and may be stopped at a step that failed. */
export function stateOf(run: Run): string {
  return (run.steps ?? []).some((step) => step.state === "failed") ? "failed" : "running";
}

export function cursorOf(run: Run): number | undefined {
  const at = (run.steps ?? []).findIndex((step) => step.state !== "done" && step.state !== "skipped");
  return at < 0 ? undefined : at;
}

function StepsView({ run }: { run: Run }): JSX.Element {
  const usual = useUsual(run.workflow).value;
  return (
    <>
      <Card>
        <KeyValue
          pairs={[
            ["Machine", <Link to={`/machines/${run.machine}`}>{run.machine_name}</Link>],
            [
              "Began",
              <>
                <Time at={run.started_at} absolute /> by {run.started_by || "unknown"}
              </>,
            ],
            [
              "Took",
              <>
                <Duration from={run.started_at} to={run.ended_at} />
                {usual?.total && <span class="muted">, {usualText(usual.total)}</span>}
              </>,
            ],
            !!run.reason && ["Reason", run.reason],
            run.rehearse === true && ["Rehearsal", "yes: no disk is touched"],
            (run.accepted ?? []).length > 0 && [
              "Accepted faults",
              (run.accepted ?? []).map((one) => one.message).join("; "),
            ],
          ]}
        />
      </Card>
      <Card title="Steps">
        <StepTable run={run} usual={usual} cursor={cursorOf(run)} />
      </Card>
    </>
  );
}

function RecordView({ run }: { run: Run }): JSX.Element {
  return (
    <>
      <Card title="What happened to the run">
        <ol class="event-list">
          {(run.entries ?? []).map((entry, index) => (
            <li key={index} class="event">
              <Time at={entry.at} absolute /> <code>{entry.what}</code>{" "}
              <span class="wrap">{entry.text}</span>{" "}
              <span class="muted">
                at step {entry.step}, by {entry.by}
              </span>
            </li>
          ))}
        </ol>
      </Card>
      <Attempts run={run} />
      <Card title="The object">
        <Json value={run} />
      </Card>
    </>
  );
}

function Attempts({ run }: { run: Run }): JSX.Element {
  return (
    <Card title="Boot attempts">
      <ul class="plain-list">
        {(run.attempts ?? []).map((attempt) => (
          <li key={attempt.id}>
            <Link to={`/machines/${run.machine}?attempt=${attempt.id}`}>Attempt {attempt.number}</Link>{" "}
            {attempt.bootenv ?? "local disk"} <StateBadge state={attempt.result ?? "open"} />{" "}
            <Time at={attempt.started_at} />
          </li>
        ))}
      </ul>
      {(run.attempts ?? []).length === 0 && <p class="muted">None was seen.</p>}
    </Card>
  );
}
