import type { Screen } from "../../app/screen";
import { PageHeader } from "../../ui";

export const screens: Screen[] = [{
  path: "/content",
  title: () => "Content",
  nav: { label: "Content", group: "Content", order: 1, icon: "content" },
  needs: "templates:read",
  key: "c",
  view: () => <PageHeader title="Content" />,
}];
