// The list of screens that the session may see.

import type { JSX } from "preact";
import { SCREENS } from "../screens";
import { Icon } from "../ui/icons";
import { Link, path } from "./router";
import type { NavEntry, Screen } from "./screen";
import { may } from "./session";

const GROUPS: ReadonlyArray<NavEntry["group"]> = ["Fleet", "Network", "Content", "Server"];

export type NavScreen = Screen & { nav: NavEntry };

/** The screens of the navigation, in its order. */
export function navScreens(): NavScreen[] {
  const shown = SCREENS.filter(
    (screen): screen is NavScreen => screen.nav !== undefined && (!screen.needs || may(screen.needs)),
  );
  return shown.sort(
    (a, b) => GROUPS.indexOf(a.nav.group) - GROUPS.indexOf(b.nav.group) || a.nav.order - b.nav.order,
  );
}

export function Navigation({ isOpen }: { isOpen: boolean }): JSX.Element {
  const screens = navScreens();
  return (
    <nav class={isOpen ? "side open" : "side"} aria-label="Screens">
      {GROUPS.map((group) => {
        const own = screens.filter((screen) => screen.nav.group === group);
        if (own.length === 0) return null;
        return (
          <div key={group}>
            <h2 id={`nav-${group}`}>{group}</h2>
            <ul aria-labelledby={`nav-${group}`}>
              {own.map((screen) => (
                <NavLink key={screen.path} screen={screen} />
              ))}
            </ul>
          </div>
        );
      })}
    </nav>
  );
}

function NavLink({ screen }: { screen: NavScreen }): JSX.Element {
  const at = path.value;
  const isHere = screen.path === "/" ? at === "/" : at === screen.path || at.startsWith(`${screen.path}/`);
  return (
    <li>
      <Link to={screen.path} aria-current={isHere ? "page" : undefined}>
        <Icon name={screen.nav.icon} />
        {screen.nav.label}
      </Link>
    </li>
  );
}
