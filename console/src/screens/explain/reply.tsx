// What would be sent: the reply with each option in words and as bytes, the boot file, the script.

import type { JSX } from "preact";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { Card, Copy, KeyValue, Loading, Problem } from "../../ui";
import type { FullAnswer } from "./answer";
import type { Answered, OptionLine, PacketOption, Reply } from "./model";
import { ObjectLink } from "./rules";

export function ReplyCard({ full, answered }: { full: FullAnswer; answered: Answered }): JSX.Element {
  const { packet, packetProblem } = full;
  if (packet && !packet.reply) {
    return (
      <Card title="No reply is sent">
        <p>{packet.reason}</p>
        <Configured lines={answered.options} />
        <RequestDetails full={full} />
      </Card>
    );
  }
  if (!packet?.reply) {
    return (
      <Card title="Options that are configured for it">
        {typeof packetProblem === "string" && <p class="muted">{packetProblem}</p>}
        {packetProblem && typeof packetProblem !== "string" && <Problem problem={packetProblem} />}
        <Configured lines={answered.options} />
      </Card>
    );
  }
  return (
    <Card
      title={`Reply: ${packet.reply.message ?? "BOOTP"}`}
      actions={packet.reply.bytes && <Copy text={packet.reply.bytes} label="Copy the reply as hex" />}
    >
      <ReplyFields reply={packet.reply} address={packet.address} />
      <OptionTable options={packet.reply.options} origins={packet.options} />
      <Templates reply={packet.reply} />
      <RawReply reply={packet.reply} />
      <RequestDetails full={full} />
    </Card>
  );
}

function ReplyFields({ reply, address }: { reply: Reply; address: string | undefined }) {
  return (
    <KeyValue
      pairs={[
        ["Address", address && <code>{address}</code>],
        ["Next server (siaddr)", reply.next_server && <code>{reply.next_server}</code>],
        [
          "Boot file",
          reply.file ? (
            <>
              <code>{reply.file}</code> <Copy text={reply.file} label="Copy the boot file's name" />
            </>
          ) : (
            "none: no boot data"
          ),
        ],
        ["Sent", `${reply.destination}, from ${reply.source}`],
        ["Left out, no room", reply.left_out.join(", ")],
      ]}
    />
  );
}

function OptionTable({ options, origins }: { options: PacketOption[]; origins: OptionLine[] }) {
  const from = new Map(origins.map((origin) => [origin.code, origin]));
  return (
    <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
      <table class="plain options">
        <thead>
          <tr>
            <th>Code</th>
            <th>Option</th>
            <th>Value</th>
            <th>Bytes</th>
            <th>From</th>
          </tr>
        </thead>
        <tbody>
          {options.map((option) => (
            <tr key={option.code}>
              <td>{option.code}</td>
              <td>{option.name}</td>
              <td class="wrap">{option.value}</td>
              <td class="wrap mono small">{option.bytes}</td>
              <td>
                <Origin line={from.get(option.code)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Origin({ line }: { line: OptionLine | undefined }) {
  if (!line) return <span class="muted">the server</span>;
  return <ObjectLink object={{ kind: line.scope, name: line.from }} />;
}

function Configured({ lines }: { lines: OptionLine[] }) {
  if (lines.length === 0) return <p class="muted">No options are configured for this client.</p>;
  return (
    <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
      <table class="plain">
        <thead>
          <tr>
            <th>Code</th>
            <th>Option</th>
            <th>Value</th>
            <th>From</th>
          </tr>
        </thead>
        <tbody>
          {lines.map((line) => (
            <tr key={line.code}>
              <td>{line.code}</td>
              <td>{line.name}</td>
              <td class="wrap">{line.value}</td>
              <td>
                <Origin line={line} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Templates({ reply }: { reply: Reply }) {
  if (reply.templates.length === 0) return null;
  return (
    <div>
      <h3>Options that are rendered when the server answers</h3>
      <ul>
        {reply.templates.map((one) => (
          <li key={one.code}>
            {one.code} {one.name}: <code>{one.template}</code>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Hex with 16 bytes a line, as dumps have it. */
export function hexLines(bytes: string): string {
  const lines = bytes.match(/.{1,32}/g) ?? [];
  return lines
    .map((line, at) => `${(at * 16).toString(16).padStart(4, "0")}  ${(line.match(/../g) ?? []).join(" ")}`)
    .join("\n");
}

function RawReply({ reply }: { reply: Reply }) {
  return (
    <details>
      <summary>The reply as bytes and as text</summary>
      {reply.bytes && (
        <pre class="raw" tabIndex={0}>
          {hexLines(reply.bytes)}
        </pre>
      )}
      <pre class="raw" tabIndex={0}>
        {reply.text}
      </pre>
    </details>
  );
}

function RequestDetails({ full }: { full: FullAnswer }) {
  const request = full.packet?.request;
  if (!request) return null;
  return (
    <details>
      <summary>The request{full.packet?.interface ? ` on ${full.packet.interface}` : ""}</summary>
      {(request.faults ?? []).map((fault) => (
        <p key={fault} class="warn-text">
          ⚠ {fault}
        </p>
      ))}
      <div class="row">
        <Copy text={request.text} label="Copy the request as text" />
      </div>
      <pre class="raw" tabIndex={0}>
        {request.text}
      </pre>
    </details>
  );
}

interface Rendered {
  text: string;
}

/** What is rendered for a verdict; the other scripts need more than a preview knows. */
const SCRIPTS: Record<string, Record<string, string>> = {
  netboot: { file: "boot.ipxe" },
  local_disk: { template: "ipxe/local.ipxe" },
};

/** The script that the machine's loader gets now. */
export function ScriptCard({ machine, verdict }: { machine: string; verdict: string }): JSX.Element | null {
  const source = SCRIPTS[verdict];
  const script = useQuery(source && `script ${machine} ${verdict}`, (signal) =>
    api.post<Rendered>("/render", { machine: `name:${machine}`, ...source, lines: false }, { signal }),
  );
  if (!source) return null;
  const text = script.data.value?.text;
  return (
    <Card title="Script for iPXE" actions={text && <Copy text={text} label="Copy the script" />}>
      {script.problem.value ? (
        <Problem problem={script.problem.value} onRetry={script.reload} />
      ) : text === undefined ? (
        <Loading />
      ) : (
        <pre class="raw" tabIndex={0}>
          {text}
        </pre>
      )}
    </Card>
  );
}
