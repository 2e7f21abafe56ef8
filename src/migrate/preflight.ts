import pg from "pg";
import { MigrationError } from "./errors.ts";
import { type Queryable, row } from "./session.ts";

const oldestServer = 150000;

/** Verifies, before anything is changed, that this server can run Rouse and that the session is one to migrate with. */
export async function checkServer(client: Queryable): Promise<void> {
  const server = await row<{ number: string; version: string; standby: boolean }>(
    client,
    `select
       pg_catalog.current_setting('server_version_num') as number,
       pg_catalog.current_setting('server_version') as version,
       pg_catalog.pg_is_in_recovery() as standby`,
  );
  if (Number(server.number) < oldestServer) {
    throw new MigrationError(
      `Rouse needs PostgreSQL 15 or later; this server is ${server.version}. Upgrade the server.`,
    );
  }
  if (server.standby) {
    throw new MigrationError("This server is a standby and takes no writes. Migrate on the primary.");
  }
}

/** The commits of a migration must not commit what the caller has begun. */
export async function checkOutsideTransaction(client: Queryable): Promise<void> {
  if ("totalCount" in client) {
    throw new MigrationError("migrate() got a pool as its client. Pass one connection of it: await pool.connect().");
  }
  // Outside of a transaction block every statement has a transaction, and so a number, of its own.
  const current = "select pg_catalog.pg_current_xact_id()::text as id";
  const first = await row<{ id: string }>(client, current);
  const second = await row<{ id: string }>(client, current);
  if (first.id === second.id) {
    throw new MigrationError("migrate() got a client inside of a transaction. Commit or roll back first.");
  }
}

/**
 * Outside of a transaction a pooler may hand every statement to another session: locks and settings of the session would stay
 * behind in one that belongs to somebody else. A pooler gives its clients a process number of its own making.
 */
export async function checkDirect(client: Queryable): Promise<void> {
  const told = "processID" in client ? client.processID : null;
  if (typeof told !== "number") return;
  const { pid } = await row<{ pid: number }>(client, "select pg_catalog.pg_backend_pid() as pid");
  if (told !== pid) {
    throw new MigrationError(
      "The next migration builds an index outside of a transaction, which needs a session of its own, and a pooler stands " +
        "in between. Migrate over a direct connection to the server.",
    );
  }
}

export interface Rights {
  /** Whether the schema is there. */
  readonly exists: boolean;
  /** The role that owns what is there of Rouse, where it is not the current one; null otherwise. */
  readonly owner: string | null;
}

/** Verifies that this role may create objects in the schema, and says what to grant where it may not. */
export async function checkRights(client: Queryable, schema: string): Promise<Rights> {
  const rights = await row<{
    role: string;
    database: string;
    exists: boolean;
    owner: string | null;
    create_schema: boolean;
    use_schema: boolean;
    is_member: boolean;
  }>(
    client,
    `select
       current_user as role,
       pg_catalog.current_database() as database,
       n.oid is not null as exists,
       pg_catalog.pg_get_userbyid(m.relowner) as owner,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') as create_schema,
       pg_catalog.has_schema_privilege(n.oid, 'CREATE') and pg_catalog.has_schema_privilege(n.oid, 'USAGE') as use_schema,
       m.oid is null or pg_catalog.pg_has_role(m.relowner, 'MEMBER') as is_member
     from (values ($1)) as wanted(name)
     left join pg_catalog.pg_namespace as n on n.nspname = wanted.name
     left join pg_catalog.pg_class as m on m.relnamespace = n.oid and m.relname = 'migration'`,
    [schema],
  );
  const [role, database, name] = [rights.role, rights.database, schema].map(pg.escapeIdentifier);
  if (!rights.exists && !rights.create_schema) {
    throw new MigrationError(
      `The role ${role} may not create the schema ${name}. Grant it: grant create on database ${database} to ${role}; ` +
        `or create the schema for it: create schema ${name} authorization ${role};`,
    );
  }
  if (rights.exists && !rights.use_schema) {
    throw new MigrationError(
      `The role ${role} may not create objects in the schema ${name}. ` +
        `Grant it: grant usage, create on schema ${name} to ${role};`,
    );
  }
  if (!rights.is_member) {
    throw new MigrationError(
      `The objects in schema ${name} belong to the role ${rights.owner}, and ${role} is no member of it. ` +
        `Migrate as ${rights.owner}.`,
    );
  }
  return { exists: rights.exists, owner: rights.owner === rights.role ? null : rights.owner };
}
