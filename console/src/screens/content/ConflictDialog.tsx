/** Somebody else saved meanwhile: what was there, what they saved, what you typed, and the merge of both. */

import { useSignal } from "@preact/signals";

import { MergePane } from "../../ui/editor/EditorPane";
import { Button, Dialog } from "./kit";
import { conflictCount, hasConflictMarks, mergedText, mergeTexts } from "./merge3";
import type { EditConflict } from "./templateDraft";
import { Diff } from "./kit";
import { unifiedDiff } from "./lineDiff";

export interface ConflictDialogProps {
  name: string;
  conflict: EditConflict;
  saving: boolean;
  onSave: (text: string) => void;
  onClose: () => void;
}

export function ConflictDialog({ name, conflict, saving, onSave, onClose }: ConflictDialogProps) {
  const parts = mergeTexts(conflict.base, conflict.mine, conflict.theirs);
  const start = mergedText(parts);
  const text = useSignal(start);
  const conflicts = conflictCount(parts);
  const marked = hasConflictMarks(text.value);
  return (
    <Dialog title={`${name} was saved by somebody else`} onClose={onClose} wide>
      <p>
        {conflicts === 0
          ? "Both changes fit together. Look at the merged text on the right and save it."
          : `${conflicts} ${conflicts === 1 ? "place was" : "places were"} changed by both. Settle what ` +
            "stands " +
            "between the marks on the right, then save."}
      </p>
      <details>
        <summary>What they changed</summary>
        <Diff unified={unifiedDiff(name, conflict.base, conflict.theirs)} />
      </details>
      <details>
        <summary>What you changed</summary>
        <Diff unified={unifiedDiff(name, conflict.base, conflict.mine)} />
      </details>
      <MergePane
        language="jinja"
        left={{ text: conflict.theirs, label: "As it is saved now" }}
        right={{ text: start, label: "The merged text", onChange: (value) => (text.value = value) }}
      />
      <div class="content-bar">
        <Button kind="primary" disabled={saving || marked} onClick={() => onSave(text.value)}>
          Save the merged text
        </Button>
        <Button onClick={onClose}>Go on editing</Button>
        {marked && <span class="content-bad">There are marks of a conflict in the text.</span>}
      </div>
    </Dialog>
  );
}
