export { type RunTaskOptions, runTask } from "./run-task.ts";
export {
  type DrainOptions,
  type EnqueuedJob,
  type RanJob,
  type TestRouse,
  type TestRouseOptions,
  testRouse,
} from "./test-rouse.ts";
