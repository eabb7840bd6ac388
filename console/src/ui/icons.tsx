// Our own drawings, 16 by 16, in the colour of the text. `Icon` is for decoration: the words stand beside
// it, or its button has a label.

import type { JSX } from "preact";

const PATHS: Record<string, string> = {
  overview: "M2 13V9h3v4M6.5 13V3h3v10M11 13V6h3v7",
  machines: "M2 3h12v4H2zM2 9h12v4H2zM4.5 5h.01M4.5 11h.01M8 5h4M8 11h4",
  machine: "M2 5h12v6H2zM4.5 8h.01M8 8h4",
  run: "M4 3l9 5-9 5z",
  explain:
    "M8 14.5A6.5 6.5 0 1 0 8 1.500a6.500 6.500 0 0 0 0 13M6 6a2 2 0 1 1 2.800 1.900c-.6.3-.8.700-.8 1.400M8 11.500h.01",
  networks: "M6 2h4v3.500H6zM1.500 10.500h4V14h-4zM10.500 10.500h4V14h-4zM8 5.500V8M3.500 10.500V8h9v2.500",
  content: "M4 1.500h5.500L13 5v9.500H4zM9.500 1.500V5H13M6.500 8h4M6.500 11h4",
  artifacts: "M8 1.500l6 3v7l-6 3-6-3v-7zM2 4.500l6 3 6-3M8 7.500v7",
  activity: "M1.500 8.500h3l2-5.500 3 10 2-4.500h3",
  settings: "M2 4h7M12 4h2M2 8h2M7 8h7M2 12h7M12 12h2M10.500 2.500v3M5.500 6.500v3M10.500 10.500v3",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10M10.700 10.700L14.500 14.500",
  close: "M3.500 3.500l9 9M12.500 3.500l-9 9",
  copy: "M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3",
  check: "M2.500 8.500l3.500 3.500 7.500-8",
  right: "M6 3l5 5-5 5",
  left: "M10 3L5 8l5 5",
  down: "M3 6l5 5 5-5",
  up: "M3 10l5-5 5 5",
  menu: "M2 4h12M2 8h12M2 12h12",
  more: "M3.500 8h.01M8 8h.01M12.500 8h.01",
  plus: "M8 2.500v11M2.500 8h11",
  trash: "M2.500 4h11M6 4V2.500h4V4M4 4l.700 9.500h6.600L12 4M6.500 6.500v4.500M9.500 6.500v4.500",
  edit: "M10.500 2.500l3 3L5.500 13.500l-3.500.5.5-3.500z",
  reload: "M13.500 8a5.500 5.500 0 1 1-1.800-4.100M13.500 1.500v3h-3",
  download: "M8 2v8M4.500 7L8 10.500 11.500 7M2.500 13.500h11",
  filter: "M2 3h12L9.500 8.500V13l-3-1.500v-3z",
  columns: "M2 3h12v10H2zM6 3v10M10 3v10",
  warn: "M8 2l6.500 11.500h-13zM8 6.500v3.500M8 12h.01",
  bad: "M8 14.500A6.500 6.500 0 1 0 8 1.500a6.500 6.500 0 0 0 0 13M5.500 5.500l5 5M10.500 5.500l-5 5",
  ok: "M8 14.500A6.500 6.500 0 1 0 8 1.500a6.500 6.500 0 0 0 0 13M5 8.200l2.200 2.300L11 6",
  info: "M8 14.500A6.500 6.500 0 1 0 8 1.500a6.500 6.500 0 0 0 0 13M8 7v4.500M8 4.700h.01",
  idle: "M8 14.500A6.500 6.500 0 1 0 8 1.500a6.500 6.500 0 0 0 0 13M5 8h6",
  busy: "M8 1.500A6.500 6.500 0 1 1 2.400 4.700M8 4.500V8l2.500 2",
  wait: "M4 1.500h8M4 14.500h8M4.500 1.500c0 4 3.500 4 3.500 6.500s-3.500 2.500-3.500 6.500M11.500 1.500c0 4-3.500 4-3.500 6.500s3.500 2.500 3.500 6.500",
  hold: "M5.500 3v10M10.500 3v10",
  play: "M4 2.500l9 5.500-9 5.500z",
  lock: "M3.500 7.500h9v6.500h-9zM5.500 7.500V5a2.500 2.500 0 0 1 5 0v2.500",
  key: "M5 12.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6M7.200 7.500L13.500 2M11 4.200l2 2",
  user: "M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6M2.500 14.500c0-6 11-6 11 0",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13.500 9.500A6 6 0 0 1 6.500 2.500a6 6 0 1 0 7 7z",
  screen: "M2 3h12v8H2zM5.500 14h5M8 11v3",
  code: "M5 4L1.500 8 5 12M11 4l3.500 4L11 12",
  power: "M8 1.500V8M4.500 3.500a5.500 5.500 0 1 0 7 0",
  link: "M6.500 9.500l3-3M7 4.500l1.500-1.500a3 3 0 0 1 4.500 4.500L11.500 9M9 11.500L7.500 13A3 3 0 0 1 3 8.500L4.500 7",
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
