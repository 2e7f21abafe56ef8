import { RouseError } from "../errors.ts";
import { MigrationError } from "../migrate/index.ts";

/** What a person needs of an error: those that we foresaw say it in their message. */
export function errorText(error: unknown): string {
  if (error instanceof RouseError || error instanceof MigrationError) return error.message;
  return error instanceof Error ? (error.stack ?? String(error)) : String(error);
}
