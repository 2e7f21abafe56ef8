import type { Figure, Outcome } from "./play.ts";
import type { Scenario } from "./scenario.ts";

/** What was measured and what was to be reached, as one table for a terminal and, unchanged, for a Markdown page. */
export function table(outcomes: readonly Outcome[], scenarios: Readonly<Record<string, Scenario>>): string {
  const rows = [["scenario", "what", "median", "least – most", "to reach", "beyond", ""]];
  for (const { scenario, title, figures, targets, rounds, scale } of outcomes) {
    const size = scale === 1 ? "" : `, at scale ${scale}`;
    rows.push([`**${scenario}**`, `${title} (${rounds} rounds${size})`, "", "", "", "", ""]);
    for (const [variant, measures] of Object.entries(figures)) {
      for (const [measure, values] of Object.entries(measures)) {
        const unit = scenarios[scenario]?.units[measure] ?? measure;
        rows.push(["", `${variant}: ${measure}`, `${show(values.median)} ${unit}`, range(values), "", "", ""]);
      }
    }
    for (const target of targets) {
      const sign = target.atMost ? "≤" : "≥";
      const limit = (value: number | undefined) => (value === undefined ? "" : `${sign} ${value}`);
      rows.push([
        "",
        target.what,
        show(target.median),
        range(target),
        limit(target.reach),
        limit(target.beyond),
        verdict(target),
      ]);
    }
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(rows[0]!), line(widths.map((width) => "-".repeat(width))), ...rows.slice(1).map(line)].join("\n");
}

export function verdict({ median, reach, beyond, atMost }: Outcome["targets"][number]): string {
  const met = (limit: number) => (atMost ? median <= limit : median >= limit);
  if (beyond !== undefined && met(beyond)) return "beyond";
  return met(reach) ? "reached" : "missed";
}

function range({ least, most }: Figure): string {
  return `${show(least)} – ${show(most)}`;
}

/** Three significant digits, thousands in groups. */
export function show(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
