import { day, localTime, ZoneClock } from "./zone-clock.ts";

/** A period by its parts; hours and less in milliseconds. */
export interface Period {
  readonly months: number;
  readonly days: number;
  readonly elapsed: number;
}

/** The first multiple of a period after an instant, counted from the anchor, by trying one multiple after the other. */
export function nextMultiple(period: Period, after: number, zone: string, anchor: number): number {
  const clock = ZoneClock.of(zone);
  const start = new Date(anchor + clock.offset(anchor));
  // A month is taken as short or long as makes the first multiple tried too early a one.
  const month = after < anchor ? 28 : 31;
  const length = (period.months * month + period.days) * day + period.elapsed;
  for (let count = Math.floor((after - anchor) / length) - 2; ; count++) {
    const months = start.getUTCFullYear() * 12 + start.getUTCMonth() + count * period.months;
    const [year, monthOfYear] = [Math.floor(months / 12), (months % 12) + 1];
    const lastDate = new Date(localTime(year, monthOfYear + 1, 0)).getUTCDate();
    const date = localTime(year, monthOfYear, Math.min(start.getUTCDate(), lastDate)) + count * period.days * day;
    const instant = firstInstant(clock, date + (start.getTime() % day));
    if (instant !== null && instant + count * period.elapsed > after) return instant + count * period.elapsed;
  }
}

/** When the clocks first show a local time, or jump over it by three hours at most. */
function firstInstant(clock: ZoneClock, local: number): number | null {
  // No zone is more than 16 hours from UTC, so this starts before the local time and ends after it.
  let start = local - 2 * day;
  let offset = clock.offset(start);
  for (const change of [...clock.changes(start, local + 2 * day), null]) {
    const instant = local - offset;
    if (instant < start) return start - instant <= 3 * 60 * 60 * 1000 ? start : null;
    if (!change || instant < change.at) return instant;
    [start, offset] = [change.at, change.after];
  }
  throw new Error("unreachable");
}
