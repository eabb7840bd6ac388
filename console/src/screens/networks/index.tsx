// Networks: subnets, leases, reservations, those who ask without being known, client classes, and what
// doctor finds.

import type { JSX } from "preact";
import { go } from "../../app/router";
import type { Screen } from "../../app/screen";
import { may } from "../../app/session";
import { Button } from "../../ui/button";
import { openTab, PageHeader, Tabs } from "../../ui/page";
import { ClassesTab } from "./classes";
import { ClientsTab } from "./clients";
import { DoctorTab } from "./doctor";
import { HistoryView } from "./history";
import { LeasesTab } from "./leases";
import { ReservationsTab } from "./reservations";
import { subnetTitle, SubnetView } from "./subnet";
import { SubnetsTab } from "./subnets";
import "./networks.css";

const TABS = [
  { id: "subnets", label: "Subnets", view: SubnetsTab, needs: "subnets:read" },
  { id: "leases", label: "Leases", view: LeasesTab, needs: "leases:read" },
  { id: "reservations", label: "Reservations", view: ReservationsTab, needs: "reservations:read" },
  { id: "clients", label: "Clients and servers heard", view: ClientsTab, needs: "dhcp:read" },
  { id: "classes", label: "Client classes", view: ClassesTab, needs: "client_classes:read" },
  { id: "doctor", label: "Doctor", view: DoctorTab, needs: "dhcp:read" },
];

function NetworksView(): JSX.Element {
  const tabs = TABS.filter((tab) => may(tab.needs));
  const open = openTab(tabs);
  const Panel = tabs.find((tab) => tab.id === open)?.view;
  const add = may("subnets:write") && open === "subnets" && (
    <Button kind="primary" icon="plus" onClick={() => go("/networks/subnets/new")}>
      New subnet
    </Button>
  );
  return (
    <>
      <PageHeader
        title="Networks"
        actions={add}
        tabs={<Tabs tabs={tabs} label="Parts of the networks" />}
      />
      {Panel ? <Panel /> : <p>Your token may not read subnets, leases or the status of DHCP.</p>}
    </>
  );
}

const tabCommands = () =>
  TABS.map((tab) => ({
    id: `networks-${tab.id}`,
    title: `Networks: ${tab.label}`,
    run: () => go(tab.id === "subnets" ? "/networks" : `/networks?tab=${tab.id}`),
  }));

export const screens: Screen[] = [
  {
    path: "/networks",
    title: () => "Networks",
    nav: { label: "Networks", group: "Network", order: 1, icon: "networks" },
    needs: "subnets:read",
    key: "n",
    view: () => (
      <div class="net">
        <NetworksView />
      </div>
    ),
    commands: () => [
      ...tabCommands(),
      { id: "networks-new", title: "New subnet", run: () => go("/networks/subnets/new") },
    ],
  },
  {
    path: "/networks/subnets/:name",
    title: subnetTitle,
    needs: "subnets:read",
    view: (props) => (
      <div class="net">
        <SubnetView {...props} />
      </div>
    ),
  },
  {
    path: "/networks/history/:who",
    title: (params) => `History of ${params.who ?? ""}`,
    needs: "leases:read",
    view: (props) => (
      <div class="net">
        <HistoryView key={props.params.who} {...props} />
      </div>
    ),
  },
];
