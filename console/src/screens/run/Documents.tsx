// The documents that the machine was served during a run, as they were, beside what it would get now.
import type { JSX } from "preact";
import { location, setQuery } from "../../app/router";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import type { Run, ServedDocument, ServedDocuments } from "../../api/schema";
import { Bytes, Card, Copy, Diff, Empty, Loading, Problem, Select, Time } from "../machine/kit";

/** The key of a document in the address: of one path there may be several. */
export function documentKey(one: ServedDocument): string {
  return `${one.path}@${one.digest ?? one.served_at}`;
}

function readText(run: string, one: ServedDocument, signal: AbortSignal): Promise<string> {
  const path = one.path.split("/").map(encodeURIComponent).join("/");
  return api.text(`/runs/${run}/documents/${path}`, { digest: one.digest ?? undefined }, { signal });
}

export function Documents({ run }: { run: Run }): JSX.Element {
  const list = useQuery(`documents ${run.id} ${run.revision}`, (signal) =>
    api.get<ServedDocuments>(`/runs/${run.id}/documents`, undefined, { signal }),
  );
  const chosen = location.value.query.get("document");
  if (list.problem.value) return <Problem problem={list.problem.value} />;
  if (!list.data.value) return <Loading />;
  const items = list.data.value.items;
  if (items.length === 0) {
    return (
      <Empty title="No document was served">
        They stand here once the machine fetched its boot script, its answers, or files of a task.
      </Empty>
    );
  }
  const document = items.find((one) => documentKey(one) === chosen);
  return (
    <>
      <Card title={`Documents: ${items.length}`}>
        <ul class="file-list">
          {items.map((one) => (
            <li key={documentKey(one) + one.served_at}>
              <button
                type="button"
                class={one === document ? "file chosen" : "file"}
                aria-pressed={one === document}
                onClick={() => setQuery({ document: documentKey(one) })}
              >
                <span class="file-name wrap">{one.path}</span> <Bytes value={one.bytes} />{" "}
                <Time at={one.served_at} />
                {one.covered && <span class="muted">with secrets, which are covered</span>}
                {one.note && <span class="tone warn">{one.note}</span>}
              </button>
            </li>
          ))}
        </ul>
      </Card>
      {document && (
        <DocumentView key={documentKey(document)} run={run} document={document} others={items} />
      )}
    </>
  );
}

interface DocumentViewProps {
  run: Run;
  document: ServedDocument;
  others: ServedDocument[];
}

function DocumentView({ run, document, others }: DocumentViewProps): JSX.Element {
  const against = location.value.query.get("against") ?? "";
  const text = useQuery(document.digest ? documentKey(document) : undefined, (signal) =>
    readText(run.id, document, signal),
  );
  const same = others.filter(
    (one) => one.path === document.path && one.digest && one.digest !== document.digest,
  );
  const other = same.find((one) => one.digest === against);
  const earlier = useQuery(other ? documentKey(other) : undefined, (signal) =>
    other ? readText(run.id, other, signal) : Promise.resolve(""),
  );
  if (!document.digest) return <Empty title="The text is not kept">{document.note}</Empty>;
  if (text.problem.value) return <Problem problem={text.problem.value} />;
  const shown = text.data.value;
  if (shown === undefined) return <Loading />;
  return (
    <Card title={document.path} actions={<Copy text={shown} label="Copy the text" />}>
      {same.length > 0 && (
        <Select
          label="Compare with"
          value={against}
          onChange={(value) => setQuery({ against: value || undefined }, { replace: true })}
          options={[
            { value: "", label: "nothing" },
            ...same.map((one) => ({ value: one.digest ?? "", label: `served ${one.served_at}` })),
          ]}
        />
      )}
      {other && earlier.data.value !== undefined ? (
        <Diff before={earlier.data.value} after={shown} />
      ) : (
        <pre class="file-text" tabIndex={0}>
          {shown}
        </pre>
      )}
    </Card>
  );
}
