// The files that a machine may fetch now, and each of them as it would get it: plain, with the origin of each
// line, and against what it got last time or what another machine gets.
import type { JSX } from "preact";
import { location, setQuery } from "../../../app/router";
import { api } from "../../../api/client";
import { useQuery } from "../../../api/query";
import type { Bootenv, FileList, Machine, MachineDiff } from "../../../api/schema";
import { Card, Empty, Loading, Problem, TextField } from "../kit";
import { FileView } from "./FileView";
import type { OfferedFile } from "./offered";
import { offeredFiles } from "./offered";

export function FilesTab({ machine }: { machine: Machine }): JSX.Element {
  const query = location.value.query;
  const bootenv = query.get("bootenv") ?? "";
  const key = `${machine.id} ${machine.commit}`;
  const files = useQuery(`files ${key}`, (signal) =>
    api.get<FileList>(`/machines/${machine.id}/files`, undefined, { signal }),
  );
  const diff = useQuery(`diff ${machine.id} ${machine.revision}`, (signal) =>
    api.get<MachineDiff>(`/machines/${machine.id}/diff`, undefined, { signal }),
  );
  const templates = useQuery(bootenv ? `bootenv ${bootenv}` : undefined, (signal) =>
    api.get<Bootenv>(`/bootenvs/${encodeURIComponent(bootenv)}`, undefined, { signal }),
  );
  if (files.problem.value) return <Problem problem={files.problem.value} />;
  if (!files.data.value) return <Loading />;
  const names = (templates.data.value?.templates ?? [])
    .map((template) => template.path ?? "")
    .filter(Boolean);
  const offered = offeredFiles(files.data.value.items, names, diff.data.value?.documents ?? []);
  const chosen = offered.find((file) => file.name === query.get("file"));
  return (
    <div class="files">
      <Card title="Files">
        <BootenvField value={bootenv} present={machine.status.bootenv ?? null} />
        {templates.problem.value && <Problem problem={templates.problem.value} />}
        <FileListing files={offered} chosen={chosen?.name} />
        {diff.problem.value && (
          <p class="note warn">What was served last time cannot be compared: {diff.problem.value.detail}</p>
        )}
      </Card>
      {chosen ? (
        <FileView
          key={chosen.name}
          machine={machine}
          file={chosen}
          bootenv={bootenv}
          run={diff.data.value?.run ?? null}
        />
      ) : (
        <Empty title="No file is chosen">
          Choose a file to see its text, where each line comes from, and what differs.
        </Empty>
      )}
    </div>
  );
}

function BootenvField({ value, present }: { value: string; present: string | null }): JSX.Element {
  const list = useQuery("bootenv names", (signal) =>
    api.get<{ items: { name: string }[] }>(
      "/bootenvs",
      { limit: 1000, fields: "name" },
      { signal, quiet: true },
    ),
  );
  return (
    <TextField
      label="For the bootenv"
      hint={
        present
          ? `Empty: the present one, ${present}.`
          : "The machine boots its disk now. Name a bootenv to preview its files."
      }
      value={value}
      onInput={(name) => setQuery({ bootenv: name || undefined }, { replace: true })}
      suggestions={(list.data.value?.items ?? []).map((one) => one.name)}
    />
  );
}

const CHANGES: Record<string, string> = {
  same: "as last time",
  differs: "differs from last time",
  gone: "served last time, gone now",
  fails: "cannot be rendered now",
  not_kept: "last text is not kept",
};

function FileListing({ files, chosen }: { files: OfferedFile[]; chosen: string | undefined }): JSX.Element {
  return (
    <ul class="file-list">
      {files.map((file) => (
        <li key={file.name}>
          <button
            type="button"
            class={file.name === chosen ? "file chosen" : "file"}
            aria-pressed={file.name === chosen}
            onClick={() => setQuery({ file: file.name })}
          >
            <span class="file-name wrap">{file.name}</span> <span class="muted">{file.what}</span>
            {file.allowed !== null && (
              <span class={file.allowed ? "tone ok" : "tone muted"}>
                {file.allowed ? "✓ served now" : "– not now"}
              </span>
            )}
            {file.change && (
              <span class={file.change.change === "same" ? "muted" : "tone warn"}>
                {CHANGES[file.change.change] ?? file.change.change}
              </span>
            )}
            {file.reason && <span class="muted wrap">{file.reason}</span>}
          </button>
        </li>
      ))}
    </ul>
  );
}
