/** What can be done with an object of content. */

import { useSignal } from "@preact/signals";

import { api, ref } from "../../api/client";
import { go, setQuery } from "../../app/router";
import { may } from "../../app/session";
import { originOf, type StoredContent } from "./contentData";
import { Button, ConfirmErase, toast } from "./kit";
import type { ContentNounView } from "./nouns";

export function ObjectActions({ view, object }: { view: ContentNounView; object: StoredContent }) {
  const erasing = useSignal(false);
  const own = originOf(object.source) === "site";
  const hides = (object.hides ?? []).join(", ");
  const erase = async () => {
    await api.del(`/${view.noun}/${ref(object.name)}`, { ifMatch: object.revision });
    toast(`${object.name} is deleted.`);
    if (hides === "") go(`/content/${view.noun}`);
  };
  return (
    <>
      {!own && view.noun !== "profiles" && may("overrides:write") && (
        <Button onClick={() => setQuery({ tab: "layers" })}>Override fields</Button>
      )}
      {own && may(`${view.noun}:write`) && <Button onClick={() => setQuery({ tab: "json" })}>Edit</Button>}
      {own && may(`${view.noun}:write`) && (
        <Button kind="danger" onClick={() => (erasing.value = true)}>
          Delete
        </Button>
      )}
      {erasing.value && (
        <ConfirmErase
          title={`Delete ${view.one} ${object.name}`}
          expected={object.name}
          expectedIs={`the ${view.one}'s name`}
          action="Delete"
          erases={[
            `The site's ${view.one}. ${hides ? `That of ${hides} is back.` : "Nothing takes its place."}`,
          ]}
          onConfirm={erase}
          onClose={() => (erasing.value = false)}
        />
      )}
    </>
  );
}
