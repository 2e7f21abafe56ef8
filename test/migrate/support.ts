import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { migrationHash } from "../../src/migrate/files.ts";
import type { TestDatabase } from "../support/database.ts";

/** What a small migration says, before it becomes a file: its body and further header lines. */
export interface Draft {
  readonly body: string;
  readonly headers?: readonly string[];
}

export const thing: Draft = {
  body: `create table :SCHEMA.thing (id integer primary key, name text);
comment on table :SCHEMA.thing is 'A thing.';
create function :SCHEMA.things() returns bigint language plpgsql as $$
begin
  return (select count(*) from :SCHEMA.thing);
end
$$;`,
};
export const colour: Draft = { body: "alter table :SCHEMA.thing add column colour text;" };
export const size: Draft = { body: "alter table :SCHEMA.thing add column size text;" };
export const nameIndex: Draft = {
  body: `--! no-transaction
create unique index concurrently if not exists thing_name on :SCHEMA.thing (name);`,
};

/** A folder of migrations with a right chain of hashes, removed after the file's tests. */
export async function migrationFolder(...drafts: readonly Draft[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "rouse-migrations-"));
  after(() => rm(folder, { recursive: true, force: true }));
  let previous: string | null = null;
  for (const [index, { body, headers = [] }] of drafts.entries()) {
    const hash = migrationHash(body, previous);
    const lines = [`--! Previous: ${previous ?? "-"}`, `--! Hash: ${hash}`, ...headers, "", `${body.trim()}\n`];
    await writeFile(join(folder, `${String(index + 1).padStart(6, "0")}.sql`), lines.join("\n"));
    previous = hash;
  }
  return folder;
}

let schemas = 0;

/** A schema name that no other test of the database uses. */
export function newSchema(): string {
  return `rouse_${++schemas}`;
}

export async function columns(database: TestDatabase, schema: string): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `select attname::text as name
     from pg_attribute
     join pg_class on pg_class.oid = attrelid
     where relnamespace = (select oid from pg_namespace where nspname = $1) and relname = 'thing' and attnum > 0
     order by attnum`,
    [schema],
  );
  return rows.map(({ name }) => name);
}
