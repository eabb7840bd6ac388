// The columns of the two lists.

import type { JSX } from "preact";
import type { ServerEvent } from "../../live/feed";
import { setQuery } from "../../app/router";
import { Link } from "../../app/router";
import { Button } from "../../ui/button";
import { countText } from "../../ui/format";
import { StateBadge } from "../../ui/status";
import type { Column } from "../../ui/table";
import { Time } from "../../ui/values";
import { subjectPath } from "../objects/links";
import { describe, patchOf, toneOfKind } from "./describe";
import { isGap, type Gap, type LogRow } from "./log";
import type { MachineNames } from "./names";

type FillGap = (gap: Gap) => void;

const cell = (row: LogRow, show: (event: ServerEvent) => JSX.Element | string): JSX.Element | string =>
  isGap(row) ? "" : show(row);

export function Subject({ subject, names }: { subject: string; names: MachineNames }): JSX.Element {
  const to = subjectPath(subject);
  const text = names(subject);
  return to ? (
    <Link to={to} title={subject}>
      {text}
    </Link>
  ) : (
    <span title={subject}>{text}</span>
  );
}

/** Who caused it; a token leads to all that was done with it. */
export function Actor({ actor, names }: { actor: string; names: MachineNames }): JSX.Element {
  if (actor.startsWith("token:")) {
    const token = actor.slice("token:".length);
    return (
      <Link
        to={`/activity?tab=audit&by=${encodeURIComponent(token)}`}
        title={`What was done with the token ${token}`}
      >
        {token}
      </Link>
    );
  }
  return <Subject subject={actor} names={names} />;
}

function GapCell({ gap, onFill }: { gap: Gap; onFill: FillGap }): JSX.Element {
  return (
    <span class="gap-row">
      {countText(gap.count)} events skipped here{" "}
      <Button size="small" onClick={() => onFill(gap)}>
        Read them
      </Button>
    </span>
  );
}

const timeColumn: Column<LogRow> = {
  key: "time",
  title: "Time",
  width: "110px",
  sort: false,
  value: (row) => (isGap(row) ? "" : row.time),
  render: (row) => cell(row, (event) => <Time at={event.time} />),
};
const seqColumn: Column<LogRow> = {
  key: "seq",
  title: "Number",
  width: "100px",
  sort: false,
  align: "end",
  optional: true,
  value: (row) => (isGap(row) ? null : row.seq),
  render: (row) => cell(row, (event) => String(event.seq)),
};
const requestColumn: Column<LogRow> = {
  key: "request_id",
  title: "Request",
  width: "130px",
  sort: false,
  optional: true,
  value: (row) => (isGap(row) ? null : row.request_id),
  render: (row) => cell(row, (event) => event.request_id ?? ""),
};

const kindColumn = (onFill: FillGap): Column<LogRow> => ({
  key: "kind",
  title: "Kind",
  width: "220px",
  sort: false,
  value: (row) => (isGap(row) ? "" : row.kind),
  render: (row) => (isGap(row) ? <GapCell gap={row} onFill={onFill} /> : <KindButton event={row} />),
});

/** Opens the event beside the list. */
function KindButton({ event }: { event: ServerEvent }): JSX.Element {
  return (
    <button
      type="button"
      class="kind-button"
      title={`Show event ${event.seq}`}
      onClick={() => setQuery({ event: String(event.seq) })}
    >
      <StateBadge state={event.kind} label={event.kind} tone={toneOfKind(event.kind)} />
    </button>
  );
}

const subjectColumn = (names: MachineNames): Column<LogRow> => ({
  key: "subject",
  title: "About",
  width: "170px",
  sort: false,
  value: (row) => (isGap(row) ? "" : row.subject),
  render: (row) => cell(row, (event) => <Subject subject={event.subject} names={names} />),
});
const actorColumn = (names: MachineNames): Column<LogRow> => ({
  key: "actor",
  title: "By",
  width: "120px",
  sort: false,
  value: (row) => (isGap(row) ? "" : row.actor),
  render: (row) => cell(row, (event) => <Actor actor={event.actor} names={names} />),
});

export function eventColumns(names: MachineNames, onFill: FillGap): Column<LogRow>[] {
  return [
    timeColumn,
    kindColumn(onFill),
    subjectColumn(names),
    {
      key: "text",
      title: "What",
      width: "minmax(240px, 1fr)",
      sort: false,
      value: (row) => (isGap(row) ? "" : describe(row)),
    },
    { ...actorColumn(names), minPage: 700 },
    seqColumn,
    requestColumn,
  ];
}

export function auditColumns(names: MachineNames, onFill: FillGap): Column<LogRow>[] {
  return [
    timeColumn,
    actorColumn(names),
    kindColumn(onFill),
    subjectColumn(names),
    {
      key: "change",
      title: "Change",
      width: "minmax(260px, 1fr)",
      sort: false,
      value: (row) => (isGap(row) ? "" : changeText(row)),
    },
    seqColumn,
    { ...requestColumn, optional: false, minPage: 1100 },
  ];
}

/** A change in one line: `/workflow = "install", − /labels/rack`. */
function changeText(event: ServerEvent): string {
  const steps = patchOf(event);
  if (!steps) return describe(event);
  return steps
    .map((step) => {
      if (step.op === "remove") return `− ${step.path}`;
      const value = JSON.stringify(step.value) ?? "";
      return `${step.path} = ${value.length > 60 ? `${value.slice(0, 59)}…` : value}`;
    })
    .join(", ");
}
