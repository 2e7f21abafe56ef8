import { checkVersion, MigrationError } from "../../migrate/index.ts";
import { VERSION } from "../../version.ts";
import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS, type Database, withDatabase } from "../database.ts";
import { note, print } from "../output.ts";
import { printable } from "../table.ts";

/** A row of the SQL function doctor(). */
interface Finding {
  readonly severity: "error" | "warning" | "info";
  readonly subject: string;
  readonly finding: string;
  readonly why: string;
  readonly remedy: string;
}

export default defineCommand({
  summary: "look for what is wrong, say why it matters and what to do",
  options: {
    json: { type: "boolean", help: "one JSON object a line" },
    "confirm-copy": { type: "boolean", help: "let workers run on this restored copy of a database" },
  },
  settings: DATABASE_SETTINGS,
  notes: `Exit code 1 where a finding is an error: jobs do not run, or soon will not.`,
  async run({ options, settings }) {
    const confirms = options["confirm-copy"];
    return withDatabase(settings, confirms ? "admin" : "view", async (database) => {
      if (confirms) await confirmCopy(database);
      const findings = [...(await versionFindings(database, settings.schema)), ...(await databaseFindings(database))];
      if (findings.length === 0) note("nothing is wrong");
      for (const [index, finding] of findings.entries()) {
        if (options.json) print(JSON.stringify(finding));
        else for (const line of lines(finding, index > 0)) print(line);
      }
      return findings.some(({ severity }) => severity === "error") ? 1 : 0;
    });
  },
});

async function confirmCopy({ client, schema }: Database): Promise<void> {
  const { rows } = await client.query(`select ${schema}.confirm_copy() as was_copy`);
  note(rows[0].was_copy ? "workers may run on this copy from now on" : "this database is no copy");
}

async function databaseFindings({ client, schema }: Database): Promise<Finding[]> {
  const { rows } = await client.query<Finding>(`select * from ${schema}.doctor()`);
  return rows;
}

/** What only this side can know: how the schema compares with this package. */
async function versionFindings({ client }: Database, schema = "rouse"): Promise<Finding[]> {
  const subject = `schema "${schema}"`;
  try {
    const { version, pending } = await checkVersion(client, schema);
    if (pending === 0) return [];
    return [
      {
        severity: "warning",
        subject,
        finding: `it is at ${version} and lacks ${pending} of the migrations of this Rouse (${VERSION})`,
        why: "Workers of this version run without them; what the migrations bring is not there.",
        remedy: "Run rouse migrate.",
      },
    ];
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    const why = `No worker of this Rouse (${VERSION}) starts on it.`;
    return [{ severity: "error", subject, finding: error.message, why, remedy: "Do what the message says." }];
  }
}

function lines({ severity, subject, finding, why, remedy }: Finding, apart: boolean): string[] {
  return [
    ...(apart ? [""] : []),
    `${severity}: ${printable(subject)}: ${printable(finding)}`,
    `  ${why}`,
    `  ${printable(remedy)}`,
  ];
}
