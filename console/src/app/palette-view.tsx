// The palette and the list of keys.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Dialog } from "../ui/dialog";
import { allCommands } from "./keys";
import type { FoundScreen } from "./layout";
import { findCommands, isHelpOpen, isPaletteOpen, type Command } from "./palette";

const SHOWN_MAX = 50;

export function Palette({ found }: { found: FoundScreen | undefined }): JSX.Element | null {
  return isPaletteOpen.value ? <PaletteDialog commands={allCommands(found)} /> : null;
}

function PaletteDialog({ commands }: { commands: readonly Command[] }): JSX.Element {
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const shown = findCommands(commands, typed).slice(0, SHOWN_MAX);
  const close = () => {
    isPaletteOpen.value = false;
  };
  const run = (command: Command | undefined) => {
    if (!command) return;
    close();
    command.run();
  };
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0 || shown.length === 0) return;
    event.preventDefault();
    const next = (at + step + shown.length) % shown.length;
    setAt(next);
    document.getElementById(`command-${next}`)?.scrollIntoView({ block: "nearest" });
  };
  return (
    <Dialog title="Commands" onClose={close} onSubmit={() => run(shown[at])}>
      <input
        class="input"
        role="combobox"
        aria-label="Command"
        aria-expanded="true"
        aria-controls="commands"
        data-autofocus
        aria-activedescendant={shown.length > 0 ? `command-${at}` : undefined}
        value={typed}
        onKeyDown={move}
        placeholder="What do you want to do?"
        onInput={(event) => {
          setTyped(event.currentTarget.value);
          setAt(0);
        }}
      />
      <ul id="commands" class="palette-list" role="listbox" aria-label="Commands">
        {shown.map((command, index) => (
          <li
            key={command.id}
            id={`command-${index}`}
            role="option"
            aria-selected={index === at}
            onClick={() => run(command)}
          >
            {command.title}
            {command.keys && <kbd>{command.keys}</kbd>}
          </li>
        ))}
        {shown.length === 0 && <li class="muted">No command has these words.</li>}
      </ul>
    </Dialog>
  );
}

const TABLE_KEYS: ReadonlyArray<readonly [string, string]> = [
  ["Ctrl K", "Commands"],
  ["↑ ↓ Page Home End", "In a table: move"],
  ["Space", "In a table: select the row"],
  ["Shift ↑ ↓", "In a table: select several rows"],
  ["Ctrl A", "In a table: select all rows of the list"],
  ["Enter", "In a table: open the row"],
  ["Escape", "Close what is open, drop the selection"],
];

export function KeyHelp(): JSX.Element | null {
  if (!isHelpOpen.value) return null;
  const rows = [
    ...allCommands(undefined)
      .filter(({ keys }) => keys)
      .map(({ keys, title }) => [keys ?? "", title] as const),
    ...TABLE_KEYS,
  ];
  return (
    <Dialog
      title="Keys"
      onClose={() => {
        isHelpOpen.value = false;
      }}
    >
      <table class="keys">
        <tbody>
          {rows.map(([keys, title]) => (
            <tr key={keys}>
              <th scope="row">
                <kbd>{keys}</kbd>
              </th>
              <td>{title}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Dialog>
  );
}
