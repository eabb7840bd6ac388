// Saved views as chips over the list, those of the server and those that people saved.

import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { JSX } from "preact";
import { api, asProblem, ref, type ApiProblem } from "../../api/client";
import { Link } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import { Button } from "../../ui/button";
import { Dialog, Menu } from "../../ui/dialog";
import { TextField } from "../../ui/form";
import { Problem } from "../../ui/status";
import { toast } from "../../ui/toast";
import { BUILT_IN_VIEWS, isShown, viewOf, viewUrl, type SavedView } from "./saved_views";

function ViewChip({ view, query }: { view: SavedView; query: URLSearchParams }): JSX.Element {
  const isActive = isShown(view, query);
  return (
    <li>
      <Link
        class={isActive ? "view-chip view-chip-active" : "view-chip"}
        to={viewUrl(view)}
        aria-current={isActive ? "true" : undefined}
        title={view.description ?? ""}
      >
        {view.name}
      </Link>
    </li>
  );
}

function SaveDialog({ query, onClose }: { query: URLSearchParams; onClose: () => void }): JSX.Element {
  const name = useSignal("");
  const description = useSignal("");
  const problem = useSignal<ApiProblem | undefined>(undefined);
  const save = async (): Promise<void> => {
    try {
      await api.post("/views", viewOf(name.value, description.value, query));
      toast(`The view ${name.value.trim()} is saved`);
      onClose();
    } catch (error) {
      problem.value = asProblem(error);
    }
  };
  return (
    <Dialog title="Save this view" onClose={onClose}>
      <form
        class="fleet-form"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <p class="muted">
          The filter, the order and the columns are saved. Everybody who may read views sees it.
        </p>
        <TextField
          label="Name"
          hint="Without spaces, such as rack-7-failed"
          value={name.value}
          required
          autofocus
          onInput={(text) => void (name.value = text)}
        />
        <TextField
          label="Description"
          value={description.value}
          onInput={(text) => void (description.value = text)}
        />
        {problem.value !== undefined && <Problem problem={problem.value} />}
        <div class="fleet-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" disabled={name.value.trim() === ""}>
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Saves what the page shows as this view. */
async function overwrite(view: SavedView, query: URLSearchParams): Promise<void> {
  const { query: text, columns } = viewOf(view.name, "", query);
  try {
    await api.patch(`/views/${ref(view.name)}`, { query: text, columns });
    toast(`The view ${view.name} is now what the page shows`);
  } catch (error) {
    toast(`The view ${view.name} was not changed`, { problem: asProblem(error) });
  }
}

async function remove(view: SavedView): Promise<void> {
  try {
    await api.del(`/views/${ref(view.name)}`);
    toast(`The view ${view.name} is deleted`);
  } catch (error) {
    toast(`The view ${view.name} was not deleted`, { problem: asProblem(error) });
  }
}

interface BarProps {
  query: URLSearchParams;
  isSaving: boolean;
  onSave: () => void;
  onSaved: () => void;
}

export function ViewsBar({ query, isSaving, onSave, onSaved }: BarProps): JSX.Element {
  const filter = useMemo(() => new URLSearchParams({ kind: "machines" }), []);
  const saved = useCollection<SavedView>("views", { filter, sort: "name" }).rows.value;
  const items = [
    { id: "save", label: "Save this view…", run: onSave },
    ...saved.flatMap((view) => [
      { id: `over ${view.name}`, label: `Save over ${view.name}`, run: () => void overwrite(view, query) },
      {
        id: `delete ${view.name}`,
        label: `Delete ${view.name}`,
        run: () => void remove(view),
        isDanger: true,
      },
    ]),
  ];
  return (
    <nav class="views-bar" aria-label="Views">
      <ul>
        {[...BUILT_IN_VIEWS, ...saved].map((view) => (
          <ViewChip key={view.name} view={view} query={query} />
        ))}
      </ul>
      {may("views:write") && <Menu label="Views" align="end" items={items} />}
      {isSaving && <SaveDialog query={query} onClose={onSaved} />}
    </nav>
  );
}
