// One bulk action from its form to its result, as signals: check what would happen, carry it out on exactly
// the machines that the check showed, say what became of each.

import { signal } from "@preact/signals";
import { api, ApiProblem, asProblem } from "../../../api/client";
import type { MachineRow } from "../row";
import { summarize, type BulkReport, type BulkSummary } from "./report";
import { runBulk, type BulkCall, type BulkRunner } from "./run";
import { readTarget, type BulkTarget } from "./target";
import {
  EMPTY_INPUT,
  planBatches,
  type ActionInput,
  type BulkAction,
  type BulkBatch,
  type BulkPlan,
} from "./verbs";

export type BulkPhase = "form" | "checking" | "checked" | "working" | "ended";

export class BulkSession {
  readonly phase = signal<BulkPhase>("form");
  readonly input = signal<ActionInput>(EMPTY_INPUT);
  readonly progress = signal({ done: 0, total: 0 });
  readonly summary = signal<BulkSummary | undefined>(undefined);
  /** Machines that are as the action would make them. */
  readonly unchanged = signal(0);
  readonly unsent = signal(0);
  readonly problem = signal<ApiProblem | undefined>(undefined);
  readonly isStopping = signal(false);
  private plan: BulkPlan = { batches: [], unchanged: 0 };
  private cancel = new AbortController();
  private isFirstCall = true;

  constructor(
    readonly action: BulkAction,
    readonly target: BulkTarget,
  ) {}

  change = (part: Partial<ActionInput>): void => {
    this.input.value = { ...this.input.peek(), ...part };
  };

  /** Back to the form: nothing was done yet. */
  reopen = (): void => {
    this.phase.value = "form";
    this.problem.value = undefined;
  };

  /** Asks what would be done to each machine; changes nothing. */
  check = async (): Promise<void> => {
    this.begin("checking");
    try {
      const needs = this.action.id === "profile" ? "profiles" : "names";
      const machines: MachineRow[] = await readTarget(this.target, needs, this.cancel.signal);
      this.plan = planBatches(this.action, this.input.peek(), machines);
      this.unchanged.value = this.plan.unchanged;
    } catch (error) {
      return this.fail(error);
    }
    await this.run("dry-run", this.plan.batches, "checked");
  };

  /** Carries it out on the machines for which the check said that it would be done. */
  carryOut = async (): Promise<void> => {
    const ready = new Set(this.summary.peek()?.done.map((item) => item.ref));
    this.begin("working");
    await this.run("carry-out", this.batchesOf(ready), "ended");
  };

  /** Sends again what was not tried. */
  tryAgain = async (): Promise<void> => {
    const left = new Set(this.summary.peek()?.notTried.map((item) => item.ref));
    this.begin("working");
    await this.run("carry-out", this.batchesOf(left), "ended");
  };

  /** No further call is sent; the one under way ends. */
  stop = (): void => {
    this.isStopping.value = true;
  };

  close = (): void => {
    this.isStopping.value = true;
    this.cancel.abort();
  };

  private batchesOf(refs: ReadonlySet<string>): BulkBatch[] {
    const kept = this.plan.batches.map((batch) => ({
      ...batch,
      refs: batch.refs.filter((ref) => refs.has(ref)),
    }));
    return kept.filter((batch) => batch.refs.length > 0);
  }

  private begin(phase: BulkPhase): void {
    this.phase.value = phase;
    this.problem.value = undefined;
    this.isStopping.value = false;
    this.isFirstCall = true;
  }

  private async run(mode: "dry-run" | "carry-out", batches: BulkBatch[], next: BulkPhase): Promise<void> {
    const order = { action: this.action, batches, mode, force: this.input.peek().force };
    const { items, unsent, error } = await runBulk(order, this.runner());
    if (this.cancel.signal.aborted) {
      return;
    }
    this.summary.value = summarize(items);
    this.unsent.value = unsent;
    if (error !== undefined && (mode === "dry-run" || items.length === 0)) {
      return this.fail(error);
    }
    this.problem.value = error === undefined ? undefined : asProblem(error);
    this.phase.value = mode === "dry-run" && this.isStopping.peek() ? "form" : next;
  }

  private fail(error: unknown): void {
    if (!this.cancel.signal.aborted) {
      this.problem.value = asProblem(error);
      this.phase.value = "form";
    }
  }

  private runner(): BulkRunner {
    return {
      send: (call) => this.send(call),
      isBusy: (error) => error instanceof ApiProblem && error.status === 503,
      wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      onProgress: (done, total) => {
        this.progress.value = { done, total };
      },
      isStopped: () => this.isStopping.peek(),
    };
  }

  /** The first call of an action is the page's call behind it; the rest are the same with other machines. */
  private send(call: BulkCall): Promise<BulkReport> {
    const quiet = !this.isFirstCall;
    this.isFirstCall = false;
    return api.post<BulkReport>("/bulk", call, { quiet });
  }
}
