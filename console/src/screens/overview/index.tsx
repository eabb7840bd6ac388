import type { Screen } from "../../app/screen";
import { PageHeader } from "../../ui";

export const screens: Screen[] = [{
  path: "/",
  title: () => "Overview",
  nav: { label: "Overview", group: "Fleet", order: 1, icon: "overview" },
  key: "o",
  view: () => <PageHeader title="Overview" />,
}];
