// The page of one subnet: its pools address by address, and the form that changes it. `new` makes one.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ref } from "../../api/client";
import { go, Link, setQuery, type Params } from "../../app/router";
import { may } from "../../app/session";
import { useCollection, useObject } from "../../live/collection";
import { Button } from "../../ui/button";
import { ConfirmErase } from "../../ui/dialog";
import { Card, openTab, PageHeader, Tabs } from "../../ui/page";
import { Empty, Loading, Problem } from "../../ui/status";
import { toast } from "../../ui/toast";
import { Duration, KeyValue } from "../../ui/values";
import { FillBar } from "./bar";
import { historyPath, subnetPath, useDhcpStatus, useNow } from "./data";
import { addressBook, poolViews } from "./pools";
import { PoolStrip } from "./strip";
import { SubnetForm } from "./subnet_form";
import type { Lease, Reservation, Subnet } from "./types";

const TABS = [
  { id: "pools", label: "Pools" },
  { id: "edit", label: "Edit" },
];

export function SubnetView({ params }: { params: Params }): JSX.Element {
  const name = params.name ?? "";
  return name === "new" ? <NewSubnet /> : <ExistingSubnet key={name} name={name} />;
}

function NewSubnet() {
  return (
    <>
      <PageHeader title="New subnet" subtitle="The server answers DHCP only in subnets that you create." />
      <SubnetForm subnet={undefined} onSaved={(name) => go(subnetPath(name))} />
    </>
  );
}

function ExistingSubnet({ name }: { name: string }) {
  const object = useObject<Subnet>("subnets", name);
  const isErasing = useSignal(false);
  const subnet = object.value.value;
  if (object.isGone.value)
    return (
      <Empty title={`Subnet ${name} was deleted`}>
        <Link to="/networks">All subnets</Link>
      </Empty>
    );
  if (!subnet)
    return object.problem.value ? (
      <Problem problem={object.problem.value} onRetry={object.reload} />
    ) : (
      <Loading />
    );
  const tabs = may("subnets:write") ? TABS : TABS.slice(0, 1);
  return (
    <>
      <PageHeader
        title={subnet.name}
        subtitle={<span class="mono">{subnet.cidr}</span>}
        tabs={<Tabs tabs={tabs} />}
        actions={
          may("subnets:write") && (
            <Button kind="danger" icon="trash" onClick={() => void (isErasing.value = true)}>
              Delete…
            </Button>
          )
        }
      />
      <div class="stack">
        {subnet.problems.length > 0 && (
          <ul class="warnings" role="alert">
            {subnet.problems.map((problem) => (
              <li key={problem.pointer}>
                <code>{problem.pointer}</code> {problem.message}
              </li>
            ))}
          </ul>
        )}
        {openTab(tabs) === "edit" ? (
          <SubnetForm key={subnet.revision} subnet={subnet} onSaved={() => setQuery({ tab: undefined })} />
        ) : (
          <PoolsPanel subnet={subnet} />
        )}
      </div>
      {isErasing.value && <EraseSubnet subnet={subnet} onClose={() => void (isErasing.value = false)} />}
    </>
  );
}

function EraseSubnet({ subnet, onClose }: { subnet: Subnet; onClose: () => void }) {
  const erase = async () => {
    await api.del(`/subnets/${ref(subnet.name)}`, { ifMatch: subnet.revision });
    toast(`Subnet ${subnet.name} is deleted.`);
    go("/networks");
  };
  return (
    <ConfirmErase
      title={`Delete subnet ${subnet.name}?`}
      action={`Delete ${subnet.name}`}
      expected={subnet.name}
      expectedIs="the name of the subnet"
      onConfirm={erase}
      onClose={onClose}
      erases={[
        `subnet ${subnet.name} (${subnet.cidr})`,
        "Its clients get no answer any more and keep their addresses until their leases end.",
      ]}
    />
  );
}

function PoolsPanel({ subnet }: { subnet: Subnet }) {
  const leases = useCollection<Lease>("leases", { filter: new URLSearchParams({ subnet: subnet.name }) });
  const reservations = useCollection<Reservation>("reservations");
  const status = useDhcpStatus();
  const now = useNow();
  const counted = status.data.value?.subnets.find((one) => one.name === subnet.name);
  const example = status.data.value?.interfaces.find((one) => one.subnet === subnet.name)?.example;
  const pools = poolViews(subnet, addressBook(leases.rows.value, reservations.rows.value), now.value);
  const query = new URLSearchParams({ tab: "leases", subnet: subnet.name });
  return (
    <>
      <Card title="Addresses" actions={<Link to={`/networks?${query}`}>Its leases</Link>}>
        {counted && <FillBar status={counted} />}
        {leases.problem.value && <Problem problem={leases.problem.value} onRetry={leases.reload} />}
        {pools.length === 0 && (
          <p class="muted">
            {subnet.mode === "proxy"
              ? "Another server gives the addresses."
              : "There is no pool: only reservations get an address."}
          </p>
        )}
        {pools.map((pool) => (
          <PoolStrip key={pool.start} pool={pool} onOpen={(address) => go(historyPath(address))} />
        ))}
      </Card>
      <Card title="What clients get">
        <KeyValue
          pairs={[
            ["Unknown machine that asks now", example?.reason],
            ["Mode", subnet.mode ?? "managed"],
            ["Lease time", <Duration ms={(subnet.lease_seconds ?? 3600) * 1000} />],
            ["TFTP server", subnet.next_server ?? "this server's address that faces the client"],
            ["Relay agents outside of the network", subnet.relays?.join(", ")],
            ["Shared network", subnet.shared_network ?? ""],
            ["VRF", subnet.vrf ?? ""],
            ["Addresses are probed by", subnet.probe ?? "arp"],
            ...Object.entries(subnet.options ?? {}).map(
              ([option, value]) =>
                [option, <code>{typeof value === "string" ? value : JSON.stringify(value)}</code>] as const,
            ),
          ]}
        />
      </Card>
    </>
  );
}

export const subnetTitle = (params: Params): string =>
  params.name === "new" ? "New subnet" : (params.name ?? "");
