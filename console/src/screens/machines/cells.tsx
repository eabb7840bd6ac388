// A cell of the machine list by its kind.

import type { JSX } from "preact";
import { Link } from "../../app/router";
import { Icon } from "../../ui/icons";
import { StateBadge } from "../../ui/status";
import { Time, Truncated } from "../../ui/values";
import type { MachineColumn } from "./columns";
import type { MachineRow } from "./row";

export const machineUrl = (row: MachineRow): string => `/machines/${encodeURIComponent(row.id)}`;

export function NameCell({ row }: { row: MachineRow }): JSX.Element {
  return (
    <span class="machine-name">
      <Link to={machineUrl(row)} title={row.name}>
        {row.name}
      </Link>
      {row.locked === true && (
        <span title="locked">
          <Icon name="lock" />
          <span class="visually-hidden"> locked</span>
        </span>
      )}
    </span>
  );
}

function Step({ row }: { row: MachineRow }): JSX.Element | null {
  const total = row.status?.steps_total ?? 0;
  if (total === 0) {
    return null;
  }
  const at = Math.min(row.status?.cursor ?? 0, total);
  return (
    <span class="machine-step" title={`${at} of ${total} steps are done`}>
      <svg viewBox="0 0 40 6" aria-hidden="true">
        <rect class="fleet-track" width="40" height="6" rx="3" />
        <rect class="machine-step-done" width={(at / total) * 40} height="6" rx="3" />
      </svg>
      {`${at}/${total}`}
    </span>
  );
}

/** The texts that people copy out of the list. Buttons cost: a list that scrolls draws few of them. */
const COPIED: ReadonlySet<string> = new Set(["macs", "status.address", "serial", "smbios_uuid", "id"]);

/** A text that the cell may cut; the whole one is its title. */
function TextCell({ text, isCopied }: { text: string; isCopied: boolean }): JSX.Element {
  return isCopied ? <Truncated text={text} /> : <span title={text}>{text}</span>;
}

export function MachineCell({
  row,
  column,
}: {
  row: MachineRow;
  column: MachineColumn;
}): JSX.Element | null {
  const value = column.read(row);
  if (column.kind === "name") {
    return <NameCell row={row} />;
  }
  if (column.kind === "progress") {
    return <Step row={row} />;
  }
  if (value === null || value === "") {
    return null;
  }
  switch (column.kind) {
    case "state":
      return <StateBadge state={String(value)} />;
    case "time":
      return <Time at={String(value)} />;
    case "flag":
      return value === true ? <span>yes</span> : null;
    case "count":
      return value === 0 ? null : <span>{value}</span>;
    default:
      return <TextCell text={String(value)} isCopied={COPIED.has(column.key)} />;
  }
}
