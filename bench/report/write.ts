import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Outcome } from "../harness/play.ts";
import type { Scenario } from "../harness/scenario.ts";
import { chart } from "./chart.ts";
import { figures } from "./figures.ts";
import { highlights } from "./highlights.ts";
import { panels } from "./panels.ts";

const root = join(import.meta.dirname, "../..");

/** Renews the pages that show figures. What was never measured changes nothing. */
export async function writeReport(
  scenarios: Readonly<Record<string, Scenario>>,
  outcomes: readonly Outcome[],
): Promise<void> {
  if (outcomes.length === 0) return;
  await replace("docs/performance.md", figures(scenarios, outcomes));
  const drawn = panels(outcomes);
  if (drawn.length > 0) await writeFile(join(root, "docs/performance.svg"), chart(drawn, outcomes));
  const lines = highlights(outcomes);
  if (lines !== undefined) await replace("README.md", lines);
}

/** Puts text between the two markers of a page. */
async function replace(page: string, text: string): Promise<void> {
  const path = join(root, page);
  const old = await readFile(path, "utf8");
  const [before, after] = ["<!-- figures of npm run bench -->\n", "<!-- end of figures -->\n"];
  const from = old.indexOf(before) + before.length;
  const to = old.indexOf(after);
  if (from < before.length || to < from) throw new Error(`${page} lacks ${before.trim()} or ${after.trim()}`);
  await writeFile(path, `${old.slice(0, from)}${text}\n${old.slice(to)}`);
}
