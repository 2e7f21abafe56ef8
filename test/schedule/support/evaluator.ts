import { type CronSpec, type LocalDate, readCron } from "./cron-spec.ts";
import { day, localTime, ZoneClock } from "./zone-clock.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const longestCatchUp = 3 * hour;

/** Forty years is the longest that a spec waits: for 29 February on one day of the week, over a year without a leap day. */
const horizon = 50 * 366 * day;

/**
 * The first time after an instant at which a cron spec runs; null where there is none within fifty years. Walks through real
 * time from one clock change to the next, looking at what the clocks show.
 */
export function nextRun(spec: string, after: number, zone: string): number | null {
  const cron = readCron(spec);
  const earliest = Math.floor(after / second + 1) * second;
  // Every local time before this one has been on the clocks. Starting two days early finds what an overlap repeats.
  let shown: number | undefined;
  for (const { start, end, offset } of pieces(ZoneClock.of(zone), earliest - 2 * day, after + horizon)) {
    const [localStart, localEnd] = [start + offset, end + offset];
    if (!cron.elapsed && shown !== undefined) {
      const missed = localStart - shown <= longestCatchUp && firstSlot(cron, shown, localStart) !== null;
      if (missed && start >= earliest) return start;
    }
    const unseen = cron.elapsed ? localStart : (shown ?? localStart);
    const from = Math.max(localStart, earliest + offset, unseen);
    const slot = firstSlot(cron, from, localEnd);
    if (slot !== null) return slot - offset;
    shown = Math.max(localEnd, shown ?? localEnd);
  }
  return null;
}

/** Stretches of real time in which a zone keeps its offset; cut once a year, so that no change is looked up in vain. */
function* pieces(clock: ZoneClock, from: number, to: number) {
  let [start, offset] = [from, clock.offset(from)];
  while (start < to) {
    const year = start + 366 * day;
    for (const change of clock.changes(start, year)) {
      yield { start, end: change.at, offset };
      [start, offset] = [change.at, change.after];
    }
    yield { start, end: year, offset };
    start = year;
  }
}

/** The first local time of a spec in [from, to), by trying one after the other. */
function firstSlot(cron: CronSpec, from: number, to: number): number | null {
  for (let midnight = Math.floor(from / day) * day; midnight < to; midnight += day) {
    if (!cron.matches(localDate(midnight))) continue;
    for (const hours of cron.hours) {
      const startOfHour = midnight + hours * hour;
      if (startOfHour + hour <= from) continue;
      for (const minutes of cron.minutes) {
        const startOfMinute = startOfHour + minutes * minute;
        if (startOfMinute + minute <= from) continue;
        for (const seconds of cron.seconds) {
          const slot = startOfMinute + seconds * second;
          if (slot >= to) return null;
          if (slot >= from) return slot;
        }
      }
    }
  }
  return null;
}

function localDate(midnight: number): LocalDate {
  const date = new Date(midnight);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + 1];
  return {
    month,
    date: date.getUTCDate(),
    weekday: date.getUTCDay(),
    length: new Date(localTime(year, month + 1, 0)).getUTCDate(),
  };
}
