// Who is signed in, the colours, the way out.

import type { JSX } from "preact";
import { signedOut } from "../api/client";
import { chooseTheme, theme, type Theme } from "../style/theme";
import { Menu, type MenuItem } from "../ui/dialog";
import { toast } from "../ui/toast";
import { isHelpOpen, isPaletteOpen } from "./palette";
import { session, signOut } from "./session";

const THEMES: ReadonlyArray<readonly [Theme, string]> = [
  ["system", "Colours of the system"],
  ["light", "Light"],
  ["dark", "Dark"],
];

export function AccountMenu(): JSX.Element {
  const name = session.value?.name;
  const items: MenuItem[] = [
    ...THEMES.map(([id, label]): MenuItem => ({
      id,
      label,
      checked: theme.value === id,
      run: () => chooseTheme(id),
    })),
    {
      id: "palette",
      label: "Commands (Ctrl K)",
      icon: "search",
      run: () => {
        isPaletteOpen.value = true;
      },
    },
    {
      id: "keys",
      label: "Keys (?)",
      icon: "key",
      run: () => {
        isHelpOpen.value = true;
      },
    },
    name
      ? {
          id: "out",
          label: `Sign out ${name}`,
          icon: "power",
          run: () => void signOut().catch((problem: unknown) => toast("Not signed out", { problem })),
        }
      : {
          id: "in",
          label: "Sign in",
          icon: "user",
          run: () => {
            signedOut.value = true;
          },
        },
  ];
  return (
    <Menu label={name ? `Account ${name}` : "Account"} icon="user" compact align="end" items={items} />
  );
}
