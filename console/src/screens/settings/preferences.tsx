// The preferences of the server: what each decides, its value, its default, and the last change of it.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { Link } from "../../app/router";
import { may } from "../../app/session";
import { useChanges } from "../../live/feed";
import { Button } from "../../ui/button";
import { Empty, Loading, Problem, StateBadge } from "../../ui/status";
import { toast } from "../../ui/toast";
import { Time } from "../../ui/values";
import { parseSetting, settingText, valuesText, type SettingSchema } from "./setting_values";

export interface Preference {
  name: string;
  about: string;
  schema: SettingSchema;
  default: unknown;
  value: unknown;
  is_changed: boolean;
  updated_at?: string;
}

export function Preferences(): JSX.Element {
  const { data, problem, reload } = useQuery("settings", (signal) =>
    api.get<{ items: Preference[] }>("/server/settings", undefined, { signal }),
  );
  const search = useSignal("");
  useChanges(["setting"], reload);
  if (problem.value && !data.value) return <Problem problem={problem.value} onRetry={reload} />;
  if (!data.value) return <Loading label="Reading the settings" height={400} />;
  const wanted = search.value.trim().toLowerCase();
  const shown = data.value.items.filter((item) =>
    `${item.name} ${item.about}`.toLowerCase().includes(wanted),
  );
  return (
    <>
      <p class="muted">
        Preferences count at once. What the server needs for its start, like addresses and ports, is in its
        configuration file.
      </p>
      <label class="settings-search">
        <span class="visually-hidden">Search the settings</span>
        <input
          type="search"
          value={search.value}
          placeholder="Search the settings"
          onInput={(event) => {
            search.value = event.currentTarget.value;
          }}
        />
      </label>
      {shown.length === 0 && <Empty title="No setting matches">Clear the search to see all.</Empty>}
      <ul class="settings-list">
        {shown.map((item) => (
          <PreferenceRow key={item.name} item={item} onSaved={reload} />
        ))}
      </ul>
    </>
  );
}

function PreferenceRow({ item, onSaved }: { item: Preference; onSaved: () => void }): JSX.Element {
  const draft = useSignal<string | undefined>(undefined);
  const fault = useSignal<unknown>(undefined);
  const isBusy = useSignal(false);
  const writable = may("settings:write");
  const save = async (value: unknown) => {
    isBusy.value = true;
    fault.value = undefined;
    try {
      await api.patch(`/settings/${item.name}`, { value });
      draft.value = undefined;
      toast(`${item.name} is ${settingText(value)}`);
      onSaved();
    } catch (error) {
      fault.value = error;
    } finally {
      isBusy.value = false;
    }
  };
  const typed = () => {
    const parsed = parseSetting(draft.value ?? "", item.schema);
    if ("fault" in parsed) fault.value = new Error(parsed.fault);
    else void save(parsed.value);
  };
  return (
    <li class="card setting" id={item.name}>
      <div class="setting-words">
        <h2>
          <code>{item.name}</code>{" "}
          {item.is_changed && (
            <StateBadge state="changed" tone="info" title="Another value than the default" />
          )}
        </h2>
        <p>{item.about}</p>
        <p class="muted small">
          {valuesText(item.schema)}; default <code>{settingText(item.default)}</code>
          {item.is_changed && item.updated_at && (
            <>
              ; changed <Time at={item.updated_at} />
            </>
          )}{" "}
          <Link to={`/activity?tab=audit&subject=${encodeURIComponent(`setting:${item.name}`)}`}>
            Changes
          </Link>
        </p>
      </div>
      <div class="setting-value">
        <SettingInput
          item={item}
          draft={draft.value ?? settingText(item.value)}
          disabled={!writable || isBusy.value}
          onDraft={(text) => {
            draft.value = text;
            fault.value = undefined;
          }}
          onEnter={typed}
        />
        {writable && draft.value !== undefined && (
          <div class="row">
            <Button kind="primary" size="small" isBusy={isBusy.value} onClick={typed}>
              Save
            </Button>
            <Button
              size="small"
              onClick={() => {
                draft.value = undefined;
                fault.value = undefined;
              }}
            >
              Discard
            </Button>
          </div>
        )}
        {writable && item.is_changed && draft.value === undefined && (
          <Button size="small" kind="quiet" icon="reload" onClick={() => void save(item.default)}>
            Back to the default
          </Button>
        )}
        {fault.value !== undefined && <Problem problem={fault.value} />}
      </div>
    </li>
  );
}

function SettingInput({
  item,
  draft,
  disabled,
  onDraft,
  onEnter,
}: {
  item: Preference;
  draft: string;
  disabled: boolean;
  onDraft: (text: string) => void;
  onEnter: () => void;
}): JSX.Element {
  const label = `Value of ${item.name}`;
  const words = choicesOf(item.schema);
  if (words) {
    return (
      <select
        aria-label={label}
        value={draft}
        disabled={disabled}
        onChange={(event) => onDraft(event.currentTarget.value)}
      >
        {words.map((word) => (
          <option key={word} value={word}>
            {word}
          </option>
        ))}
      </select>
    );
  }
  return (
    <input
      aria-label={label}
      value={draft}
      disabled={disabled}
      spellcheck={false}
      onInput={(event) => onDraft(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === "Enter") onEnter();
      }}
    />
  );
}

function choicesOf(schema: SettingSchema): string[] | undefined {
  if (schema.enum) return schema.enum.map(settingText);
  const types = [schema.type].flat();
  if (!types.includes("boolean")) return undefined;
  return types.includes("null") ? ["null", "true", "false"] : ["true", "false"];
}
