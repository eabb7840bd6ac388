// One action: what it asks, the check of the server before it, and the confirmation where a disk would be
// erased.
import { useSignal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import { api, asProblem } from "../../api/client";
import type { ApiProblem } from "../../api/client";
import { useQuery } from "../../api/query";
import type { Machine, Run } from "../../api/schema";
import type { ActionInput, MachineAction } from "./actions";
import { NO_INPUT, bodyOf, erasesAfter, stepNames, withFrom } from "./actions";
import { Button, ConfirmErase, Dialog, Problem, Select, TextField, toast, Toggle } from "./kit";

interface ActionDialogProps {
  action: MachineAction;
  machine: Machine;
  run: Run | undefined;
  onClose: () => void;
}

/** Codes of faults that no `accept` passes over. */
const NOT_ACCEPTABLE = new Set(["not_ready", "not_found", "missing", "invalid"]);

interface Asked {
  input: Signal<ActionInput>;
  from: Signal<string>;
}

async function send(
  action: MachineAction,
  machine: Machine,
  body: Record<string, unknown>,
  dryRun: boolean,
): Promise<Machine> {
  if (action.verb === "lock" || action.verb === "unlock") {
    return api.patch<Machine>(
      `/machines/${machine.id}`,
      { locked: action.verb === "lock" },
      { ifMatch: machine.revision },
    );
  }
  const query = dryRun ? { dry_run: true } : {};
  return api.post<Machine>(`/machines/${machine.id}/actions/${action.verb}`, body, { query });
}

export function ActionDialog({ action, machine, run, onClose }: ActionDialogProps): JSX.Element {
  const asked: Asked = {
    input: useSignal({ ...NO_INPUT, workflow: machine.workflow ?? "" }),
    from: useSignal(""),
  };
  const problem = useSignal<ApiProblem | null>(null);
  const erases = useSignal<string | null>(null);
  const busy = useSignal(false);
  const body = () => withFrom(bodyOf(action, asked.input.value), asked.from.value);

  const attempt = async (work: () => Promise<void>) => {
    busy.value = true;
    problem.value = null;
    try {
      await work();
    } catch (error) {
      problem.value = asProblem(error);
      erases.value = null;
    }
    busy.value = false;
  };
  const carryOut = () =>
    attempt(async () => {
      const after = await send(action, machine, body(), false);
      toast(`${machine.name} is ${after.status.state}: ${after.status.reason || action.title}`);
      onClose();
    });
  const proceed = () =>
    attempt(async () => {
      const wouldErase =
        action.verb === "arm"
          ? `what ${machine.status.bootenv ?? "the boot"} installs on`
          : action.checked
            ? erasesAfter(await send(action, machine, body(), true))
            : "";
      if (wouldErase) erases.value = wouldErase;
      else await carryOut();
    });

  if (erases.value !== null) {
    return (
      <ConfirmErase
        title={`${action.title}: ${machine.name}`}
        erases={[`The next boot of ${machine.name} from the network erases ${erases.value}.`]}
        expected={machine.name}
        expectedIs="the name of the machine"
        action={action.title}
        onConfirm={carryOut}
        onClose={onClose}
      >
        <p>It stays armed for 24 hours; “Disarm” takes it back until the kernel is fetched.</p>
      </ConfirmErase>
    );
  }
  const missing = action.needsReason && asked.input.value.reason.trim() === "";
  const buttons = (
    <>
      <Button onClick={onClose}>Close</Button>
      <Button
        kind={action.danger ? "danger" : "primary"}
        disabled={missing}
        isBusy={busy.value}
        onClick={() => void proceed()}
      >
        {action.checked ? `Check and ${action.title.toLowerCase()}` : action.title}
      </Button>
    </>
  );
  return (
    <Dialog title={`${action.title}: ${machine.name}`} onClose={onClose} actions={buttons}>
      <p>{action.does}</p>
      <ActionForm action={action} asked={asked} run={run} />
      {problem.value && <Problem problem={problem.value} />}
      {problem.value && action.checked && <AcceptFaults problem={problem.value} input={asked.input} />}
    </Dialog>
  );
}

function ActionForm({
  action,
  asked,
  run,
}: {
  action: MachineAction;
  asked: Asked;
  run: Run | undefined;
}): JSX.Element {
  const { input, from } = asked;
  const set = (change: Partial<ActionInput>) => void (input.value = { ...input.value, ...change });
  const steps = stepNames(run).map((step) => ({ value: step.value, label: step.title }));
  const has = (field: MachineAction["fields"][number]) => action.fields.includes(field);
  const none = {
    value: "",
    label: has("step") ? "The present step" : has("before") ? "Now" : "Nowhere: it runs to its end",
  };
  return (
    <>
      {has("workflow") && (
        <WorkflowField value={input.value.workflow} onInput={(workflow) => set({ workflow })} />
      )}
      {has("from") && (
        <Select
          label="Begin at"
          value={from.value}
          onChange={(value) => void (from.value = value)}
          options={[{ value: "", label: "The first step" }, ...steps]}
        />
      )}
      {(has("before") || has("step")) && (
        <Select
          label={has("step") ? "Step" : "Pause before"}
          value={input.value.step}
          onChange={(step) => set({ step })}
          options={[none, ...steps]}
        />
      )}
      {has("stop_before") && (
        <TextField
          label="Pause before the step"
          hint="A name or a number counted from 0; empty to run to the end."
          value={input.value.step}
          onInput={(step) => set({ step })}
          suggestions={(run?.steps ?? []).map((step) => step.name)}
        />
      )}
      {has("refresh") && (
        <Toggle
          label="Take the content and params of now, not those that the run kept"
          checked={input.value.refresh}
          onChange={(refresh) => set({ refresh })}
        />
      )}
      {has("reason") && (
        <TextField
          label={action.needsReason ? "Reason (needed)" : "Reason"}
          hint="One line; it stays in the record."
          value={input.value.reason}
          onInput={(reason) => set({ reason })}
          required={action.needsReason}
        />
      )}
    </>
  );
}

function WorkflowField({
  value,
  onInput,
}: {
  value: string;
  onInput: (value: string) => void;
}): JSX.Element {
  const list = useQuery("workflow names", (signal) =>
    api.get<{ items: { name: string; description?: string }[] }>(
      "/workflows",
      { limit: 1000, fields: "name,description" },
      { signal, quiet: true },
    ),
  );
  const items = list.data.value?.items ?? [];
  const about = items.find((one) => one.name === value)?.description;
  return (
    <TextField
      label="Workflow"
      hint={about || "Empty: the machine's own, else the default of the server."}
      value={value}
      onInput={onInput}
      suggestions={items.map((one) => one.name)}
    />
  );
}

function AcceptFaults({
  problem,
  input,
}: {
  problem: ApiProblem;
  input: Signal<ActionInput>;
}): JSX.Element | null {
  const codes = [...new Set(problem.problems.map((fault) => fault.code ?? ""))].filter(
    (code) => code && !NOT_ACCEPTABLE.has(code),
  );
  if (problem.status !== 409 || codes.length === 0) return null;
  const flip = (code: string, wanted: boolean) => {
    const accept = input.value.accept.filter((one) => one !== code);
    input.value = { ...input.value, accept: wanted ? [...accept, code] : accept };
  };
  return (
    <fieldset class="accept">
      <legend>Begin in spite of these faults (needs a reason)</legend>
      {codes.map((code) => (
        <Toggle
          key={code}
          label={code}
          checked={input.value.accept.includes(code)}
          onChange={(wanted) => flip(code, wanted)}
        />
      ))}
    </fieldset>
  );
}
