import type { Logger } from "../log.ts";
import { toJson } from "../tasks/json.ts";

/** Largest result that is kept, in characters of JSON. */
const LARGEST_RESULT = 1_000_000;

/**
 * What a handler returned, as JSON. A job that did its work has succeeded, even if what it returned cannot be kept: then the
 * log says so, which is made when it is needed.
 */
export function keptResult(result: unknown, attempt: { readonly log: Logger }): string | undefined {
  if (result === undefined || result === null) return undefined;
  const { text, why } = toJson(result);
  if (text !== undefined && text.length <= LARGEST_RESULT) return text;
  attempt.log.error(
    `the result was not kept: ${why ?? `it has ${text?.length} characters as JSON, the limit is ${LARGEST_RESULT}`}`,
  );
  return undefined;
}
