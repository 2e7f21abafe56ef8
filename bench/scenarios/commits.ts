import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { rouse } from "../contenders/rouse.ts";
import { fill } from "../harness/jobs.ts";
import { type Measures, type Run, ratio, type Scenario, type Variant } from "../harness/scenario.ts";

const SECONDS = 4;
const WARM_UP_SECONDS = 1;
/** Jobs that keep all slots of the worker busy to the end, and hardly anything of the machine. */
const HANDLER_MS = 100;
const BACKLOG = 4_000;
const WITHOUT_TRIGGERS = "alter table rouse.job disable trigger user";

/** Commits a second of that many connections that each enqueue one job after the other. */
async function commits({ url, size }: Run, text: string, writers: number): Promise<number> {
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
  await sleep(WARM_UP_SECONDS * 1_000);
  const before = counted;
  const started = performance.now();
  await sleep(size(SECONDS * 1_000, 500));
  const rate = (counted - before) / ((performance.now() - started) / 1_000);
  stopped = true;
  await Promise.all(loops);
  await Promise.all(clients.map((client) => client.end()));
  return rate;
}

function writing(text: string, prepare?: string): Variant {
  return {
    on: "rouse",
    async measure(run): Promise<Measures> {
      const contender = rouse();
      await fill(run, contender, BACKLOG);
      const started = Promise.withResolvers<void>();
      await contender.work(run.url, () => {
        started.resolve();
        return sleep(HANDLER_MS);
      });
      await started.promise;
      if (prepare !== undefined) await run.sql.query(prepare);
      // Ends with the process: of what was enqueued nothing needs to run.
      return { "16 writers": await commits(run, text, 16), "64 writers": await commits(run, text, 64) };
    },
  };
}

const INSERT = "insert into rouse.job (task, payload) values ('noop', $1)";

export const scenario: Scenario = {
  title: "enqueue one job after the other, all slots of the worker busy",
  seconds: 150,
  rounds: 3,
  units: { "16 writers": "commits/s", "64 writers": "commits/s" },
  variants: {
    "enqueue()": writing("select rouse.enqueue('noop', $1)"),
    insert: writing(INSERT),
    "bare insert": writing(INSERT, WITHOUT_TRIGGERS),
    "bare insert and a NOTIFY": writing(
      `with added as (${INSERT} returning id) select pg_notify('bench', '') from added`,
      WITHOUT_TRIGGERS,
    ),
  },
  targets: ["16 writers", "64 writers"].flatMap((writers) => [
    ratio(writers, "insert", "bare insert", { reach: 0.85, beyond: 0.95 }),
    ratio(writers, "enqueue()", "bare insert", { reach: 0.85, beyond: 0.95 }),
  ]),
};
