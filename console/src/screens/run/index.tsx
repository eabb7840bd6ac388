// The screens of runs: all of them, and one.
import type { Screen } from "../../app/screen";
import { RunList } from "./RunList";
import { RunView } from "./RunView";

export const screens: Screen[] = [
  {
    path: "/runs",
    title: () => "Runs",
    nav: { label: "Runs", group: "Fleet", order: 3, icon: "run" },
    needs: "runs:read",
    key: "r",
    view: () => <RunList />,
  },
  { path: "/runs/:ref", title: () => "Run", needs: "runs:read", view: RunView },
];
