import type { Screen } from "../../app/screen";
import { PageHeader } from "../../ui";

export const screens: Screen[] = [{
  path: "/explain",
  title: () => "Explain",
  nav: { label: "Explain", group: "Network", order: 2, icon: "explain" },
  needs: "machines:read",
  key: "e",
  view: () => <PageHeader title="Explain" />,
}];
