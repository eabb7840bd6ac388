// The tab with the findings of doctor: what is wrong with DHCP, and what to do.

import type { JSX } from "preact";
import { Link } from "../../app/router";
import { Copy } from "../../ui/button";
import { Loading, Problem, StateBadge } from "../../ui/status";
import { useDhcpStatus } from "./data";
import { findings, type Finding, type Severity } from "./findings";

const WORDS: Record<Severity, string> = { bad: "fault", warn: "look at this", ok: "in order" };
const COMMAND = "metalwright doctor dhcp";

export function DoctorTab(): JSX.Element {
  const status = useDhcpStatus();
  const data = status.data.value;
  if (!data)
    return status.problem.value ? (
      <Problem problem={status.problem.value} onRetry={status.reload} />
    ) : (
      <Loading />
    );
  const all = findings(data);
  return (
    <div class="stack">
      {status.problem.value && <Problem problem={status.problem.value} onRetry={status.reload} />}
      {data.warnings.length > 0 && (
        <section class="warnings" aria-label="Warnings of the server">
          <h2>Warnings of the server</h2>
          <ul>
            {data.warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </section>
      )}
      <ul class="findings">
        {all.map((finding) => (
          <FindingRow key={finding.subject + finding.what} finding={finding} />
        ))}
      </ul>
      <p class="muted">
        On the server's host <code>{COMMAND}</code> <Copy text={COMMAND} label="Copy the command" /> looks
        at ports, interfaces and the firewall besides; with <code>--probe</code> it asks which servers
        answer.
      </p>
    </div>
  );
}

function FindingRow({ finding }: { finding: Finding }) {
  const { severity, subject, what, todo, to } = finding;
  return (
    <li class={`finding ${severity}`}>
      <StateBadge state={severity} tone={severity} label={WORDS[severity]} />
      <div>
        <strong>{to ? <Link to={to}>{subject}</Link> : subject}</strong>
        <div>{what}</div>
        {todo && (
          <div class="todo">
            <span class="muted">What to do: </span>
            {todo}
          </div>
        )}
      </div>
    </li>
  );
}
