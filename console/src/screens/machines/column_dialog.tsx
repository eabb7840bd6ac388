// The dialog that chooses columns: which, in which order; labels and params by their names.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, type Page } from "../../api/client";
import { useQuery } from "../../api/query";
import { Button, IconButton } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Select, TextField, Toggle } from "../../ui/form";
import {
  COLUMNS,
  COLUMNS_MAX,
  columnsOf,
  DEFAULT_COLUMNS,
  moveColumn,
  toggleColumn,
  type MachineColumn,
} from "./columns";
import type { MachineRow } from "./row";

interface ColumnProps {
  columns: readonly MachineColumn[];
  onChange: (columns: readonly MachineColumn[]) => void;
}

function ChosenColumn({ column, columns, onChange }: ColumnProps & { column: MachineColumn }): JSX.Element {
  const at = columns.indexOf(column);
  const move = (by: number) => (): void => onChange(moveColumn(columns, column.key, by));
  return (
    <li>
      <span class="grow">
        {column.title} <code class="muted">{column.key}</code>
      </span>
      <IconButton
        size="small"
        icon="up"
        label={`Move ${column.title} to the left`}
        disabled={at === 0}
        onClick={move(-1)}
      />
      <IconButton
        size="small"
        icon="down"
        label={`Move ${column.title} to the right`}
        disabled={at === columns.length - 1}
        onClick={move(1)}
      />
      <IconButton
        size="small"
        icon="close"
        label={`Remove ${column.title}`}
        disabled={columns.length === 1}
        onClick={() => onChange(toggleColumn(columns, column.key))}
      />
    </li>
  );
}

/** The labels that machines have, and the params that there are. */
function useNames(): { label: string[]; param: string[] } {
  const labels = useQuery("labels", async (signal) => {
    const query = { fields: "labels", limit: 1000 };
    const page = await api.get<Page<MachineRow>>("/machines", query, { signal, quiet: true });
    return [...new Set(page.items.flatMap((row) => Object.keys(row.labels ?? {})))].sort();
  });
  const params = useQuery("params", async (signal) => {
    const query = { fields: "name", sort: "name", limit: 1000 };
    const page = await api.get<Page<{ name: string }>>("/params", query, { signal, quiet: true });
    return page.items.map((item) => item.name);
  });
  return { label: labels.data.value ?? [], param: params.data.value ?? [] };
}

function NamedColumn({ columns, onChange }: ColumnProps): JSX.Element {
  const noun = useSignal<"label" | "param">("label");
  const name = useSignal("");
  const names = useNames();
  const add = (event: Event): void => {
    event.preventDefault();
    const key = `${noun.value}.${name.value.trim()}`;
    if (name.value.trim() !== "" && !columns.some((column) => column.key === key)) {
      onChange(toggleColumn(columns, key));
      name.value = "";
    }
  };
  return (
    <form class="column-named" onSubmit={add}>
      <Select
        label="Add a column of a"
        value={noun.value}
        options={[
          { value: "label", label: "label" },
          { value: "param", label: "param (the machine's own value)" },
        ]}
        onChange={(value) => {
          noun.value = value === "param" ? "param" : "label";
        }}
      />
      <TextField
        label="Name"
        value={name.value}
        suggestions={names[noun.value]}
        onInput={(text) => {
          name.value = text;
        }}
      />
      <Button type="submit" icon="plus" disabled={name.value.trim() === ""}>
        Add
      </Button>
    </form>
  );
}

export function ColumnDialog({
  columns,
  onChange,
  onClose,
}: ColumnProps & { onClose: () => void }): JSX.Element {
  const isFull = columns.length >= COLUMNS_MAX;
  return (
    <Dialog title="Columns" onClose={onClose} wide>
      <div class="column-choice">
        <section>
          <h3>Shown, in this order</h3>
          <ol class="column-list">
            {columns.map((column) => (
              <ChosenColumn key={column.key} column={column} columns={columns} onChange={onChange} />
            ))}
          </ol>
          <NamedColumn columns={columns} onChange={onChange} />
        </section>
        <section>
          <h3>All columns</h3>
          {isFull && <p class="muted">{`At most ${COLUMNS_MAX} at a time: remove one first.`}</p>}
          <div class="column-all">
            {COLUMNS.map((column) => {
              const checked = columns.some((one) => one.key === column.key);
              const toggle = (): void => onChange(toggleColumn(columns, column.key));
              return (
                <Toggle
                  key={column.key}
                  label={column.title}
                  checked={checked}
                  disabled={isFull && !checked}
                  onChange={toggle}
                />
              );
            })}
          </div>
        </section>
      </div>
      <div class="fleet-actions">
        <Button onClick={() => onChange(columnsOf(DEFAULT_COLUMNS))}>The default columns</Button>
        <Button kind="primary" onClick={onClose}>
          Done
        </Button>
      </div>
    </Dialog>
  );
}
