/** The outcome of something that may be refused: a refusal is a value, never an exception. */
export type Result<T, R = Refusal> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: R };

/** A business "no" with a stable code (see `errors.ts`), and the field it concerns where there is one. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly field?: string;
}

/** Wraps a value as a success. */
export function accept<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

/** Makes a refusal with a stable code and a message that says what to do. */
export function refuse(
  code: string,
  message: string,
  field?: string,
): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal: field === undefined ? { code, message } : { code, message, field } };
}
