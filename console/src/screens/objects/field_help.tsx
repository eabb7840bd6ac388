// What the fields of a noun are, from the API's document.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { FilterField } from "../../api/fields";

export function FieldHelp({ fields }: { fields: readonly FilterField[] }): JSX.Element {
  const search = useSignal("");
  const wanted = search.value.trim().toLowerCase();
  const shown = fields.filter((field) => `${field.name} ${field.about}`.toLowerCase().includes(wanted));
  return (
    <details class="field-help">
      <summary>Fields and what they mean ({fields.length})</summary>
      <input
        type="search"
        aria-label="Search the fields"
        placeholder="Search the fields"
        value={search.value}
        onInput={(event) => {
          search.value = event.currentTarget.value;
        }}
      />
      <dl tabIndex={0} aria-label="Fields">
        {shown.map((field) => (
          <div key={field.name}>
            <dt>
              <code>{field.name}</code> <span class="muted small">{field.type}</span>
            </dt>
            <dd>
              {field.about}
              {field.words.length > 0 && (
                <ul>
                  {field.words.map((word) => (
                    <li key={word.value}>
                      <code>{word.value}</code> {word.about}
                    </li>
                  ))}
                </ul>
              )}
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
