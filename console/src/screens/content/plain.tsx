/** Differences and values as text. */

export function Diff({ text }: { text: string }) {
  const lines = text.replace(/\n$/, "").split("\n");
  const kindOf = (line: string) => {
    if (line.startsWith("+++") || line.startsWith("---") || line.startsWith("@@")) return "head";
    return line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "same";
  };
  return (
    <pre class="content-diff" tabIndex={0} aria-label="Difference">
      {lines.map((line, i) => (
        <span key={i} class={`content-diff-${kindOf(line)}`}>
          {line}
          {"\n"}
        </span>
      ))}
    </pre>
  );
}

export function Json({ value }: { value: unknown }) {
  return <pre class="content-text">{JSON.stringify(value, null, 2)}</pre>;
}
