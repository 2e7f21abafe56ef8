import { day, ZoneClock } from "./zone-clock.ts";

/** A question to all evaluators. */
export interface Question {
  readonly spec: string;
  readonly zone: string;
  /** In milliseconds. */
  readonly after: number;
}

/** A stream of numbers that the seed decides (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0, below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From low to high, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.between(0, items.length - 1)]!;
  }
}

const monthNames = ["jan", "Feb", "MAR", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const dayNames = ["sun", "Mon", "TUE", "wed", "thu", "fri", "sat"];
// Where the clocks do something odd: no whole hour, midnight, half an hour, a day left out, changes in Ramadan, none at all.
const oddZones = [
  ...[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/Santiago",
    "America/Asuncion",
  ],
  ...[
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Pacific/Kiritimati",
    "Asia/Kolkata",
    "Asia/Kathmandu",
  ],
  ...["Africa/Casablanca", "Asia/Gaza", "America/St_Johns", "Antarctica/Troll", "Antarctica/Casey", "America/Havana"],
  ...["Europe/Dublin", "Asia/Pyongyang", "America/Caracas", "Europe/Istanbul", "Pacific/Chatham", "Asia/Tehran"],
];
const allZones = Intl.supportedValuesOf("timeZone");

export function randomQuestion(random: Random): Question {
  const zone = random.chance(0.5) ? random.pick(oddZones) : random.pick(allZones);
  return { spec: randomSpec(random), zone, after: randomInstant(random, zone) };
}

/** Half of them from a day and a half before a clock change on, where the zone has one in the year that was drawn. */
function randomInstant(random: Random, zone: string): number {
  const [first, last] = random.chance(0.9) ? [1970, 2100] : [1880, 3000];
  const instant = Date.UTC(first, 0, 3) + random.next() * (Date.UTC(last, 0, 1) - Date.UTC(first, 0, 3));
  const changes = random.chance(0.5) ? ZoneClock.of(zone).changes(instant, instant + 366 * day) : [];
  const near = changes.length > 0 ? random.pick(changes).at + (random.next() - 0.8) * 2 * day : instant;
  const unit = random.pick([1, 1000, 60_000, 900_000]);
  return Math.floor(near / unit) * unit;
}

function randomSpec(random: Random): string {
  if (random.chance(0.02)) return random.pick(["@yearly", "@monthly", "@weekly", "@daily", "@hourly", "@Midnight"]);
  // Half of them run each day, so that many meet a clock change.
  const days = random.chance(0.5)
    ? ["*", "*", "*"]
    : [
        random.chance(0.1) ? random.pick(["L", "$", "?", "1,L", "29", "31", "*/28"]) : field(random, 1, 31, 0.5),
        random.chance(0.1) ? "2" : field(random, 1, 12, 0.6, monthNames),
        random.chance(0.2) ? oddWeekday(random) : field(random, 0, 7, 0.5, dayNames),
      ];
  const fields = [
    field(random, 0, 59, 0.35),
    random.chance(0.4) ? hourNearChange(random) : field(random, 0, 23, 0.3),
    ...days,
  ];
  if (random.chance(0.3)) fields.unshift(field(random, 0, 59, 0.2));
  return fields.join(random.chance(0.05) ? " \t " : " ");
}

function hourNearChange(random: Random): string {
  return random.pick(["0", "1", "2", "3", "0-3", "1,2", "2-4/2", "*/2", "23", "0,1,2,3", "1-2", "*"]);
}

function oddWeekday(random: Random): string {
  const name = random.chance(0.5) ? String(random.between(0, 7)) : random.pick(dayNames);
  return random.pick([
    `${name}L`,
    `${name}#${random.between(1, 5)}`,
    "sat-sun",
    "fri-SUN",
    "0-7/2",
    "5/2",
    "?",
    `1,${name}#1`,
  ]);
}

function field(random: Random, low: number, high: number, stars: number, names: readonly string[] = []): string {
  if (random.chance(stars)) return random.chance(0.7) ? "*" : `*/${random.between(1, high - low + 1)}`;
  const items = random.chance(0.7) ? 1 : random.between(2, 4);
  return Array.from({ length: items }, () => item(random, low, high, names)).join(",");
}

function item(random: Random, low: number, high: number, names: readonly string[]): string {
  const first = random.between(low, high);
  const last = random.between(first, high);
  const step = random.between(1, high - low + 1);
  // A name of Sunday begins a week here; as the end of a range it has cases of its own.
  const word = (n: number) => (random.chance(0.3) && names[n - low] && n > 0 ? names[n - low]! : String(n));
  return random.pick([
    word(first),
    word(first),
    `${word(first)}-${word(last)}`,
    `${first}-${last}/${step}`,
    `${first}/${step}`,
  ]);
}
