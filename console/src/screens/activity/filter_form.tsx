// The filter: terms as fields, kept in the address. A change counts when the field is left or Enter is
// pressed.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useId, useMemo } from "preact/hooks";
import { setQuery } from "../../app/router";
import { Button } from "../../ui/button";
import { EVENT_KINDS } from "./kinds";
import { TERMS, type ActivityTab, type EventTerms, type Term } from "./filter";

interface TermField {
  name: Term;
  label: string;
  placeholder: string;
  suggestions?: readonly string[];
}

const SINCE = ["-15m", "-1h", "-1d", "-7d", "-30d"];
const FIELDS: readonly TermField[] = [
  { name: "kind", label: "Kind", placeholder: "run.*", suggestions: EVENT_KINDS },
  { name: "machine", label: "Machine", placeholder: "name, MAC" },
  { name: "subject", label: "About", placeholder: "subnet:lan" },
  { name: "by", label: "By token", placeholder: "name or *" },
  { name: "since", label: "Since", placeholder: "-1h", suggestions: SINCE },
  { name: "until", label: "Until", placeholder: "now", suggestions: SINCE },
  { name: "request_id", label: "Request", placeholder: "its id" },
];

export function FilterForm({ tab, terms }: { tab: ActivityTab; terms: EventTerms }): JSX.Element {
  const shown: EventTerms = tab === "audit" && terms.by === "*" ? { ...terms, by: undefined } : terms;
  const isFiltered = TERMS.some((name) => shown[name]);
  const clear = () => setQuery(Object.fromEntries(TERMS.map((name) => [name, undefined])));
  return (
    <form
      class="event-filter"
      role="search"
      aria-label="Filter the events"
      onSubmit={(event) => event.preventDefault()}
    >
      {FIELDS.map((field) => (
        <TermInput key={field.name} field={field} value={shown[field.name] ?? ""} />
      ))}
      {terms.attempt && (
        <TermInput
          field={{ name: "attempt", label: "Boot attempt", placeholder: "" }}
          value={terms.attempt}
        />
      )}
      {isFiltered && (
        <Button size="small" icon="close" onClick={clear}>
          Clear
        </Button>
      )}
    </form>
  );
}

function TermInput({ field, value }: { field: TermField; value: string }): JSX.Element {
  const draft = useSignal(value);
  const id = useId();
  useEffect(() => {
    draft.value = value;
  }, [value]);
  const apply = (text: string) => setQuery({ [field.name]: text.trim() || undefined, event: undefined });
  const options = useMemo(
    () => field.suggestions?.map((word) => <option key={word} value={word} />),
    [field],
  );
  return (
    <label class="term">
      <span>{field.label}</span>
      <input
        value={draft.value}
        placeholder={field.placeholder}
        spellcheck={false}
        autocomplete="off"
        list={options ? id : undefined}
        onInput={(event) => {
          draft.value = event.currentTarget.value;
        }}
        onChange={(event) => apply(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") apply(draft.value);
        }}
      />
      {options && <datalist id={id}>{options}</datalist>}
    </label>
  );
}
