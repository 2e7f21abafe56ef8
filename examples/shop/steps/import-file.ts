import { join } from "node:path";
import type { Pool } from "pg";
import { makeSales } from "../make-sales.ts";
import type { Shop } from "../shop.ts";
import { code, count, expect, mishap, ms, seen, until } from "../story.ts";
import { importSales } from "../tasks.ts";

const LINES_PER_CHUNK = 500;

/** A file in chunks; one of them fails after it has written its lines, and still each line arrives exactly once. */
export async function importFile({ db, rouse, folder }: Shop): Promise<void> {
  const sales = await makeSales(join(folder, "sales.csv"));
  await failOneChunk(db);
  code(`await rouse.enqueue(importSales, { file, linesPerChunk: ${LINES_PER_CHUNK} });`);
  const since = performance.now();
  await rouse.enqueue(importSales, { file: sales.file, linesPerChunk: LINES_PER_CHUNK });

  const chunks = Math.ceil(sales.lines / LINES_PER_CHUNK);
  const jobs = await until(async () => {
    const { rows } = await db.query(
      `select
         count(*)::int as jobs,
         count(*) filter (where state = 'succeeded')::int as succeeded,
         sum((result ->> 'lines')::int)::int as lines
       from rouse.jobs
       where task = 'import_chunk'`,
    );
    return rows[0].succeeded >= chunks ? rows[0] : undefined;
  });
  const took = performance.now() - since;
  expect(jobs.jobs === chunks, `${jobs.jobs} chunks were imported instead of ${chunks}`);

  const { rows: errors } = await db.query(
    `select e.message, a.attempt
     from rouse.attempt_error as e
     join rouse.archive as a on a.id = e.job_id
     where a.task = 'import_chunk'`,
  );
  expect(errors.length === 1 && errors[0].attempt === 2, `${errors.length} chunks failed instead of one`);
  mishap(`one chunk: ${errors[0].message}; its lines were rolled back, its attempt ${errors[0].attempt} brought them`);

  const { rows } = await db.query(
    `select
       count(*)::int as lines,
       count(distinct receipt)::int as receipts,
       sum(quantity * price)::text as revenue
     from sales`,
  );
  const [{ lines, receipts, revenue }] = rows;
  expect(lines === sales.lines && receipts === sales.lines, `${lines} lines with ${receipts} receipts arrived`);
  expect(revenue === sales.revenue, `the revenue is ${revenue} in the table and ${sales.revenue} in the file`);
  seen(
    `${count(lines)} of the file's ${count(sales.lines)} lines in the table, ${count(receipts)} receipts, in ${ms(took)}`,
  );
  seen(`${count(Number(revenue))} revenue in the file and in the table`);
}

/** Makes the seventh insert fail after its rows are written. A sequence keeps its count where the transaction does not. */
async function failOneChunk(db: Pool): Promise<void> {
  await db.query(`
    create sequence inserts;
    create function fail_seventh_insert() returns trigger language plpgsql as $$
    begin
      if nextval('inserts') = 7 then
        raise exception 'the database had a hiccup after % lines were written', (select count(*) from inserted);
      end if;
      return null;
    end;
    $$;
    create trigger fail_seventh_insert
      after insert on sales
      referencing new table as inserted
      for each statement
      execute function fail_seventh_insert();
  `);
}
