// What is chosen and what can be done with it. "These 50" and "all 4,312 that match" are said in words.

import type { JSX } from "preact";
import { Button } from "../../ui/button";
import { Menu } from "../../ui/dialog";
import { ACTIONS, type BulkAction } from "./bulk/verbs";
import { countMachines, describeFilter, type FilterTerm } from "./filters";
import { chooseAllMatching, chosen, clearSelection, isAllMatching, openAction } from "./selection";

/** The actions that have a button of their own. */
const FRONT = ["start", "pause", "resume", "retry"];

const open = (id: string) => (): void => {
  openAction.value = id;
};

function ActionMenu({
  label,
  groups,
}: {
  label: string;
  groups: readonly BulkAction["group"][];
}): JSX.Element {
  const actions = ACTIONS.filter((action) => groups.includes(action.group) && !FRONT.includes(action.id));
  const items = actions.map((action) => ({
    id: action.id,
    label: `${action.title}…`,
    run: open(action.id),
    isDanger: action.id === "delete" || action.id === "arm",
  }));
  return <Menu label={label} align="end" items={items} />;
}

function ActionButtons(): JSX.Element {
  return (
    <>
      {ACTIONS.filter((action) => FRONT.includes(action.id)).map((action) => (
        <Button
          key={action.id}
          size="small"
          onClick={open(action.id)}
          title={action.about}
        >{`${action.title}…`}</Button>
      ))}
      <ActionMenu label="Run" groups={["Run", "Erase"]} />
      <ActionMenu label="Change" groups={["Change", "Remove"]} />
    </>
  );
}

interface SelectionProps {
  total: number;
  terms: readonly FilterTerm[];
}

export function SelectionBar({ total, terms }: SelectionProps): JSX.Element | null {
  const isAll = isAllMatching.value;
  const count = chosen.value.size;
  if (!isAll && count === 0) {
    return null;
  }
  const filter = describeFilter(terms);
  const all =
    filter === ""
      ? `All ${countMachines(total)} of this server`
      : `All ${countMachines(total)} that match ${filter}`;
  return (
    <div
      class={isAll ? "selection-bar selection-all" : "selection-bar"}
      role="region"
      aria-label="Chosen machines"
    >
      <strong aria-live="polite">{isAll ? all : `${countMachines(count)} chosen`}</strong>
      {!isAll && count < total && (
        <Button size="small" kind="quiet" onClick={chooseAllMatching}>
          {filter === ""
            ? `Choose all ${total.toLocaleString("en")}`
            : `Choose all ${total.toLocaleString("en")} that match`}
        </Button>
      )}
      <Button size="small" kind="quiet" onClick={clearSelection}>
        Choose none
      </Button>
      <span class="selection-actions">
        <ActionButtons />
      </span>
    </div>
  );
}
