// Saved views of lists. The lists save them; here they are seen in one place, opened and deleted.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ref } from "../../api/client";
import { Link } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import { Button } from "../../ui/button";
import { ConfirmErase } from "../../ui/dialog";
import { Empty, Loading, Problem } from "../../ui/status";
import { toast } from "../../ui/toast";
import { Time } from "../../ui/values";
import { objectPath } from "../objects/links";
import { viewPath, type ViewRow } from "../objects/view_path";

export function Views(): JSX.Element {
  const list = useCollection<ViewRow>("views", { sort: "kind,name" });
  const deleting = useSignal<ViewRow | undefined>(undefined);
  const rows = list.rows.value;
  if (list.problem.value && rows.length === 0)
    return <Problem problem={list.problem.value} onRetry={list.reload} />;
  if (list.state.value === "loading" && rows.length === 0)
    return <Loading label="Reading the views" height={300} />;
  if (rows.length === 0) {
    return (
      <Empty title="No saved views" actions={<Link to="/machines">Open the machines</Link>}>
        Filter a list, choose its columns, and save it there under a name: all who may read views see it.
      </Empty>
    );
  }
  const remove = async (row: ViewRow) => {
    await api.del(`/views/${ref(row.name)}`);
    toast(`View ${row.name} is deleted`);
  };
  return (
    <>
      <div class="table-scroll" tabIndex={0} role="group" aria-label="Saved views">
        <table class="plain-table">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">List</th>
              <th scope="col">Query</th>
              <th scope="col">Description</th>
              <th scope="col">Changed</th>
              <th scope="col">
                <span class="visually-hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.name}>
                <th scope="row">
                  <Link to={viewPath(row)}>{row.name}</Link>
                </th>
                <td>{row.kind}</td>
                <td class="wide-cell">
                  <code>{row.query || "all"}</code>
                </td>
                <td>{row.description}</td>
                <td>
                  <Time at={row.updated_at} />
                </td>
                <td>
                  <div class="row">
                    <Link to={`${objectPath("view", row.name)}?tab=edit`}>Edit</Link>
                    {may("views:write") && (
                      <Button
                        size="small"
                        kind="danger"
                        icon="trash"
                        onClick={() => {
                          deleting.value = row;
                        }}
                      >
                        Delete
                      </Button>
                    )}
                  </div>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {deleting.value && (
        <ConfirmErase
          title={`Delete the view ${deleting.value.name}`}
          erases={[`the view ${deleting.value.name}, for everybody`]}
          expected={deleting.value.name}
          expectedIs="the view's name"
          action="Delete the view"
          onConfirm={() => (deleting.value ? remove(deleting.value) : undefined)}
          onClose={() => {
            deleting.value = undefined;
          }}
        />
      )}
    </>
  );
}
