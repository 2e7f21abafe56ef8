import { PayloadError } from "../errors.ts";
import type { AnyTask } from "./define-task.ts";
import { describeIssues, type Validation } from "./standard-schema.ts";

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

/** The output of the task's schema for a stored payload: what its `run` receives; a promise only where the schema gives one. */
export function parseStored(task: AnyTask, stored: unknown): unknown {
  if (task.payload === undefined) return undefined;
  return validate(task, stored, "stored payload");
}

function validate(task: AnyTask, value: unknown, what: string): unknown {
  const validation = task.payload!["~standard"].validate(value);
  return validation instanceof Promise
    ? validation.then((settled) => valid(task, settled, what))
    : valid(task, validation, what);
}

/** @throws PayloadError where it is not. */
function valid(task: AnyTask, validation: Validation<unknown>, what: string): unknown {
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
