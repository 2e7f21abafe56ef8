/** A process that migrates: the database, the schema and the folder are its arguments; it writes a line for each log line. */
import { migrateWith } from "../../src/migrate/migrate.ts";

const [connectionString, schema, folder] = process.argv.slice(2);
const { applied } = await migrateWith({ connectionString, schema, log: (line) => console.log(line) }, { folder });
console.log(`done ${JSON.stringify(applied)}`);
