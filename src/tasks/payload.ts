import { PayloadError } from "../errors.ts";
import type { AnyTask } from "./define-task.ts";
import { describeIssues } from "./standard-schema.ts";

/**
 * Checks a payload against the schema of its task before it is enqueued, and gives what is stored: the input as it was
 * given, so that SQL users and TypeScript see the same contract, and transforms run once, in the worker.
 *
 * @throws PayloadError naming each field that does not fit.
 */
export async function checkInput(task: AnyTask, input: unknown): Promise<unknown> {
  if (task.payload === undefined) {
    if (input !== undefined && !isEmptyObject(input)) {
      throw new PayloadError(`task "${task.name}" takes no payload: give it a schema in defineTask`);
    }
    return {};
  }
  await validate(task, input, "payload");
  return input ?? null;
}

/** The output of the task's schema for a stored payload: what its `run` receives. */
export async function parseStored(task: AnyTask, stored: unknown): Promise<unknown> {
  if (task.payload === undefined) return undefined;
  return validate(task, stored, "stored payload");
}

async function validate(task: AnyTask, value: unknown, what: string): Promise<unknown> {
  const pending = task.payload!["~standard"].validate(value);
  const validation = pending instanceof Promise ? await pending : pending;
  if (validation.issues !== undefined) {
    throw new PayloadError(
      `${what} of task "${task.name}" does not fit its schema: ${describeIssues(validation.issues)}`,
    );
  }
  return validation.value;
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}
