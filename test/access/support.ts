import { after } from "node:test";
import pg from "pg";
import { migrate } from "../../src/migrate/index.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";

export const LEVELS = ["enqueue", "work", "view", "admin"] as const;
export type Level = (typeof LEVELS)[number];

export interface Roles {
  /** Owns the installation, and is no superuser. */
  readonly database: TestDatabase;
  /** The name of the role that has this level, or `owner`, or `stranger`, who has none. */
  name(who: Who): string;
  url(who: Who): string;
  /** A session of that role. */
  connect(who: Who): Promise<pg.Client>;
}

export type Who = Level | "owner" | "stranger";

const password = "only for tests";

/**
 * A database whose Rouse was migrated by an ordinary role, and a role for each level of access: nothing here needs a superuser
 * but making roles.
 */
export function testRoles(): Roles {
  const database = testDatabase({ template: "empty", prepare });
  const all: Who[] = [...LEVELS, "owner", "stranger"];
  const name = (who: Who) => `rouse_test_${who}_${process.pid}`;
  const url = (who: Who) => {
    const address = new URL(database.url);
    address.username = name(who);
    address.password = password;
    return address.href;
  };
  const connect = (who: Who) => database.connect(url(who));

  async function prepare(): Promise<void> {
    await onServer(all.map((who) => `create role ${name(who)} login password '${password}'`).join(";"));
    const { rows } = await database.pool.query("select current_database() as name");
    await database.query(`grant create on database ${rows[0].name} to ${name("owner")}`);
    await migrate({ connectionString: url("owner") });
    const owner = await connect("owner");
    for (const level of LEVELS) await owner.query("select rouse.grant_access($1, $2)", [name(level), level]);
  }
  // Hooks run in order: the database, which holds what the roles own, is gone before they go.
  after(() => onServer(all.map((who) => `drop role ${name(who)}`).join(";")));

  return { database, name, url, connect };
}

export async function onServer(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: process.env.ROUSE_TEST_SERVER });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}
