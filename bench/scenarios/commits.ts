import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { rouse } from "../contenders/rouse.ts";
import { type Measures, type Run, ratio, type Scenario, type Variant } from "../harness/scenario.ts";

const SECONDS = 5;
const WITHOUT_TRIGGERS = "alter table rouse.job disable trigger user";

/** Commits a second of that many connections that each enqueue one job after the other. */
async function commits({ url }: Run, text: string, writers: number): Promise<number> {
  const clients = Array.from({ length: writers }, () => new pg.Client({ connectionString: url }));
  await Promise.all(clients.map((client) => client.connect()));
  let counted = 0;
  let stopped = false;
  const loops = clients.map(async (client, n) => {
    while (!stopped) {
      await client.query({ name: "add", text, values: [JSON.stringify({ n })] });
      counted += 1;
    }
  });
  await sleep(1_000);
  const before = counted;
  await sleep(SECONDS * 1_000);
  const rate = (counted - before) / SECONDS;
  stopped = true;
  await Promise.all(loops);
  await Promise.all(clients.map((client) => client.end()));
  return rate;
}

/** The worker's only slot is taken all the while, so nobody sleeps and nobody has to be woken. */
function writing(text: string, prepare?: string): Variant {
  return {
    on: "rouse",
    async measure(run): Promise<Measures> {
      const contender = rouse({ concurrency: 1 });
      const started = Promise.withResolvers<void>();
      const busy = Promise.withResolvers<void>();
      const worker = await contender.work(run.url, () => {
        started.resolve();
        return busy.promise;
      });
      const client = await contender.connect(run.url);
      await client.add(0);
      await client.close();
      await started.promise;
      if (prepare !== undefined) await run.sql.query(prepare);
      const measures = { "16 writers": await commits(run, text, 16), "64 writers": await commits(run, text, 64) };
      // Of what was enqueued nothing needs to run.
      await run.sql.query("delete from rouse.job where state = 'ready'");
      busy.resolve();
      await worker.stop();
      return measures;
    },
  };
}

const INSERT = "insert into rouse.job (task, payload) values ('noop', $1)";

export const scenario: Scenario = {
  title: "enqueue: commits a second, workers busy",
  units: { "16 writers": "commits/s", "64 writers": "commits/s" },
  variants: {
    "enqueue()": writing("select rouse.enqueue('noop', $1)"),
    insert: writing(INSERT),
    "bare insert, no trigger": writing(INSERT, WITHOUT_TRIGGERS),
    "bare insert and a NOTIFY": writing(
      `with added as (${INSERT} returning id) select pg_notify('bench', '') from added`,
      WITHOUT_TRIGGERS,
    ),
  },
  targets: ["16 writers", "64 writers"].flatMap((writers) => [
    ratio(writers, "enqueue()", "bare insert, no trigger", { reach: 0.85, beyond: 0.95 }),
    ratio(writers, "insert", "bare insert, no trigger", { reach: 0.85, beyond: 0.95 }),
  ]),
};
