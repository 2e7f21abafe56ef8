import type { Figure, Outcome } from "../harness/play.ts";
import type { Limits } from "../harness/scenario.ts";

/** What was measured and what was to be reached, as one table for a terminal and, unchanged, for a Markdown page. */
export function table(outcomes: readonly Outcome[]): string {
  const rows = [["scenario", "figure", "median", "least – most", "to reach", "beyond", "reached?"]];
  for (const outcome of outcomes) {
    const { scenario, figures, targets, units } = outcome;
    let name = `**${scenario}**`;
    for (const [variant, measures] of Object.entries(figures)) {
      for (const [measure, values] of Object.entries(measures)) {
        const unit = units[measure] ?? "";
        rows.push([name, `${variant}: ${measure}`, `${show(values.median)} ${unit}`, range(values), "", "", ""]);
        name = "";
      }
    }
    for (const target of targets) {
      rows.push([
        "",
        target.what,
        measured(target),
        range(target),
        limit(target),
        limit(target, "beyond"),
        verdict(target),
      ]);
    }
    rows.push(["", `*${extent(outcome)}*`, "", "", "", "", ""]);
  }
  return markdown(rows);
}

/** How much of a scenario was played. */
export function extent({ scale, rounds, seconds }: Outcome): string {
  const size = scale === 1 ? "" : `, at scale ${scale}`;
  return `${rounds} ${rounds === 1 ? "round" : "rounds"}${size}, ${seconds} s`;
}

export function markdown([head, ...rows]: readonly (readonly string[])[]): string {
  const widths = head!.map((_, column) => Math.max(3, ...[head!, ...rows].map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(head!), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

type Reached = Outcome["targets"][number];

export function verdict({ median, reach, beyond, atMost }: Reached): "beyond" | "reached" | "missed" {
  const met = (limit: number) => (atMost ? median <= limit : median >= limit);
  if (beyond !== undefined && met(beyond)) return "beyond";
  return met(reach) ? "reached" : "missed";
}

export function measured({ median, unit = "×" }: Pick<Reached, "median" | "unit">): string {
  return `${show(median)} ${unit}`;
}

export function limit(limits: Limits, which: "reach" | "beyond" = "reach"): string {
  const value = limits[which];
  return value === undefined ? "" : `${limits.atMost ? "≤" : "≥"} ${value}`;
}

export function range({ least, most }: Figure): string {
  return `${show(least)} – ${show(most)}`;
}

/** Three significant digits, thousands in groups. */
export function show(value: number): string {
  const digits = value === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
