// `useQuery`: the answer of a call as signals. It keeps the last answer while the next one comes, cancels
// what nobody waits for any more, and asks again after a login.

import { useSignal, useSignalEffect, type ReadonlySignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { generation } from "./client";
import { asProblem, type ApiProblem } from "./problem";

export interface QueryResult<T> {
  data: ReadonlySignal<T | undefined>;
  problem: ReadonlySignal<ApiProblem | undefined>;
  loading: ReadonlySignal<boolean>;
  /** Asks again and keeps showing the last answer until the next one is there. */
  reload: () => void;
}

/**
 * Asks when the component appears and when `key` changes; `undefined` as key asks nothing. The data of
 * another key is never shown.
 */
export function useQuery<T>(
  key: string | undefined,
  ask: (signal: AbortSignal) => Promise<T>,
): QueryResult<T> {
  const data = useSignal<T | undefined>(undefined);
  const problem = useSignal<ApiProblem | undefined>(undefined);
  const loading = useSignal(key !== undefined);
  const turn = useSignal(0);
  const latest = useRef(ask);
  latest.current = ask;
  const keySignal = useSignal(key);
  useEffect(() => {
    if (keySignal.peek() === key) return;
    data.value = undefined;
    problem.value = undefined;
    keySignal.value = key;
  }, [key]);
  useSignalEffect(() => {
    void turn.value;
    void generation.value;
    if (keySignal.value === undefined) return;
    const cancel = new AbortController();
    loading.value = true;
    run(latest.current, cancel.signal, { data, problem, loading });
    return () => cancel.abort();
  });
  return { data, problem, loading, reload: () => void (turn.value += 1) };
}

interface Writable<T> {
  data: { value: T | undefined };
  problem: { value: ApiProblem | undefined };
  loading: { value: boolean };
}

function run<T>(ask: (signal: AbortSignal) => Promise<T>, signal: AbortSignal, into: Writable<T>): void {
  const settle = (data: T | undefined, problem: ApiProblem | undefined) => {
    if (signal.aborted) return;
    if (!problem) into.data.value = data;
    into.problem.value = problem;
    into.loading.value = false;
  };
  Promise.resolve()
    .then(() => ask(signal))
    .then(
      (data) => settle(data, undefined),
      (error: unknown) => settle(undefined, asProblem(error)),
    );
}
