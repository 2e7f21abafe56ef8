import type pg from "pg";
import type { Cell } from "./table.ts";

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
