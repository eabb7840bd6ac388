// The dialog that makes a machine.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, asProblem, type ApiProblem, type Page } from "../../api/client";
import { useQuery } from "../../api/query";
import { go } from "../../app/router";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Select, TextField } from "../../ui/form";
import { Problem } from "../../ui/status";
import { toast } from "../../ui/toast";
import { ARCHES, EMPTY_MACHINE, machineOf, type MachineForm } from "./machine_form";
import type { MachineRow } from "./row";

interface FieldsProps {
  form: MachineForm;
  change: (part: Partial<MachineForm>) => void;
  faultAt: (pointer: string) => string | undefined;
}

function MachineFields({ form, change, faultAt }: FieldsProps): JSX.Element {
  const workflows = useQuery("workflows", (signal) =>
    api.get<Page<{ name: string }>>(
      "/workflows",
      { fields: "name", sort: "name", limit: 1000 },
      { signal, quiet: true },
    ),
  );
  const names = (workflows.data.value?.items ?? []).map(({ name }) => ({ value: name, label: name }));
  return (
    <>
      <TextField
        label="Name"
        hint="The host name; unique"
        value={form.name}
        fault={faultAt("/name")}
        required
        autofocus
        onInput={(name) => change({ name })}
      />
      <TextField
        label="MAC addresses"
        hint="Of all network interfaces, such as 52:54:00:aa:00:01"
        value={form.macs}
        fault={faultAt("/macs")}
        onInput={(macs) => change({ macs })}
      />
      <Select
        label="Architecture"
        value={form.arch}
        options={ARCHES.map((arch) => ({ value: arch, label: arch }))}
        onChange={(arch) => change({ arch })}
      />
      <Select
        label="Own workflow"
        hint="The one that a start without a workflow runs"
        value={form.workflow}
        options={[{ value: "", label: "None" }, ...names]}
        fault={faultAt("/workflow")}
        onChange={(workflow) => change({ workflow })}
      />
      <TextField
        label="Profiles"
        hint="In order: an earlier one wins"
        value={form.profiles}
        fault={faultAt("/profiles")}
        onInput={(profiles) => change({ profiles })}
      />
      <TextField
        label="Labels"
        hint="Such as rack=r1 role=db"
        value={form.labels}
        fault={faultAt("/labels")}
        onInput={(labels) => change({ labels })}
      />
      <TextField
        label="Serial number"
        value={form.serial}
        fault={faultAt("/serial")}
        onInput={(serial) => change({ serial })}
      />
    </>
  );
}

export function CreateMachine({ onClose }: { onClose: () => void }): JSX.Element {
  const form = useSignal<MachineForm>(EMPTY_MACHINE);
  const problem = useSignal<ApiProblem | undefined>(undefined);
  const isSending = useSignal(false);
  const change = (part: Partial<MachineForm>): void => {
    form.value = { ...form.value, ...part };
  };
  const faultAt = (pointer: string): string | undefined =>
    problem.value?.problems.find(
      (fault) => fault.pointer === pointer || fault.pointer.startsWith(`${pointer}/`),
    )?.message;
  const send = async (then: "show" | "another"): Promise<void> => {
    isSending.value = true;
    problem.value = undefined;
    try {
      const made = await api.post<MachineRow>("/machines", machineOf(form.value));
      toast(`${made.name} is created`);
      if (then === "show") {
        go(`/machines/${encodeURIComponent(made.id)}`);
      } else {
        change({ name: "", macs: "", serial: "" });
      }
    } catch (error) {
      problem.value = asProblem(error);
    } finally {
      isSending.value = false;
    }
  };
  return (
    <Dialog title="New machine" onClose={onClose}>
      <form
        class="fleet-form"
        onSubmit={(event) => {
          event.preventDefault();
          void send("show");
        }}
      >
        <MachineFields form={form.value} change={change} faultAt={faultAt} />
        {problem.value !== undefined && <Problem problem={problem.value} />}
        <div class="fleet-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button
            disabled={isSending.value || form.value.name.trim() === ""}
            onClick={() => void send("another")}
          >
            Create, then another
          </Button>
          <Button kind="primary" type="submit" isBusy={isSending.value}>
            Create
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
