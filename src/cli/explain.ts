import pg from "pg";
import { RouseError } from "../errors.ts";
import { MigrationError } from "../migrate/index.ts";

/** The level of access that a command needs, as grant_access takes it. */
export type Access = "enqueue" | "work" | "view" | "admin";

/** Where an error came from. */
export interface Origin {
  readonly schema: string;
  readonly user: string | undefined;
  readonly access: Access;
}

/** A failure that concerns the database; its message is all that a person needs. */
export class DatabaseFailure extends RouseError {
  override name = "DatabaseFailure";
}

/** Why no connection could be made, with what to do about it. */
export function connectFailure(client: pg.Client, error: unknown): DatabaseFailure {
  if (error instanceof RouseError) return new DatabaseFailure(error.message, { cause: error });
  const { host, port, database, user } = client;
  const where = `${host}:${port}, database ${database ?? user}, as ${user ?? "nobody"}`;
  return new DatabaseFailure(`cannot connect to PostgreSQL at ${where}: ${reason(error)}`, { cause: error });
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there: is the server running, and the port right?",
  ENOTFOUND: "there is no host of that name",
  EAI_AGAIN: "the name of the host cannot be looked up now",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  ETIMEDOUT: "the host does not answer",
  ECONNRESET: "the server closed the connection: is it PostgreSQL?",
  ENOENT: "there is no such socket",
};

function reason(error: unknown): string {
  // Where a name has several addresses each has failed; they hardly differ.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const { code, message } = first as NodeJS.ErrnoException;
  if (/client password must be a string/.test(message)) return "the server asks for a password, and none was given";
  if (/timeout|timed out/i.test(message)) return REASONS.ETIMEDOUT!;
  return REASONS[code ?? ""] ?? message;
}

/** What a person needs of an error that came from calling one of Rouse's functions or views. Others stay as they are. */
export function explain(error: unknown, origin: Origin): unknown {
  const cause = error instanceof MigrationError ? error.cause : error;
  if (!(cause instanceof pg.DatabaseError)) return error;
  const { code, message, detail, hint } = cause;
  if (code === "42501") return new DatabaseFailure(`${message}\n  ${grantHint(origin)}`, { cause: error });
  if (error instanceof MigrationError) return error;
  if (code === "3F000" || code === "42P01" || code === "42883") {
    const what = `Rouse is not installed in schema "${origin.schema}" of this database, or in another version (${message})`;
    return new DatabaseFailure(`${what}\n  Run: rouse migrate`, { cause: error });
  }
  return new DatabaseFailure([message, detail, hint].filter(Boolean).join("\n  "), { cause: error });
}

function grantHint({ schema, user, access }: Origin): string {
  const call = `select ${pg.escapeIdentifier(schema)}.grant_access(${pg.escapeLiteral(user ?? "role")}, '${access}')`;
  return `The role ${user ?? ""} needs the level "${access}". The role that migrated can give it: ${call}`;
}
