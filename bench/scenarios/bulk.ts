import { once } from "node:events";
import { from as copyFrom } from "pg-copy-streams";
import { type Measures, type Run, ratio, type Scenario, type Variant } from "../harness/scenario.ts";

const JOBS = 1_000_000;
const BATCH = 10_000;

/** Nobody works meanwhile: what is measured is the way in. */
function bulk(add: (run: Run, batches: number) => Promise<void>): Variant {
  return {
    on: "rouse",
    async measure(run): Promise<Measures> {
      const batches = Math.ceil(run.size(JOBS) / BATCH);
      await run.sql.query("insert into rouse.task (name) values ('noop')");
      const started = performance.now();
      await add(run, batches);
      const seconds = (performance.now() - started) / 1_000;
      const { rows } = await run.sql.query("select count(*) from rouse.job where state = 'ready'");
      return { rate: Number(rows[0].count) / seconds };
    },
  };
}

async function enqueueMany({ sql }: Run, batches: number): Promise<void> {
  const jobs = JSON.stringify(Array.from({ length: BATCH }, (_, n) => ({ task: "noop", payload: { n } })));
  for (let batch = 0; batch < batches; batch += 1) {
    await sql.query("select count(*) from rouse.enqueue_many($1)", [jobs]);
  }
}

async function copy({ sql }: Run, batches: number): Promise<void> {
  const lines = Buffer.from(Array.from({ length: BATCH }, (_, n) => `noop\t{"n": ${n}}\n`).join(""));
  const stream = sql.query(copyFrom("copy rouse.job (task, payload) from stdin"));
  for (let batch = 0; batch < batches; batch += 1) {
    if (!stream.write(lines)) await once(stream, "drain");
  }
  stream.end();
  await once(stream, "finish");
}

async function bareInsert({ sql }: Run, batches: number): Promise<void> {
  await sql.query("alter table rouse.job disable trigger user");
  await sql.query(
    `insert into rouse.job (task, payload)
     select 'noop', jsonb_build_object('n', n) from generate_series(1, $1) as n`,
    [batches * BATCH],
  );
}

export const scenario: Scenario = {
  title: "1,000,000 jobs at once",
  seconds: 100,
  units: { rate: "jobs/s" },
  rounds: 2,
  variants: {
    enqueue_many: bulk(enqueueMany),
    copy: bulk(copy),
    "bare insert … select": bulk(bareInsert),
  },
  targets: [
    ratio("rate", "enqueue_many", "bare insert … select", { reach: 0.5, beyond: 0.8 }),
    ratio("rate", "copy", "bare insert … select", { reach: 0.7, beyond: 0.8 }),
  ],
};
