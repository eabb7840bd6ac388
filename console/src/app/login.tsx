// The login, over the page that asked for it: the address stays, and after it everything is read anew.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { asProblem, type ApiProblem } from "../api/client";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { TextField } from "../ui/form";
import { Problem } from "../ui/status";
import { session, signIn } from "./session";

export function LoginDialog(): JSX.Element {
  const [token, setToken] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ApiProblem | undefined>(undefined);
  const submit = async () => {
    if (isBusy) return;
    if (token.trim() === "") return setProblem(undefined);
    setBusy(true);
    setProblem(undefined);
    try {
      await signIn(token.trim());
    } catch (error) {
      setProblem(asProblem(error));
      setBusy(false);
    }
  };
  const wasIn = session.value !== undefined;
  return (
    <Dialog
      title={wasIn ? "Your session has ended" : "Sign in to Metalwright"}
      firm
      onClose={() => undefined}
      onSubmit={() => void submit()}
      actions={
        <Button kind="primary" isBusy={isBusy} disabled={token.trim() === ""} onClick={() => void submit()}>
          Sign in
        </Button>
      }
    >
      {wasIn && <p>Sign in again to go on with this page.</p>}
      <form onSubmit={(event) => event.preventDefault()}>
        <TextField
          label="Token"
          type="password"
          value={token}
          onInput={setToken}
          autofocus
          autocomplete="current-password"
          hint={
            <>
              It begins with <code>mw_</code>. The first one is in <code>admin.token</code> of the server's
              data directory; more come from <code>metalwright tokens create</code>.
            </>
          }
        />
      </form>
      {problem && <Problem problem={problem} />}
    </Dialog>
  );
}
