import type { Screen } from "../../app/screen";
import { PageHeader } from "../../ui";

export const screens: Screen[] = [{
  path: "/networks",
  title: () => "Networks",
  nav: { label: "Networks", group: "Network", order: 1, icon: "networks" },
  needs: "subnets:read",
  key: "n",
  view: () => <PageHeader title="Networks" />,
}];
