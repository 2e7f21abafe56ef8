import { ConfigError } from "../errors.ts";
import { type Duration, toInterval } from "./duration.ts";
import { checkOptions } from "./options.ts";

/** How failed attempts of a task are retried. Evaluated in SQL, so that every client gets the same. */
export interface RetryPolicy {
  /** Attempts before a job ends failed; default 10. */
  readonly maxAttempts?: number;
  /**
   * The wait after attempt n: `fixed` base, `linear` base × n, `exponential` base × 2^(n−1), or a list whose
   * last entry repeats; default exponential.
   */
  readonly backoff?: "fixed" | "linear" | "exponential" | readonly Duration[];
  /** Base of the backoff; default 5 s. */
  readonly base?: Duration;
  /** Longest wait, before jitter; default 1 h. */
  readonly cap?: Duration;
  /** Share by which a wait varies: 0.2 means from 80 to 120 %; default 0.2. */
  readonly jitter?: number;
}

/** Columns of the table `task` that a policy sets. */
export function retryColumns(task: string, policy: RetryPolicy): Record<string, unknown> {
  checkOptions(`the retry of task "${task}"`, policy, ["maxAttempts", "backoff", "base", "cap", "jitter"]);
  const { maxAttempts, backoff, base, cap, jitter } = policy;
  if (maxAttempts !== undefined && !(Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= 32767)) {
    throw new ConfigError(`task "${task}": retry.maxAttempts ${maxAttempts} is not a whole number from 1 to 32767`);
  }
  if (jitter !== undefined && !(jitter >= 0 && jitter <= 1)) {
    throw new ConfigError(`task "${task}": retry.jitter ${jitter} is not between 0 and 1`);
  }
  const kind = backoff === undefined || typeof backoff === "string" ? backoff : "list";
  if (kind !== undefined && !["fixed", "linear", "exponential", "list"].includes(kind)) {
    throw new ConfigError(
      `task "${task}": retry.backoff "${kind}" is not known: use "fixed", "linear", "exponential" or a list of durations`,
    );
  }
  if (kind === "list" && backoff?.length === 0) {
    throw new ConfigError(`task "${task}": retry.backoff is an empty list: give at least one duration`);
  }
  const interval = (value: Duration | undefined, what: string) =>
    value === undefined ? undefined : toInterval(value, `task "${task}": retry.${what}`);
  return {
    max_attempts: maxAttempts,
    backoff: kind,
    backoff_list: typeof backoff === "object" ? backoff.map((wait) => interval(wait, "backoff")) : undefined,
    backoff_base: interval(base, "base"),
    backoff_cap: interval(cap, "cap"),
    jitter,
  };
}
