/** What this screen takes of the kit. */

export {
  Button,
  Bytes,
  ConfirmErase,
  Copy,
  Dialog,
  Empty,
  KeyValue,
  Loading,
  openTab,
  PageHeader,
  Problem,
  Tabs,
  Time,
  toast,
} from "../../ui";
export { Diff, Json } from "./plain";
