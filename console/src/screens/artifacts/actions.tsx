// What can be done with one artifact: fetch again, verify, delete. Used by the list and by the artifact's
// page.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, asProblem, ref } from "../../api/client";
import { may } from "../../app/session";
import { Button } from "../../ui/button";
import { ConfirmErase } from "../../ui/dialog";
import { toast } from "../../ui/toast";
import type { Artifact } from "./artifact";

async function ask(artifact: Artifact, verb: "fetch" | "verify"): Promise<void> {
  try {
    await api.post(`/artifacts/${ref(artifact.name)}/actions/${verb}`);
    toast(
      `${artifact.name}: ${verb === "fetch" ? "its files are read again" : "its files are hashed again"}`,
    );
  } catch (error) {
    toast(`${artifact.name}: ${verb} was refused`, { problem: asProblem(error) });
  }
}

interface DeleteProps {
  artifact: Artifact;
  neededBy: readonly string[];
  onClose: () => void;
  onDeleted: () => void;
}

function DeleteDialog({ artifact, neededBy, onClose, onDeleted }: DeleteProps): JSX.Element {
  const remove = async (): Promise<void> => {
    await api.del(`/artifacts/${ref(artifact.name)}`);
    toast(`${artifact.name} is deleted`);
    onDeleted();
  };
  const inPlace = artifact.fetch === undefined || artifact.fetch === null;
  const erased = [
    `the artifact ${artifact.name}: machines can no longer fetch its files`,
    ...(neededBy.length > 0 ? [`what these bootenvs boot from: ${neededBy.join(", ")}`] : []),
  ];
  return (
    <ConfirmErase
      title={`Delete the artifact ${artifact.name}?`}
      expected={artifact.name}
      expectedIs="the artifact's name"
      erases={erased}
      action="Delete"
      onConfirm={remove}
      onClose={onClose}
    >
      <p>
        {inPlace
          ? "The files on the server's disk stay where they are."
          : "The server's copy stays on the disk until somebody prunes."}
      </p>
    </ConfirmErase>
  );
}

interface ActionsProps {
  artifact: Artifact;
  neededBy: readonly string[];
  onDeleted?: () => void;
}

export function ArtifactActions({ artifact, neededBy, onDeleted }: ActionsProps): JSX.Element | null {
  const isDeleting = useSignal(false);
  if (!may("artifacts:write")) {
    return null;
  }
  const again = artifact.fetch === undefined || artifact.fetch === null ? "Read again" : "Fetch again";
  const isServed = typeof artifact.status.sha256 === "string" || Boolean(artifact.status.mirror);
  return (
    <div class="artifact-actions">
      <Button onClick={() => void ask(artifact, "fetch")} title={`${again}: ${artifact.name}`}>
        {again}
      </Button>
      <Button
        onClick={() => void ask(artifact, "verify")}
        disabled={!isServed}
        title={isServed ? "Hash every file again" : "There are no files yet"}
      >
        Verify
      </Button>
      <Button kind="danger" onClick={() => void (isDeleting.value = true)}>
        Delete
      </Button>
      {isDeleting.value && (
        <DeleteDialog
          artifact={artifact}
          neededBy={neededBy}
          onClose={() => void (isDeleting.value = false)}
          onDeleted={() => {
            isDeleting.value = false;
            onDeleted?.();
          }}
        />
      )}
    </div>
  );
}
