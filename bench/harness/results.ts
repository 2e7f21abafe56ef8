import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Outcome } from "./play.ts";

const folder = join(import.meta.dirname, "../results");

/** Keeps what was measured in place of what was kept of that scenario before. */
export async function keep(outcome: Outcome): Promise<void> {
  const file = join(folder, `${outcome.scenario}.json`);
  await mkdir(folder, { recursive: true });
  await writeFile(`${file}.new`, `${JSON.stringify(outcome, undefined, 2)}\n`);
  await rename(`${file}.new`, file);
}

/** The kept results of those scenarios, in that order. */
export async function keptOutcomes(scenarios: readonly string[]): Promise<Outcome[]> {
  const texts = await Promise.all(
    scenarios.map((name) => readFile(join(folder, `${name}.json`), "utf8").catch(() => undefined)),
  );
  return texts.filter((text) => text !== undefined).map((text) => JSON.parse(text) as Outcome);
}
