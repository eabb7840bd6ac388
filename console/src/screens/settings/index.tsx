// Settings of the server, tokens, sessions, saved views, and the server itself. Each tab is a file.

import type { JSX } from "preact";
import type { Screen } from "../../app/screen";
import { may } from "../../app/session";
import { go } from "../../app/router";
import { PageHeader, Tabs, openTab, type Tab } from "../../ui/page";
import { screens as objects } from "../objects";
import { Preferences } from "./preferences";
import { ServerPage } from "./server";
import { Sessions } from "./sessions";
import { Tokens } from "./tokens";
import { Views } from "./views";
import "./settings.css";

interface SettingsTab extends Tab {
  needs: string | undefined;
  view: () => JSX.Element;
}

const TABS: readonly SettingsTab[] = [
  { id: "preferences", label: "Preferences", needs: "settings:read", view: Preferences },
  { id: "tokens", label: "Tokens", needs: "tokens:read", view: Tokens },
  { id: "sessions", label: "Sessions", needs: "sessions:read", view: Sessions },
  { id: "views", label: "Saved views", needs: "views:read", view: Views },
  { id: "server", label: "Server", needs: undefined, view: ServerPage },
];

function Settings(): JSX.Element {
  const tabs = TABS.filter((tab) => tab.needs === undefined || may(tab.needs));
  const open = openTab(tabs);
  const Shown = tabs.find((tab) => tab.id === open)?.view ?? ServerPage;
  return (
    <div class="stack">
      <PageHeader title="Settings" tabs={<Tabs tabs={tabs} label="Settings" />} />
      <div role="tabpanel" aria-label={tabs.find((tab) => tab.id === open)?.label} class="stack">
        <Shown key={open} />
      </div>
    </div>
  );
}

/** With the generic pages of all nouns, which belong to no other screen. */
export const screens: Screen[] = [
  ...objects,
  {
    path: "/settings",
    title: () => "Settings",
    nav: { label: "Settings", group: "Server", order: 20, icon: "settings" },
    key: "s",
    view: Settings,
    commands: () =>
      TABS.filter((tab) => tab.needs === undefined || may(tab.needs)).map((tab) => ({
        id: `settings-${tab.id}`,
        title: `Settings: ${tab.label}`,
        run: () => go(tab.id === "preferences" ? "/settings" : `/settings?tab=${tab.id}`),
      })),
  },
];
