/** A local date as a spec's day fields see it. */
export interface LocalDate {
  readonly month: number;
  readonly date: number;
  readonly weekday: number;
  /** The number of days of its month. */
  readonly length: number;
}

/** A cron spec in plain sets and predicates. */
export interface CronSpec {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly matches: (date: LocalDate) => boolean;
  /** Second, minute or hour starts with a star. */
  readonly elapsed: boolean;
}

const macros: Record<string, string> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};
const monthNames = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** Reads a well-formed spec; it is no test of malformed ones. */
export function readCron(spec: string): CronSpec {
  const text = spec.trim().toLowerCase();
  const fields = (macros[text] ?? text).split(/\s+/);
  if (fields.length === 5) fields.unshift("0");
  const [second, minute, hour, date, month, weekday] = fields as [string, string, string, string, string, string];
  const dateMatches = anyOf(date, dateItem);
  const weekdayMatches = anyOf(weekday, weekdayItem);
  const months = numbers(month, 1, 12, monthNames);
  const isStar = (field: string) => field.startsWith("*") || field === "?";
  return {
    seconds: numbers(second, 0, 59),
    minutes: numbers(minute, 0, 59),
    hours: numbers(hour, 0, 23),
    matches: (day) =>
      months.includes(day.month) &&
      (isStar(date) || isStar(weekday)
        ? dateMatches(day) && weekdayMatches(day)
        : dateMatches(day) || weekdayMatches(day)),
    elapsed: [second, minute, hour].some((field) => field.startsWith("*")),
  };
}

type DayTest = (day: LocalDate) => boolean;

function anyOf(field: string, read: (item: string) => DayTest): DayTest {
  if (field === "?") return () => true;
  const tests = field.split(",").map(read);
  return (day) => tests.some((test) => test(day));
}

function dateItem(item: string): DayTest {
  if (item === "l" || item === "$") return ({ date, length }) => date === length;
  const dates = numbers(item, 1, 31);
  return ({ date }) => dates.includes(date);
}

function weekdayItem(item: string): DayTest {
  const number = (name: string) => (dayNames.includes(name) ? dayNames.indexOf(name) : Number(name) % 7);
  if (item.endsWith("l")) {
    const last = number(item.slice(0, -1));
    return ({ weekday, date, length }) => weekday === last && date + 7 > length;
  }
  if (item.includes("#")) {
    const [name, nth] = item.split("#") as [string, string];
    return ({ weekday, date }) => weekday === number(name) && Math.ceil(date / 7) === Number(nth);
  }
  // Sunday ends a range as day 7.
  const days = numbers(item.replace(/^sun-sun/, "7").replace(/-sun/, "-7"), 0, 7, dayNames);
  return ({ weekday }) => days.includes(weekday) || (weekday === 0 && days.includes(7));
}

/** The numbers of a field, in order, each tried by itself. */
function numbers(field: string, low: number, high: number, names: readonly string[] = []): number[] {
  const value = (word: string) => (names.includes(word) ? names.indexOf(word) : Number(word));
  const ranges = field.split(",").map((item) => {
    const [range, step] = item.split("/") as [string, string | undefined];
    const [first, last] = range.split("-") as [string, string | undefined];
    if (range === "*") return { first: low, last: high, step: Number(step ?? 1) };
    const end = last === undefined ? (step === undefined ? value(first) : high) : value(last);
    return { first: value(first), last: end, step: Number(step ?? 1) };
  });
  const all = Array.from({ length: high - low + 1 }, (_, index) => low + index);
  return all.filter((n) => ranges.some(({ first, last, step }) => n >= first && n <= last && (n - first) % step === 0));
}
