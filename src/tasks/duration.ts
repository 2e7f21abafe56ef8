import { ConfigError } from "../errors.ts";

/** Milliseconds as a number, or a string such as `"90s"`, `"1h30m"` or `"2 days"`. */
export type Duration = number | string;

/** Units as PostgreSQL's interval reads them, in milliseconds. Months and years have no fixed length. */
const UNITS: Record<string, number> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

const NAMES: Record<string, string> = {
  msec: "ms",
  millisecond: "ms",
  sec: "s",
  second: "s",
  min: "m",
  minute: "m",
  hr: "h",
  hour: "h",
  day: "d",
  week: "w",
};

/** Some 285 years: beyond any job, and safely within what PostgreSQL and JavaScript both count exactly. */
const LONGEST = 9e12;

/**
 * A duration in milliseconds.
 *
 * @param what Names the duration in the error.
 * @throws ConfigError for what is not a duration, is negative or has no end.
 */
export function toMilliseconds(duration: Duration, what = "duration"): number {
  const milliseconds = typeof duration === "number" ? duration : parse(duration);
  if (milliseconds === undefined || !(milliseconds >= 0 && milliseconds <= LONGEST)) {
    throw new ConfigError(
      `${what} ${typeof duration === "string" ? JSON.stringify(duration) : String(duration)} is not a duration: give milliseconds, or a string such as "90s", "1h30m" or "2 days"`,
    );
  }
  return milliseconds;
}

function parse(text: unknown): number | undefined {
  if (typeof text !== "string") return undefined;
  const parts = [...text.matchAll(/\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*,?/gi)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) return undefined;
  let total = 0;
  for (const [, amount, name] of parts) {
    const unit = unitOf(name!.toLowerCase());
    if (unit === undefined) return undefined;
    total += Number(amount) * unit;
  }
  return total;
}

function unitOf(name: string): number | undefined {
  const singular = name.length > 2 ? name.replace(/s$/, "") : name;
  return UNITS[name] ?? UNITS[NAMES[singular] ?? ""];
}

/** A duration as text that PostgreSQL reads as interval, whatever the session's settings. */
export function toInterval(duration: Duration, what?: string): string {
  return `${toMilliseconds(duration, what)} milliseconds`;
}
