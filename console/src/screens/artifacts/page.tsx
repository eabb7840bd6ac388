// The page of one artifact: how it stands, what to do, what needs it, where its files come from.

import type { JSX } from "preact";
import { go, Link, location, setQuery } from "../../app/router";
import { useObject } from "../../live/collection";
import {
  Button,
  Bytes,
  Card,
  KeyValue,
  Loading,
  PageHeader,
  Problem,
  StateBadge,
  Time,
  Truncated,
} from "../../ui";
import { may } from "../../app/session";
import { ObjectEditor } from "../../ui/object-editor";
import { ArtifactActions } from "./actions";
import {
  findingsOf,
  methodText,
  originText,
  type Artifact,
  type MirrorFigures,
  type Need,
} from "./artifact";
import { useNeeds } from "./content";
import { FindingLines } from "./findings";
import { Work } from "./list";

const NO_NEED: Need = { bootenvs: [], workflows: [] };

export function ArtifactPage({ name }: { name: string }): JSX.Element {
  const object = useObject<Artifact>("artifacts", name);
  const needs = useNeeds();
  const artifact = object.value.value;
  if (artifact === undefined) {
    const problem = object.problem.value;
    return (
      <div class="stack">
        <PageHeader title={name} />
        {problem === undefined ? (
          <Loading label="Reading the artifact" />
        ) : (
          <Problem problem={problem} onRetry={object.reload} />
        )}
        <Link to="/artifacts">All artifacts</Link>
      </div>
    );
  }
  const need = needs.get(artifact.name) ?? NO_NEED;
  return (
    <div class="stack">
      <PageHeader
        title={artifact.name}
        subtitle={
          <>
            <StateBadge state={artifact.status.state} /> {methodText(artifact)}
            {artifact.description ? `, ${artifact.description}` : ""}
          </>
        }
        actions={
          <ArtifactActions
            artifact={artifact}
            neededBy={need.bootenvs}
            onDeleted={() => go("/artifacts")}
          />
        }
      />
      {object.isGone.value && <p class="fleet-bad">This artifact was deleted; here is its last state.</p>}
      <Work artifact={artifact} />
      <Findings artifact={artifact} />
      <div class="grid-cards">
        <Files artifact={artifact} />
        <Source artifact={artifact} />
        <Needed need={need} />
        {artifact.status.mirror && <Mirror mirror={artifact.status.mirror} />}
        <Repositories artifact={artifact} />
      </div>
      <Raw artifact={artifact} />
    </div>
  );
}

/** The object itself, to change what no field above has. The editor loads when it is opened. */
function Raw({ artifact }: { artifact: Artifact }): JSX.Element {
  const isOpen = location.value.query.get("show") === "object";
  return (
    <Card
      title="The object"
      actions={
        <Button
          size="small"
          onClick={() => setQuery({ show: isOpen ? undefined : "object" }, { replace: true })}
        >
          {isOpen ? "Close the editor" : "Edit as YAML or JSON"}
        </Button>
      }
    >
      {isOpen && (
        <ObjectEditor
          collection="artifacts"
          objectKey={artifact.name}
          object={{ ...artifact }}
          readOnly={
            may("artifacts:write") ? undefined : "The session may read artifacts and not change them."
          }
        />
      )}
    </Card>
  );
}

function Findings({ artifact }: { artifact: Artifact }): JSX.Element | null {
  const findings = findingsOf(artifact);
  return findings.length === 0 ? null : (
    <Card title="What stands against it">
      <FindingLines findings={findings} />
    </Card>
  );
}

const copied = (text: string | null | undefined): JSX.Element | undefined =>
  text ? <Truncated text={text} mono /> : undefined;

function Files({ artifact }: { artifact: Artifact }): JSX.Element {
  const { status } = artifact;
  return (
    <Card title="Files">
      <KeyValue
        pairs={[
          ["Size", <Bytes value={status.size} />],
          ["Files", status.files.toLocaleString("en")],
          ["Boot path", copied(status.boot_path)],
          ["SHA-256", copied(status.sha256)],
          ["Verified", status.verified_at ? <Time at={status.verified_at} /> : "never"],
          ["Kind", artifact.kind === "file" ? "one file" : "tree"],
          ["Also at", (artifact.mounts ?? []).map((mount) => mountText(mount)).join("; ") || undefined],
        ]}
      />
    </Card>
  );
}

const mountText = ({ path, machines = [] }: { path: string; machines?: string[] }): string =>
  `/${path}${machines.length === 0 ? "" : ` for ${machines.join(", ")}`}`;

function Source({ artifact }: { artifact: Artifact }): JSX.Element {
  const { fetch, status } = artifact;
  const isNew =
    status.served_origin !== undefined &&
    status.served_origin !== "" &&
    status.served_origin !== status.origin;
  return (
    <Card title="Source">
      <KeyValue
        pairs={[
          [fetch?.url ? "URL" : "Path", copied(originText(artifact))],
          ["Checksum", copied(fetch?.checksum)],
          ["Without checksum", fetch?.unverified === true ? "accepted" : undefined],
          ["Proxy", copied(fetch?.proxy)],
          ["Single files", fetch?.files?.map((file) => file.path).join(", ")],
          ["Served now", isNew ? copied(status.served_origin) : undefined],
          ["Allowed folders", status.roots === "outside" ? "outside of artifacts.roots" : undefined],
          ["Changed", artifact.updated_at ? <Time at={artifact.updated_at} /> : undefined],
        ]}
      />
    </Card>
  );
}

function Needed({ need }: { need: Need }): JSX.Element {
  return (
    <Card title="What needs it">
      {need.bootenvs.length === 0 ? (
        <p class="muted">No bootenv names it.</p>
      ) : (
        <KeyValue
          pairs={[
            [
              "Bootenvs",
              <ul class="artifact-names">
                {need.bootenvs.map((bootenv) => (
                  <li key={bootenv}>
                    <Link to={`/content/bootenvs/${encodeURIComponent(bootenv)}`}>{bootenv}</Link>
                  </li>
                ))}
              </ul>,
            ],
            [
              "Workflows",
              need.workflows.length === 0 ? (
                "none"
              ) : (
                <ul class="artifact-names">
                  {need.workflows.map((workflow) => (
                    <li key={workflow}>
                      <Link to={`/machines?status.run.workflow=${encodeURIComponent(workflow)}`}>
                        {workflow}
                      </Link>
                    </li>
                  ))}
                </ul>
              ),
            ],
          ]}
        />
      )}
    </Card>
  );
}

function Mirror({ mirror }: { mirror: MirrorFigures }): JSX.Element {
  const number = (value: number | undefined): string => (value ?? 0).toLocaleString("en");
  return (
    <Card title="Mirror">
      <KeyValue
        pairs={[
          [
            "Upstream",
            mirror.upstream_answers ? "answers" : <strong class="fleet-bad">does not answer</strong>,
          ],
          [
            "Kept",
            <>
              <Bytes value={mirror.cached_bytes} /> of <Bytes value={mirror.bytes_max} />
            </>,
          ],
          ["Kept files", number(mirror.cached_files)],
          ["Served from the cache", number(mirror.hits)],
          ["Fetched files", number(mirror.misses)],
          ["Served although possibly old", number(mirror.stale)],
          ["Not to be had", number(mirror.failures)],
          ["Deleted to make room", number(mirror.evicted)],
          ["From the upstream", <Bytes value={mirror.fetched_bytes ?? 0} />],
          ["To clients", <Bytes value={mirror.served_bytes ?? 0} />],
        ]}
      />
      <p class="muted">Counted since the server's start.</p>
    </Card>
  );
}

function Repositories({ artifact }: { artifact: Artifact }): JSX.Element | null {
  const { repositories = [] } = artifact.status;
  return repositories.length === 0 ? null : (
    <Card title="Package repositories">
      <ul class="artifact-names">
        {repositories.map((one) => (
          <li key={`${one.package_type} ${one.path ?? ""} ${one.distribution ?? ""}`}>
            {[one.package_type, one.distribution, one.path, (one.components ?? []).join(" ")]
              .filter((word) => word)
              .join(" ")}
            <span class="muted">
              {one.install_source === true ? ", install source" : ""}
              {one.signed === true ? ", signed" : ", not signed"}
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}
