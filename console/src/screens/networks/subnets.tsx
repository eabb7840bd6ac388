// The tab with the subnets: a bar for each, grouped by shared network.

import type { JSX } from "preact";
import { go, Link } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import { Button } from "../../ui/button";
import { Empty, Loading, Problem } from "../../ui/status";
import { FillBar } from "./bar";
import { subnetPath, useDhcpStatus } from "./data";
import type { DhcpStatus, Subnet, SubnetStatus } from "./types";

const MODE_WORDS = {
  managed: "addresses and boot data",
  proxy: "boot data beside another server",
  address_only: "addresses only",
};

export function SubnetsTab(): JSX.Element {
  const subnets = useCollection<Subnet>("subnets", { sort: "name" });
  const status = useDhcpStatus();
  const problem = subnets.problem.value ?? status.problem.value;
  if (problem && subnets.rows.value.length === 0)
    return <Problem problem={problem} onRetry={subnets.reload} />;
  if (subnets.state.value === "loading" && subnets.rows.value.length === 0) return <Loading />;
  if (subnets.rows.value.length === 0) return <NoSubnet />;
  return (
    <div class="stack">
      {status.problem.value && <Problem problem={status.problem.value} onRetry={status.reload} />}
      <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
        <table class="plain">
          <thead>
            <tr>
              <th>Subnet</th>
              <th>Network</th>
              <th>Gives</th>
              <th>Pools</th>
            </tr>
          </thead>
          <tbody>
            {subnets.rows.value.map((subnet) => (
              <SubnetRow
                key={subnet.name}
                subnet={subnet}
                status={statusOf(status.data.value, subnet.name)}
              />
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function statusOf(status: DhcpStatus | undefined, name: string): SubnetStatus | undefined {
  return status?.subnets.find((one) => one.name === name);
}

function SubnetRow({ subnet, status }: { subnet: Subnet; status: SubnetStatus | undefined }) {
  return (
    <tr>
      <td>
        <Link to={subnetPath(subnet.name)} class="strong">
          {subnet.name}
        </Link>
        {subnet.enabled === false && <span class="tag">not enabled</span>}
        {subnet.shared_network && <div class="muted">on link {subnet.shared_network}</div>}
        {subnet.problems.length > 0 && (
          <div class="warn-text">⚠ {subnet.problems.map((one) => one.message).join(" ")}</div>
        )}
      </td>
      <td class="mono">{subnet.cidr}</td>
      <td>{MODE_WORDS[subnet.mode ?? "managed"]}</td>
      <td class="fill-cell">
        {status ? <FillBar status={status} /> : <span class="muted">not counted yet</span>}
      </td>
    </tr>
  );
}

function NoSubnet(): JSX.Element {
  return (
    <Empty title="There is no subnet yet">
      <p>The server answers DHCP only in subnets that you create.</p>
      {may("subnets:write") && (
        <Button kind="primary" onClick={() => go("/networks/subnets/new")}>
          Create a subnet
        </Button>
      )}
    </Empty>
  );
}
