import { runMigrations } from "graphile-worker";
import pg from "pg";
import { PgBoss } from "pg-boss";
import { migrate } from "../../src/migrate/index.ts";

export type Installation = "rouse" | "graphile_worker" | "pg_boss";

/** Makes a database ready that was made with an installation's as its template: Rouse lets no worker run on a copy. */
export async function settleIn(installation: Installation, connectionString: string): Promise<void> {
  if (installation !== "rouse") return;
  const client = new pg.Client({ connectionString });
  await client.connect();
  await client.query("select rouse.confirm_copy()").finally(() => client.end());
}

/** Installs a contender's schema into an empty database. */
export async function install(installation: Installation, connectionString: string): Promise<void> {
  switch (installation) {
    case "rouse":
      await migrate({ connectionString });
      break;
    case "graphile_worker":
      await runMigrations({ connectionString });
      break;
    case "pg_boss": {
      const boss = new PgBoss({ connectionString, supervise: false, schedule: false });
      boss.on("error", (error) => console.error(error));
      await boss.start();
      await boss.stop({ graceful: false });
      break;
    }
  }
}
