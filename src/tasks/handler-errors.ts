import { ConfigError, RouseError } from "../errors.ts";
import { type Duration, toMilliseconds } from "./duration.ts";

/** Marks errors that say how to go on. Of the global registry, since they may come from another copy of this package. */
const WISH = Symbol.for("rouse.retry");

/** What a handler's error asks for instead of its task's retry policy. */
export interface RetryWish {
  readonly retry?: boolean;
  readonly at?: Date;
  /** Milliseconds from when it was thrown. */
  readonly after?: number;
}

/**
 * Thrown by a handler that knows a retry is pointless: the job ends failed, whatever attempts are left.
 */
export class PermanentError extends RouseError {
  override name = "PermanentError";
  readonly [WISH]: RetryWish = { retry: false };
}

/**
 * Thrown by a handler that knows when the next attempt makes sense. It counts as a failed attempt; only the
 * time of the next one is the handler's choice.
 */
export class RetryError extends RouseError {
  override name = "RetryError";
  readonly [WISH]: RetryWish;

  /**
   * @param when An instant, or a duration from now such as `"90s"` or milliseconds.
   * @throws ConfigError for what is neither.
   */
  constructor(message: string, when: Date | Duration, options?: ErrorOptions) {
    super(message, options);
    this[WISH] = when instanceof Date ? { at: checkDate(when) } : { after: toMilliseconds(when, "retry time") };
  }
}

function checkDate(when: Date): Date {
  if (Number.isNaN(when.getTime())) throw new ConfigError("the retry time is an invalid Date");
  return when;
}

/** What a thrown value asks for. It may be anything, with traps in any property. */
export function retryWish(thrown: unknown): RetryWish {
  try {
    return ((thrown as { [WISH]?: RetryWish } | null | undefined)?.[WISH] ?? {}) as RetryWish;
  } catch {
    return {};
  }
}
