// Artifacts: the list with progress, size and problems, and the page of one.

import type { Screen } from "../../app/screen";
import { go } from "../../app/router";
import { may } from "../../app/session";
import { ArtifactPage } from "./page";
import { ArtifactList } from "./list";
import "./artifacts.css";

export const screens: Screen[] = [
  {
    path: "/artifacts",
    title: () => "Artifacts",
    nav: { label: "Artifacts", group: "Content", order: 2, icon: "artifacts" },
    needs: "artifacts:read",
    key: "r",
    view: ArtifactList,
    commands: () => [
      {
        id: "artifacts.create",
        title: "New artifact",
        run: () => go("/artifacts?dialog=create"),
        enabled: () => may("artifacts:write"),
      },
      {
        id: "artifacts.prune",
        title: "Prune artifacts",
        run: () => go("/artifacts?dialog=prune"),
        enabled: () => may("artifacts:write"),
      },
    ],
  },
  {
    path: "/artifacts/:ref",
    title: ({ ref = "" }) => ref,
    needs: "artifacts:read",
    view: ({ params }) => <ArtifactPage key={params.ref} name={params.ref ?? ""} />,
  },
];
