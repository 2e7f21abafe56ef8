/** The process of one run: forked with the scenario, the variant, the address and the scale; sends what it measured. */
import pg from "pg";
import type { Measures, Scenario } from "./scenario.ts";

const [name, variantName, url, scale] = process.argv.slice(2) as [string, string, string, string];
const { scenario } = (await import(`../scenarios/${name}.ts`)) as { scenario: Scenario };
const sql = new pg.Client({ connectionString: url });
await sql.connect();
const measures: Measures = await scenario.variants[variantName]!.measure({
  url,
  sql,
  size: (full, least = 1) => Math.max(least, Math.round(full * Number(scale))),
});
await sql.end();
process.send!(measures, () => process.exit(0));
