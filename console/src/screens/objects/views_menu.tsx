// The saved views of a list as a menu, and the dialog that saves the filter in front under a name.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { api } from "../../api/client";
import { go } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import { Button } from "../../ui/button";
import { Dialog, Menu, type MenuItem } from "../../ui/dialog";
import { TextField } from "../../ui/form";
import { Problem } from "../../ui/status";
import { toast } from "../../ui/toast";
import { viewPath, type ViewRow } from "./view_path";

interface ViewsProps {
  /** The list: `profiles`, or `events`. */
  kind: string;
  /** What the list is asked for now, as the API has it. */
  query: string;
}

export function ViewsMenu(props: ViewsProps): JSX.Element | null {
  return may("views:read") ? <Views {...props} /> : null;
}

function Views({ kind, query }: ViewsProps): JSX.Element {
  const filter = useMemo(() => new URLSearchParams({ kind }), [kind]);
  const views = useCollection<ViewRow>("views", { filter, sort: "name" });
  const isSaving = useSignal(false);
  const items: MenuItem[] = views.rows.value.map((view) => ({
    id: view.name,
    label: view.name,
    run: () => go(viewPath(view)),
  }));
  if (may("views:write")) {
    const disabled = query === "" ? "Set a filter first" : undefined;
    const run = () => {
      isSaving.value = true;
    };
    items.push({ id: "/save", label: "Save this filter…", icon: "plus", run, disabled });
  }
  if (may("settings:read") || items.length === 0) {
    items.push({ id: "/all", label: "All saved views", run: () => go("/settings?tab=views") });
  }
  const close = () => {
    isSaving.value = false;
  };
  return (
    <>
      <Menu label="Views" icon="filter" align="end" items={items} />
      {isSaving.value && <SaveView kind={kind} query={query} onClose={close} />}
    </>
  );
}

function SaveView({ kind, query, onClose }: ViewsProps & { onClose: () => void }): JSX.Element {
  const name = useSignal("");
  const description = useSignal("");
  const problem = useSignal<unknown>(undefined);
  const isBusy = useSignal(false);
  const save = async () => {
    if (name.value.trim() === "" || isBusy.value) return;
    isBusy.value = true;
    problem.value = undefined;
    try {
      await api.post("/views", {
        name: name.value.trim(),
        kind,
        query,
        description: description.value.trim(),
      });
      toast(`View ${name.value.trim()} is saved`);
      onClose();
    } catch (error) {
      problem.value = error;
      isBusy.value = false;
    }
  };
  const actions = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button
        kind="primary"
        isBusy={isBusy.value}
        disabled={name.value.trim() === ""}
        onClick={() => void save()}
      >
        Save the view
      </Button>
    </>
  );
  return (
    <Dialog
      title="Save the filter as a view"
      onClose={onClose}
      actions={actions}
      onSubmit={() => void save()}
    >
      <p class="muted">Everybody who may read views sees it.</p>
      <p>
        <code>{query}</code>
      </p>
      <TextField
        label="Name"
        value={name.value}
        onInput={(text) => {
          name.value = text;
        }}
        autofocus
      />
      <TextField
        label="Description"
        value={description.value}
        onInput={(text) => {
          description.value = text;
        }}
      />
      {problem.value !== undefined && <Problem problem={problem.value} />}
    </Dialog>
  );
}
