import type { Screen } from "../../app/screen";
import { PageHeader } from "../../ui";

export const screens: Screen[] = [{
  path: "/settings",
  title: () => "Settings",
  nav: { label: "Settings", group: "Server", order: 2, icon: "settings" },
  key: "s",
  view: () => <PageHeader title="Settings" />,
}];
