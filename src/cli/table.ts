/** A cell: its text, or null for a missing value. */
export type Cell = string | null;

export interface TableOptions {
  /** Longer lines are cut off here; default never. */
  readonly width?: number | undefined;
}

/** Lines of a table like psql's: a line of names, a rule, a line for each row; numbers to the right. */
export function formatTable(
  names: readonly string[],
  rows: ReadonlyArray<readonly Cell[]>,
  options: TableOptions = {},
): string[] {
  const heads = names.map(printable);
  const cells = rows.map((row) => row.map((cell) => (cell === null ? "" : printable(cell))));
  const widths = heads.map((head, index) =>
    Math.max(displayWidth(head), ...cells.map((row) => displayWidth(row[index] ?? ""))),
  );
  const numeric = heads.map((_, index) => rows.length > 0 && rows.every((row) => isNumber(row[index] ?? null)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => ` ${pad(cell, widths[index]!, numeric[index]!)} `)
      .join("|")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width + 2)).join("+");
  return [line(heads), rule, ...cells.map(line)].map((text) => cut(text, options.width));
}

/** Lines of one row with a line for each column that has a value. */
export function formatRecord(values: Readonly<Record<string, Cell>>): string[] {
  const present = Object.entries(values).filter(([, value]) => value !== null);
  const width = Math.max(...present.map(([name]) => name.length));
  return present.map(([name, value]) => `${name.padEnd(width)}  ${indent(value!, width + 2)}`);
}

function indent(text: string, by: number): string {
  return text
    .split("\n")
    .map(printable)
    .join(`\n${" ".repeat(by)}`);
}

/** Stored text may hold anything; a terminal must not obey it. */
export function printable(text: string): string {
  return text
    .replaceAll("\r\n", "\n")
    .replaceAll("\n", "↵")
    .replaceAll("\t", " ")
    .replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

function isNumber(cell: Cell): boolean {
  return cell === null || /^-?\d+(\.\d+)?$/.test(cell);
}

function pad(text: string, width: number, right: boolean): string {
  const space = " ".repeat(width - displayWidth(text));
  return right ? space + text : text + space;
}

const graphemes = new Intl.Segmenter();

/** Columns that text takes on a terminal: two for East Asian characters and emoji. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += isWide(segment) ? 2 : 1;
  return width;
}

function isWide(grapheme: string): boolean {
  return /^(\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}])/u.test(
    grapheme,
  );
}

function cut(line: string, width: number | undefined): string {
  if (width === undefined || displayWidth(line) <= width) return line;
  let kept = "";
  let used = 1;
  for (const { segment } of graphemes.segment(line)) {
    used += isWide(segment) ? 2 : 1;
    if (used > width) break;
    kept += segment;
  }
  return `${kept}…`;
}
