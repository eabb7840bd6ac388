import type { Screen } from "../../app/screen";
import { PageHeader } from "../../ui";

export const screens: Screen[] = [{
  path: "/activity",
  title: () => "Activity",
  nav: { label: "Activity", group: "Server", order: 1, icon: "activity" },
  needs: "events:read",
  key: "a",
  view: () => <PageHeader title="Activity" />,
}];
