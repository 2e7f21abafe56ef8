/**
 * npm run sql:check: shows that sql/committed is what the sources say, and that both keep the rules of the house.
 * Uses DATABASE_URL where it is set (a superuser, for plpgsql_check), an embedded server otherwise.
 */
import { migrate } from "../src/migrate/index.ts";
import { type Catalog, checkComments, compareCatalogs, readCatalog } from "./sql-catalog.ts";
import { buildFromFixtures, orderedFixtures } from "./sql-fixtures.ts";
import { commitCurrent, installEmpty } from "./sql-graphile.ts";
import { checkFunctions } from "./sql-plpgsql.ts";
import { checkCommitted, checkPlaceholders, compareCommitted, type Finding } from "./sql-rules.ts";
import { withClient, withDatabase, withServer } from "./sql-server.ts";
import { committedFiles, currentSource, root, type SqlFile, unreleasedFile } from "./sql-source.ts";

const schema = "rouse";
let failed = false;

function report(title: string, findings: readonly Finding[]): void {
  failed ||= findings.length > 0;
  console.log(`${findings.length === 0 ? "ok  " : "FAIL"} ${title}`);
  for (const { where, what, remedy } of findings) console.log(`     ${where}\n       ${what}\n       -> ${remedy}`);
}

async function check(serverUrl: string): Promise<void> {
  const { order, findings } = await orderedFixtures(root);
  report("every source is part of a migration", findings);
  report("any schema name works", order.flatMap(checkPlaceholders));
  report("committed migrations drop no data", (await committedFiles(root)).flatMap(checkCommitted));

  // First, because its errors name the source and the line.
  const fromSources = await withDatabase(serverUrl, "fixtures", (url) => inspectSources(url, order));
  if (!fromSources) return;
  report("every object has a comment", checkComments(fromSources));

  const made = (await currentSource(root)) ? await commitCurrent(serverUrl, root) : undefined;
  const stale = compareCommitted(await unreleasedFile(root), made);
  report("committing again gives the same file and hash", stale);
  if (stale.length > 0) return;
  const fromCommitted = await withDatabase(serverUrl, "committed", async (url) => {
    await migrate({ connectionString: url, schema });
    return withClient(url, (client) => readCatalog(client, schema));
  });
  report("sources and committed migrations make the same schema", compareCatalogs(fromSources, fromCommitted));
}

/** Builds the schema from the sources, has its functions checked and gives its catalog; undefined where it cannot be built. */
async function inspectSources(url: string, order: readonly SqlFile[]): Promise<Catalog | undefined> {
  await installEmpty(url, schema);
  return withClient(url, async (client) => {
    const broken = await buildFromFixtures(client, schema, order);
    report("the sources make a schema", broken);
    if (broken.length > 0) return undefined;
    const catalog = await readCatalog(client, schema);
    const functions = await checkFunctions(client, schema, order);
    if (functions) {
      report(`plpgsql_check finds nothing in ${functions.checked} functions`, functions.findings);
      for (const name of functions.unused) console.log(`     not checked, since no table has it as a trigger: ${name}`);
    } else {
      console.log("skip plpgsql_check: this server does not have it (Debian: postgresql-15-plpgsql-check)");
    }
    return catalog;
  });
}

try {
  await withServer(check);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  failed = true;
}
process.exitCode = failed ? 1 : 0;
