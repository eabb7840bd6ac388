// What stands against an artifact, each with what to do.

import type { JSX } from "preact";
import { SeverityMark } from "../overview/needs";
import type { Finding } from "./artifact";

export function FindingLines({ findings }: { findings: readonly Finding[] }): JSX.Element {
  return (
    <>
      {findings.map((finding) => (
        <p key={finding.what} class="artifact-finding">
          <SeverityMark severity={finding.severity} />
          <span>
            {finding.what} <span class="muted">{finding.advice}</span>
          </span>
        </p>
      ))}
    </>
  );
}
