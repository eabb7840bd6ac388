import type { Screen } from "../../app/screen";
import { PageHeader } from "../../ui";

export const screens: Screen[] = [{
  path: "/machines/:ref",
  title: () => "Machine",
  needs: "machines:read",
  view: () => <PageHeader title="Machine" />,
}];
