/** Groups of machines with the same difference; those with documents that cannot be made come first. */

import { Link } from "../../app/router";
import { Diff } from "./kit";

export interface ShownGroup {
  fails: boolean;
  machines: readonly string[];
  documents: readonly { path: string; diff?: string; fault?: string | null }[];
  /** Documents that differ, where not all of them are there. */
  document_count?: number;
}

/** Names of a group that are shown at once. */
const NAMES_MAX = 12;

export function ChangeGroups({ groups }: { groups: readonly ShownGroup[] }) {
  return (
    <ol class="content-groups">
      {groups.map((group, i) => (
        <li key={i}>
          <details open={i < 3} class={group.fails ? "content-group content-group-bad" : "content-group"}>
            <summary>
              <strong>{group.fails ? "Fails" : "Changes"}</strong> on {group.machines.length}{" "}
              {group.machines.length === 1 ? "machine" : "machines"}: {documentWords(group)}
            </summary>
            <MachineNames names={group.machines} />
            {group.documents.map((document) => (
              <div key={document.path} class="content-change">
                <strong>{document.path}</strong>
                {document.fault && <p class="content-bad">{document.fault}</p>}
                {document.diff && <Diff unified={document.diff} />}
              </div>
            ))}
          </details>
        </li>
      ))}
    </ol>
  );
}

function documentWords(group: ShownGroup): string {
  const count = group.document_count ?? group.documents.length;
  const first = group.documents
    .map((document) => document.path)
    .slice(0, 3)
    .join(", ");
  return count > 3 ? `${first} and ${count - 3} more` : first;
}

function MachineNames({ names }: { names: readonly string[] }) {
  const link = (name: string) => (
    <li key={name}>
      <Link to={`/machines/${encodeURIComponent(`name:${name}`)}`}>{name}</Link>
    </li>
  );
  return (
    <>
      <ul class="content-names">{names.slice(0, NAMES_MAX).map(link)}</ul>
      {names.length > NAMES_MAX && (
        <details>
          <summary>{names.length - NAMES_MAX} more</summary>
          <ul class="content-names">{names.slice(NAMES_MAX).map(link)}</ul>
        </details>
      )}
    </>
  );
}
