import type { Queryable } from "../client/queryable.ts";
import { ConfigError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { checkInput } from "../tasks/payload.ts";
import { isSchedule, type Schedule } from "./define-schedule.ts";

/** The schedules that exist in this environment, their payloads checked. @throws ConfigError where a name is taken twice. */
export async function checkSchedules(schedules: Iterable<Schedule>): Promise<readonly Schedule[]> {
  const byName = new Map<string, Schedule>();
  for (const schedule of new Set(schedules)) {
    if (!isSchedule(schedule)) {
      throw new ConfigError(
        `schedules contains ${typeof schedule} ${String(schedule)}, not one made by defineSchedule`,
      );
    }
    if (!schedule.when) continue;
    if (byName.has(schedule.name)) {
      throw new ConfigError(`the schedule name "${schedule.name}" is taken twice: rename one of them`);
    }
    if (schedule.task !== undefined) {
      await checkInput(schedule.task, schedule.payload).catch((error: Error) => {
        throw new ConfigError(`schedule "${schedule.name}": ${error.message}`, { cause: error });
      });
    }
    byName.set(schedule.name, schedule);
  }
  return [...byName.values()];
}

/** Makes the schedules of a source exactly these, and logs what changed. */
export async function declareSchedules(
  client: Queryable,
  schema: string,
  source: string,
  schedules: readonly Schedule[],
  log: Logger,
): Promise<void> {
  const { rows } = await client.query(`select name, change from ${schema}.declare_schedules_v1($1, $2::jsonb)`, [
    source,
    JSON.stringify(schedules.map(({ declaration }) => declaration)),
  ]);
  for (const { name, change } of rows) {
    if (change !== "same") log.info(`schedule ${change}`, { schedule: name });
  }
}
