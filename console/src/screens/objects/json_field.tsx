// The text of an object, in the editor that loads when it is shown, with problems at the places they are about.

import type { JSX } from "preact";
import { Field } from "../../ui/form";

export function JsonField({ label, value, onChange, problem, onSave }: {
  label: string; value: string; onChange: (value: string) => void; problem: unknown; onSave: () => void;
}): JSX.Element {
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    onSave();
  };
  return (
    <Field label={label}>
      {(tied) => (
        <textarea {...tied} aria-invalid={problem !== undefined} class="json-text" spellcheck={false} value={value} rows={18} onKeyDown={onKey}
          onInput={(event) => onChange(event.currentTarget.value)} />
      )}
    </Field>
  );
}
