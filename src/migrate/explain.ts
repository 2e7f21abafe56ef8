import { MigrationError, sqlstate } from "./errors.ts";
import type { Migration } from "./files.ts";

/** The same error with the place in the migration that it comes from; codes that are tried again keep their SQLSTATE. */
export function explain(error: unknown, migration: Migration, sql: string): unknown {
  const state = sqlstate(error);
  if (state === undefined || state === "55P03" || state === "40P01") return error;
  const { message, detail, hint, position, where } = error as Record<string, string | undefined>;
  const parts = [
    `${migration.file} failed${position ? ` at ${place(migration, sql, Number(position))}` : ""}: ${message} (${state}).`,
    detail && `Detail: ${detail}`,
    hint && `Hint: ${hint}`,
    where && `Where: ${where}`,
    migration.transaction && "Nothing of this file was applied.",
  ];
  return new MigrationError(parts.filter(Boolean).join("\n"), { cause: error });
}

/** `line 120 (tables/job.sql line 7)`: the line in the file, and in the source that was included there. */
function place(migration: Migration, sql: string, position: number): string {
  const before = sql.slice(0, position).split("\n");
  const line = `line ${migration.bodyLine + before.length - 1}`;
  for (let index = before.length - 1; index >= 0; index--) {
    const marker = /^--! (Included|EndIncluded) (\S+)$/.exec(before[index]!);
    if (marker?.[1] === "EndIncluded") break;
    if (marker) return `${line} (sql/fixtures/${marker[2]} line ${before.length - 1 - index})`;
  }
  return line;
}
