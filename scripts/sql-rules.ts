import { parseMigration } from "../src/migrate/files.ts";
import type { SqlFile } from "./sql-source.ts";
import { codeOnly, kindAt, lineAt, type Statement, statements } from "./sql-text.ts";

/** Something to repair. */
export interface Finding {
  /** `sql/fixtures/tables/job.sql:12`, or the object's name where no line is known. */
  readonly where: string;
  readonly what: string;
  readonly remedy: string;
}

type Rule = readonly [statement: RegExp, what: string, remedy: string];

const keepData: readonly Rule[] = [
  [
    /^drop\s+(schema|table|foreign\s+table|materialized\s+view|database|owned)\b/i,
    "drops what may hold data",
    "Change tables with ALTER; a table that has lost its use stays, or is emptied and dropped by hand.",
  ],
  [/^truncate\b/i, "empties a table", "Rows of a user's database belong to the user."],
  [
    /^drop\b.*(?<!\bon\s+(?:delete|update)\s+)\bcascade\b/is,
    "drops with cascade, which takes the users' own views and triggers with it",
    "Name each object that goes.",
  ],
];

const keepTransaction: readonly Rule[] = [
  [
    /^(begin|commit|rollback|abort|start\s+transaction|prepare\s+transaction)(\s+(work|transaction))?$/i,
    "controls the transaction",
    "The migrator begins and commits. A statement that needs none has a file of its own, marked --! no-transaction.",
  ],
];

/** What a committed file must not contain: graphile-migrate's habit of dropping first must not reach a user's database. */
export function checkCommitted(file: SqlFile): Finding[] {
  const outside = statements(codeOnly(file.text));
  // In the body of a DO block a statement also follows these words.
  const inside = statements(
    codeOnly(file.text, "do").replace(/\b(begin|then|else|loop)\b/gi, (word) => ";".repeat(word.length)),
  );
  return [...violations(file, inside, keepData), ...violations(file, outside, keepTransaction), ...checkAlone(file)];
}

function violations(file: SqlFile, all: readonly Statement[], rules: readonly Rule[]): Finding[] {
  return all.flatMap(({ text, start }) =>
    rules
      .filter(([pattern]) => pattern.test(text))
      .map(([, what, remedy]) => ({
        where: `${file.path}:${lineAt(file.text, start)}`,
        what: `${what}: ${text.split("\n")[0]}`,
        remedy,
      })),
  );
}

/** The rules of a file that runs outside of a transaction. */
function checkAlone(file: SqlFile): Finding[] {
  const migration = parseMigration(file.path, file.text);
  if (migration.transaction) return [];
  const all = statements(codeOnly(migration.body));
  const where = `${file.path}:${migration.bodyLine}`;
  const findings: Finding[] = [];
  if (all.length !== 1) {
    findings.push({
      where,
      what: `has ${all.length} statements and is marked --! no-transaction`,
      remedy: "The server runs several in one transaction after all: one statement a file.",
    });
  }
  if (/\bconcurrently\b/i.test(all[0]?.text ?? "") && !/\bif\s+(not\s+)?exists\b/i.test(all[0]?.text ?? "")) {
    findings.push({
      where,
      what: "cannot be run again after a crash",
      remedy: "Write `if not exists`, or `if exists` for a drop.",
    });
  }
  return findings;
}

/** What a source must keep to so that any schema name works. */
export function checkPlaceholders(file: SqlFile): Finding[] {
  const findings: Finding[] = [];
  for (const { index } of file.text.matchAll(/:SCHEMA\b/g)) {
    const kind = kindAt(file.text, index);
    if (kind === "code" || kind === "comment") continue;
    findings.push({
      where: `${file.path}:${lineAt(file.text, index)}`,
      what: `:SCHEMA stands inside of a ${kind}, where a schema's name with a quote would end it`,
      remedy: "Use it as an identifier only; to a string it comes from the catalog, such as pg_namespace.",
    });
  }
  for (const { index } of codeOnly(file.text, "all").matchAll(/\brouse\s*\./g)) {
    findings.push({
      where: `${file.path}:${lineAt(file.text, index)}`,
      what: "names the schema rouse",
      remedy: "Write :SCHEMA, the user chooses the name.",
    });
  }
  return findings;
}

/** Compares the unreleased file with what its sources make now, hash in the header included. */
export function compareCommitted(committed: SqlFile | undefined, made: SqlFile | undefined): Finding[] {
  const remedy = "Run npm run sql:commit and commit the result.";
  if (!committed && !made) return [];
  if (!committed || !made || committed.path !== made.path) {
    const what = made
      ? `is missing; sql/current.sql makes it`
      : "is marked --! Unreleased, but sql/current.sql is empty";
    return [{ where: (made ?? committed)!.path, what, remedy }];
  }
  if (committed.text === made.text) return [];
  const [is, should] = [committed.text.split("\n"), made.text.split("\n")];
  // The hash in the header differs with anything else; it is the finding only where it is alone.
  const differs = (line: string, index: number) => line !== should[index];
  const inBody = is.findIndex((line, index) => differs(line, index) && !line.startsWith("--! Hash:"));
  const found = inBody >= 0 ? inBody : is.findIndex(differs);
  const what = `is not what the sources make: it has "${is[found] ?? ""}" instead of "${should[found] ?? ""}"`;
  return [{ where: `${committed.path}:${found + 1}`, what, remedy }];
}
