import type { Screen } from "../../app/screen";
import { PageHeader } from "../../ui";

export const screens: Screen[] = [{
  path: "/artifacts",
  title: () => "Artifacts",
  nav: { label: "Artifacts", group: "Content", order: 2, icon: "artifacts" },
  needs: "artifacts:read",
  key: "r",
  view: () => <PageHeader title="Artifacts" />,
}];
