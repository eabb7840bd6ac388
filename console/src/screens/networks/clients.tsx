// The tab with those who ask without being known: unknown clients to register, clients that got no answer,
// relay agents and other servers.

import { useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { Link } from "../../app/router";
import { may } from "../../app/session";
import { Button } from "../../ui/button";
import { Card } from "../../ui/page";
import { Empty, Loading, Problem } from "../../ui/status";
import { Time } from "../../ui/values";
import { explainPath, machinePath, subnetPath, useDhcpStatus, useEvery } from "./data";
import { RegisterDialog } from "./register";
import type { DhcpStatus, OtherServer, RelayStatus, UnknownClient, Unserved } from "./types";

const UNKNOWN_MS = 5000;

export function ClientsTab(): JSX.Element {
  const status = useDhcpStatus();
  const data = status.data.value;
  return (
    <div class="stack">
      <UnknownClients />
      {status.problem.value && <Problem problem={status.problem.value} onRetry={status.reload} />}
      {data && <UnservedCard status={data} />}
      {data && <RelaysCard relays={data.relays} />}
      {data && <ServersCard servers={data.servers} hears={data.service.hears_servers} />}
    </div>
  );
}

interface UnknownList {
  items: UnknownClient[];
  total: number;
}

function UnknownClients() {
  const list = useQuery("unknown", (signal) =>
    api.get<UnknownList>("/unknown_clients", { limit: 1000, sort: "-last_seen" }, { signal }),
  );
  useEvery(UNKNOWN_MS, list.reload);
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const registering = useSignal<UnknownClient[]>([]);
  const clients = list.data.value?.items ?? [];
  const marked = clients.filter((client) => client.mac && chosen.value.has(client.mac));
  return (
    <Card
      title={`Unknown clients that boot from the network (${list.data.value?.total ?? "…"})`}
      actions={
        may("machines:write") &&
        marked.length > 0 && (
          <Button kind="primary" onClick={() => void (registering.value = marked)}>
            Register {marked.length}…
          </Button>
        )
      }
    >
      {list.problem.value && <Problem problem={list.problem.value} onRetry={list.reload} />}
      {!list.data.value && !list.problem.value && <Loading />}
      {list.data.value && clients.length === 0 && (
        <Empty title="No unknown client asked">
          A client that no machine stands for appears here when it boots from the network.
        </Empty>
      )}
      {clients.length > 0 && <UnknownTable clients={clients} chosen={chosen} registering={registering} />}
      {registering.value.length > 0 && (
        <RegisterDialog
          clients={registering.value}
          onClose={(done) => {
            registering.value = [];
            if (done) chosen.value = new Set();
            list.reload();
          }}
        />
      )}
    </Card>
  );
}

interface UnknownTableProps {
  clients: UnknownClient[];
  chosen: Signal<ReadonlySet<string>>;
  registering: Signal<UnknownClient[]>;
}

function UnknownTable({ clients, chosen, registering }: UnknownTableProps) {
  const macs = clients.flatMap((client) => client.mac ?? []);
  const isAll = macs.length > 0 && macs.every((mac) => chosen.value.has(mac));
  const mark = (mac: string, isMarked: boolean) => {
    const next = new Set(chosen.value);
    if (isMarked) next.add(mac);
    else next.delete(mac);
    chosen.value = next;
  };
  return (
    <div class="table-scroll tall" tabIndex={0} role="group" aria-label="Table">
      <table class="plain">
        <thead>
          <tr>
            <th>
              <input
                type="checkbox"
                aria-label="Choose all unknown clients"
                checked={isAll}
                onChange={(event) => void (chosen.value = new Set(event.currentTarget.checked ? macs : []))}
              />
            </th>
            <th>MAC</th>
            <th>Firmware</th>
            <th>Where</th>
            <th>Last asked</th>
            <th>What it was answered</th>
            <th>
              <span class="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {clients.map((client) => (
            <UnknownRow
              key={client.mac ?? client.address}
              client={client}
              chosen={chosen}
              mark={mark}
              registering={registering}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface UnknownRowProps {
  client: UnknownClient;
  chosen: ReadonlySignal<ReadonlySet<string>>;
  mark: (mac: string, isMarked: boolean) => void;
  registering: Signal<UnknownClient[]>;
}

function UnknownRow({ client, chosen, mark, registering }: UnknownRowProps) {
  const { mac } = client;
  return (
    <tr>
      <td>
        {mac && (
          <input
            type="checkbox"
            aria-label={`Choose ${mac}`}
            checked={chosen.value.has(mac)}
            onChange={(event) => mark(mac, event.currentTarget.checked)}
          />
        )}
      </td>
      <td>
        {mac ? (
          <Link to={explainPath(mac)} class="mono" title="Explain what it gets">
            {mac}
          </Link>
        ) : (
          <span class="muted">not known</span>
        )}
        {client.address && <div class="muted mono">{client.address}</div>}
        {client.similar && (
          <div class="warn-text">
            ⚠ almost the MAC of <Link to={machinePath(client.similar.name)}>{client.similar.name}</Link> (
            {client.similar.mac})
          </div>
        )}
      </td>
      <td>
        {client.firmware ?? client.vendor ?? <span class="muted">not said</span>}
        {client.arch && <div class="muted">{client.arch}</div>}
      </td>
      <td>
        {client.subnet ? <Link to={subnetPath(client.subnet)}>{client.subnet}</Link> : client.interface}
        {client.relay && <div class="muted">relay {client.relay}</div>}
        {client.circuit && <div class="muted">port {client.circuit}</div>}
      </td>
      <td>
        <Time at={client.last_seen} />
        <div class="muted">
          {client.requests} times since <Time at={client.first_seen} />
        </div>
      </td>
      <td>{client.reason}</td>
      <td class="row-actions">
        {mac && may("machines:write") && (
          <Button size="small" onClick={() => void (registering.value = [client])}>
            Register…
          </Button>
        )}
      </td>
    </tr>
  );
}

function UnservedCard({ status }: { status: DhcpStatus }) {
  return (
    <Card title={`Clients that got no answer (${status.unserved_packets} packets since the start)`}>
      {status.unserved.length === 0 ? (
        <p class="muted">Every packet that was heard came from a subnet that is served.</p>
      ) : (
        <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
          <table class="plain">
            <thead>
              <tr>
                <th>Reason</th>
                <th>Last client</th>
                <th>Came by</th>
                <th>Packets</th>
                <th>Last</th>
              </tr>
            </thead>
            <tbody>
              {[...status.unserved].reverse().map((one: Unserved) => (
                <tr key={`${one.interface}${one.reason}`}>
                  <td>{one.reason}</td>
                  <td class="mono">{one.mac ? <Link to={explainPath(one.mac)}>{one.mac}</Link> : "–"}</td>
                  <td>
                    {one.relay ? `relay ${one.relay}, ` : ""}
                    {one.interface}
                  </td>
                  <td>{one.packets}</td>
                  <td>
                    <Time at={one.last_seen} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function RelaysCard({ relays }: { relays: RelayStatus[] }) {
  return (
    <Card title="Relay agents">
      {relays.length === 0 ? (
        <p class="muted">No packet came through a relay agent.</p>
      ) : (
        <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
          <table class="plain">
            <thead>
              <tr>
                <th>Address</th>
                <th>Subnet</th>
                <th>Interface</th>
                <th>Packets</th>
                <th>Last</th>
              </tr>
            </thead>
            <tbody>
              {relays.map((relay) => (
                <tr key={relay.address}>
                  <td class="mono">{relay.address}</td>
                  <td>
                    {relay.subnet ? (
                      <Link to={subnetPath(relay.subnet)}>{relay.subnet}</Link>
                    ) : (
                      <span class="warn-text">
                        ⚠ none fits: create the subnet of this address, or list it in a subnet's relays
                      </span>
                    )}
                  </td>
                  <td>{relay.interface}</td>
                  <td>{relay.packets}</td>
                  <td>
                    <Time at={relay.last_seen} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function ServersCard({ servers, hears }: { servers: OtherServer[]; hears: boolean }) {
  const none = hears
    ? "No other DHCP server was heard."
    : "The server cannot hear other servers: it lacks CAP_NET_RAW.";
  return (
    <Card title="Other DHCP servers">
      {servers.length === 0 ? (
        <p class="muted">{none}</p>
      ) : (
        <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
          <table class="plain">
            <thead>
              <tr>
                <th>Server</th>
                <th>Expected</th>
                <th>Heard on</th>
                <th>Gives</th>
                <th>First</th>
                <th>Last</th>
              </tr>
            </thead>
            <tbody>
              {servers.map((server) => (
                <tr key={`${server.interface}${server.address}`}>
                  <td class="mono">
                    {server.address}
                    <div class="muted">{server.mac}</div>
                  </td>
                  <td>
                    {server.expected ? (
                      "yes, the subnet's mode is proxy"
                    ) : (
                      <strong class="bad-text">⚠ no</strong>
                    )}
                    {server.misleads && <div class="warn-text">⚠ {server.misleads}</div>}
                  </td>
                  <td>
                    {server.interface}
                    {server.subnet && (
                      <div>
                        <Link to={subnetPath(server.subnet)}>{server.subnet}</Link>
                      </div>
                    )}
                  </td>
                  <td>
                    {server.offered && <span class="mono">{server.offered}</span>}
                    {server.boot_data && (
                      <div>boot data{server.next_server && `, next server ${server.next_server}`}</div>
                    )}
                  </td>
                  <td>
                    <Time at={server.first_seen} />
                  </td>
                  <td>
                    <Time at={server.last_seen} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}
