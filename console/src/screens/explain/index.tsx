// Explain: a MAC, a machine, an address or a packet; the rules in order, which one settled it, what would be
// sent. The question stands in the address; a second one beside it is compared.

import type { JSX } from "preact";
import { go, location, setQuery } from "../../app/router";
import type { Screen } from "../../app/screen";
import { Button, Copy, Empty, Loading, PageHeader, Problem } from "../../ui";
import { useAnswer, useAnswered, type AnswerState } from "./answer";
import { askChanges, isEmptyAsk, NOTHING, readAsk, type Ask } from "./ask";
import { Comparison } from "./comparison";
import { AskForm } from "./form";
import { ReplyCard, ScriptCard } from "./reply";
import { ClassList, RuleList, VerdictCard } from "./rules";
import "./explain.css";
import "../networks/networks.css";

const SECOND = "b.";

function ExplainView(): JSX.Element {
  const query = location.value.query;
  const first = readAsk(query);
  const isComparing = query.get("compare") === "1";
  const second = readAsk(query, SECOND);
  const answer = useAnswer(first);
  const other = useAnswer(isComparing ? second : NOTHING);
  const begin = () => setQuery({ compare: "1", ...askChanges(first, SECOND) });
  const end = () => setQuery({ compare: undefined, ...askChanges(NOTHING, SECOND) });
  const actions = (
    <>
      {!isEmptyAsk(first) && (
        <Copy text={() => window.location.href} label="Copy the address of this answer" />
      )}
      {!isEmptyAsk(first) && (
        <Button
          icon="reload"
          onClick={() => {
            answer.reload();
            other.reload();
          }}
        >
          Ask again
        </Button>
      )}
      {isComparing ? (
        <Button onClick={end}>End the comparison</Button>
      ) : (
        !isEmptyAsk(first) && <Button onClick={begin}>Compare with another</Button>
      )}
    </>
  );
  return (
    <>
      <PageHeader
        title="Explain"
        subtitle="What a client would be told now, and why. Nothing is written or sent."
        actions={actions}
      />
      <div class="stack">
        <div class={isComparing ? "asks two" : "asks"}>
          <AskForm
            key={JSON.stringify(first)}
            ask={first}
            label="Question"
            onAsk={(ask) => setQuery(askChanges(ask))}
          />
          {isComparing && (
            <AskForm
              key={`b${JSON.stringify(second)}`}
              ask={second}
              label="Question to compare with"
              onAsk={(ask) => setQuery(askChanges(ask, SECOND))}
            />
          )}
        </div>
        {isComparing ? (
          <Compared first={answer} second={other} names={[nameOf(first), nameOf(second)]} />
        ) : (
          <Single ask={first} state={answer} />
        )}
      </div>
    </>
  );
}

const nameOf = (ask: Ask): string =>
  ask.packet
    ? "the packet"
    : [ask.who, ask.stage === "firmware" ? "" : ask.stage, ask.arch && `arch ${ask.arch}`, ask.vendor]
        .filter(Boolean)
        .join(" · ") || "nothing yet";

function Single({ ask, state }: { ask: Ask; state: AnswerState }) {
  const answered = useAnswered(state).value;
  const full = state.data.value;
  if (isEmptyAsk(ask)) {
    return (
      <Empty title="Who is it about?">
        Give a MAC, a machine or an address, or paste a packet that a client sent. The answer is what the
        server would do with it now, rule by rule.
      </Empty>
    );
  }
  if (state.problem.value) return <Problem problem={state.problem.value} onRetry={state.reload} />;
  if (!full) return <Loading />;
  return (
    <div class="answer">
      <div class="stack">
        <VerdictCard full={full} answered={answered} />
        <RuleList answered={answered} />
      </div>
      <div class="stack">
        <ReplyCard full={full} answered={answered} />
        {full.machine && answered.decision && (
          <ScriptCard machine={full.machine} verdict={answered.decision.verdict} />
        )}
        <ClassList answered={answered} />
      </div>
    </div>
  );
}

function Compared({
  first,
  second,
  names,
}: {
  first: AnswerState;
  second: AnswerState;
  names: readonly [string, string];
}) {
  const [a, b] = [useAnswered(first).value, useAnswered(second).value];
  const problem = first.problem.value ?? second.problem.value;
  if (problem) return <Problem problem={problem} />;
  if (first.loading.value && !first.data.value) return <Loading />;
  if (!second.data.value)
    return second.loading.value ? (
      <Loading />
    ) : (
      <Empty title="With whom?">Fill in the second question.</Empty>
    );
  return <Comparison a={a} b={b} names={names} />;
}

export const screens: Screen[] = [
  {
    path: "/explain",
    title: () => {
      const { who, packet } = readAsk(location.value.query);
      return packet ? "Explain a packet" : who ? `Explain ${who}` : "Explain";
    },
    nav: { label: "Explain", group: "Network", order: 2, icon: "explain" },
    needs: "machines:read",
    key: "e",
    view: () => (
      <div class="net explain">
        <ExplainView />
      </div>
    ),
    commands: () => [
      { id: "explain-packet", title: "Explain a packet or a MAC", run: () => go("/explain") },
    ],
  },
];
