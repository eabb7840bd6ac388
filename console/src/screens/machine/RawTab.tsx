// The machine as the API has it, with an editor that knows its fields.
import type { JSX } from "preact";
import { may } from "../../app/session";
import type { Machine } from "../../api/schema";
import { Card, ObjectEditor } from "./kit";

function whyReadOnly(machine: Machine): string | undefined {
  if (!may("machines:write")) return "The token may not change machines.";
  if (machine.locked) return "The machine is locked: unlock it first.";
  return undefined;
}

export function RawTab({ machine }: { machine: Machine }): JSX.Element {
  return (
    <Card title="The object">
      <ObjectEditor
        collection="machines"
        objectKey={machine.id}
        object={machine as unknown as Record<string, unknown>}
        readOnly={whyReadOnly(machine)}
      />
    </Card>
  );
}
