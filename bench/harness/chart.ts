import type { Outcome } from "./play.ts";
import type { Scenario } from "./scenario.ts";
import { show } from "./table.ts";

const WIDTH = 720;
const LABEL = 230;
const VALUE = 110;
const BAR = 18;
const STEP = 26;
const TITLE = 44;

/**
 * Bars of the scenarios that name a measure for the chart, one group each with a scale of its own, as an SVG that reads on
 * a light and on a dark page.
 */
export function chart(outcomes: readonly Outcome[], scenarios: Readonly<Record<string, Scenario>>): string {
  let y = 0;
  const groups = outcomes.flatMap(({ scenario, title, figures }) => {
    const measure = scenarios[scenario]?.chart;
    if (measure === undefined) return [];
    const unit = scenarios[scenario]!.units[measure] ?? "";
    const bars = Object.entries(figures).map(([variant, measures]) => ({ variant, value: measures[measure]!.median }));
    const longest = Math.max(...bars.map(({ value }) => value));
    const top = y;
    y += TITLE + bars.length * STEP;
    const lines = bars.map(({ variant, value }, n) => {
      const width = Math.max(1, (value / longest) * (WIDTH - LABEL - VALUE));
      const at = top + TITLE + n * STEP;
      const text = at + BAR - 5;
      return [
        `<text class="label" x="${LABEL - 10}" y="${text}" text-anchor="end">${escapeText(variant)}</text>`,
        `<rect class="${variant.startsWith("rouse") ? "own" : "peer"}" x="${LABEL}" y="${at}" width="${width.toFixed(1)}" height="${BAR}" rx="2"/>`,
        `<text class="value" x="${(LABEL + width + 8).toFixed(1)}" y="${text}">${show(value)} ${escapeText(unit)}</text>`,
      ].join("\n");
    });
    return [`<text class="title" x="0" y="${top + 28}">${escapeText(title)}</text>`, ...lines];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 10}" width="${WIDTH}" height="${y + 10}" role="img">
<title>Rouse beside its peers</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #57606a; }
.title { font-weight: 600; fill: #24292f; }
.own { fill: #cf5a2a; }
.peer { fill: #8c959f; }
@media (prefers-color-scheme: dark) { text { fill: #9198a1; } .title { fill: #f0f6fc; } .peer { fill: #656c76; } }
</style>
${groups.join("\n")}
</svg>
`;
}

function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
