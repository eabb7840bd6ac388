// Our own drawings, 16 by 16, in the colour of the text. `Icon` is for decoration: the words stand beside
// it, or its button has a label.

import type { JSX } from "preact";

const PATHS: Record<string, string> = {
  overview: "M2 13V9h3v4M6.5 13V3h3v10M11 13V6h3v7",
  machines: "M2 3h12v4H2zM2 9h12v4H2zM4.5 5h.01M4.5 11h.01M8 5h4M8 11h4",
  machine: "M2 5h12v6H2zM4.5 8h.01M8 8h4",
  run: "M4 3l9 5-9 5z",
  explain:
    "M8 14.5A6.5 6.5 0 1 0 8 1.5a6.5 6.5 0 0 0 0 13M6 6a2 2 0 1 1 2.8 1.9c-.6.3-.8.7-.8 1.4M8 11.5h.01",
  networks: "M6 2h4v3.5H6zM1.5 10.5h4V14h-4zM10.5 10.5h4V14h-4zM8 5.5V8M3.5 10.5V8h9v2.5",
  content: "M4 1.5h5.5L13 5v9.5H4zM9.5 1.5V5H13M6.5 8h4M6.5 11h4",
  artifacts: "M8 1.5l6 3v7l-6 3-6-3v-7zM2 4.5l6 3 6-3M8 7.5v7",
  activity: "M1.5 8.5h3l2-5.5 3 10 2-4.5h3",
  settings: "M2 4h7M12 4h2M2 8h2M7 8h7M2 12h7M12 12h2M10.5 2.5v3M5.5 6.5v3M10.5 10.5v3",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10M10.7 10.7L14.5 14.5",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  check: "M2.5 8.5l3.5 3.5 7.5-8",
  right: "M6 3l5 5-5 5",
  left: "M10 3L5 8l5 5",
  down: "M3 6l5 5 5-5",
  up: "M3 10l5-5 5 5",
  menu: "M2 4h12M2 8h12M2 12h12",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  plus: "M8 2.5v11M2.5 8h11",
  trash: "M2.5 4h11M6 4V2.5h4V4M4 4l.7 9.5h6.6L12 4M6.5 6.5v4.5M9.5 6.5v4.5",
  edit: "M10.5 2.5l3 3L5.5 13.5l-3.5.5.5-3.5z",
  reload: "M13.5 8a5.5 5.5 0 1 1-1.8-4.1M13.5 1.5v3h-3",
  download: "M8 2v8M4.5 7L8 10.5 11.5 7M2.5 13.5h11",
  filter: "M2 3h12L9.5 8.5V13l-3-1.5v-3z",
  columns: "M2 3h12v10H2zM6 3v10M10 3v10",
  warn: "M8 2l6.5 11.5h-13zM8 6.5v3.5M8 12h.01",
  bad: "M8 14.5A6.5 6.5 0 1 0 8 1.5a6.5 6.5 0 0 0 0 13M5.5 5.5l5 5M10.5 5.5l-5 5",
  ok: "M8 14.5A6.5 6.5 0 1 0 8 1.5a6.5 6.5 0 0 0 0 13M5 8.2l2.2 2.3L11 6",
  info: "M8 14.5A6.5 6.5 0 1 0 8 1.5a6.5 6.5 0 0 0 0 13M8 7v4.5M8 4.7h.01",
  idle: "M8 14.5A6.5 6.5 0 1 0 8 1.5a6.5 6.5 0 0 0 0 13M5 8h6",
  busy: "M8 1.5A6.5 6.5 0 1 1 2.4 4.7M8 4.5V8l2.5 2",
  wait:
    "M4 1.5h8M4 14.5h8M4.5 1.5c0 4 3.5 4 3.5 6.5s-3.5 2.5-3.5 6.5" +
    "M11.5 1.5c0 4-3.5 4-3.5 6.5s3.5 2.5 3.5 6.5",
  hold: "M5.5 3v10M10.5 3v10",
  play: "M4 2.5l9 5.5-9 5.5z",
  lock: "M3.5 7.5h9v6.5h-9zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
  key: "M5 12.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6M7.2 7.5L13.5 2M11 4.2l2 2",
  user: "M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6M2.5 14.5c0-6 11-6 11 0",
  sun:
    "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1" +
    "M13 3l-1 1M4 12l-1 1",
  moon: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z",
  screen: "M2 3h12v8H2zM5.5 14h5M8 11v3",
  code: "M5 4L1.5 8 5 12M11 4l3.5 4L11 12",
  power: "M8 1.5V8M4.5 3.5a5.5 5.5 0 1 0 7 0",
  link: "M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 0 1 4.5 4.5L11.5 9M9 11.5L7.5 13A3 3 0 0 1 3 8.5L4.5 7",
};

export type IconName = keyof typeof PATHS | (string & {});

export function Icon({ name, class: className }: { name: IconName; class?: string }): JSX.Element {
  return (
    <svg
      class={`icon ${className ?? ""}`}
      viewBox="0 0 16 16"
      width="16"
      height="16"
      aria-hidden="true"
      fill="none"
      stroke="currentColor"
      stroke-width="1.5"
      stroke-linecap="round"
      stroke-linejoin="round"
    >
      <path d={PATHS[name] ?? PATHS.info} />
    </svg>
  );
}
