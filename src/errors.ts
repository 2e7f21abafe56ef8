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

/** The attempt is no longer the job's: the worker was given up for dead, or the job was purged. */
export class StaleAttemptError extends RouseError {
  override name = "StaleAttemptError";
}

/** The worker stops and its grace is over. */
export class StoppedError extends RouseError {
  override name = "StoppedError";
}
