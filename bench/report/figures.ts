import type { Outcome } from "../harness/play.ts";
import type { Scenario } from "../harness/scenario.ts";
import { extent, limit, markdown, measured, range, show, table, verdict } from "./table.ts";

/** The figures of docs/performance.md: every goal, with what was measured of it, and then all that was measured. */
export function figures(scenarios: Readonly<Record<string, Scenario>>, outcomes: readonly Outcome[]): string {
  const rows = [["scenario", "figure", "to reach", "beyond", "measured", "least – most", "reached?"]];
  for (const [name, { targets, onlyNamed }] of Object.entries(scenarios)) {
    const outcome = outcomes.find(({ scenario }) => scenario === name);
    if (outcome === undefined && onlyNamed) continue;
    for (const target of outcome?.targets ?? targets) {
      const figure =
        outcome !== undefined && "median" in target
          ? [`${measured(target)}${sides(outcome, target)}`, range(target), verdict(target)]
          : ["not measured yet", "", ""];
      rows.push([`\`${name}\``, target.what, limit(target), limit(target, "beyond"), ...figure]);
    }
  }
  const days = outcomes.map(({ measured }) => measured.slice(0, 10)).sort();
  const when = days[0] === days.at(-1) ? days[0] : `${days[0]} to ${days.at(-1)}`;
  const machines = [...new Set(outcomes.map(({ machine }) => machine))].join("; ");
  const small = outcomes
    .filter(({ scale }) => scale !== 1)
    .map((outcome) => `\`${outcome.scenario}\`: ${extent(outcome)}`);
  return [
    `Measured ${when} on ${machines}. Medians of the rounds; ratios are taken within a round.`,
    ...(small.length > 0 ? [`Not at full size: ${small.join("; ")}.`] : []),
    "",
    markdown(rows),
    "",
    "<details>",
    "<summary>All that was measured</summary>",
    "",
    table(outcomes),
    "",
    "</details>",
  ].join("\n");
}

/** The medians of the two sides of a ratio. */
function sides({ figures, units }: Outcome, { sides }: Outcome["targets"][number]): string {
  if (sides === undefined) return "";
  const { measure, of, to } = sides;
  const [above, below] = [of, to].map((variant) => show(figures[variant]![measure]!.median));
  return ` (${above} / ${below} ${units[measure]})`;
}
