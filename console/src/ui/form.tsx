// Fields of forms. Each has a label that belongs to it, and says its fault beside it.

import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import "./form.css";

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  fault?: string | undefined;
}

/** A label, a hint and a fault around any input; `children` gets the attributes that tie them together. */
export function Field({
  label,
  hint,
  fault,
  children,
}: FieldProps & {
  children: (attributes: {
    id: string;
    "aria-describedby": string;
    "aria-invalid": boolean;
  }) => JSX.Element;
}): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label class="label" for={id}>
        {label}
      </label>
      {children({ id, "aria-describedby": `${id}-about`, "aria-invalid": fault !== undefined })}
      <span id={`${id}-about`} class={fault ? "fault" : "hint"}>
        {fault ?? hint}
      </span>
    </div>
  );
}

export interface TextFieldProps extends FieldProps {
  value: string;
  onInput: (value: string) => void;
  type?: "text" | "password" | "number" | "search" | "datetime-local";
  placeholder?: string;
  multiline?: boolean;
  required?: boolean;
  autofocus?: boolean;
  autocomplete?: string;
  /** Words that are offered. */
  suggestions?: readonly string[];
}

export function TextField(props: TextFieldProps): JSX.Element {
  const listId = useId();
  const { label, hint, fault, value, onInput, suggestions } = props;
  return (
    <Field label={label} hint={hint} fault={fault}>
      {(tied) =>
        props.multiline ? (
          <textarea
            {...tied}
            value={value}
            required={props.required}
            onInput={(event) => onInput(event.currentTarget.value)}
          />
        ) : (
          <>
            <input
              {...tied}
              type={(props.type ?? "text") as "text"}
              value={value}
              placeholder={props.placeholder}
              required={props.required}
              data-autofocus={props.autofocus || undefined}
              autocomplete={props.autocomplete ?? "off"}
              spellcheck={false}
              list={suggestions ? listId : undefined}
              onInput={(event) => onInput(event.currentTarget.value)}
            />
            {suggestions && (
              <datalist id={listId}>
                {suggestions.map((word) => (
                  <option key={word} value={word} />
                ))}
              </datalist>
            )}
          </>
        )
      }
    </Field>
  );
}

export interface Choice {
  value: string;
  label: string;
  disabled?: boolean;
}

export function Select(
  props: FieldProps & {
    value: string;
    onChange: (value: string) => void;
    options: readonly Choice[];
  },
): JSX.Element {
  return (
    <Field label={props.label} hint={props.hint} fault={props.fault}>
      {(tied) => (
        <select
          {...tied}
          value={props.value}
          onChange={(event) => props.onChange(event.currentTarget.value)}
        >
          {props.options.map((option) => (
            <option key={option.value} value={option.value} disabled={option.disabled}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function Toggle({
  label,
  checked,
  onChange,
  disabled,
}: {
  label: ComponentChildren;
  checked: boolean;
  onChange: (checked: boolean) => void;
  disabled?: boolean;
}): JSX.Element {
  return (
    <label class="toggle">
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}
