import type pg from "pg";
import { RouseError } from "../errors.ts";
import { displayWidth } from "./table.ts";

/** The server refused a statement that a person wrote. */
export class SqlError extends RouseError {
  override name = "SqlError";
}

/** An error as psql shows it: the message, the line with a mark under the place, detail and hint. */
export function describeSqlError(error: pg.DatabaseError, sql: string): string {
  const { message, code, position, detail, hint, where } = error;
  return [
    `${message} (${code})`,
    ...(position === undefined ? [] : place(sql, Number(position))),
    ...(detail === undefined ? [] : [`detail: ${detail}`]),
    ...(hint === undefined ? [] : [`hint: ${hint}`]),
    ...(where === undefined ? [] : [`where: ${where}`]),
  ].join("\n  ");
}

/** The server counts characters from 1; JavaScript counts some of them twice. */
function place(sql: string, position: number): string[] {
  const before = [...sql].slice(0, position - 1).join("");
  const number = before.split("\n").length;
  const column = displayWidth(before.slice(before.lastIndexOf("\n") + 1));
  const line = sql.split("\n")[number - 1]!.replaceAll("\t", " ");
  const label = `line ${number}: `;
  return [label + line, `${" ".repeat(label.length + column)}^`];
}
