import pg from "pg";
import { z } from "zod";
import { PayloadError } from "../errors.ts";
import { describeIssues } from "../tasks/standard-schema.ts";

/**
 * Checks a payload against the schema that workers declared for the task, so that a typing error is told here and not
 * by ten failed attempts. Checks that JSON Schema cannot carry are left to the worker; a schema that cannot be read, or
 * that this role may not see, refuses nothing.
 *
 * @throws PayloadError naming each field that does not fit.
 */
export async function checkAgainstDeclared(
  client: pg.Client,
  schema: string,
  task: string,
  payload: unknown,
): Promise<void> {
  const declared = await declaredSchema(client, schema, task);
  if (declared === undefined) return;
  const { success, error } = declared.safeParse(payload);
  if (success) return;
  // Of several complaints about a field the first is the one to read.
  const fields = new Map(error.issues.toReversed().map((issue) => [issue.path.join("."), issue]));
  throw new PayloadError(
    `the payload does not fit the schema of task "${task}": ${describeIssues([...fields.values()].toReversed())}`,
  );
}

async function declaredSchema(client: pg.Client, schema: string, task: string): Promise<z.ZodType | undefined> {
  try {
    const { rows } = await client.query(
      `select payload_schema from ${schema}.task where name = $1 or $1 = any (aliases) order by name = $1 desc limit 1`,
      [task],
    );
    const declared = rows[0]?.payload_schema;
    return declared ? z.fromJSONSchema(declared) : undefined;
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code !== "42501") throw error;
    return undefined;
  }
}
