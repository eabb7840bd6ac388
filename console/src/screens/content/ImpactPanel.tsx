/** What would change on which machines, before the text is saved. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { asProblem, type ApiProblem } from "../../api/client";
import { Button, Problem } from "./kit";
import { ChangeGroups } from "./ChangeGroups";
import {
  checkImpact,
  EMPTY_IMPACT,
  workflowsWith,
  type ImpactQuestion,
  type ImpactReport,
} from "./saveImpact";

export function ImpactPanel({ question }: { question: ImpactQuestion }) {
  const report = useSignal<ImpactReport | null>(null);
  const problem = useSignal<ApiProblem | null>(null);
  const running = useSignal(false);
  const stop = useRef(new AbortController());
  const body = question.template.body;
  useEffect(() => {
    report.value = null;
    problem.value = null;
    return () => stop.current.abort();
  }, [body, question.template.name]);
  const go = async () => {
    stop.current.abort();
    const own = new AbortController();
    stop.current = own;
    running.value = true;
    problem.value = null;
    try {
      await checkImpact(
        question,
        report.value ?? EMPTY_IMPACT,
        (next) => {
          if (!own.signal.aborted) report.value = next;
        },
        own.signal,
      );
    } catch (fault) {
      if (!own.signal.aborted) problem.value = asProblem(fault);
    }
    running.value = false;
  };
  const workflows = workflowsWith(question.template.name, question.index);
  return (
    <section class="content-impact" aria-label="What would change">
      <p class="content-note">{workflowWords(workflows)}</p>
      {workflows.length > 0 && <ImpactState report={report.value} running={running.value} />}
      <div class="content-bar">
        {workflows.length > 0 && !running.value && report.value === null && (
          <Button onClick={() => void go()}>Look what would change</Button>
        )}
        {!running.value && report.value?.next && (
          <Button onClick={() => void go()}>Look at further machines</Button>
        )}
        {running.value && <Button onClick={() => stop.current.abort()}>Stop</Button>}
      </div>
      {problem.value && <Problem problem={problem.value} />}
      {report.value && <ChangeGroups groups={report.value.groups} />}
    </section>
  );
}

function workflowWords(workflows: string[]): string {
  if (workflows.length === 0)
    return "No workflow leads to this template: no document of a machine changes.";
  return `Machines with these workflows get it: ${workflows.join(", ")}.`;
}

function ImpactState({ report, running }: { report: ImpactReport | null; running: boolean }) {
  if (report === null) {
    return (
      <p class="content-note">
        Their documents are rendered as they are and with your text, and compared. Nothing is saved.
      </p>
    );
  }
  const failing = report.groups
    .filter((group) => group.fails)
    .reduce((sum, g) => sum + g.machines.length, 0);
  const changed = report.checked - report.unchanged - failing;
  return (
    <p class="content-note" role="status">
      {running ? "Looking … " : ""}
      {report.checked} of {report.total} machines looked at: {failing} would not get a document any more,{" "}
      {changed} get other texts, {report.unchanged} unchanged.
    </p>
  );
}
