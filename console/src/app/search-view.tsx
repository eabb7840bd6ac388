// The search field of the header.

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { asProblem } from "../api/client";
import { Icon } from "../ui/icons";
import { StateBadge } from "../ui/status";
import { go } from "./router";
import { findObjects, type SearchHit } from "./search";
import { may } from "./session";

/** Questions go out when nothing was typed for so long. */
const PAUSE_MS = 200;

interface Found {
  text: string;
  hits: SearchHit[];
  problem?: string;
}

function useFound(typed: string): Signal<Found | undefined> {
  const found = useSignal<Found | undefined>(undefined);
  useEffect(() => {
    const text = typed.trim();
    if (text.length < 2) {
      found.value = undefined;
      return;
    }
    const cancel = new AbortController();
    const timer = setTimeout(() => {
      findObjects(text, may, cancel.signal).then(
        (hits) => {
          if (!cancel.signal.aborted) found.value = { text, hits };
        },
        (error: unknown) => {
          if (!cancel.signal.aborted) found.value = { text, hits: [], problem: asProblem(error).detail };
        },
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      cancel.abort();
    };
  }, [typed]);
  return found;
}

export function Search(): JSX.Element {
  const typed = useSignal("");
  const isOpen = useSignal(false);
  const at = useSignal(0);
  const input = useRef<HTMLInputElement>(null);
  const found = useFound(typed.value);
  const hits = found.value?.hits ?? [];
  const open = (hit: SearchHit | undefined) => {
    const text = typed.value.trim();
    if (!hit && text === "") return;
    isOpen.value = false;
    typed.value = "";
    input.current?.blur();
    go(hit ? hit.to : `/machines?name=${encodeURIComponent(`*${text}*`)}`);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (event.key === "Enter") open(hits[at.value]);
    else if (event.key === "Escape") {
      isOpen.value = false;
      input.current?.blur();
    } else if (step !== 0 && hits.length > 0) at.value = (at.value + step + hits.length) % hits.length;
    else return;
    event.preventDefault();
  };
  const isShown = isOpen.value && found.value !== undefined;
  return (
    <search class="search">
      <Icon name="search" />
      <input
        ref={input}
        id="search"
        class="input"
        type="search"
        role="combobox"
        list={undefined}
        autocomplete="off"
        spellcheck={false}
        aria-label="Search by name, MAC, address, UUID or serial"
        placeholder="Name, MAC, address, UUID, serial ( / )"
        aria-expanded={isShown}
        aria-controls="search-results"
        aria-activedescendant={isShown && hits.length > 0 ? `hit-${at.value}` : undefined}
        value={typed.value}
        onKeyDown={onKey}
        onFocus={() => {
          isOpen.value = true;
        }}
        onBlur={() =>
          setTimeout(() => {
            isOpen.value = false;
          }, 150)
        }
        onInput={(event) => {
          typed.value = event.currentTarget.value;
          at.value = 0;
          isOpen.value = true;
        }}
      />
      {isShown && found.value && <Results found={found.value} at={at.value} onOpen={open} />}
    </search>
  );
}

function Results({
  found,
  at,
  onOpen,
}: {
  found: Found;
  at: number;
  onOpen: (hit: SearchHit) => void;
}): JSX.Element {
  const { hits, problem, text } = found;
  if (hits.length === 0) {
    return (
      <div id="search-results" class="search-results" role="status">
        <div class="note">
          {problem ?? `Nothing has “${text}” in its name, MAC, address, UUID or serial.`}
        </div>
      </div>
    );
  }
  return (
    <ul id="search-results" class="search-results" role="listbox" aria-label="Found">
      {hits.map((hit, index) => (
        <li
          key={hit.to}
          id={`hit-${index}`}
          role="option"
          aria-selected={index === at}
          onPointerDown={(event) => {
            event.preventDefault();
            onOpen(hit);
          }}
        >
          <StateBadge state={hit.kind} tone="idle" />
          <span class="what">
            <strong>{hit.title}</strong> <span class="muted">{hit.about}</span>
          </span>
        </li>
      ))}
    </ul>
  );
}
