// The dialog that makes a token: a name, an end, scopes with what each gives; then its text, once.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { allows, scopes as ownScopes } from "../../app/session";
import { Button, Copy } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Select, TextField } from "../../ui/form";
import { Loading, Problem } from "../../ui/status";
import { endOf, scopesOf, type AccessLevel, type ScopeArea } from "./scopes";

const ENDS = [
  { value: "1", label: "in a day" },
  { value: "30", label: "in 30 days" },
  { value: "90", label: "in 90 days" },
  { value: "365", label: "in a year" },
  { value: "", label: "never" },
];

interface NewToken {
  name: string;
  token: string;
}

export function TokenDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const name = useSignal("");
  const days = useSignal("90");
  const isAdmin = useSignal(false);
  const levels = useSignal<Record<string, AccessLevel>>({});
  const problem = useSignal<unknown>(undefined);
  const isBusy = useSignal(false);
  const made = useSignal<NewToken | undefined>(undefined);
  const chosen = isAdmin.value ? ["*"] : scopesOf(levels.value);
  const create = async () => {
    isBusy.value = true;
    problem.value = undefined;
    const expires = endOf(days.value, Date.now());
    try {
      made.value = await api.post<NewToken>("/tokens", {
        name: name.value.trim(),
        scopes: chosen,
        ...(expires && { expires_at: expires }),
      });
    } catch (error) {
      problem.value = error;
    } finally {
      isBusy.value = false;
    }
  };
  if (made.value) return <TokenShown made={made.value} onClose={onClose} />;
  const actions = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button
        kind="primary"
        isBusy={isBusy.value}
        disabled={name.value.trim() === "" || chosen.length === 0}
        title={chosen.length === 0 ? "Choose at least one scope" : undefined}
        onClick={() => void create()}
      >
        Create the token
      </Button>
    </>
  );
  return (
    <Dialog title="Create a token" wide onClose={onClose} actions={actions}>
      <TextField
        label="Name"
        hint="Who or what uses it; events name it"
        value={name.value}
        onInput={(text) => {
          name.value = text;
        }}
        autofocus
      />
      <Select
        label="Ends"
        value={days.value}
        onChange={(text) => {
          days.value = text;
        }}
        options={ENDS}
      />
      <label class="toggle">
        <input
          type="checkbox"
          checked={isAdmin.value}
          disabled={!ownScopes.value.includes("*")}
          onChange={(event) => {
            isAdmin.value = event.currentTarget.checked;
          }}
        />
        <span>
          Everything (<code>*</code>): an administrator, who can make tokens, read backups with all secrets
          and erase machines
        </span>
      </label>
      {!isAdmin.value && (
        <ScopeChoice
          levels={levels.value}
          onChange={(next) => {
            levels.value = next;
          }}
        />
      )}
      <p class="small">
        Scopes:{" "}
        {chosen.length > 0
          ? chosen.map((scope) => (
              <code key={scope} class="scope">
                {scope}
              </code>
            ))
          : "none yet"}
      </p>
      {problem.value !== undefined && <Problem problem={problem.value} />}
    </Dialog>
  );
}

function ScopeChoice({
  levels,
  onChange,
}: {
  levels: Record<string, AccessLevel>;
  onChange: (levels: Record<string, AccessLevel>) => void;
}): JSX.Element {
  const { data, problem, reload } = useQuery("scopes", (signal) =>
    api.get<{ items: ScopeArea[] }>("/server/scopes", undefined, { signal }),
  );
  if (problem.value) return <Problem problem={problem.value} onRetry={reload} />;
  if (!data.value) return <Loading label="Reading the scopes" height={200} />;
  const areas = data.value.items;
  const setAll = (level: AccessLevel) =>
    onChange(
      Object.fromEntries(
        areas
          .filter((area) => level === "none" || allows(ownScopes.value, `${area.name}:${level}`))
          .map((area) => [area.name, level]),
      ),
    );
  return (
    <fieldset class="scope-choice">
      <legend>What it may do</legend>
      <div class="row">
        <Button size="small" onClick={() => setAll("read")}>
          Read everything
        </Button>
        <Button size="small" onClick={() => setAll("none")}>
          Nothing
        </Button>
      </div>
      <div class="scope-list" tabIndex={0} role="group" aria-label="Areas">
        {areas.map((area) => (
          <ScopeRow
            key={area.name}
            area={area}
            level={levels[area.name] ?? "none"}
            onChange={(level) => onChange({ ...levels, [area.name]: level })}
          />
        ))}
      </div>
    </fieldset>
  );
}

function ScopeRow({
  area,
  level,
  onChange,
}: {
  area: ScopeArea;
  level: AccessLevel;
  onChange: (level: AccessLevel) => void;
}): JSX.Element {
  const levels: AccessLevel[] = area.write === "" ? ["none", "read"] : ["none", "read", "write"];
  const mayGive = (one: AccessLevel) => one === "none" || allows(ownScopes.value, `${area.name}:${one}`);
  return (
    <div class="scope-row">
      <label class="scope-level">
        <code>{area.name}</code>
        <select value={level} onChange={(event) => onChange(event.currentTarget.value as AccessLevel)}>
          {levels.map((one) => (
            <option key={one} value={one} disabled={!mayGive(one)}>
              {one}
            </option>
          ))}
        </select>
      </label>
      <span class="small">
        <span class="muted">read:</span> {area.read}
        {area.write !== "" && (
          <>
            <br />
            <span class="muted">write:</span> {area.write}
            {area.is_programs && <strong> Who writes these writes programs.</strong>}
          </>
        )}
      </span>
    </div>
  );
}

function TokenShown({ made, onClose }: { made: NewToken; onClose: () => void }): JSX.Element {
  return (
    <Dialog
      title={`The token ${made.name}`}
      firm
      onClose={onClose}
      actions={
        <Button kind="primary" onClick={onClose}>
          I have kept it
        </Button>
      }
    >
      <p>
        <strong>This text is shown once.</strong> Keep it now: the server has only a digest of it, and
        nobody can read it again.
      </p>
      <div class="secret-line">
        <code>{made.token}</code>
        <Copy text={made.token} label="Copy the token" />
      </div>
      <p class="muted small">
        Use it as <code>METALWRIGHT_TOKEN</code>, or in the header <code>Authorization: Bearer …</code>.
      </p>
    </Dialog>
  );
}
