// Who is signed in, and what they may do. The session is a cookie that scripts cannot read; the server says
// whose it is.

import { computed, signal } from "@preact/signals";
import { api, asProblem, readEverythingAnew, signedOut, type ApiProblem } from "../api/client";

export interface Session {
  name: string;
  scopes: string[];
  created_at: string;
  expires_at: string;
  server: { name: string; version: string; time: string; zone: string };
}

export const session = signal<Session | undefined>(undefined);
/** What the first look at the session said, when it was no session. */
export const sessionProblem = signal<ApiProblem | undefined>(undefined);
export const scopes = computed(() => session.value?.scopes ?? []);

/** Whether the session has a scope such as `machines:read`. Writing includes reading. */
export function may(scope: string): boolean {
  return allows(scopes.value, scope);
}

export function allows(held: readonly string[], scope: string): boolean {
  const [noun, verb] = scope.split(":");
  const enough = verb === "read" ? ["read", "write"] : [verb];
  return held.some(
    (one) =>
      one === "*" ||
      one === scope ||
      enough.some((word) => one === `${noun}:${word}` || one === `*:${word}`),
  );
}

/** Reads who is signed in; asks for a login where nobody is. */
export async function loadSession(): Promise<void> {
  try {
    session.value = await api.get<Session>("/session", undefined, { quiet: true });
    sessionProblem.value = undefined;
  } catch (error) {
    const problem = asProblem(error);
    if (problem.status === 401) signedOut.value = true;
    else sessionProblem.value = problem;
  }
}

/** Begins a session with a token; what the page shows is read anew. */
export async function signIn(token: string): Promise<void> {
  await api.post("/session", { token }, { quiet: true });
  session.value = await api.get<Session>("/session", undefined, { quiet: true });
  sessionProblem.value = undefined;
  signedOut.value = false;
  readEverythingAnew();
}

/** Ends the session. The page keeps its address for the next login. */
export async function signOut(): Promise<void> {
  try {
    await api.del("/session", { quiet: true });
  } finally {
    session.value = undefined;
    signedOut.value = true;
  }
}
