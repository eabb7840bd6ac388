// Registers unknown clients as machines: a name for each, a profile and a workflow for all. Each is one
// call; what is refused stays in the dialog with its reason.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, asProblem } from "../../api/client";
import { useCollection } from "../../live/collection";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Select, TextField } from "../../ui/form";
import { toast } from "../../ui/toast";
import { machineDocuments, nameFaults, proposedNames, type MachineDocument } from "./registering";
import type { UnknownClient } from "./types";

interface Named {
  name: string;
}

interface Props {
  clients: UnknownClient[];
  onClose: (done: boolean) => void;
}

export function RegisterDialog({ clients, onClose }: Props): JSX.Element {
  const machines = useCollection<Named>("machines", { fields: ["name"] });
  const taken = new Set(machines.rows.value.map((machine) => machine.name));
  const pattern = useSignal(clients.length > 1 ? "node-##" : "");
  const names = useSignal<Record<string, string>>({});
  const chosen = useSignal({ profile: "", workflow: "", labels: "" });
  const refused = useSignal<Record<string, string>>({});
  const done = useSignal<ReadonlySet<string>>(new Set());
  const isBusy = useSignal(false);
  const open = clients.filter((client) => !done.value.has(client.mac ?? ""));
  const proposed = proposedNames(open, pattern.value, taken);
  const given = open.map((client) => names.value[client.mac ?? ""] ?? proposed.get(client.mac ?? "") ?? "");
  const faults = nameFaults(given, taken);
  const save = async () => {
    isBusy.value = true;
    const made = machineDocuments(open, given, chosen.value);
    refused.value = await register(made, (mac) => void (done.value = new Set([...done.value, mac])));
    isBusy.value = false;
    const failures = Object.keys(refused.value).length;
    if (failures === 0) {
      toast(made.length === 1 ? `${given[0]} is registered.` : `${made.length} machines are registered.`);
      onClose(true);
    }
  };
  return (
    <Dialog
      title={clients.length === 1 ? `Register ${clients[0]?.mac}` : `Register ${clients.length} machines`}
      wide
      onClose={() => onClose(done.value.size > 0)}
      actions={
        <>
          <Button onClick={() => onClose(done.value.size > 0)}>
            {done.value.size > 0 ? "Close" : "Cancel"}
          </Button>
          <Button
            kind="primary"
            disabled={faults.some(Boolean)}
            isBusy={isBusy.value}
            onClick={() => void save()}
          >
            {open.length === 1 ? "Register" : `Register ${open.length} machines`}
          </Button>
        </>
      }
    >
      <div class="form">
        <p>
          This makes machines with the MAC and the architecture of these clients. Nothing is started or
          armed: a workflow is only noted, and begins when you start it.
        </p>
        {clients.length > 1 && (
          <TextField
            label="Names"
            hint="# stands for the digits of a number."
            value={pattern.value}
            onInput={(text) => void (pattern.value = text)}
          />
        )}
        <Choices
          chosen={chosen.value}
          change={(part) => void (chosen.value = { ...chosen.value, ...part })}
        />
        <div class="name-list">
          {open.map((client, at) => (
            <TextField
              key={client.mac}
              label={`Name of ${client.mac}${client.firmware ? ` (${client.firmware})` : ""}`}
              value={given[at] ?? ""}
              fault={faults[at] ?? refused.value[client.mac ?? ""]}
              onInput={(name) => void (names.value = { ...names.value, [client.mac ?? ""]: name })}
            />
          ))}
        </div>
        {Object.keys(refused.value).length > 0 && (
          <p class="bad-text" role="alert">
            {done.value.size} registered, {Object.keys(refused.value).length} refused. Correct them and try
            again.
          </p>
        )}
      </div>
    </Dialog>
  );
}

interface Chosen {
  profile: string;
  workflow: string;
  labels: string;
}

function Choices({ chosen, change }: { chosen: Chosen; change: (part: Partial<Chosen>) => void }) {
  const profiles = useCollection<Named>("profiles", { fields: ["name"], sort: "name" });
  const workflows = useCollection<Named>("workflows", { fields: ["name"], sort: "name" });
  const words = (rows: Named[]) => [
    { value: "", label: "none" },
    ...rows.map(({ name }) => ({ value: name, label: name })),
  ];
  return (
    <div class="form-row">
      <Select
        label="Profile"
        value={chosen.profile}
        onChange={(profile) => change({ profile })}
        options={words(profiles.rows.value.filter((profile) => profile.name !== "global"))}
      />
      <Select
        label="Workflow"
        value={chosen.workflow}
        onChange={(workflow) => change({ workflow })}
        options={words(workflows.rows.value)}
      />
      <TextField
        label="Labels"
        hint="rack=r1 role=db"
        value={chosen.labels}
        onInput={(labels) => change({ labels })}
      />
    </div>
  );
}

/** Makes the machines, one after the other, and says of each refused one why. */
async function register(
  documents: MachineDocument[],
  taken: (mac: string) => void,
): Promise<Record<string, string>> {
  const refused: Record<string, string> = {};
  for (const document of documents) {
    const mac = document.macs[0] ?? "";
    try {
      await api.post("/machines", document);
      taken(mac);
    } catch (error) {
      const { detail, problems } = asProblem(error);
      refused[mac] = [detail, ...problems.map((one) => one.message)].join(" ");
    }
  }
  return refused;
}
