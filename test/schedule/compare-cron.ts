/**
 * npm run test:cron: asks the database, the evaluator of the tests and cron-parser 100,000 random questions about cron specs
 * and prints how many answers agree. Options: the number of questions and a seed, which decides them (npm run test:cron -- 5000 7).
 * Uses DATABASE_URL where it is set, an embedded server otherwise.
 */
import { withClient, withDatabase, withServer } from "../../scripts/sql-server.ts";
import { migrate } from "../../src/migrate/index.ts";
import { compareEvaluators, summary } from "./support/differential.ts";

const [questions = 100_000, seed = Date.now() % 1_000_000] = process.argv.slice(2).map(Number);

const outcome = await withServer((server) =>
  withDatabase(server, "cron", async (url) => {
    await migrate({ connectionString: url });
    return withClient(url, (client) =>
      compareEvaluators(async (text, values) => (await client.query(text, values)).rows, questions, seed),
    );
  }),
);

const disagreements = [...outcome.disagreements, ...outcome.cronParserDisagreements];
for (const disagreement of disagreements.slice(0, 50)) console.log(disagreement);
console.log(`${questions} questions, seed ${seed}: ${summary(outcome)}`);
process.exitCode = disagreements.length > 0 ? 1 : 0;
