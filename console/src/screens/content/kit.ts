/** What this screen takes of the kit. */

export { Button, Copy } from "../../ui/button";
export { Dialog, ConfirmErase } from "../../ui/dialog";
export { Diff } from "../../ui/diff";
export { Json } from "../../ui/json";
export { openTab, PageHeader, Tabs } from "../../ui/page";
export { Empty, Loading, Problem } from "../../ui/status";
export { toast } from "../../ui/toast";
export { Bytes, KeyValue, Time, Truncated } from "../../ui/values";
