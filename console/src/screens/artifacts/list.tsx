// All artifacts: state with progress, what needs them, size, what stands against them. Below, what bootenvs
// name and nobody made.

import type { JSX } from "preact";
import { location, Link, setQuery } from "../../app/router";
import { may } from "../../app/session";
import { useQuery } from "../../api/query";
import { api } from "../../api/client";
import { useCollection } from "../../live/collection";
import {
  Bytes,
  Button,
  Card,
  Empty,
  Loading,
  PageHeader,
  plural,
  Problem,
  ProgressBar,
  StateBadge,
  Time,
  Truncated,
} from "../../ui";
import { ArtifactActions } from "./actions";
import {
  absentArtifacts,
  diskUse,
  findingsOf,
  isAtWork,
  methodText,
  originText,
  workText,
  type Artifact,
  type Need,
} from "./artifact";
import { FindingLines } from "./findings";
import { useNeeds } from "./content";
import { CreateArtifact } from "./create";
import { PruneDialog } from "./prune";

const NO_NEED: Need = { bootenvs: [], workflows: [] };
const closeDialog = (): void => setQuery({ dialog: undefined, make: undefined }, { replace: true });

export const artifactUrl = (name: string): string => `/artifacts/${encodeURIComponent(name)}`;

export function Work({ artifact }: { artifact: Artifact }): JSX.Element | null {
  if (!isAtWork(artifact)) {
    return null;
  }
  const { percent } = artifact.status;
  const text = workText(artifact);
  return typeof percent === "number" ? (
    <ProgressBar value={percent} label={`${artifact.name}: ${text}`} />
  ) : (
    <span class="muted">{text}</span>
  );
}

function ArtifactRow({ artifact, need }: { artifact: Artifact; need: Need }): JSX.Element {
  const { status } = artifact;
  const findings = findingsOf(artifact);
  const size = status.mirror ? status.mirror.cached_bytes : status.size;
  return (
    <li class="artifact-row">
      <div class="artifact-head">
        <Link to={artifactUrl(artifact.name)}>{artifact.name}</Link>
        <StateBadge
          state={status.state}
          tone={status.state === "missing" ? "bad" : status.state === "extracting" ? "busy" : undefined}
        />
        <span class="muted">{methodText(artifact)}</span>
      </div>
      <div class="artifact-origin">
        <Truncated text={originText(artifact)} mono />
      </div>
      <Work artifact={artifact} />
      <FindingLines findings={findings} />
      <div class="artifact-facts">
        <span>
          <Bytes value={size} />
          {status.mirror ? " kept" : ""}, {plural(status.mirror?.cached_files ?? status.files, "file")}
        </span>
        <span>
          {status.verified_at ? (
            <>
              verified <Time at={status.verified_at} />
            </>
          ) : (
            "never verified"
          )}
        </span>
        <span class={need.bootenvs.length === 0 ? "muted" : undefined}>
          {need.bootenvs.length === 0 ? "no bootenv needs it" : `needed by ${need.bootenvs.join(", ")}`}
        </span>
      </div>
      <ArtifactActions artifact={artifact} neededBy={need.bootenvs} />
    </li>
  );
}

/** What bootenvs name and nobody made. */
function Absent({ rows }: { rows: readonly [string, Need][] }): JSX.Element | null {
  if (rows.length === 0) {
    return null;
  }
  return (
    <Card title="Named by bootenvs, and not there">
      <p class="muted">Workflows with these bootenvs cannot be started until the artifact is made.</p>
      <ul class="artifact-absent">
        {rows.map(([name, need]) => (
          <li key={name}>
            <code>{name}</code>
            <span class="grow muted">{`for ${need.bootenvs.join(", ")}`}</span>
            {may("artifacts:write") && (
              <Button
                size="small"
                onClick={() => setQuery({ dialog: "create", make: name })}
              >{`Make ${name}`}</Button>
            )}
          </li>
        ))}
      </ul>
    </Card>
  );
}

interface StoreStatus {
  store: { free_bytes?: number | null; is_short_of_space: boolean };
}

function DiskUse({ artifacts }: { artifacts: readonly Artifact[] }): JSX.Element {
  const { served, cached, files } = diskUse(artifacts);
  const mayDhcp = may("dhcp:read");
  const status = useQuery(mayDhcp ? "disk" : undefined, (signal) =>
    api.get<StoreStatus>("/dhcp/status", undefined, { signal, quiet: true }),
  );
  const free = status.data.value?.store.free_bytes;
  return (
    <p class="artifact-disk">
      <span>
        <Bytes value={served} /> in {plural(files, "file")}
      </span>
      {cached > 0 && (
        <span>
          <Bytes value={cached} /> kept by mirrors
        </span>
      )}
      {typeof free === "number" && (
        <span class={status.data.value?.store.is_short_of_space === true ? "fleet-bad" : undefined}>
          <Bytes value={free} /> free on the server's disk
        </span>
      )}
    </p>
  );
}

/** The list's filter of the URL: every word that is no word of the page. */
function filterOf(query: URLSearchParams): URLSearchParams {
  const filter = new URLSearchParams(query);
  for (const word of ["dialog", "make", "sort", "tab"]) filter.delete(word);
  return filter;
}

export function ArtifactList(): JSX.Element {
  const { query } = location.value;
  const filter = filterOf(query);
  const list = useCollection<Artifact>("artifacts", { filter, sort: "name" });
  const needs = useNeeds();
  const rows = list.rows.value;
  const isFiltered = filter.size > 0;
  const problem = list.problem.value;
  const isReading = list.state.value === "loading" && rows.length === 0;
  return (
    <div class="stack">
      <PageHeader
        title="Artifacts"
        subtitle={
          isFiltered
            ? `${plural(rows.length, "artifact")} with ${filter.toString()}`
            : plural(rows.length, "artifact")
        }
        actions={may("artifacts:write") && <Actions />}
      />
      {isFiltered && (
        <div>
          <Link to="/artifacts">Show all artifacts</Link>
        </div>
      )}
      {problem !== undefined && <Problem problem={problem} onRetry={list.reload} />}
      {isReading && <Loading label="Reading the artifacts" height={300} />}
      {!isReading && rows.length > 0 && <DiskUse artifacts={rows} />}
      {!isReading && rows.length === 0 && problem === undefined && <NoArtifacts isFiltered={isFiltered} />}
      <ul class="artifact-list">
        {rows.map((artifact) => (
          <ArtifactRow key={artifact.name} artifact={artifact} need={needs.get(artifact.name) ?? NO_NEED} />
        ))}
      </ul>
      {!isReading && !isFiltered && <Absent rows={absentArtifacts(needs, rows)} />}
      {query.get("dialog") === "create" && (
        <CreateArtifact name={query.get("make") ?? ""} onClose={closeDialog} />
      )}
      {query.get("dialog") === "prune" && <PruneDialog onClose={closeDialog} />}
    </div>
  );
}

function Actions(): JSX.Element {
  return (
    <>
      <Button icon="trash" onClick={() => setQuery({ dialog: "prune" })}>
        Prune…
      </Button>
      <Button kind="primary" icon="plus" onClick={() => setQuery({ dialog: "create" })}>
        New artifact
      </Button>
    </>
  );
}

function NoArtifacts({ isFiltered }: { isFiltered: boolean }): JSX.Element {
  return (
    <Empty
      title={isFiltered ? "No artifact passes this filter" : "There are no artifacts yet"}
      actions={
        !isFiltered &&
        may("artifacts:write") && (
          <Button kind="primary" icon="plus" onClick={() => setQuery({ dialog: "create" })}>
            New artifact
          </Button>
        )
      }
    >
      An artifact is the kernel, initrd or tree that machines fetch.
    </Empty>
  );
}
