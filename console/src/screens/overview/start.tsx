// Getting started: what a server without machines needs, with its own addresses and what is there already.

import type { JSX } from "preact";
import { api, type Page } from "../../api/client";
import { useQuery } from "../../api/query";
import { Link } from "../../app/router";
import { Copy } from "../../ui/button";
import { Card } from "../../ui/page";

/** Where the package `debian-installer-12-netboot-amd64` has its files. */
const INSTALLER = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";

interface DhcpStatus {
  service: { enabled: boolean; boot_http_port?: number | null };
  interfaces: { name: string; addresses: string[]; subnet?: string | null }[];
}

interface Ground {
  dhcp: DhcpStatus;
  subnets: number;
  artifacts: number;
  unknown: number;
}

const count = async (path: string, signal: AbortSignal): Promise<number> =>
  (await api.get<Page<unknown>>(path, { limit: 1 }, { signal })).total;

async function readGround(signal: AbortSignal): Promise<Ground> {
  const [dhcp, subnets, artifacts, unknown] = await Promise.all([
    api.get<DhcpStatus>("/dhcp/status", undefined, { signal }),
    count("/subnets", signal),
    count("/artifacts", signal),
    count("/unknown_clients", signal),
  ]);
  return { dhcp, subnets, artifacts, unknown };
}

/** The addresses that machines reach, without their prefix length; loopback only where there is no other. */
export function hostAddresses(interfaces: DhcpStatus["interfaces"]): string[] {
  const all = interfaces.flatMap((one) => one.addresses.map((address) => address.replace(/\/\d+$/u, "")));
  const outer = all.filter((address) => !address.startsWith("127."));
  return outer.length > 0 ? outer : all;
}

interface StepProps {
  isDone: boolean;
  title: string;
  children: JSX.Element | JSX.Element[];
}

function Step({ isDone, title, children }: StepProps): JSX.Element {
  return (
    <li class={isDone ? "fleet-step fleet-step-done" : "fleet-step"}>
      <h3>
        {title}
        {isDone && <span class="fleet-done"> – done</span>}
      </h3>
      {children}
    </li>
  );
}

function Addresses({ dhcp }: { dhcp: DhcpStatus | undefined }): JSX.Element {
  const port = dhcp?.service.boot_http_port;
  const boot = hostAddresses(dhcp?.interfaces ?? []).map((address) => `http://${address}:${port ?? 8080}/`);
  const lines: [string, string][] = [
    ["API and console", window.location.origin],
    ...boot.map((url): [string, string] => ["Boot files for machines", url]),
  ];
  return (
    <dl class="fleet-addresses">
      {lines.map(([label, value]) => (
        <div key={value}>
          <dt>{label}</dt>
          <dd>
            <code>{value}</code> <Copy text={value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Command({ text }: { text: string }): JSX.Element {
  return (
    <p class="fleet-command">
      <code>{text}</code> <Copy text={text} />
    </p>
  );
}

export function GettingStarted(): JSX.Element {
  const ground = useQuery("getting-started", readGround);
  const { dhcp, subnets = 0, artifacts = 0, unknown = 0 } = ground.data.value ?? {};
  const server = `--server ${window.location.origin} --token TOKEN`;
  return (
    <Card title="Getting started">
      <p>This server has no machines yet. These steps lead to a machine that installs itself.</p>
      <Addresses dhcp={dhcp} />
      <ol class="fleet-steps">
        <Step isDone={subnets > 0} title="Say which network the machines boot in">
          <p>
            {dhcp?.service.enabled === false
              ? "DHCP is not served: name its interfaces in the configuration (dhcp.interfaces). "
              : ""}
            <Link to="/networks/subnets/new">Make a subnet</Link> with a pool of addresses, or one of mode
            proxy beside another DHCP server.
          </p>
        </Step>
        <Step isDone={artifacts > 0} title="Give the server the installer's files">
          <p>
            <Link to="/artifacts">Add an artifact</Link>: the kernel and initrd that machines boot.
          </p>
          <Command text={`metalwright artifacts add debian-12-amd64 --dir ${INSTALLER} ${server}`} />
        </Step>
        <Step isDone={false} title="Register a machine">
          <p>
            <Link to="/machines?dialog=create">Create a machine</Link> with its MAC address, or power one on
            and let it boot from the network: it appears among the{" "}
            <Link to="/networks?tab=clients">unknown clients</Link>
            {unknown > 0 ? ` (${unknown} there now).` : "."}
          </p>
        </Step>
        <Step isDone={false} title="Start a workflow">
          <p>
            Select the machine in the list and start a workflow such as install-debian-12. Its timeline
            shows each step.
          </p>
        </Step>
      </ol>
    </Card>
  );
}
