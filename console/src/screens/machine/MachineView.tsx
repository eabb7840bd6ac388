// One machine: what it does and why, its boots, its steps, its values and files.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Link, setQuery } from "../../app/router";
import type { Params } from "../../app/screen";
import type { Machine, Run } from "../../api/schema";
import { useObject } from "../../live/collection";
import { ActionBar } from "./ActionBar";
import { EventsTab } from "./EventsTab";
import { FilesTab } from "./files/FilesTab";
import { HardwareTab } from "./HardwareTab";
import { Loading, openTab, PageHeader, Problem, StateBadge, Tabs } from "./kit";
import { ParamsTab } from "./ParamsTab";
import { RawTab } from "./RawTab";
import { FactsCard, StateCard } from "./StateCard";
import { StepsTab } from "./StepsTab";
import { TimelineTab } from "./timeline/TimelineTab";
import { useTimeline } from "./timeline/useTimeline";
import { useUsual } from "./useWorkflow";
import "./details.css";
import "./machine.css";
import "./timeline/timeline.css";

export const TABS = [
  { id: "timeline", label: "Timeline" },
  { id: "steps", label: "Steps" },
  { id: "params", label: "Params" },
  { id: "files", label: "Files" },
  { id: "hardware", label: "Hardware" },
  { id: "events", label: "Events" },
  { id: "raw", label: "Object" },
];

export function MachineView({ params }: { params: Params }): JSX.Element {
  const reference = params.ref ?? "";
  const machine = useObject<Machine>("machines", reference);
  const value = machine.value.value;
  if (!value) {
    return (
      <>
        <PageHeader title="Machine" subtitle={reference} />
        {machine.problem.value ? (
          <Problem problem={machine.problem.value} />
        ) : (
          <Loading label="Loading the machine" height={400} />
        )}
      </>
    );
  }
  return (
    <>
      {machine.isGone.value && (
        <p class="note bad" role="status">
          This machine was deleted; what is shown is its last state.
        </p>
      )}
      <Loaded key={value.id} machine={value} />
    </>
  );
}

function Loaded({ machine }: { machine: Machine }): JSX.Element {
  const timeline = useTimeline(machine);
  const { run } = machine.status;
  useEffect(() => {
    document.title = document.title.replace(/^[^·]*/, `${machine.name}: ${machine.status.state} `);
  }, [machine.name, machine.status.state]);
  const usual = useUsual(run?.workflow ?? machine.workflow ?? null);
  return (
    <>
      <PageHeader
        title={
          <span class="row">
            {machine.name} <StateBadge state={machine.status.state} />
          </span>
        }
        subtitle={<Subtitle machine={machine} />}
        tabs={<Tabs tabs={TABS} label="Views of the machine" />}
      />
      {run ? (
        <WithRun key={run.id} machine={machine} id={run.id} timeline={timeline} usual={usual} />
      ) : (
        <Views machine={machine} run={undefined} isLoading={false} timeline={timeline} usual={usual} />
      )}
    </>
  );
}

function Subtitle({ machine }: { machine: Machine }): JSX.Element {
  const { run } = machine.status;
  return (
    <span class="row">
      <code>{machine.status.address ?? (machine.macs ?? [])[0] ?? "no address"}</code>
      {run && <Link to={`/runs/${run.id}`}>{run.workflow}</Link>}
      <Link to={`/explain?who=${encodeURIComponent(machine.name)}`}>Explain what it would boot</Link>
    </span>
  );
}

interface ViewsProps {
  machine: Machine;
  run: Run | undefined;
  isLoading: boolean;
  timeline: ReturnType<typeof useTimeline>;
  usual: ReturnType<typeof useUsual>;
}

function WithRun({ id, ...rest }: Omit<ViewsProps, "run" | "isLoading"> & { id: string }): JSX.Element {
  const run = useObject<Run>("runs", id);
  return (
    <>
      {run.problem.value && <Problem problem={run.problem.value} />}
      <Views {...rest} run={run.value.value} isLoading={run.loading.value} />
    </>
  );
}

function Views({ machine, run, isLoading, timeline, usual }: ViewsProps): JSX.Element {
  const tab = openTab(TABS);
  const showEvent = (seq: number) => {
    const event = timeline.events.peek().find((one) => one.seq === seq);
    setQuery({ tab: undefined, attempt: event?.attempt ?? undefined, event: String(seq) });
  };
  return (
    <div class="machine">
      {tab === "timeline" && (
        <div class="machine-top">
          <StateCard
            machine={machine}
            run={run}
            timeline={timeline}
            usual={usual.value}
            onEvent={showEvent}
          />
          <div class="stack">
            <ActionBar machine={machine} run={run} />
            <FactsCard machine={machine} />
          </div>
        </div>
      )}
      {tab === "timeline" && <TimelineTab machine={machine} timeline={timeline} usual={usual.value} />}
      {tab === "steps" && (
        <StepsTab machine={machine} run={run} isLoading={isLoading} usual={usual.value} />
      )}
      {tab === "params" && <ParamsTab machine={machine} />}
      {tab === "files" && <FilesTab machine={machine} />}
      {tab === "hardware" && <HardwareTab machine={machine} timeline={timeline} />}
      {tab === "events" && <EventsTab timeline={timeline} />}
      {tab === "raw" && <RawTab machine={machine} />}
    </div>
  );
}
