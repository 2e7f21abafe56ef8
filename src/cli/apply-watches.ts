import { quoteIdentifier } from "../client/identifier.ts";
import { sourceOf } from "../client/source.ts";
import type { Settings } from "../config/settings.ts";
import { checkWatches, declareWatches } from "../watches/declare.ts";
import { connect } from "./database.ts";
import { print } from "./output.ts";
import { packageName } from "./package-name.ts";
import { loadTasks } from "./tasks/load-tasks.ts";

/** Makes the watches of the code, and removes those that it no longer has. */
export async function applyWatches(
  address: string | undefined,
  schema: string,
  settings: Pick<Settings, "tasks" | "app">,
): Promise<void> {
  const { watches } = await loadTasks(settings.tasks, process.cwd());
  const source = sourceOf(settings.app ?? (await packageName(process.cwd())));
  const client = await connect(address);
  try {
    await declareWatches(client, quoteIdentifier(schema), source, checkWatches(watches), (change, watch) =>
      print(`watch ${watch}: ${change}`),
    );
  } finally {
    await client.end();
  }
}
