/** What a stretch of SQL is to the server's scanner. A body is a dollar-quoted string, and may be SQL itself. */
type Kind = "code" | "comment" | "block comment" | "string" | "identifier" | "body";

export interface Stretch {
  readonly kind: Kind;
  readonly start: number;
  readonly end: number;
}

/** Cuts SQL into code, comments, strings, quoted identifiers and dollar-quoted bodies. */
export function scan(sql: string): Stretch[] {
  const stretches: Stretch[] = [];
  const token = /--[^\n]*|\/\*|[eE]?'|"|\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/g;
  let code = 0;
  for (let match = token.exec(sql); match; match = token.exec(sql)) {
    const [opening] = match;
    const start = match.index;
    // `e` and `$` continue a word or a parameter that stands before them: `table'`, `$1$`.
    const inWord = start > 0 && /[\w$\u0080-\uffff]/.test(sql[start - 1]!);
    if (inWord && opening.startsWith("$")) continue;
    const escapes = opening.length === 2 && opening.endsWith("'") && !inWord;
    const [kind, end] = closing(sql, opening, token.lastIndex, escapes);
    stretches.push({ kind: "code", start: code, end: start }, { kind, start, end });
    token.lastIndex = end;
    code = end;
  }
  stretches.push({ kind: "code", start: code, end: sql.length });
  return stretches.filter(({ start, end }) => end > start);
}

function closing(sql: string, opening: string, from: number, escapes: boolean): [Kind, number] {
  if (opening.startsWith("--")) return ["comment", from];
  if (opening === "/*") return ["block comment", endOfBlock(sql, from)];
  if (opening.startsWith("$")) {
    const end = sql.indexOf(opening, from);
    return ["body", end < 0 ? sql.length : end + opening.length];
  }
  if (opening === '"') return ["identifier", endOfQuoted(sql, from, '"', false)];
  return ["string", endOfQuoted(sql, from, "'", escapes)];
}

function endOfQuoted(sql: string, from: number, quote: string, escapes: boolean): number {
  for (let at = from; at < sql.length; at++) {
    if (escapes && sql[at] === "\\") at += 1;
    else if (sql[at] === quote && sql[at + 1] === quote) at += 1;
    else if (sql[at] === quote) return at + 1;
  }
  return sql.length;
}

function endOfBlock(sql: string, from: number): number {
  let depth = 1;
  for (let at = from; at < sql.length; at++) {
    if (sql.startsWith("/*", at)) {
      depth += 1;
      at += 1;
    } else if (sql.startsWith("*/", at)) {
      depth -= 1;
      at += 1;
      if (depth === 0) return at + 1;
    }
  }
  return sql.length;
}

/**
 * The SQL with everything but code blanked out, so that places stay the same. Bodies are blanked out too, but for those of
 * functions and DO blocks (`all`) or of DO blocks, which run at once (`do`).
 */
export function codeOnly(sql: string, bodies: "none" | "do" | "all" = "none"): string {
  let text = "";
  for (const { kind, start, end } of scan(sql)) {
    const part = sql.slice(start, end);
    const isDo = /\bdo(\s+language\s+\w+)?\s*$/i.test(text);
    if (kind === "code") {
      text += part;
    } else if (kind === "body" && (bodies === "all" || (bodies === "do" && isDo))) {
      const tag = part.indexOf("$", 1) + 1;
      text += " ".repeat(tag) + codeOnly(part.slice(tag, -tag), bodies) + " ".repeat(tag);
    } else {
      text += part.replace(/[^\n]/g, " ");
    }
  }
  return text;
}

/** What a place in SQL is part of, looked up inside of bodies too. */
export function kindAt(sql: string, place: number): Kind {
  const stretch = scan(sql).find(({ end }) => place < end);
  if (stretch?.kind !== "body") return stretch?.kind ?? "code";
  const tag = sql.indexOf("$", stretch.start + 1) + 1 - stretch.start;
  return kindAt(sql.slice(stretch.start + tag, stretch.end - tag), place - stretch.start - tag);
}

export interface Statement {
  readonly text: string;
  /** Its place in the SQL that `codeOnly` was given. */
  readonly start: number;
}

/** The statements of what `codeOnly` leaves. */
export function statements(code: string): Statement[] {
  return [...code.matchAll(/[^;\s][^;]*/g)].map((match) => ({ text: match[0].trim(), start: match.index }));
}

export function lineAt(text: string, place: number): number {
  return text.slice(0, place).split("\n").length;
}
