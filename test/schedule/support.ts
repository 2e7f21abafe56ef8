import type { TestDatabase } from "../support/database.ts";

/** Calls of the schedule engine with times chosen by the test. */
export function scheduler(database: TestDatabase) {
  const { query } = database;
  return {
    /** Makes a schedule whose next slot is the first one after `since`. */
    async schedule(name: string, spec: string, since: string, options: Record<string, unknown> = {}): Promise<number> {
      const names = ["task", ...Object.keys(options)];
      const values = ["t", ...Object.values(options)];
      const args = names.map((option, index) => `${option} => $${index + 3}`).join(", ");
      const [row] = await query<{ id: number }>(`select rouse.schedule($1, $2, ${args}) as id`, [
        name,
        spec,
        ...values,
      ]);
      await query(
        "update rouse.schedule set next_run_at = rouse.schedule_next(schedule, $2::timestamptz) where id = $1",
        [row!.id, since],
      );
      return row!.id;
    },
    tick: (at: string) => query("select rouse.tick($1::timestamptz)", [at]),
    /** Slots of a schedule with what became of each, as `08:00 run`, in UTC. */
    async slots(name: string, format = "HH24:MI"): Promise<string[]> {
      const rows = await query<{ slot: string }>(
        `select to_char(t.slot_at at time zone 'UTC', $2) || ' ' || t.outcome as slot
         from rouse.slot as t
         join rouse.schedule as s on s.id = t.schedule_id
         where s.name = $1
         order by t.slot_at`,
        [name, format],
      );
      return rows.map(({ slot }) => slot);
    },
    async jobs(name: string): Promise<string[]> {
      const rows = await query<{ slot: string }>(
        `select to_char(j.scheduled_for at time zone 'UTC', 'HH24:MI') as slot
         from rouse.job as j
         join rouse.schedule as s on s.id = j.schedule_id
         where s.name = $1
         order by j.id`,
        [name],
      );
      return rows.map(({ slot }) => slot);
    },
    /** Ends the live job of a schedule as a worker does that succeeds. */
    async finishJob(name: string): Promise<void> {
      await query(
        `delete from rouse.job as j
         using rouse.schedule as s
         where s.id = j.schedule_id
           and s.name = $1`,
        [name],
      );
    },
  };
}
