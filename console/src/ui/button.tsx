// Buttons. One that cannot be used now says why in its title.

import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { Icon, type IconName } from "./icons";
import { toast } from "./toast";
import "./button.css";

export interface ButtonProps {
  children: ComponentChildren;
  onClick?: ((event: MouseEvent) => void) | undefined;
  kind?: "primary" | "danger" | "quiet" | "plain";
  size?: "small" | "normal";
  icon?: IconName;
  type?: "button" | "submit";
  disabled?: boolean;
  /** Why it cannot be used, or what it does. */
  title?: string | undefined;
  isBusy?: boolean;
}

export function Button(props: ButtonProps): JSX.Element {
  const { kind = "plain", size = "normal", icon, isBusy = false } = props;
  return (
    <button
      type={props.type ?? "button"}
      class={`button ${kind} ${size}`}
      disabled={props.disabled || isBusy}
      title={props.title}
      aria-busy={isBusy || undefined}
      onClick={props.onClick}
    >
      {icon && <Icon name={isBusy ? "busy" : icon} />}
      {props.children}
    </button>
  );
}

export interface IconButtonProps {
  icon: IconName;
  /** What it does, for screen readers and as its title. */
  label: string;
  onClick?: (event: MouseEvent) => void;
  disabled?: boolean;
  pressed?: boolean;
  size?: "small" | "normal";
}

export function IconButton(props: IconButtonProps): JSX.Element {
  return (
    <button
      type="button"
      class={`icon-button ${props.size ?? "normal"}`}
      aria-label={props.label}
      title={props.label}
      disabled={props.disabled}
      aria-pressed={props.pressed}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
    </button>
  );
}

/** Copies a text, also where the page has no access to the clipboard (plain HTTP). */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  if (!isDone) throw new Error("the browser does not let the page copy");
}

/** A button that copies `text`. */
export function Copy({
  text,
  label = "Copy",
}: {
  text: string | (() => string);
  label?: string;
}): JSX.Element {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    try {
      await copyText(typeof text === "string" ? text : text());
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    } catch (error) {
      toast("Nothing was copied", { problem: error });
    }
  };
  return (
    <IconButton
      size="small"
      icon={isDone ? "check" : "copy"}
      label={isDone ? "Copied" : label}
      onClick={() => void copy()}
    />
  );
}
