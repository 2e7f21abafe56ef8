import { UsageError } from "./usage-error.ts";

/** `2026-12-24 18:00`, with seconds and a zone if wanted. Date.parse alone takes `foo 1` for a date. */
const INSTANT = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?) ?(Z|[+-]\d{2}(?::?\d{2})?)?$/i;

/** An instant given as text; without a zone it is local time, as a person at a shell means it. */
export function instant(text: string, what: string): Date {
  const [, date, time, zone = ""] = INSTANT.exec(text.trim()) ?? [];
  const offset = zone.length === 3 ? `${zone}:00` : zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone;
  const value = new Date(`${date}T${time}${offset.toUpperCase()}`);
  // JavaScript moves 30 February on into March.
  if (Number.isNaN(value.getTime()) || new Date(`${date}T00:00Z`).toISOString().slice(0, 10) !== date) {
    throw new UsageError(
      `${what} is ${JSON.stringify(text)}, not an instant such as 2026-12-24T18:00Z, "2026-12-24 18:00 +01:00", or "2026-12-24 18:00" in local time`,
    );
  }
  return value;
}
