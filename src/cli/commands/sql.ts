import { text } from "node:stream/consumers";
import pg from "pg";
import { defineCommand } from "../command.ts";
import { connect, connectionString } from "../database.ts";
import { print } from "../output.ts";
import { AS_TEXT } from "../rows.ts";
import { describeSqlError, SqlError } from "../sql-error.ts";
import { type Cell, formatTable } from "../table.ts";
import { UsageError } from "../usage-error.ts";

export default defineCommand({
  summary: "run SQL and print tables, where there is no psql",
  usage: "[statements]",
  positionals: [0, 1],
  options: {
    json: { type: "boolean", help: "each row as one JSON object a line, instead of a table" },
  },
  settings: ["databaseUrl"],
  notes: `Several statements are one transaction unless they say otherwise. Without an argument, or with -, they are read from
standard input.

  rouse sql "select * from rouse.queues"
  rouse sql < report.sql`,
  async run({ positionals, options, settings }) {
    const sql = await statements(positionals[0]);
    const client = await connect(await connectionString(settings));
    try {
      for (const [index, result] of (await query(client, sql, options.json)).entries()) {
        if (index > 0 && !options.json) print("");
        show(result, options.json);
      }
      return 0;
    } finally {
      await client.end().catch(() => {});
    }
  },
});

async function statements(argument: string | undefined): Promise<string> {
  if (argument !== undefined && argument !== "-") return argument;
  if (argument === undefined && process.stdin.isTTY) {
    throw new UsageError('an argument is missing: rouse sql "select * from rouse.jobs"');
  }
  return text(process.stdin);
}

type Result = pg.QueryArrayResult<Cell[]> | pg.QueryResult<Record<string, unknown>>;

async function query(client: pg.Client, sql: string, json: boolean): Promise<Result[]> {
  try {
    // Text without values goes by the simple protocol, which takes several statements and gives as many results.
    const results = json
      ? await client.query({ text: sql, types: AS_JSON })
      : await client.query<Cell[]>({ text: sql, rowMode: "array", types: AS_TEXT });
    return [results].flat() as Result[];
  } catch (error) {
    if (error instanceof pg.DatabaseError) throw new SqlError(describeSqlError(error, sql), { cause: error });
    throw error;
  }
}

function show(result: Result, json: boolean): void {
  const { command, fields, rows, rowCount } = result;
  if (json) {
    for (const row of rows) print(JSON.stringify(row));
  } else if (fields.length > 0) {
    for (const line of formatTable(
      fields.map(({ name }) => name),
      rows as Cell[][],
    )) {
      print(line);
    }
    print(`(${rows.length} ${rows.length === 1 ? "row" : "rows"})`);
  } else if (command) {
    print(rowCount === null ? command : `${command} ${rowCount}`);
  }
}

const INT8 = 20;

/** As pg reads values, but ids as numbers where JavaScript can hold them. */
const AS_JSON: pg.CustomTypesConfig = {
  getTypeParser: (oid: number) =>
    oid === INT8
      ? (digits: string) => (Number.isSafeInteger(Number(digits)) ? Number(digits) : digits)
      : pg.types.getTypeParser(oid, "text"),
};
