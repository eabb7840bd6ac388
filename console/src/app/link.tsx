// A link inside the console.

import type { AnchorHTMLAttributes, ComponentChildren, JSX } from "preact";
import { followLink, href } from "./router";

export interface LinkProps extends Omit<AnchorHTMLAttributes<HTMLAnchorElement>, "href"> {
  to: string;
  children?: ComponentChildren;
}

export function Link({ to, children, onClick, ...rest }: LinkProps): JSX.Element {
  const follow = (event: MouseEvent & { currentTarget: HTMLAnchorElement }) => {
    if (typeof onClick === "function") (onClick as (event: MouseEvent) => void)(event);
    followLink(event, to);
  };
  return (
    <a {...(rest as Record<string, unknown>)} href={href(to)} onClick={follow}>
      {children}
    </a>
  );
}
