// The fields of a bulk action's form. Each action names the fields that it has.

import type { ReadonlySignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, type Page } from "../../../api/client";
import { useQuery } from "../../../api/query";
import { Select, TextField, Toggle } from "../../../ui/form";
import type { ActionField, ActionInput, BulkAction } from "./verbs";

interface FormProps {
  action: BulkAction;
  input: ReadonlySignal<ActionInput>;
  change: (part: Partial<ActionInput>) => void;
}

interface PartProps {
  input: ActionInput;
  change: (part: Partial<ActionInput>) => void;
}

/** The names of a noun's objects. */
function useNames(noun: string): string[] {
  const query = useQuery(noun, (signal) =>
    api.get<Page<{ name: string }>>(
      `/${noun}`,
      { fields: "name", sort: "name", limit: 1000 },
      { signal, quiet: true },
    ),
  );
  return (query.data.value?.items ?? []).map((item) => item.name);
}

function WorkflowField({ input, change, empty }: PartProps & { empty: string }): JSX.Element {
  const names = useNames("workflows");
  const options = [{ value: "", label: empty }, ...names.map((name) => ({ value: name, label: name }))];
  return (
    <Select
      label="Workflow"
      value={input.workflow}
      options={options}
      onChange={(workflow) => change({ workflow })}
    />
  );
}

function LabelFields({ input, change }: PartProps): JSX.Element {
  return (
    <>
      <TextField label="Label" value={input.name} placeholder="rack" onInput={(name) => change({ name })} />
      <Toggle
        label="Remove the label"
        checked={input.isRemoved}
        onChange={(isRemoved) => change({ isRemoved })}
      />
      {!input.isRemoved && (
        <TextField label="Value" value={input.value} onInput={(value) => change({ value })} />
      )}
    </>
  );
}

function ParamFields({ input, change }: PartProps): JSX.Element {
  const names = useNames("params");
  return (
    <>
      <TextField
        label="Param"
        value={input.name}
        suggestions={names}
        onInput={(name) => change({ name })}
      />
      <Toggle
        label="Remove the machine's own value"
        checked={input.isRemoved}
        onChange={(isRemoved) => change({ isRemoved })}
      />
      {!input.isRemoved && (
        <TextField
          label="Value"
          hint="Valid JSON is taken as JSON, any other text as text"
          value={input.value}
          onInput={(value) => change({ value })}
        />
      )}
    </>
  );
}

function ProfileFields({ input, change }: PartProps): JSX.Element {
  const names = useNames("profiles").filter((name) => name !== "global");
  const options = [
    { value: "", label: "Choose a profile" },
    ...names.map((name) => ({ value: name, label: name })),
  ];
  const modes = [
    { value: "last", label: "Add it behind the others" },
    { value: "first", label: "Add it before the others, so that it wins" },
    { value: "remove", label: "Remove it" },
  ];
  return (
    <>
      <Select
        label="Profile"
        value={input.profile}
        options={options}
        onChange={(profile) => change({ profile })}
      />
      <Select
        label="What to do"
        value={input.profileMode}
        options={modes}
        onChange={(mode) => change({ profileMode: mode as ActionInput["profileMode"] })}
      />
    </>
  );
}

function StepField({
  label,
  hint,
  value,
  onInput,
}: {
  label: string;
  hint: string;
  value: string;
  onInput: (text: string) => void;
}): JSX.Element {
  return <TextField label={label} hint={hint} value={value} onInput={onInput} />;
}

export function ActionFields({ action, input, change }: FormProps): JSX.Element {
  const has = (field: ActionField): boolean => action.fields.includes(field);
  const part = { input: input.value, change };
  const { reason, from, before, refresh, channel, force } = input.value;
  const empty = action.id === "start" ? "Each machine's own workflow" : "None";
  const step = "A step's number, counted from 0, or its name; empty:";
  return (
    <>
      {has("workflow") && <WorkflowField {...part} empty={empty} />}
      {has("label") && <LabelFields {...part} />}
      {has("param") && <ParamFields {...part} />}
      {has("profile") && <ProfileFields {...part} />}
      {has("channel") && (
        <TextField
          label="Channel"
          hint="Empty: that of its profiles, or prod"
          value={channel}
          onInput={(text) => change({ channel: text })}
        />
      )}
      {has("from") && (
        <StepField
          label="From step"
          hint={`${step} from the first`}
          value={from}
          onInput={(text) => change({ from: text })}
        />
      )}
      {has("before") && (
        <StepField
          label={action.id === "pause" ? "Pause before step" : "Stop before step"}
          hint={`${step} ${action.id === "pause" ? "now" : "do not stop"}`}
          value={before}
          onInput={(text) => change({ before: text })}
        />
      )}
      {has("refresh") && (
        <Toggle
          label="With the present content and params"
          checked={refresh}
          onChange={(on) => change({ refresh: on })}
        />
      )}
      {(has("reason") || has("requiredReason")) && (
        <TextField
          label="Reason"
          hint="One line for the run's record"
          value={reason}
          required={has("requiredReason")}
          onInput={(text) => change({ reason: text })}
        />
      )}
      {has("force") && (
        <Toggle
          label="Also machines that are armed or in a run"
          checked={force}
          onChange={(on) => change({ force: on })}
        />
      )}
    </>
  );
}
