// Hands a text or a blob to the browser as a file.

/** How long the address of the file stays good: a browser may ask its user where to write it first. */
const ADDRESS_MS = 60_000;

export function saveFile(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  [link.href, link.download] = [url, name];
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), ADDRESS_MS);
}
