// The editor of an object's JSON: what people write of it, with the problems at their places. It is saved only
// against the revision that was read.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, asProblem } from "../../api/client";
import { Button } from "../../ui/button";
import { Diff } from "../../ui/diff";
import { Card } from "../../ui/page";
import { Problem, StateBadge } from "../../ui/status";
import { toast } from "../../ui/toast";
import type { ObjectRow } from "./columns";
import { FieldHelp } from "./field_help";
import { JsonField } from "./json_field";
import { objectText, parseObject } from "./json_text";
import { objectApiPath, type KnownNoun } from "./useNoun";

export function EditObject({ known, value, reference, onSaved }: {
  known: KnownNoun; value: ObjectRow; reference: string; onSaved: () => void;
}): JSX.Element {
  const base = useSignal(value);
  const text = useSignal(objectText(value));
  const problem = useSignal<unknown>(undefined);
  const isBusy = useSignal(false);
  const showsDiff = useSignal(false);
  const before = objectText(base.value);
  const isChanged = text.value !== before;
  const isOvertaken = value["revision"] !== base.value["revision"];
  const readAnew = () => {
    base.value = value;
    text.value = objectText(value);
    problem.value = undefined;
  };
  const save = async () => {
    const parsed = parseObject(text.value);
    if ("fault" in parsed) {
      problem.value = new Error(parsed.fault);
      return;
    }
    isBusy.value = true;
    problem.value = undefined;
    try {
      const revision = base.value["revision"];
      const saved = await api.put<ObjectRow>(objectApiPath(known.noun.plural, reference), parsed.value,
        typeof revision === "number" ? { ifMatch: revision } : {});
      base.value = saved;
      text.value = objectText(saved);
      toast("Saved");
      onSaved();
    } catch (error) {
      problem.value = asProblem(error);
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Card title="What people write of it" actions={isOvertaken && <StateBadge state="changed meanwhile" tone="warn" />}>
      {isOvertaken && <p>Somebody changed it since you began. <Button size="small" icon="reload" onClick={readAnew}>Read it anew</Button> Your text is lost then.</p>}
      <JsonField label="The object, as JSON" value={text.value} onChange={(next) => { text.value = next; }} problem={problem.value} onSave={() => void save()} />
      <div class="row">
        <Button kind="primary" isBusy={isBusy.value} disabled={!isChanged} onClick={() => void save()}>Save</Button>
        <Button disabled={!isChanged} onClick={readAnew}>Discard</Button>
        <Button kind="quiet" disabled={!isChanged} onClick={() => { showsDiff.value = !showsDiff.value; }}>{showsDiff.value ? "Hide the changes" : "Show the changes"}</Button>
      </div>
      {showsDiff.value && isChanged && <Diff before={before} after={text.value} label="Your changes" />}
      {problem.value !== undefined && <Problem problem={problem.value} />}
      <FieldHelp fields={known.fields} />
    </Card>
  );
}
