import type { Outcome } from "../harness/play.ts";
import type { Panel } from "./panels.ts";
import { show, verdict } from "./table.ts";

const WIDTH = 760;
const LABEL = 190;
const VALUE = 150;
const BAR = 16;
const STEP = 24;
const TITLE = 34;
const GOAL = 18;
const GAP = 26;

/** The panels, one below the other and each with a scale of its own, as an SVG that reads on a light and on a dark page. */
export function chart(panels: readonly Panel[], outcomes: readonly Outcome[]): string {
  let y = 0;
  const drawn = panels.map((panel) => {
    const svg = draw(panel, y);
    y += TITLE + panel.bars.length * STEP + panel.goals.length * GOAL + GAP;
    return svg;
  });
  const targets = outcomes.flatMap(({ targets }) => targets);
  const reached = targets.filter((target) => verdict(target) !== "missed").length;
  const foot = `${outcomes[0]!.machine} · server, workers and writers together · ${reached} of ${targets.length} goals reached`;
  const height = y + 16;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title">
<title id="title">Rouse beside graphile-worker and pg-boss</title>
<style>
text { font-family: system-ui, -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; font-size: 13px; fill: #424a53; }
.title { font-size: 14px; font-weight: 600; fill: #1f2328; }
.own { fill: #d1562b; }
.other { fill: #afb8c1; }
.strong { font-weight: 600; fill: #1f2328; }
.note { font-size: 12px; fill: #6e7781; }
.missed { fill: #cf222e; }
@media (prefers-color-scheme: dark) {
  text { fill: #b1bac4; }
  .title, .strong { fill: #f0f6fc; }
  .own { fill: #f0773f; }
  .other { fill: #57606a; }
  .note { fill: #8b949e; }
  .missed { fill: #ff7b72; }
}
</style>
${drawn.join("\n")}
<text class="note" x="0" y="${height - 6}">${escapeText(foot)}</text>
</svg>
`;
}

function draw({ title, unit, bars, goals }: Panel, top: number): string {
  const longest = Math.max(...bars.map(({ value }) => value));
  const lines = bars.map(({ label, value, text, own }, n) => {
    const width = Math.max(1.5, (value / longest) * (WIDTH - LABEL - VALUE));
    const at = top + TITLE + n * STEP;
    const line = at + BAR - 3.5;
    const weight = own ? "strong" : "";
    return [
      `<text class="${weight}" x="${LABEL - 12}" y="${line}" text-anchor="end">${escapeText(label)}</text>`,
      `<rect class="${own ? "own" : "other"}" x="${LABEL}" y="${at}" width="${width.toFixed(1)}" height="${BAR}" rx="3"/>`,
      `<text class="${weight}" x="${(LABEL + width + 8).toFixed(1)}" y="${line}">${escapeText(text ?? `${show(value)} ${unit}`)}</text>`,
    ].join("\n");
  });
  const below = top + TITLE + bars.length * STEP + 12;
  const said = goals.map(
    ({ text, missed }, n) =>
      `<text class="note${missed ? " missed" : ""}" x="${LABEL}" y="${below + n * GOAL}">${missed ? "✗" : "✓"} ${escapeText(text)}</text>`,
  );
  return [`<text class="title" x="0" y="${top + 18}">${escapeText(title)}</text>`, ...lines, ...said].join("\n");
}

function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
