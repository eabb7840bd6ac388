// The frame of a page: its header, its tabs, its cards.

import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import { location, setQuery } from "../app/router";
import { CallBehind } from "./call-behind";
import "./page.css";

export interface PageHeaderProps {
  title: ComponentChildren;
  subtitle?: ComponentChildren;
  actions?: ComponentChildren;
  tabs?: ComponentChildren;
}

export function PageHeader({ title, subtitle, actions, tabs }: PageHeaderProps): JSX.Element {
  return (
    <header class="page-header">
      <div class="top">
        <div class="words">
          <h1 tabIndex={-1}>{title}</h1>
          {subtitle && <div class="subtitle">{subtitle}</div>}
        </div>
        <div class="actions">
          {actions}
          <CallBehind />
        </div>
      </div>
      {tabs}
    </header>
  );
}

export interface Tab {
  id: string;
  label: string;
  count?: number | undefined;
}

/** The tab that is open: the query's `tab`, or the first. */
export function openTab(tabs: readonly Tab[], name = "tab"): string {
  const wanted = location.value.query.get(name);
  return tabs.find((tab) => tab.id === wanted)?.id ?? tabs[0]?.id ?? "";
}

/** Tabs whose choice stands in the address. The panel is the caller's: `openTab` says which. */
export function Tabs({
  tabs,
  name = "tab",
  label = "Views",
}: {
  tabs: readonly Tab[];
  name?: string;
  label?: string;
}): JSX.Element {
  const id = useId();
  const open = openTab(tabs, name);
  const choose = (tab: string) => setQuery({ [name]: tab === tabs[0]?.id ? undefined : tab });
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const at = tabs.findIndex((tab) => tab.id === open);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (!next) return;
    choose(next.id);
    document.getElementById(`${id}-${next.id}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
      {tabs.map((tab) => (
        <button
          key={tab.id}
          id={`${id}-${tab.id}`}
          type="button"
          role="tab"
          aria-selected={tab.id === open}
          tabIndex={tab.id === open ? 0 : -1}
          onClick={() => choose(tab.id)}
        >
          {tab.label}
          {tab.count !== undefined && <span class="count">{tab.count}</span>}
        </button>
      ))}
    </div>
  );
}

export function Card({
  title,
  actions,
  children,
  class: className,
}: {
  title?: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
  class?: string;
}): JSX.Element {
  return (
    <section class={`card ${className ?? ""}`}>
      {(title || actions) && (
        <header>
          {title && <h2>{title}</h2>}
          {actions}
        </header>
      )}
      {children}
    </section>
  );
}
