import type { Screen } from "../../app/screen";
import { PageHeader } from "../../ui";

export const screens: Screen[] = [{
  path: "/runs/:ref",
  title: () => "Run",
  needs: "runs:read",
  view: () => <PageHeader title="Run" />,
}];
