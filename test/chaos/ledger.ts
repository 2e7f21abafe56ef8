import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import type { FaultRecord } from "./faults.ts";
import type { Death } from "./fleet.ts";

/** Rows in a statement. */
const CHUNK = 20_000;

interface Run {
  readonly run: string;
  readonly process: string;
  readonly job_id: number;
  readonly n: number | null;
  readonly attempt: number;
  readonly began: number;
  readonly began_at: string;
  ended: number | null;
  outcome: string | null;
}

export async function createLedger(client: pg.Client): Promise<void> {
  await client.query(await readFile(new URL("./ledger.sql", import.meta.url), "utf8"));
}

/** Loads what was written outside the database during the run. */
export async function closeLedger(
  client: pg.Client,
  folder: string,
  faults: readonly FaultRecord[],
  deaths: readonly Death[],
): Promise<void> {
  for (const name of (await readdir(folder)).filter((each) => each.endsWith(".journal"))) {
    await insert(
      client,
      "run",
      readJournal(name.slice(0, -".journal".length), await readFile(join(folder, name), "utf8")),
    );
  }
  await insert(client, "fault", faults);
  await insert(client, "death", deaths);
  await client.query(`
    create index on ledger.run (job_id);
    create index on ledger.run (n);
    create index on ledger.run (run);
    create index on ledger.effect (n);
    create index on ledger.cancelled (job_id);
    create index on ledger.enqueued (n);
    create index on ledger.enqueued (job_id);
    create index on ledger.enqueued (task, unique_key) where unique_key is not null;
    create table ledger.keyed as
      select * from ledger.run join ledger.enqueued using (job_id, n) where concurrency_key is not null;
    create index on ledger.keyed (concurrency_key, began);
    analyze`);
}

function readJournal(process: string, text: string): Run[] {
  const runs = new Map<string, Run>();
  for (const line of text.split("\n")) {
    const [what, run, ...rest] = line.split(" ") as [string, string, ...string[]];
    if (what === "begin") {
      const [job, n, attempt, began, wall] = rest as [string, string, string, string, string];
      const begun = {
        job_id: Number(job),
        n: n === "" ? null : Number(n),
        attempt: Number(attempt),
        began: Number(began),
      };
      runs.set(run, {
        run,
        process,
        ...begun,
        began_at: new Date(Number(wall)).toISOString(),
        ended: null,
        outcome: null,
      });
    } else if (what === "end") {
      const [outcome, ended] = rest as [string, string];
      Object.assign(runs.get(run)!, { outcome, ended: Number(ended) });
    }
  }
  return [...runs.values()];
}

async function insert(client: pg.Client, table: string, rows: readonly object[]): Promise<void> {
  for (let from = 0; from < rows.length; from += CHUNK) {
    await client.query(
      `insert into ledger.${table} select * from jsonb_populate_recordset(null::ledger.${table}, $1)`,
      [JSON.stringify(rows.slice(from, from + CHUNK))],
    );
  }
}
