// The frame of every page: header with search and the state of the connection, navigation, the screen in
// front, and what may lie over it (login, palette, keys).

import { signal, useSignalEffect } from "@preact/signals";
import { Component, type ComponentChildren, type JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { forgetCalls } from "../api/calls";
import { signedOut } from "../api/client";
import { SCREENS } from "../screens";
import { Button, IconButton } from "../ui/button";
import { Empty, Loading, Problem } from "../ui/status";
import { Toasts } from "../ui/toast";
import { AccountMenu } from "./account";
import { ConnectionState } from "./connection";
import { useKeys } from "./keys";
import { LoginDialog } from "./login";
import { Navigation } from "./navigation";
import { Palette, KeyHelp } from "./palette-view";
import { findScreen, Link, path, setScroller, type Params } from "./router";
import type { Screen } from "./screen";
import { Search } from "./search-view";
import { loadSession, may, session, sessionProblem } from "./session";
import "./layout.css";

const isMenuOpen = signal(false);

export function Layout(): JSX.Element {
  const main = useRef<HTMLElement>(null);
  const found = findScreen(SCREENS, path.value);
  useKeys(found);
  useTitle(found);
  useEffect(() => setScroller(main.current), []);
  useSignalEffect(() => {
    void path.value;
    isMenuOpen.value = false;
    forgetCalls();
  });
  return (
    <div class="frame">
      <a class="skip" href="#main">
        Go to the content
      </a>
      <header class="top-bar">
        <span class="menu-button">
          <IconButton
            icon="menu"
            label="Navigation"
            pressed={isMenuOpen.value}
            onClick={() => {
              isMenuOpen.value = !isMenuOpen.value;
            }}
          />
        </span>
        <Brand />
        <Search />
        <span class="grow" />
        <ConnectionState />
        <AccountMenu />
      </header>
      <Navigation isOpen={isMenuOpen.value} />
      <main ref={main} class="main" id="main" tabIndex={-1}>
        <div class="inner">
          <Front found={found} />
        </div>
      </main>
      <Palette found={found} />
      <KeyHelp />
      {signedOut.value && <LoginDialog />}
      <Toasts />
    </div>
  );
}

function Brand(): JSX.Element {
  return (
    <Link to="/" class="brand" title="Overview">
      <svg viewBox="0 0 16 16" width="22" height="22" aria-hidden="true">
        <path d="M1 14V3h3l4 6 4-6h3v11h-3V8l-4 6-4-6v6z" fill="currentColor" />
      </svg>
      <span class="word">Metalwright</span>
      {session.value && (
        <span class="server-name" title={session.value.server.name}>
          {session.value.server.name}
        </span>
      )}
    </Link>
  );
}

export interface FoundScreen {
  screen: Screen;
  params: Params;
}

function useTitle(found: FoundScreen | undefined): void {
  const title = found ? found.screen.title(found.params) : "Not found";
  const server = session.value?.server.name;
  useEffect(() => {
    document.title = [title, server, "Metalwright"].filter(Boolean).join(" · ");
  }, [title, server]);
}

function Front({ found }: { found: FoundScreen | undefined }): JSX.Element {
  if (!session.value) {
    if (sessionProblem.value)
      return <Problem problem={sessionProblem.value} onRetry={() => void loadSession()} />;
    return signedOut.value ? <Empty title="Sign in to see this page" /> : <Loading height={400} />;
  }
  if (!found) {
    return (
      <Empty
        title="There is no such page"
        actions={
          <Link to="/" class="button">
            Go to the overview
          </Link>
        }
      >
        The address may be of another version of the console.
      </Empty>
    );
  }
  const { screen, params } = found;
  if (screen.needs && !may(screen.needs)) {
    return (
      <Empty title="Your token may not see this page">
        It needs the scope <code>{screen.needs}</code>. Sign in with another token, or ask an administrator.
      </Empty>
    );
  }
  const View = screen.view;
  // Another object is another page: nothing of the last one may be shown with it.
  return (
    <Guard key={path.value}>
      <View key={path.value} params={params} />
    </Guard>
  );
}

/** Keeps the frame alive when a screen fails. */
class Guard extends Component<{ children: ComponentChildren }, { error: unknown }> {
  override state = { error: undefined as unknown };

  static override getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }

  override render(): ComponentChildren {
    if (this.state.error === undefined) return this.props.children;
    return (
      <div class="stack">
        <Problem problem={this.state.error} />
        <div>
          <Button icon="reload" onClick={() => this.setState({ error: undefined })}>
            Show it again
          </Button>
        </div>
      </div>
    );
  }
}
