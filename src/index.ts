export type { ControlOptions, JobIds, RescheduleOptions } from "./client/control.ts";
export { createRouse } from "./client/create-rouse.ts";
export type { Enqueued, EnqueueOptions, JobHandle, JobOptions } from "./client/enqueue.ts";
export type { LimitTarget } from "./client/limits.ts";
export type { EnqueueCall, Middleware, NewJob, RunCall } from "./client/middleware.ts";
export type { Queryable } from "./client/queryable.ts";
export type { ResultOptions } from "./client/results.ts";
export type { ManyJob, Rouse, RouseOptions } from "./client/rouse.ts";
export { defineConfig, type RouseConfig } from "./config/define-config.ts";
export {
  type AttemptFailure,
  CancelledError,
  ConfigError,
  JobError,
  PayloadError,
  RouseError,
  StaleAttemptError,
  StoppedError,
  TimeoutError,
} from "./errors.ts";
export { createLogger, type Logger, type LogOptions } from "./log.ts";
export {
  type CommandScheduleOptions,
  defineSchedule,
  type Schedule,
  type TaskScheduleOptions,
} from "./schedules/define-schedule.ts";
export type { BatchOptions, BatchResult } from "./tasks/batch.ts";
export {
  type AnyTask,
  type BatchTaskOptions,
  type DeadLetter,
  defineTask,
  type InputOf,
  type ResultOf,
  type Task,
  type TaskOptions,
} from "./tasks/define-task.ts";
export type { Duration } from "./tasks/duration.ts";
export { PermanentError, RetryError } from "./tasks/handler-errors.ts";
export type { KeyLimit, Limit } from "./tasks/limit.ts";
export type { RetryPolicy } from "./tasks/retry.ts";
export type { Listening, ListenOptions } from "./topics/broadcasts.ts";
export type { PublishOptions } from "./topics/publish.ts";
export type { Message, MessageHandler } from "./topics/subscribers.ts";
export { defineWatch, type Watch, type WatchOptions } from "./watches/define-watch.ts";
export { type RowChange, type RowEvent, rowChange, type WatchEvent } from "./watches/row-change.ts";
export type { BatchContext, JobContext, JobInfo } from "./worker/context.ts";
export type { Queues } from "./worker/slots.ts";
export type { Worker, WorkerOptions } from "./worker/worker.ts";
