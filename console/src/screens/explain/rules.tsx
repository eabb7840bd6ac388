// The verdict, and the rules in order with the one that settled it.

import type { JSX } from "preact";
import { Link } from "../../app/router";
import { Card, Icon, Time } from "../../ui";
import {
  answerText,
  objectPath,
  remedy,
  ruleRows,
  verdictText,
  type Answered,
  type Explanation,
  type RuleObject,
  type RuleRow,
} from "./model";
import { machinePath } from "../networks/data";
import type { FullAnswer } from "./answer";

const ROLE_WORDS = { passed: "passed", settled: "settled it", follows: "follows" };
const ROLE_ICONS = { passed: "check", settled: "right", follows: "info" } as const;

export function VerdictCard({
  full,
  answered,
}: {
  full: FullAnswer;
  answered: Answered;
}): JSX.Element | null {
  const { decision, offer, objects } = answered;
  if (!decision)
    return (
      <Card title="No decision">
        <p>{offer?.reason}</p>
      </Card>
    );
  if (full.packet && !full.packet.reply && SILENT.has(full.packet.event)) return <SilentCard full={full} />;
  const settled = ruleRows(decision, objects).find((row) => row.role === "settled");
  const todo = decision.verdict === "netboot" ? undefined : remedy(settled);
  const { explanation } = full;
  return (
    <section class={`verdict ${decision.verdict}`} aria-label="Verdict">
      <h2>
        {full.machine ?? "This client"} {verdictText(decision)}
      </h2>
      {decision.reason && <p class="verdict-reason">{decision.reason}</p>}
      <p>
        <strong>It is told:</strong> {answerText(decision)}
      </p>
      {offer && (
        <p>
          <strong>Address:</strong> {offer.reason} <code>{offer.event}</code>
        </p>
      )}
      {explanation?.disk && (
        <p>
          <strong>Disk:</strong> {explanation.disk}
        </p>
      )}
      {todo && (
        <p class="todo">
          <strong>To change that:</strong> {todo}
          {full.machine && (
            <>
              {" "}
              <Link to={machinePath(full.machine)}>Go to {full.machine}</Link>
            </>
          )}
        </p>
      )}
      {full.packet?.begins_attempt && (
        <p class="muted">Such a packet would begin a boot attempt of the machine.</p>
      )}
      <Hints full={full} />
    </section>
  );
}

/** Events of packets that are not answered although the client waits. */
const SILENT = new Set(["dhcp.no_subnet", "dhcp.pool_empty", "dhcp.malformed"]);

const SILENT_REMEDY: Record<string, string> = {
  "dhcp.no_subnet": "Create or enable the subnet that fits, or list the relay agent in `relays` of one.",
  "dhcp.pool_empty": "Add a pool, or release leases of computers that are gone.",
};

function SilentCard({ full }: { full: FullAnswer }) {
  const { event = "", reason } = full.packet ?? {};
  const todo = SILENT_REMEDY[event];
  return (
    <section class="verdict screen" aria-label="Verdict">
      <h2>{full.machine ?? "This client"} gets no answer</h2>
      <p class="verdict-reason">
        {reason} <code>{event}</code>
      </p>
      {todo && (
        <p class="todo">
          <strong>To change that:</strong> {todo} <Link to="/networks">Go to Networks</Link>
        </p>
      )}
      <Hints full={full} />
    </section>
  );
}

function Hints({ full }: { full: FullAnswer }) {
  const { warnings = [], start_faults = [], similar_clients = [] } = full.explanation ?? {};
  return (
    <>
      {warnings.map((warning) => (
        <p key={warning} class="warn-text">
          ⚠ {warning}
        </p>
      ))}
      {similar_clients.map((client) => (
        <SimilarClient key={client.mac} client={client} />
      ))}
      {start_faults.length > 0 && (
        <details open>
          <summary>Why a start of its workflow would be refused ({start_faults.length})</summary>
          <ul>
            {start_faults.map((fault) => (
              <li key={fault.pointer + fault.message}>
                <code>{fault.pointer || fault.code}</code> {fault.message}
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

type Similar = NonNullable<Explanation["similar_clients"]>[number];

function SimilarClient({ client: { mac, machine, last_seen } }: { client: Similar }) {
  return (
    <p class="warn-text">
      ⚠ A client with the MAC <code>{mac}</code> asked <Time at={last_seen} /> and no machine has this MAC.
      The machine <Link to={machinePath(machine.name)}>{machine.name}</Link> has <code>{machine.mac}</code>.
    </p>
  );
}

export function RuleList({ answered }: { answered: Answered }): JSX.Element | null {
  const { decision, objects } = answered;
  if (!decision) return null;
  const rows = ruleRows(decision, objects);
  return (
    <Card title="Rules, in the order in which they were checked">
      <ol class="rules">
        {rows.map((row, at) => (
          <RuleItem key={`${row.rule}${at}`} row={row} />
        ))}
      </ol>
    </Card>
  );
}

function RuleItem({ row }: { row: RuleRow }) {
  return (
    <li class={`rule ${row.role}`}>
      <span class="rule-role">
        <Icon name={ROLE_ICONS[row.role]} /> {ROLE_WORDS[row.role]}
      </span>
      <div>
        <strong>{row.title}</strong> <code class="muted">{row.rule}</code>
        <div>{row.detail}</div>
        {row.objects.length > 0 && (
          <div class="rule-objects">
            <span class="muted">looked at</span>{" "}
            {row.objects.map((object) => (
              <ObjectLink key={object.kind + object.name} object={object} />
            ))}
          </div>
        )}
      </div>
    </li>
  );
}

export function ObjectLink({ object }: { object: Pick<RuleObject, "kind" | "name"> }): JSX.Element {
  const path = objectPath(object);
  const text = (
    <>
      <span class="muted">{object.kind.replace(/_/g, " ")}</span> {object.name}
    </>
  );
  return path ? (
    <Link class="object-link" to={path}>
      {text}
    </Link>
  ) : (
    <span class="object-link">{text}</span>
  );
}

export function ClassList({ answered }: { answered: Answered }): JSX.Element | null {
  const { classes } = answered;
  if (classes.length === 0) return null;
  const matched = classes.filter((one) => one.matched).length;
  return (
    <Card title={`Client classes (${matched} of ${classes.length} match)`}>
      <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
        <table class="plain">
          <thead>
            <tr>
              <th>Class</th>
              <th>Order</th>
              <th>Matches</th>
            </tr>
          </thead>
          <tbody>
            {classes.map((one) => (
              <tr key={one.name}>
                <td>
                  <Link to="/networks?tab=classes">{one.name}</Link>
                </td>
                <td>{one.order}</td>
                <td>
                  {one.matched ? (
                    <strong class="ok-text">
                      <Icon name="check" /> matches
                    </strong>
                  ) : (
                    <span class="muted">{one.reason}</span>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
