import { type RetryWish, retryWish } from "../tasks/handler-errors.ts";
import { storableText } from "../tasks/json.ts";
import type { ClaimedJob } from "./job.ts";
import type { Note } from "./notes.ts";

/** How an attempt ended, as it goes to the database, and what it had still to say. */
export type Finished = End & { readonly job: ClaimedJob; readonly note?: Note | undefined };

/** The same from the attempt itself: of what it said some may still be on its way, which the end must not overtake. */
export type Ending = End & { readonly job: ClaimedJob; readonly note?: Note | Promise<Note | undefined> | undefined };

export type End =
  /** `result` is JSON already: what is sent later is what was returned, and can be sent. */
  | { readonly kind: "completed"; readonly result: string | undefined }
  | { readonly kind: "failed"; readonly failure: Failure }
  | { readonly kind: "released" };

export interface Failure extends RetryWish {
  readonly error: { readonly message: string } & Readonly<Record<string, unknown>>;
}

/** Longest text that is kept of an error message or stack, in characters. */
const LONGEST_TEXT = 10_000;

/** What is recorded of anything that a handler may throw. Never throws itself. */
export function failureOf(thrown: unknown): Failure {
  return { ...retryWish(thrown), error: describeError(thrown, 0) };
}

function describeError(thrown: unknown, depth: number): Failure["error"] {
  if (typeof thrown !== "object" || thrown === null) {
    return { message: storable(`thrown: ${typeof thrown === "string" ? thrown : describeValue(thrown)}`) };
  }
  try {
    const { name, message, stack, code, cause } = thrown as Partial<Error> & { code?: unknown };
    return {
      message: storable(typeof message === "string" && message !== "" ? message : describeValue(thrown)),
      ...(typeof name === "string" ? { name: storable(name) } : {}),
      ...(typeof code === "string" || typeof code === "number" ? { code: storable(String(code)) } : {}),
      ...(typeof stack === "string" ? { stack: storable(stack) } : {}),
      ...(cause !== undefined && depth < 3 ? { cause: describeError(cause, depth + 1) } : {}),
    };
  } catch {
    return { message: "thrown: an object that cannot be described" };
  }
}

function describeValue(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return typeof value === "object" ? Object.prototype.toString.call(value) : String(value);
  }
}

/** Text that jsonb takes, and not endless. */
function storable(text: string): string {
  const short = text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT)}… (${text.length} characters)`;
  return storableText(short);
}
