// What waits for a person, the most urgent first. Each row leads to its list, each item to its page.

import type { JSX } from "preact";
import { Link } from "../../app/router";
import { Card } from "../../ui/page";
import { Time, Truncated } from "../../ui/values";
import {
  itemUrl,
  needAdvice,
  needTitle,
  needUrl,
  type NeedItem,
  type NeedRow,
  type Severity,
} from "./summary";

const SEVERITY_WORDS: Record<Severity, string> = { fail: "Fault", warn: "Warning", info: "Note" };

/** A mark whose shape says as much as its colour. */
export function SeverityMark({ severity }: { severity: Severity }): JSX.Element {
  return (
    <svg
      class={`fleet-mark fleet-mark-${severity}`}
      viewBox="0 0 16 16"
      role="img"
      aria-label={SEVERITY_WORDS[severity]}
    >
      {severity === "fail" && <path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" />}
      {severity === "warn" && <path d="M8 1l7.5 14H.5z" />}
      {severity === "info" && <circle cx="8" cy="8" r="7" />}
      <path class="fleet-mark-sign" d={severity === "info" ? "M8 7v5M8 4v1" : "M8 5v5M8 12v1"} />
    </svg>
  );
}

function NeedEntry({ row, item }: { row: NeedRow; item: NeedItem }): JSX.Element {
  return (
    <li class="fleet-need-item">
      <Link to={itemUrl(row, item)}>{item.name}</Link>
      {item.reason !== undefined && item.reason !== "" && (
        <Truncated text={row.kind === "armed" ? `erases ${item.reason}` : item.reason} />
      )}
      <span class="fleet-need-time">
        {item.until !== undefined ? (
          <>
            until <Time at={item.until} />
          </>
        ) : (
          item.since !== undefined && <Time at={item.since} />
        )}
      </span>
    </li>
  );
}

function NeedBlock({ row }: { row: NeedRow }): JSX.Element {
  const more = row.count - row.items.length;
  return (
    <section class="fleet-need">
      <h3>
        <SeverityMark severity={row.severity} />
        <Link to={needUrl(row)}>{needTitle(row)}</Link>
      </h3>
      <p class="fleet-advice">{needAdvice(row)}</p>
      {row.items.length > 0 && (
        <ul>
          {row.items.map((item) => (
            <NeedEntry key={item.ref} row={row} item={item} />
          ))}
        </ul>
      )}
      {more > 0 && row.items.length > 0 && (
        <Link class="fleet-more" to={needUrl(row)}>{`and ${more.toLocaleString("en")} more`}</Link>
      )}
    </section>
  );
}

export function Needs({ rows }: { rows: readonly NeedRow[] }): JSX.Element {
  return (
    <Card title="Needs somebody">
      {rows.length === 0 ? (
        <p class="fleet-calm">Nothing waits for a person.</p>
      ) : (
        rows.map((row) => <NeedBlock key={row.kind} row={row} />)
      )}
    </Card>
  );
}
