/** The machine that is previewed: a field with suggestions of the server. */

import { useEffect, useState } from "preact/hooks";

import { api, type Page } from "../../api/client";

const SUGGESTIONS_MAX = 20;
const REST_MILLISECONDS = 200;

export interface ChosenMachine {
  name: string;
  workflow?: string | null;
}

const FIELDS = "name,workflow";

/** A machine of the name; null if there is none. */
export async function findMachine(name: string, stop: AbortSignal): Promise<ChosenMachine | null> {
  const page = await api.get<Page<ChosenMachine>>(
    "/machines",
    { name, limit: 1, fields: FIELDS },
    { signal: stop, quiet: true },
  );
  return page.items[0] ?? null;
}

/** A machine to begin with: one of these workflows, else any. */
export async function firstMachine(workflows: string[], stop: AbortSignal): Promise<ChosenMachine | null> {
  const ask = async (filter: Record<string, string>) => {
    const query = { ...filter, limit: 1, fields: FIELDS };
    return api.get<Page<ChosenMachine>>("/machines", query, { signal: stop, quiet: true });
  };
  const own = workflows.length > 0 ? await ask({ "workflow[in]": workflows.join(",") }) : null;
  return own?.items[0] ?? (await ask({})).items[0] ?? null;
}

export function MachineChoice({ value, onChoose }: { value: string; onChoose: (name: string) => void }) {
  const [typed, setTyped] = useState(value);
  const [known, setKnown] = useState<string[]>([]);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    const stop = new AbortController();
    const ask = () => void suggest(typed, stop.signal).then(setKnown, () => undefined);
    const timer = setTimeout(ask, REST_MILLISECONDS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [typed]);
  const choose = (name: string) => {
    setTyped(name);
    if (known.includes(name)) onChoose(name);
  };
  return (
    <label class="content-choice">
      <span>Machine</span>
      <input
        list="content-machines"
        value={typed}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => choose(event.currentTarget.value)}
        onChange={(event) => onChoose(event.currentTarget.value)}
      />
      <datalist id="content-machines">
        {known.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </label>
  );
}

async function suggest(typed: string, stop: AbortSignal): Promise<string[]> {
  const query = { name: typed === "" ? undefined : `${typed}*`, limit: SUGGESTIONS_MAX, fields: "name" };
  const page = await api.get<Page<{ name: string }>>("/machines", query, { signal: stop, quiet: true });
  return page.items.map((machine) => machine.name);
}
