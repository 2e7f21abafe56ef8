import type { Shop } from "../shop.ts";
import { code, expect, ms, seen, until } from "../story.ts";
import { committed } from "../transaction.ts";

/** Whatever can run SQL is a full client. */
export async function fromSql({ db, stopwatch }: Shop): Promise<void> {
  const now = `select rouse.enqueue('hello', '{"name": "Ada"}')`;
  code(`${now};`);
  const first = await committed(db, async (client) => (await client.query(now)).rows[0].enqueue);
  const job = await finished(db, first.value);
  const [start] = stopwatch.startsOf(job.id);
  expect(start !== undefined && job.state === "succeeded", "the job did not succeed");
  seen(`job ${job.id} was in its handler ${ms(start - first.committingAt)} after the commit was sent`);
  seen(`its result, from rouse.jobs: ${JSON.stringify(job.result)}`);

  const later = `select rouse.enqueue('hello', '{"name": "Grace"}', delay => '500 ms')`;
  code(`${later};`);
  const second = await committed(db, async (client) => (await client.query(later)).rows[0].enqueue);
  const delayed = await finished(db, second.value);
  expect(delayed.late >= 0, "the delayed job was started before its time");
  seen(`job ${delayed.id} was started ${ms(delayed.late)} after its due time, by the database's clock`);
}

async function finished(db: Shop["db"], id: string) {
  return await until(async () => {
    const { rows } = await db.query(
      `select id::float8, state, result, extract(epoch from started_at - run_at)::float8 * 1000 as late
       from rouse.jobs
       where id = $1
         and finished_at is not null`,
      [id],
    );
    return rows[0];
  });
}
