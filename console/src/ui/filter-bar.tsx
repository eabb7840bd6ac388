// Filters of a list: what the API filters by, typed with suggestions, kept in the address.

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { FilterField } from "../api/fields";
import { location, replaceQuery } from "../app/router";
import { IconButton } from "./button";
import {
  filtersOf,
  filterText,
  parseOrName,
  parseTyped,
  suggest,
  withFilter,
  withoutFilter,
  type Filter,
  type Suggestion,
} from "./filter";
import { Icon } from "./icons";
import "./filter-bar.css";

export interface FilterBarProps {
  /** The list whose fields are offered: `machines`. */
  list: string;
  /** Names of the address that are the screen's own and no filters. */
  reserved?: readonly string[];
  /** What a word without an operator looks for; the name unless said. */
  wordField?: string;
}

export function FilterBar({ list, reserved = [], wordField = "name" }: FilterBarProps): JSX.Element {
  const { query } = location.value;
  const filters = filtersOf(query, reserved);
  const add = (filter: Filter) => replaceQuery(withFilter(location.peek().query, filter));
  const remove = (filter: Filter) => replaceQuery(withoutFilter(location.peek().query, filter));
  return (
    <div class="filter-bar" role="group" aria-label="Filters">
      {filters.map((filter) => (
        <span key={filterText(filter)} class="chip">
          <span>{filterText(filter)}</span>
          <IconButton
            size="small"
            icon="close"
            label={`Remove the filter ${filterText(filter)}`}
            onClick={() => remove(filter)}
          />
        </span>
      ))}
      <FilterInput
        list={list}
        wordField={wordField}
        onAdd={add}
        onBack={() => {
          const last = filters.at(-1);
          if (last) remove(last);
        }}
      />
    </div>
  );
}

function useFields(list: string): { fields: readonly FilterField[]; load: () => void } {
  const fields = useSignal<readonly FilterField[]>([]);
  const load = () => {
    if (fields.peek().length > 0) return;
    void import("../api/fields").then(({ FIELDS }) => {
      fields.value = FIELDS[list] ?? [];
    });
  };
  return { fields: fields.value, load };
}

interface FilterInputProps {
  list: string;
  wordField: string;
  onAdd: (filter: Filter) => void;
  onBack: () => void;
}

interface FilterEntry {
  typed: Signal<string>;
  /** The suggestion that is chosen; -1 for none. */
  at: Signal<number>;
  isOpen: Signal<boolean>;
  input: { current: HTMLInputElement | null };
  suggestions: readonly Suggestion[];
  load: () => void;
  choose: (suggestion: Suggestion) => void;
  onKey: (event: KeyboardEvent) => void;
}

function useFilterEntry({ list, wordField, onAdd, onBack }: FilterInputProps): FilterEntry {
  const typed = useSignal("");
  const at = useSignal(-1);
  const isOpen = useSignal(false);
  const input = useRef<HTMLInputElement>(null);
  const { fields, load } = useFields(list);
  const suggestions = isOpen.value ? suggest(typed.value, fields) : [];
  const accept = (text: string) => {
    const filter = parseOrName(text, wordField);
    if (!filter) return;
    typed.value = "";
    at.value = -1;
    isOpen.value = false;
    onAdd(filter);
  };
  const choose = (suggestion: Suggestion) => {
    at.value = -1;
    if (suggestion.isWhole && parseTyped(suggestion.text)) return accept(suggestion.text);
    typed.value = suggestion.text;
    isOpen.value = true;
    input.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const chosen = suggestions[at.value];
    if (event.key === "Enter") chosen ? choose(chosen) : accept(typed.value);
    else if (event.key === "Tab" && chosen) choose(chosen);
    else if (event.key === "Escape" && isOpen.value) isOpen.value = false;
    else if (event.key === "Backspace" && typed.value === "") onBack();
    else if (step !== 0 && suggestions.length > 0) {
      isOpen.value = true;
      at.value =
        at.value < 0 && step < 0
          ? suggestions.length - 1
          : (at.value + step + suggestions.length) % suggestions.length;
    } else return;
    event.preventDefault();
  };
  return { typed, at, isOpen, input, suggestions, load, choose, onKey };
}

function FilterInput(props: FilterInputProps): JSX.Element {
  const { list, wordField } = props;
  const { typed, at, isOpen, input, suggestions, load, choose, onKey } = useFilterEntry(props);
  const id = `filters-${list}`;
  useEffect(
    () => document.getElementById(`${id}-${at.value}`)?.scrollIntoView({ block: "nearest" }),
    [at.value],
  );
  return (
    <div class="box">
      <Icon name="filter" />
      <input
        ref={input}
        class="input"
        type="text"
        role="combobox"
        list={undefined}
        autocomplete="off"
        spellcheck={false}
        value={typed.value}
        aria-label={`Filter ${list}`}
        aria-expanded={suggestions.length > 0}
        aria-controls={id}
        aria-autocomplete="list"
        aria-activedescendant={at.value >= 0 ? `${id}-${at.value}` : undefined}
        placeholder={`Filter: ${wordField}, or field=value`}
        onFocus={() => {
          load();
          isOpen.value = true;
        }}
        onBlur={() =>
          setTimeout(() => {
            isOpen.value = false;
          }, 150)
        }
        onKeyDown={onKey}
        onInput={(event) => {
          typed.value = event.currentTarget.value;
          at.value = -1;
          isOpen.value = true;
        }}
      />
      {suggestions.length > 0 && (
        <Suggestions id={id} at={at.value} suggestions={suggestions} onChoose={choose} />
      )}
    </div>
  );
}

function Suggestions({
  id,
  at,
  suggestions,
  onChoose,
}: {
  id: string;
  at: number;
  suggestions: readonly Suggestion[];
  onChoose: (suggestion: Suggestion) => void;
}): JSX.Element {
  return (
    <ul id={id} class="suggestions" role="listbox" aria-label="Suggestions">
      {suggestions.map((suggestion, index) => (
        <li
          key={suggestion.text}
          id={`${id}-${index}`}
          role="option"
          aria-selected={index === at}
          onPointerDown={(event) => {
            event.preventDefault();
            onChoose(suggestion);
          }}
        >
          {suggestion.label}
          {suggestion.about && <span class="about">{suggestion.about}</span>}
        </li>
      ))}
    </ul>
  );
}
