// One file of a machine: its text, its origins, its differences.
import type { JSX } from "preact";
import { Link, location, setQuery } from "../../../app/router";
import { api } from "../../../api/client";
import type { ApiProblem } from "../../../api/client";
import { useQuery } from "../../../api/query";
import type { Machine, PreviewResult } from "../../../api/schema";
import { Card, Copy, Diff, Empty, Loading, Problem, TextField } from "../kit";
import type { BlamedLine } from "./blame";
import { blamedLines } from "./blame";
import type { OfferedFile } from "./offered";

interface FileViewProps {
  machine: Machine;
  file: OfferedFile;
  bootenv: string;
  run: string | null;
}

const MODES = [
  { id: "text", title: "Text" },
  { id: "blame", title: "Where each line comes from" },
  { id: "last", title: "Against last time" },
  { id: "machine", title: "Against another machine" },
] as const;
type Mode = (typeof MODES)[number]["id"];

function render(
  machine: string,
  file: string,
  bootenv: string,
  signal: AbortSignal,
): Promise<PreviewResult> {
  return api.post<PreviewResult>("/render", { machine, file, ...(bootenv ? { bootenv } : {}) }, { signal });
}

const NOT_TEXT = new Set(["kernel", "initrd", "artifact"]);

export function FileView({ machine, file, bootenv, run }: FileViewProps): JSX.Element {
  const query = location.value.query;
  const mode: Mode = MODES.find((one) => one.id === query.get("as"))?.id ?? "blame";
  const isText = !NOT_TEXT.has(file.what) && file.what !== "served";
  const wanted = isText && mode !== "last";
  const preview = useQuery(
    wanted ? `render ${machine.id} ${machine.commit} ${file.name} ${bootenv}` : undefined,
    (signal) => render(machine.id, file.name, bootenv, signal),
  );
  return (
    <Card
      title={file.name}
      actions={preview.data.value && <Copy text={preview.data.value.text} label="Copy the text" />}
    >
      <div class="mode-row" role="group" aria-label="How the file is shown">
        {MODES.map((one) => (
          <button
            key={one.id}
            type="button"
            class={one.id === mode ? "mode chosen" : "mode"}
            aria-pressed={one.id === mode}
            onClick={() => setQuery({ as: one.id }, { replace: true })}
          >
            {one.title}
          </button>
        ))}
      </div>
      {mode === "last" ? (
        <AgainstLast file={file} run={run} />
      ) : !isText ? (
        <Empty title="This file is not rendered">
          It comes from an artifact as it is, or it is of an earlier run.
        </Empty>
      ) : (
        <Rendered
          preview={preview.data.value}
          problem={preview.problem.value}
          mode={mode}
          {...{ machine, file, bootenv }}
        />
      )}
    </Card>
  );
}

interface RenderedProps {
  preview: PreviewResult | undefined;
  problem: ApiProblem | undefined;
  mode: Mode;
  machine: Machine;
  file: OfferedFile;
  bootenv: string;
}

function Rendered({ preview, problem, mode, machine, file, bootenv }: RenderedProps): JSX.Element {
  if (problem) return <Problem problem={problem} />;
  if (!preview) return <Loading />;
  return (
    <>
      {preview.problems.map((one) => (
        <p class="note bad" key={one.message}>
          {one.message} {one.template && <code>{`${one.template}:${one.line ?? 1}`}</code>}
        </p>
      ))}
      {mode === "machine" && <AgainstMachine mine={preview.text} {...{ machine, file, bootenv }} />}
      {mode === "text" && (
        <pre class="file-text" tabIndex={0}>
          {preview.text}
        </pre>
      )}
      {mode === "blame" && <Blame preview={preview} machine={machine.name} />}
    </>
  );
}

function templateLink(line: BlamedLine, machine: string): string {
  const query = new URLSearchParams({ machine, line: String(line.templateLine) });
  return `/content/templates/${encodeURIComponent(line.template)}?${query}`;
}

function Blame({ preview, machine }: { preview: PreviewResult; machine: string }): JSX.Element {
  const lines = blamedLines(preview.text, preview.lines ?? [], preview.sources ?? {});
  return (
    <div class="blame" tabIndex={0} role="region" aria-label="Lines with their origins">
      <table>
        <thead class="visually-hidden">
          <tr>
            <th>Line</th>
            <th>Template</th>
            <th>Text</th>
          </tr>
        </thead>
        <tbody>
          {lines.map((line) => (
            <tr key={line.number} class={line.isFirst ? "first" : ""}>
              <td class="blame-number">{line.number}</td>
              <td class="blame-place">
                {line.place && (
                  <Link to={templateLink(line, machine)} title={`${line.source}, ${line.place}`}>
                    {line.place}
                  </Link>
                )}
              </td>
              <td class="blame-text">
                <code>{line.text || " "}</code>
                {line.notes.map((note) => (
                  <span key={note} class="blame-note">
                    {note}
                  </span>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function AgainstLast({ file, run }: { file: OfferedFile; run: string | null }): JSX.Element {
  const change = file.change;
  if (!change)
    return (
      <Empty title="It was not served last time">
        The last run of this machine has no document of this name.
      </Empty>
    );
  return (
    <>
      <p class="muted">
        {run ? (
          <>
            What the last <Link to={`/runs/${run}?tab=documents`}>run</Link> served, against now.
          </>
        ) : (
          "What was served last, against now."
        )}{" "}
        {change.note}
      </p>
      {change.change === "same" ? (
        <Empty title="It is the same as last time" />
      ) : change.diff ? (
        <Diff unified={change.diff} />
      ) : null}
    </>
  );
}

interface AgainstMachineProps {
  mine: string;
  machine: Machine;
  file: OfferedFile;
  bootenv: string;
}

function AgainstMachine({ mine, machine, file, bootenv }: AgainstMachineProps): JSX.Element {
  const other = location.value.query.get("with") ?? "";
  const like = useQuery(`names like ${other}`, (signal) =>
    api.get<{ items: { name: string }[] }>(
      "/machines",
      { limit: 20, sort: "name", fields: "name", ...(other ? { name: `${other}*` } : {}) },
      { signal, quiet: true },
    ),
  );
  const known = like.data.value?.items.some((one) => one.name === other) ?? false;
  const env = bootenv || machine.status.bootenv || "";
  const theirs = useQuery(known ? `render ${other} ${file.name} ${env}` : undefined, (signal) =>
    render(`name:${other}`, file.name, env, signal),
  );
  const text = theirs.data.value?.text;
  return (
    <>
      <TextField
        label="The other machine"
        value={other}
        placeholder="web2"
        onInput={(name) => setQuery({ with: name || undefined }, { replace: true })}
        suggestions={(like.data.value?.items ?? [])
          .map((one) => one.name)
          .filter((name) => name !== machine.name)}
      />
      {theirs.problem.value && <Problem problem={theirs.problem.value} />}
      {text !== undefined &&
        (text === mine ? (
          <Empty title={`${other} gets the same`} />
        ) : (
          <Diff before={mine} after={text} label={`${machine.name} (−) against ${other} (+)`} />
        ))}
    </>
  );
}
