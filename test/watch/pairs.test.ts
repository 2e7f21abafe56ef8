import assert from "node:assert/strict";
import test from "node:test";
import { testDatabase } from "../support/database.ts";
import { setUp, takeJobs } from "./support.ts";

const database = testDatabase();
const { query } = database;

// Row-level triggers see each row before and after beyond doubt.
setUp(
  database,
  `create table thing (id integer, name text, size integer, code integer unique, primary key (id) deferrable);
     create table heir (extra text) inherits (thing);
     create table truth (n bigint generated always as identity, old jsonb, new jsonb);
     create function tell() returns trigger language plpgsql as $$
     begin
       insert into truth (old, new) values (to_jsonb(old), to_jsonb(new));
       return null;
     end $$;
     create trigger tell after update on thing for each row execute function tell();
   create function meddle() returns trigger language plpgsql as $$
   begin
     if new.name = 'skip' and old.id % 3 = 0 then return null; end if;
     if new.name = 'skip' then new.id := -old.id; end if;
     return new;
   end $$;
   create trigger meddle before update on thing for each row execute function meddle();
  select rouse.watch('thing', 't', '{update}', payload => $$jsonb_build_object('old', old, 'new', new)$$)`,
);

const fill =
  "truncate thing, truth; insert into thing select n, 'name ' || n, n % 7, n from generate_series(1, 500) as n";

const updates: Record<string, string> = {
  "each key becomes the next one": "update thing set id = id + 1",
  "two keys are swapped": "update thing set id = case id when 1 then 2 else 1 end where id <= 2",
  "all keys are mirrored": "update thing set id = 501 - id",
  "one key changes": "update thing set id = 1000 where id = 77",
  "keys become others, found by a hash join": `update thing set id = thing.id + 1000, name = o.name
     from thing as o where o.id = 501 - thing.id`,
  "rows are found in another order": `update thing set size = s.rank
     from (select id, row_number() over (order by size, name desc) as rank from thing) as s where s.id = thing.id`,
  "a table is updated by two parts of a statement": `with small as (update thing set id = id + 2000 where size < 3 returning id)
     update thing set id = id + 5000, name = 'big' where size >= 3`,
  "an upsert hits": `insert into thing select n, 'again', 0, n from generate_series(490, 510) as n
     on conflict (code) do update set id = thing.id + 3000, name = excluded.name`,
  "a merge updates": `merge into thing using (select n from generate_series(400, 600) as n) as s on thing.id = s.n
     when matched and s.n % 2 = 0 then update set id = s.n + 7000
     when matched then delete
     when not matched then insert values (s.n, 'merged', 1, s.n)`,
  "a trigger skips rows and changes others": "update thing set name = 'skip' where size = 1",
};

for (const [title, statement] of Object.entries(updates)) {
  test(`C4: old and new belong together where ${title}`, async () => {
    await query(fill);
    await query(statement);
    const truth = await query("select old, new from truth order by n");
    assert.notEqual(truth.length, 0);
    assert.deepEqual(
      (await takeJobs(database)).map(({ payload }) => payload),
      truth,
    );
  });
}

test("C4: rows of an inheriting table that the statement reaches are among them", async () => {
  await query(fill);
  await query("insert into heir values (9001, 'heir', 1, 0, 'x'), (9002, 'heir', 2, 0, 'y')");
  await query("update thing set size = id where id in (5, 9001, 9002)");
  const jobs = await takeJobs(database);
  assert.deepEqual(
    jobs.map(({ payload }) => payload),
    [
      { id: 5, name: "name 5", size: 5, code: 5 },
      { id: 9001, name: "heir", size: 1, code: 0 },
      { id: 9002, name: "heir", size: 2, code: 0 },
    ].map((old) => ({ old, new: { ...old, size: old.id } })),
  );
  await query("truncate heir");
});

test("C4: a plan made for two rows serves a hundred thousand", async () => {
  const client = await database.connect();
  await query("truncate thing, truth; drop trigger tell on thing");
  await query("insert into thing select n, 'x', 0, n from generate_series(1, 100000) as n");
  await client.query("update thing set size = 1 where id <= 2");
  await takeJobs(database);
  // A nested loop over 100,000 rows twice would take minutes.
  await client.query("set statement_timeout = '30s'");
  await client.query("update thing set id = id + 1");
  const [count] = await query(
    `select count(*)::integer as jobs, bool_and((payload -> 'old' -> 'id')::integer + 1 = (payload -> 'new' -> 'id')::integer) as right
     from rouse.job`,
  );
  assert.deepEqual(count, { jobs: 100_000, right: true });
});
