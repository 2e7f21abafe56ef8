import type pg from "pg";
import { print } from "./output.ts";
import { type Cell, formatTable } from "./table.ts";

/** Every value as the text that the server wrote. */
export const AS_TEXT: pg.CustomTypesConfig = {
  getTypeParser: () => (text: string | Buffer) => text,
};

/** The rows of a query as text. */
export async function rawRows(
  client: pg.Client,
  text: string,
  values: unknown[] = [],
): Promise<{ names: string[]; rows: Cell[][] }> {
  const { fields, rows } = await client.query<Cell[]>({ text, values, rowMode: "array", types: AS_TEXT });
  return { names: fields.map(({ name }) => name), rows };
}

/** Prints the rows of a query as a table, cut at the width of the terminal; false where there are none. */
export async function printRows(client: pg.Client, text: string, values: unknown[] = []): Promise<boolean> {
  const { names, rows } = await rawRows(client, text, values);
  if (rows.length > 0) for (const line of formatTable(names, rows, { width: process.stdout.columns })) print(line);
  return rows.length > 0;
}
