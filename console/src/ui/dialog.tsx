// Dialogs (the browser's own, so that focus stays inside and Escape closes), the one that asks before
// something is erased, and menus.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { asProblem } from "../api/problem";
import { Button, IconButton } from "./button";
import { TextField } from "./form";
import { Icon, type IconName } from "./icons";
import { Problem } from "./status";
import "./dialog.css";

export interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  /** The buttons at the end. */
  actions?: ComponentChildren;
  wide?: boolean;
  /** Cannot be closed by Escape or the cross. */
  firm?: boolean;
  onSubmit?: () => void;
}

/** Shown while it is rendered. */
export function Dialog(props: DialogProps): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const before = document.activeElement;
    const dialog = element.current;
    if (dialog && !dialog.open) dialog.showModal();
    dialog?.querySelector<HTMLElement>("[data-autofocus]")?.focus();
    return () => {
      if (dialog?.open) dialog.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const submit = (event: KeyboardEvent) => {
    const isInput = event.target instanceof HTMLInputElement;
    if (event.key !== "Enter" || !isInput || !props.onSubmit) return;
    event.preventDefault();
    props.onSubmit();
  };
  return (
    <dialog
      ref={element}
      class={`dialog ${props.wide ? "wide" : ""}`}
      aria-labelledby={titleId}
      onKeyDown={submit}
      onCancel={(event) => {
        event.preventDefault();
        if (!props.firm) props.onClose();
      }}
    >
      <header>
        <h2 id={titleId}>{props.title}</h2>
        {!props.firm && <IconButton icon="close" label="Close" onClick={props.onClose} />}
      </header>
      <div class="body">{props.children}</div>
      {props.actions && <footer>{props.actions}</footer>}
    </dialog>
  );
}

export interface ConfirmEraseProps {
  title: string;
  /** What will be erased, one line each: `web1: the disk /dev/sda`. */
  erases: readonly string[];
  /** What has to be typed: the name of the one object, or the number of them. */
  expected: string;
  /** What `expected` is: `the machine's name`, `the number of machines`. */
  expectedIs: string;
  action: string;
  onConfirm: () => Promise<void> | void;
  onClose: () => void;
  children?: ComponentChildren;
}

/** Asks before something is erased: says what, and wants the name or the number typed. */
export function ConfirmErase(props: ConfirmEraseProps): JSX.Element {
  const [typed, setTyped] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const isRight = typed.trim() === props.expected;
  const confirm = async () => {
    if (!isRight || isBusy) return;
    setBusy(true);
    setProblem(undefined);
    try {
      await props.onConfirm();
      props.onClose();
    } catch (error) {
      setProblem(asProblem(error));
      setBusy(false);
    }
  };
  const actions = (
    <>
      <Button onClick={props.onClose}>Cancel</Button>
      <Button kind="danger" icon="warn" disabled={!isRight} isBusy={isBusy} onClick={() => void confirm()}>
        {props.action}
      </Button>
    </>
  );
  return (
    <Dialog title={props.title} onClose={props.onClose} actions={actions} onSubmit={() => void confirm()}>
      {props.children}
      <div class="erase-list" tabIndex={0} role="group" aria-label="What will be erased">
        <strong>This erases:</strong>
        <ul>
          {props.erases.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      </div>
      <TextField
        label={`Type ${props.expectedIs}: ${props.expected}`}
        value={typed}
        onInput={setTyped}
        autofocus
      />
      {problem !== undefined && <Problem problem={problem} />}
    </Dialog>
  );
}

export interface MenuItem {
  id: string;
  label: string;
  run: () => void;
  icon?: IconName;
  isDanger?: boolean;
  /** Why it cannot be used now; shown below the label. */
  disabled?: string | undefined;
  /** For items that are switched on and off. */
  checked?: boolean;
}

export interface MenuProps {
  label: string;
  items: readonly MenuItem[];
  icon?: IconName;
  /** Only the icon is shown. */
  compact?: boolean;
  align?: "start" | "end";
  /** Stays open after a choice (for switches). */
  stays?: boolean;
}

/** A button that opens a list of commands: arrows move, Enter chooses, Escape closes. */
export function Menu(props: MenuProps): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isOpen) return;
    root.current?.querySelector<HTMLElement>("[role^=menuitem]:not(:disabled)")?.focus();
    const outside = (event: Event) => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [isOpen]);
  const close = () => {
    setOpen(false);
    root.current?.querySelector<HTMLElement>("[aria-haspopup]")?.focus();
  };
  const choose = (item: MenuItem) => {
    if (!props.stays) close();
    item.run();
  };
  return (
    <div
      ref={root}
      class={`menu ${props.align ?? "start"}`}
      onKeyDown={(event) => moveInMenu(event, root.current, close)}
    >
      <button
        type="button"
        class={props.compact ? "icon-button" : "button"}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-label={props.compact ? props.label : undefined}
        title={props.compact ? props.label : undefined}
        onClick={() => setOpen(!isOpen)}
      >
        {props.icon && <Icon name={props.icon} />}
        {!props.compact && (
          <>
            {props.label}
            <Icon name="down" />
          </>
        )}
      </button>
      {isOpen && (
        <div class="menu-list" role="menu" aria-label={props.label}>
          {props.items.map((item) => (
            <MenuRow key={item.id} item={item} onChoose={choose} />
          ))}
        </div>
      )}
    </div>
  );
}

function MenuRow({ item, onChoose }: { item: MenuItem; onChoose: (item: MenuItem) => void }): JSX.Element {
  const isSwitch = item.checked !== undefined;
  return (
    <button
      type="button"
      role={isSwitch ? "menuitemcheckbox" : "menuitem"}
      aria-checked={isSwitch ? item.checked : undefined}
      class={item.isDanger ? "danger" : ""}
      disabled={item.disabled !== undefined}
      onClick={() => onChoose(item)}
    >
      {isSwitch ? (
        <Icon name="check" class={item.checked ? "" : "hidden"} />
      ) : (
        item.icon && <Icon name={item.icon} />
      )}
      <span>
        {item.label}
        {item.disabled && <span class="about">{item.disabled}</span>}
      </span>
    </button>
  );
}

function moveInMenu(event: KeyboardEvent, root: HTMLElement | null, close: () => void): void {
  if (event.key === "Escape") {
    event.stopPropagation();
    return close();
  }
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (step === 0 || !root) return;
  const items = [...root.querySelectorAll<HTMLElement>("[role^=menuitem]:not(:disabled)")];
  if (items.length === 0) return;
  event.preventDefault();
  const at = items.indexOf(document.activeElement as HTMLElement);
  items[(at + step + items.length) % items.length]?.focus();
}
