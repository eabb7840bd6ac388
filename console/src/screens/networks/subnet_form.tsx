// The form of a subnet. A problem stands at its field, whether it was seen here or by the server.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, asProblem, ref, type ApiProblem } from "../../api/client";
import { Button } from "../../ui/button";
import { Select, TextField, Toggle } from "../../ui/form";
import { Card } from "../../ui/page";
import { Problem } from "../../ui/status";
import { toast } from "../../ui/toast";
import { faultsOf, focusFault, patchOf, type FieldFaults } from "./reserve";
import {
  FLAG_NAMES,
  FLAGS,
  proposedPool,
  subnetDraft,
  subnetFaults,
  subnetFields,
  withoutNulls,
  type SubnetDraft,
} from "./subnet_draft";
import type { Subnet, SubnetMode } from "./types";

interface FormProps {
  subnet: Subnet | undefined;
  onSaved: (name: string) => void;
}

export function SubnetForm({ subnet, onSaved }: FormProps): JSX.Element {
  const draft = useSignal<SubnetDraft>(subnetDraft(subnet));
  const faults = useSignal<FieldFaults>({});
  const problem = useSignal<ApiProblem | undefined>(undefined);
  const isBusy = useSignal(false);
  const change = (part: Partial<SubnetDraft>) => void (draft.value = { ...draft.value, ...part });
  const save = async () => {
    faults.value = subnetFaults(draft.value);
    problem.value = undefined;
    if (Object.keys(faults.value).length > 0) return focusFault();
    isBusy.value = true;
    try {
      await writeSubnet(draft.value, subnet);
      toast(`Subnet ${draft.value.name} is saved. It is in force for the next packet.`);
      onSaved(draft.value.name.trim());
    } catch (error) {
      problem.value = asProblem(error);
      faults.value = faultsOf(problem.value);
      focusFault();
    }
    isBusy.value = false;
  };
  const part = { draft: draft.value, faults: faults.value, change };
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <NetworkFields {...part} isNew={!subnet} />
      <AddressFields {...part} />
      <OptionFields {...part} />
      <FurtherFields {...part} />
      {problem.value && <Problem problem={problem.value} />}
      {Object.keys(faults.value).length > 0 && (
        <p class="bad-text" role="alert">
          {Object.keys(faults.value).length} fields are at fault, see above. Nothing was saved.
        </p>
      )}
      <div class="form-end">
        <Button kind="primary" type="submit" isBusy={isBusy.value}>
          {subnet ? "Save" : "Create the subnet"}
        </Button>
      </div>
    </form>
  );
}

async function writeSubnet(draft: SubnetDraft, before: Subnet | undefined): Promise<void> {
  const fields = subnetFields(draft, before);
  if (!before) return void (await api.post("/subnets", withoutNulls(fields)));
  const media = "application/json-patch+json";
  await api.patch(`/subnets/${ref(before.name)}`, patchOf(fields, before), {
    media,
    ifMatch: before.revision,
  });
}

interface PartProps {
  draft: SubnetDraft;
  faults: FieldFaults;
  change: (part: Partial<SubnetDraft>) => void;
}

const MODES: { value: SubnetMode; label: string }[] = [
  { value: "managed", label: "managed: addresses and boot data" },
  { value: "proxy", label: "proxy: boot data beside another DHCP server" },
  { value: "address_only", label: "address_only: addresses, never boot data" },
];

function NetworkFields({ draft, faults, change, isNew }: PartProps & { isNew: boolean }) {
  const setCidr = (cidr: string) => {
    const pool =
      isNew && draft.pools === (proposedPool(draft.cidr) ?? "") ? { pools: proposedPool(cidr) ?? "" } : {};
    change({ cidr, ...pool });
  };
  return (
    <Card title="Network">
      <div class="form-row">
        <TextField
          label="Name"
          required
          value={draft.name}
          fault={faults["/name"]}
          placeholder="lan"
          onInput={(name) => change({ name })}
        />
        <TextField
          label="Network"
          required
          value={draft.cidr}
          fault={faults["/cidr"]}
          placeholder="10.0.0.0/24"
          onInput={setCidr}
        />
        <Select
          label="Mode"
          value={draft.mode}
          fault={faults["/mode"]}
          options={MODES}
          onChange={(mode) => change({ mode: mode as SubnetMode })}
        />
      </div>
      <Toggle
        label="Enabled: the server answers its clients"
        checked={draft.enabled}
        onChange={(enabled) => change({ enabled })}
      />
      {draft.mode === "proxy" && (
        <p class="muted">
          In this mode the server refuses pools, excluded addresses, options and most settings of addresses:
          another server gives them.
        </p>
      )}
    </Card>
  );
}

function AddressFields({ draft, faults, change }: PartProps) {
  return (
    <Card title="Addresses">
      <div class="form-row">
        <TextField
          multiline
          label="Pools"
          value={draft.pools}
          fault={faults["/pools"]}
          hint="A range a line: 10.0.0.100 - 10.0.0.199"
          onInput={(pools) => change({ pools })}
        />
        <TextField
          multiline
          label="Excluded addresses"
          value={draft.excluded}
          fault={faults["/excluded"]}
          hint="Ranges or addresses inside of the pools that are not given out, one a line"
          onInput={(excluded) => change({ excluded })}
        />
      </div>
      <div class="form-row">
        <TextField
          label="Lease time in seconds"
          type="number"
          value={draft.lease_seconds}
          fault={faults["/lease_seconds"]}
          onInput={(lease_seconds) => change({ lease_seconds })}
        />
        <Select
          label="Check of fresh addresses"
          value={draft.probe}
          fault={faults["/probe"]}
          onChange={(probe) => change({ probe })}
          options={[
            { value: "arp", label: "arp (ICMP echo behind a relay agent)" },
            { value: "icmp", label: "icmp" },
            { value: "none", label: "none" },
          ]}
        />
      </div>
    </Card>
  );
}

function OptionFields({ draft, faults, change }: PartProps) {
  return (
    <Card title="Options">
      <div class="form-row">
        <TextField
          label="Routers"
          value={draft.routers}
          placeholder="10.0.0.1"
          onInput={(routers) => change({ routers })}
        />
        <TextField
          label="Name servers"
          value={draft.name_servers}
          placeholder="10.0.0.1, 10.0.0.2"
          onInput={(name_servers) => change({ name_servers })}
        />
        <TextField
          label="Domain name"
          value={draft.domain_name}
          onInput={(domain_name) => change({ domain_name })}
        />
      </div>
      <TextField
        multiline
        label="Further options (JSON)"
        value={draft.options}
        fault={faults["/options"]}
        hint='By name, such as {"ntp_servers": ["10.0.0.9"]}'
        onInput={(options) => change({ options })}
      />
    </Card>
  );
}

function FurtherFields({ draft, faults, change }: PartProps) {
  return (
    <Card title="Relay agents and boot">
      <div class="form-row">
        <TextField
          label="Relay agents outside of the network"
          value={draft.relays}
          fault={faults["/relays"]}
          onInput={(relays) => change({ relays })}
        />
        <TextField
          label="Shared network"
          value={draft.shared_network}
          fault={faults["/shared_network"]}
          hint="The same word in all subnets of one link"
          onInput={(shared_network) => change({ shared_network })}
        />
        <TextField
          label="VRF"
          value={draft.vrf}
          fault={faults["/vrf"]}
          onInput={(vrf) => change({ vrf })}
        />
      </div>
      <div class="form-row">
        <TextField
          label="TFTP server (next_server)"
          value={draft.next_server}
          fault={faults["/next_server"]}
          hint="Empty: this server's address that faces the client"
          onInput={(next_server) => change({ next_server })}
        />
        <TextField
          label="Largest TFTP block in bytes"
          value={draft.tftp_block_bytes_max}
          fault={faults["/tftp_block_bytes_max"]}
          onInput={(tftp_block_bytes_max) => change({ tftp_block_bytes_max })}
        />
      </div>
      <div class="form-checks">
        {FLAG_NAMES.map((flag) => (
          <div key={flag}>
            <Toggle
              label={FLAGS[flag]}
              checked={draft.flags[flag]}
              onChange={(on) => change({ flags: { ...draft.flags, [flag]: on } })}
            />
            {faults[`/${flag}`] && (
              <p class="bad-text" role="alert">
                {faults[`/${flag}`]}
              </p>
            )}
          </div>
        ))}
      </div>
    </Card>
  );
}
