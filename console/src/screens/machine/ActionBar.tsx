// The actions of an operator. What goes on with work stands first; what erases or ends work stands apart,
// and each says why it cannot be done now.
import type { JSX } from "preact";
import { location, setQuery } from "../../app/router";
import { may } from "../../app/session";
import type { Machine, Run } from "../../api/schema";
import { ActionDialog } from "./ActionDialog";
import type { MachineAction } from "./actions";
import { actionsOf } from "./actions";
import { Button, Card } from "./kit";

export function ActionBar({
  machine,
  run,
}: {
  machine: Machine;
  run: Run | undefined;
}): JSX.Element | null {
  if (!may("machines:write")) return null;
  const actions = actionsOf(machine);
  const [safe, danger] = [actions.filter((one) => !one.danger), actions.filter((one) => one.danger)];
  const asked = location.value.query.get("do");
  const open = actions.find((one) => one.verb === asked && !one.refused);
  const show = (action: MachineAction | undefined) => setQuery({ do: action?.verb }, { replace: true });
  return (
    <Card title="Actions">
      <ActionRow actions={safe} onChoose={show} />
      <div class="danger-zone" role="group" aria-label="Actions that erase a disk or end work">
        <p class="danger-title">Erases a disk, or ends work</p>
        <ActionRow actions={danger} onChoose={show} />
      </div>
      {open && (
        <ActionDialog
          key={open.verb}
          action={open}
          machine={machine}
          run={run}
          onClose={() => show(undefined)}
        />
      )}
    </Card>
  );
}

function ActionRow({
  actions,
  onChoose,
}: {
  actions: MachineAction[];
  onChoose: (action: MachineAction) => void;
}): JSX.Element {
  const possible = actions.filter((action) => !action.refused);
  const refused = actions.filter((action) => action.refused);
  return (
    <>
      <div class="action-row">
        {possible.map((action) => (
          <Button
            key={action.verb}
            kind={action.danger ? "danger" : "plain"}
            title={action.does}
            onClick={() => onChoose(action)}
          >
            {action.title}
          </Button>
        ))}
        {possible.length === 0 && <span class="muted">Nothing can be done here now.</span>}
      </div>
      {refused.length > 0 && (
        <details class="refused">
          <summary>{`${refused.length} that cannot be done now`}</summary>
          <ul>
            {refused.map((action) => (
              <li key={action.verb}>
                <strong>{action.title}</strong>: {action.refused}
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}
