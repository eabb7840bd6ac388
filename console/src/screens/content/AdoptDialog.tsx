/** Which override of an object of a pack does what a copy of it does. */

import { useSignal } from "@preact/signals";

import { api, asProblem, type ApiProblem } from "../../api/client";
import { may } from "../../app/session";
import { describeProblem, type NamedProblem } from "../../ui/editor/problems";
import { originOf, useContent, type StoredOverride } from "./contentData";
import { Button, Dialog, Json, Problem, toast } from "./kit";
import type { ContentNoun } from "./references";

const KINDS: readonly { kind: string; noun: ContentNoun }[] = [
  { kind: "template", noun: "templates" },
  { kind: "stage", noun: "stages" },
  { kind: "task", noun: "tasks" },
  { kind: "workflow", noun: "workflows" },
  { kind: "bootenv", noun: "bootenvs" },
  { kind: "param", noun: "params" },
];

interface Proposal {
  override: StoredOverride | null;
  left: NamedProblem[];
}

export function AdoptDialog({ onClose }: { onClose: () => void }) {
  const data = useContent();
  const kind = useSignal("template");
  const copy = useSignal("");
  const original = useSignal("");
  const proposal = useSignal<Proposal | null>(null);
  const problem = useSignal<ApiProblem | null>(null);
  const noun = KINDS.find((row) => row.kind === kind.value)?.noun ?? "templates";
  const objects = data.objects.value[noun];
  const copies = objects
    .filter((object) => originOf(object.source) === "site")
    .map((object) => object.name);
  const originals = objects
    .filter((object) => originOf(object.source) !== "site")
    .map((object) => object.name);
  const ask = async () => {
    proposal.value = null;
    problem.value = null;
    try {
      const body = { kind: kind.value, name: copy.value, of: original.value };
      proposal.value = await api.post<Proposal>("/overrides/actions/adopt", body);
    } catch (fault) {
      problem.value = asProblem(fault);
    }
  };
  const create = async () => {
    try {
      await api.post("/overrides", proposal.value?.override);
      toast(
        "The override is in force. The copy stays: point what uses it to the original, then delete it.",
      );
      onClose();
    } catch (fault) {
      problem.value = asProblem(fault);
    }
  };
  return (
    <Dialog title="Turn a copy into an override" onClose={onClose} wide>
      <p>
        A copy under another name misses what new versions of the pack bring. An override keeps your change
        and gets them.
      </p>
      <div class="content-bar">
        <label class="content-choice">
          <span>Kind</span>
          <select value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value)}>
            {KINDS.map((row) => (
              <option key={row.kind} value={row.kind}>
                {row.kind}
              </option>
            ))}
          </select>
        </label>
        <NameChoice
          label="Copy"
          value={copy.value}
          names={copies}
          onChoose={(name) => (copy.value = name)}
        />
        <NameChoice
          label="Made of"
          value={original.value}
          names={originals}
          onChoose={(name) => (original.value = name)}
        />
        <Button disabled={!copy.value || !original.value} onClick={() => void ask()}>
          Compare
        </Button>
      </div>
      {copies.length === 0 && <p class="content-note">The site has no {kind.value} of its own.</p>}
      {problem.value && <Problem problem={problem.value} />}
      {proposal.value && <ProposalView proposal={proposal.value} onCreate={() => void create()} />}
    </Dialog>
  );
}

interface NameChoiceProps {
  label: string;
  value: string;
  names: readonly string[];
  onChoose: (name: string) => void;
}

function NameChoice({ label, value, names, onChoose }: NameChoiceProps) {
  return (
    <label class="content-choice">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
        <option value="">choose</option>
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function ProposalView({ proposal, onCreate }: { proposal: Proposal; onCreate: () => void }) {
  return (
    <section class="content-section" aria-label="The override">
      {proposal.override === null && proposal.left.length === 0 && (
        <p>The two are the same: use the original.</p>
      )}
      {proposal.override !== null && (
        <>
          <p>
            This override does what the copy does
            {proposal.left.length > 0 ? ", except for what is below" : ""}:
          </p>
          <Json value={proposal.override} />
          {may("overrides:write") && (
            <Button kind="primary" onClick={onCreate}>
              Create the override
            </Button>
          )}
        </>
      )}
      {proposal.left.length > 0 && (
        <>
          <h3>What no override can do</h3>
          <ul>
            {proposal.left.map((one) => (
              <li key={one.pointer + one.message}>{describeProblem(one)}</li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}
