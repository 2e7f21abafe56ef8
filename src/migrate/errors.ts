/** A migration that cannot go on. The message says what was found and what to do about it. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
}

/** The SQLSTATE of a server error, or undefined where it is none. */
export function sqlstate(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
