import { createHash } from "node:crypto";
import pg from "pg";
import { MigrationError } from "./errors.ts";

/** PostgreSQL cuts longer names off in silence (NAMEDATALEN - 1), and two cut names may be the same. */
const longestName = 63;

/**
 * The name of the schema that Rouse lives in, refused where it cannot work.
 *
 * Migrations carry the placeholder `:SCHEMA` in statements, function bodies and comments. A quoted identifier stands safely in
 * all of them but for two cases: a line break would end a comment, and two dollar signs could end a dollar-quoted body.
 */
export function checkSchemaName(name: string): string {
  const refuse = (reason: string) => {
    throw new MigrationError(`The schema name ${JSON.stringify(name)} cannot be used: ${reason}.`);
  };
  const bytes = Buffer.byteLength(name, "utf8");
  if (bytes === 0) refuse("it is empty");
  if (bytes > longestName) refuse(`it has ${bytes} bytes, PostgreSQL keeps at most ${longestName}`);
  if (/^pg_/i.test(name)) refuse("names that start with pg_ belong to PostgreSQL");
  if (name === "information_schema") refuse("it belongs to PostgreSQL");
  if (/\p{Cc}/u.test(name)) refuse("it contains a control character");
  if (name.split("$").length > 2) refuse("it contains more than one dollar sign");
  return name;
}

/** The text with every `:SCHEMA` replaced by the quoted name of the schema. */
export function fillSchema(sql: string, schema: string): string {
  const identifier = pg.escapeIdentifier(schema);
  return sql.replace(/:SCHEMA\b/g, () => identifier);
}

/**
 * The advisory lock that one migration of one schema holds: 64 bits of a hash, so that it meets no key of the application.
 * Advisory locks are local to a database, the schema's name is all that must go into it.
 */
export function migrationLockKey(schema: string): string {
  return createHash("sha256").update(`rouse migrate ${schema}`).digest().readBigInt64BE().toString();
}
