// What this screen uses of the kit, in one place.
export { Button, Copy, IconButton } from "../../ui/button";
export { ConfirmErase, Dialog, Menu } from "../../ui/dialog";
export { Select, TextField, Toggle } from "../../ui/form";
export { Card, openTab, PageHeader, Tabs } from "../../ui/page";
export { Empty, Loading, Problem, StateBadge } from "../../ui/status";
export { toast } from "../../ui/toast";
export { Bytes, Duration, KeyValue, now, Time, Truncated } from "../../ui/values";
export { Json } from "../../ui/json";
export { Diff } from "../../ui/diff";
export { LogView } from "../../ui/log";
export { ObjectEditor } from "../../ui/object-editor";
