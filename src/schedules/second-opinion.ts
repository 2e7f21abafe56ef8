import { CronExpressionParser } from "cron-parser";

/**
 * What ordinary cron, in the person of cron-parser, says beside our evaluator: the first time at which the two part, for a person who
 * moves a crontab here. Undefined where they agree, and for specs that ordinary cron does not have.
 */
export function secondOpinion(spec: string, timezone: string, after: Date, ours: readonly Date[]): string | undefined {
  let theirs: Date[];
  try {
    const expression = CronExpressionParser.parse(spec, { currentDate: after, tz: timezone });
    theirs = ours.map(() => expression.next().toDate());
  } catch {
    return /^@|^every |^at |^\d{4}-/i.test(spec.trim()) ? undefined : "cron-parser does not read this spec";
  }
  const at = ours.findIndex((time, index) => Number(time) !== Number(theirs[index]));
  if (at < 0) return undefined;
  return `cron-parser would run at ${theirs[at]!.toISOString()} instead of ${ours[at]!.toISOString()}: docs/schedules.md tells where the rules differ`;
}
