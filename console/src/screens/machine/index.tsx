// The screen of one machine.
import { setQuery } from "../../app/router";
import type { Screen } from "../../app/screen";
import { may } from "../../app/session";
import { ACTIONS } from "./actions";
import { MachineView, TABS } from "./MachineView";

export const screens: Screen[] = [
  {
    path: "/machines/:ref",
    title: (params) => `Machine ${(params.ref ?? "").replace(/^name:/, "")}`,
    needs: "machines:read",
    view: MachineView,
    commands: () => [
      ...TABS.map((tab, index) => ({
        id: `machine-${tab.id}`,
        title: `Machine: ${tab.label}`,
        run: () => setQuery({ tab: index === 0 ? undefined : tab.id }),
      })),
      ...ACTIONS.map(({ verb, title }) => ({
        id: `machine-do-${verb}`,
        title: `Machine: ${title}`,
        enabled: () => may("machines:write"),
        run: () => setQuery({ tab: undefined, do: verb }),
      })),
    ],
  },
];
