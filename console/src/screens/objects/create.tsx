// The dialog that creates an object from its JSON.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api } from "../../api/client";
import { go } from "../../app/router";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Problem } from "../../ui/status";
import { toast } from "../../ui/toast";
import { keyOf, type ObjectRow } from "./columns";
import { FieldHelp } from "./field_help";
import { parseObject } from "./json_text";
import { JsonField } from "./json_field";
import { objectPath } from "./links";
import type { KnownNoun } from "./useNoun";

export function CreateObject({ known, onClose }: { known: KnownNoun; onClose: () => void }): JSX.Element {
  const { noun, fields } = known;
  const text = useSignal(JSON.stringify(noun.blank ?? { [noun.nameField]: "" }, null, 2));
  const problem = useSignal<unknown>(undefined);
  const isBusy = useSignal(false);
  const create = async () => {
    const parsed = parseObject(text.value);
    if ("fault" in parsed) {
      problem.value = new Error(parsed.fault);
      return;
    }
    isBusy.value = true;
    problem.value = undefined;
    try {
      const made = await api.post<ObjectRow>(`/${noun.plural}`, parsed.value);
      const key = keyOf(noun, made);
      toast(`${noun.word.replaceAll("_", " ")} ${key} is created`);
      onClose();
      go(objectPath(noun.word, key));
    } catch (error) {
      problem.value = error;
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Dialog title={`Create: ${noun.title}`} wide onClose={onClose}
      actions={<><Button onClick={onClose}>Cancel</Button><Button kind="primary" isBusy={isBusy.value} onClick={() => void create()}>Create</Button></>}>
      <JsonField label="The object, as JSON" value={text.value} onChange={(value) => { text.value = value; }} problem={problem.value} onSave={() => void create()} />
      {problem.value !== undefined && <Problem problem={problem.value} />}
      <FieldHelp fields={fields} />
    </Dialog>
  );
}
