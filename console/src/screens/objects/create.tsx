// The dialog that creates an object, by the editor that knows the fields of the noun.

import type { JSX } from "preact";
import { go } from "../../app/router";
import { Dialog } from "../../ui/dialog";
import { ObjectEditor } from "../../ui/object-editor";
import { keyOf } from "./columns";
import { FieldHelp } from "./field_help";
import { objectPath } from "./links";
import type { KnownNoun } from "./useNoun";

export function CreateObject({ known, onClose }: { known: KnownNoun; onClose: () => void }): JSX.Element {
  const { noun, fields } = known;
  const saved = (object: Record<string, unknown>) => {
    onClose();
    go(objectPath(noun.word, keyOf(noun, object)));
  };
  return (
    <Dialog title={`Create: ${noun.title}`} wide onClose={onClose}>
      <ObjectEditor
        collection={noun.plural}
        object={noun.blank ?? { [noun.nameField]: "" }}
        onSaved={saved}
        height="45dvh"
      />
      <FieldHelp fields={fields} />
    </Dialog>
  );
}
