// What a screen is. Each folder of screens/ exports a list of them.

import type { JSX } from "preact";
import type { Command } from "./palette";
import type { Params } from "./router";

export type { Command } from "./palette";
export type { Params } from "./router";

export interface NavEntry {
  label: string;
  group: "Fleet" | "Content" | "Network" | "Server";
  /** Within the group, smallest first. */
  order: number;
  /** A name of ui/icons.tsx. */
  icon: string;
}

export interface Screen {
  /** Such as `/machines/:ref`. A last part `:path*` takes the rest with its slashes. */
  path: string;
  /** For the window's title and the page's history. */
  title: (params: Params) => string;
  nav?: NavEntry;
  /** A scope such as `machines:read`; without it the screen is not offered. */
  needs?: string;
  /** The second key after `g`: `m` for machines. */
  key?: string;
  view: (props: { params: Params }) => JSX.Element;
  commands?: (params: Params) => Command[];
}
