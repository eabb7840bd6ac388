// The dialog that makes an artifact: where its files come from, and how they are checked.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, asProblem, type ApiProblem } from "../../api/client";
import { go } from "../../app/router";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Select, TextField, Toggle } from "../../ui/form";
import { Problem } from "../../ui/status";
import { toast } from "../../ui/toast";
import {
  artifactOf,
  EMPTY_FORM,
  hasChecksum,
  SOURCES,
  type ArtifactForm,
  type SourceKind,
} from "./artifact_form";

interface PartProps {
  form: ArtifactForm;
  change: (part: Partial<ArtifactForm>) => void;
}

const PLACE_HINTS: Record<SourceKind, string> = {
  path: "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64",
  url: "https://HOST/image.iso",
  file: "https://HOST/file",
  files: "https://HOST/folder",
  iso: "/srv/isos/image.iso",
  mirror: "https://HOST/debian",
};

function SourceFields({ form, change }: PartProps): JSX.Element {
  const isPath = form.kind === "path" || form.kind === "iso";
  return (
    <>
      <TextField
        label={isPath ? "Path on the server's host" : "URL"}
        value={form.place}
        placeholder={PLACE_HINTS[form.kind]}
        onInput={(place) => change({ place })}
        required
      />
      {hasChecksum(form.kind) && !form.isUnverified && (
        <TextField
          label="Checksum"
          hint="As the distribution publishes it: sha256:HEX or sha512:HEX"
          value={form.checksum}
          onInput={(checksum) => change({ checksum })}
        />
      )}
      {form.kind === "files" && (
        <TextField
          label="Files"
          hint="One a line: PATH sha256:HEX"
          value={form.files}
          multiline
          onInput={(files) => change({ files })}
        />
      )}
      {(hasChecksum(form.kind) || form.kind === "files") && (
        <Toggle
          label="Accept files without a checksum"
          checked={form.isUnverified}
          onChange={(isUnverified) => change({ isUnverified })}
        />
      )}
    </>
  );
}

function MirrorFields({ form, change }: PartProps): JSX.Element {
  return (
    <>
      <TextField
        label="Keep at most, in GiB"
        value={form.keep}
        type="number"
        onInput={(keep) => change({ keep })}
      />
      <TextField
        label="Repositories"
        hint="One a line: a suite of apt (bookworm), or a folder of yum (9/BaseOS/x86_64/os)"
        value={form.repositories}
        multiline
        onInput={(repositories) => change({ repositories })}
      />
    </>
  );
}

interface CreateProps {
  name: string;
  onClose: () => void;
}

export function CreateArtifact({ name, onClose }: CreateProps): JSX.Element {
  const form = useSignal<ArtifactForm>({ ...EMPTY_FORM, name });
  const problem = useSignal<ApiProblem | undefined>(undefined);
  const isSending = useSignal(false);
  const change = (part: Partial<ArtifactForm>): void => {
    form.value = { ...form.value, ...part };
  };
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    isSending.value = true;
    try {
      const made = await api.post<{ name: string }>("/artifacts", artifactOf(form.value));
      toast(`${made.name} is made; the server reads or fetches its files`);
      go(`/artifacts/${encodeURIComponent(made.name)}`);
    } catch (error) {
      problem.value = asProblem(error);
    } finally {
      isSending.value = false;
    }
  };
  const source = SOURCES.find((one) => one.kind === form.value.kind);
  return (
    <Dialog title="New artifact" onClose={onClose}>
      <form class="fleet-form" onSubmit={(event) => void send(event)}>
        <TextField
          label="Name"
          hint="The name that bootenvs refer to, such as debian-12-amd64"
          value={form.value.name}
          onInput={(text) => change({ name: text })}
          required
        />
        <Select
          label="Where the files come from"
          {...(source === undefined ? {} : { hint: source.about })}
          value={form.value.kind}
          options={SOURCES.map(({ kind, label }) => ({ value: kind, label }))}
          onChange={(kind) => change({ kind: kind as SourceKind })}
        />
        <SourceFields form={form.value} change={change} />
        {form.value.kind === "mirror" && <MirrorFields form={form.value} change={change} />}
        {problem.value !== undefined && <Problem problem={problem.value} />}
        <div class="fleet-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" disabled={isSending.value}>
            Make the artifact
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
