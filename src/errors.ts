/** Base of all errors that Rouse throws on its own account. */
export class RouseError extends Error {
  override name = "RouseError";
}

/** Something was configured or declared wrongly; the message says what, with which value, and what to do. */
export class ConfigError extends RouseError {
  override name = "ConfigError";
}

/** A payload does not fit the schema of its task. */
export class PayloadError extends RouseError {
  override name = "PayloadError";
}

/** An attempt took longer than its timeout. */
export class TimeoutError extends RouseError {
  override name = "TimeoutError";
}

/** The job was cancelled. */
export class CancelledError extends RouseError {
  override name = "CancelledError";
}

/** One failed attempt of a job, as it was recorded. */
export interface AttemptFailure {
  readonly attempt: number;
  readonly failedAt: Date;
  readonly message: string;
  /** What else is known: `name`, `code`, `stack`, `cause`. */
  readonly detail: Readonly<Record<string, unknown>>;
}

/** A job whose result was awaited has none: it ended otherwise than by success, or there is no such job. */
export class JobError extends RouseError {
  override name = "JobError";
  readonly id: number;
  /** How it ended; `gone` where nothing is known of it. */
  readonly state: "failed" | "cancelled" | "expired" | "gone";
  /** Attempts started. */
  readonly attempts: number;
  /** Its failed attempts, in their order. The last one is the `cause`. */
  readonly failures: readonly AttemptFailure[];

  constructor(
    message: string,
    { id, state, attempts, failures }: Pick<JobError, "id" | "state" | "attempts" | "failures">,
  ) {
    const last = failures.at(-1);
    super(message, last === undefined ? undefined : { cause: thrown(last) });
    this.id = id;
    this.state = state;
    this.attempts = attempts;
    this.failures = failures;
  }
}

/** The error of a failed attempt, as much as was recorded of it. */
function thrown({ message, detail: { name, stack, code } }: AttemptFailure): Error {
  const error = new Error(message);
  if (typeof name === "string") error.name = name;
  if (typeof stack === "string") error.stack = stack;
  return code === undefined ? error : Object.assign(error, { code });
}

/** The attempt is no longer the job's: the worker was given up for dead, or the job was purged. */
export class StaleAttemptError extends RouseError {
  override name = "StaleAttemptError";
}

/** The worker stops and its grace is over. */
export class StoppedError extends RouseError {
  override name = "StoppedError";
}
