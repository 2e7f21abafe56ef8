export const day = 86_400_000;

/** An instant at which the clocks of a zone change; offsets in milliseconds ahead of UTC. */
export interface Change {
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/** What the clocks of a zone show, as the JavaScript engine knows it: a source of its own beside PostgreSQL's. */
export class ZoneClock {
  readonly zone: string;
  readonly #format: Intl.DateTimeFormat;
  readonly #atMidnight = new Map<number, number>();
  static readonly #clocks = new Map<string, ZoneClock>();

  static of(zone: string): ZoneClock {
    let clock = ZoneClock.#clocks.get(zone);
    if (!clock) {
      clock = new ZoneClock(zone);
      ZoneClock.#clocks.set(zone, clock);
    }
    return clock;
  }

  private constructor(zone: string) {
    this.zone = zone;
    this.#format = new Intl.DateTimeFormat("en-US-u-hc-h23", {
      timeZone: zone,
      ...{ year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" },
    });
  }

  /** How far the local time is ahead of UTC at an instant. */
  offset(instant: number): number {
    const shown = this.#format.format(instant);
    const match = /^(\d+)\/(\d+)\/(\d+), (\d+):(\d+):(\d+)$/.exec(shown);
    if (!match) throw new Error(`${this.zone}: ${shown} is not a date`);
    const [month, date, year, hour, minute, second] = match.slice(1).map(Number) as number[];
    return localTime(year!, month!, date!, hour!, minute!, second!) - Math.floor(instant / 1000) * 1000;
  }

  /** The changes after `from` and up to `to`, found by comparing the offsets at each midnight of UTC. */
  changes(from: number, to: number): Change[] {
    const found: Change[] = [];
    for (let midnight = Math.floor(from / day) * day; midnight < to; midnight += day) {
      const before = this.#offsetAtMidnight(midnight);
      const after = this.#offsetAtMidnight(midnight + day);
      if (before === after) continue;
      let [low, high] = [midnight, midnight + day];
      while (high - low > 1000) {
        const middle = low + Math.floor((high - low) / 2000) * 1000;
        if (this.offset(middle) === before) low = middle;
        else high = middle;
      }
      if (high > from && high <= to) found.push({ at: high, before, after });
    }
    return found;
  }

  #offsetAtMidnight(midnight: number): number {
    let offset = this.#atMidnight.get(midnight);
    if (offset === undefined) {
      offset = this.offset(midnight);
      this.#atMidnight.set(midnight, offset);
    }
    return offset;
  }
}

/** A local time as milliseconds, counted as if it were UTC. `Date.UTC` takes the years 0 to 99 for 1900 to 1999. */
export function localTime(year: number, month: number, date: number, hour = 0, minute = 0, second = 0): number {
  return new Date(0).setUTCFullYear(year, month - 1, date) + ((hour * 60 + minute) * 60 + second) * 1000;
}
