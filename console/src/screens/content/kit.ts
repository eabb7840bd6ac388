/** What this screen takes of the kit. */

export {
  Button,
  Bytes,
  ConfirmErase,
  Copy,
  Dialog,
  Diff,
  Empty,
  Json,
  KeyValue,
  Loading,
  openTab,
  PageHeader,
  Problem,
  Tabs,
  Time,
  toast,
} from "../../ui";
