import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { MigrationError } from "./errors.ts";

/** One file of `sql/committed`, in the format of graphile-migrate: header lines `--! Name: value`, an empty line, the body. */
export interface Migration {
  /** 1 for `000001.sql` and for `000001-with-a-message.sql`. */
  readonly number: number;
  readonly file: string;
  /** `sha1:…` over the previous hash and the body, as the header states it. */
  readonly hash: string;
  readonly previousHash: string | null;
  /** SQL with the placeholder `:SCHEMA`. */
  readonly body: string;
  /** The line of the file that the body's first line stands on. */
  readonly bodyLine: number;
  /** False where the body starts with `--! no-transaction`: one statement, run outside of a transaction. */
  readonly transaction: boolean;
  /** The number of the migration that a worker must know to run on this schema; null where every older worker can. */
  readonly compatibleFrom: number | null;
  /** Not part of a release yet: remade whenever the sources change. */
  readonly unreleased: boolean;
}

/** The folder `sql` is beside `src` in a checkout and beside `dist` in the installed package. */
const sqlFolder = new URL("../../sql/", import.meta.url);
const committedFolder = fileURLToPath(new URL("committed/", sqlFolder));

const fileName = /^(\d+)(?:-[-\w]*)?\.sql$/;

/** What comes before the first migration: the schema, where it is missing, and the table `migration`. */
export interface Install {
  readonly schema: string;
  readonly history: string;
}

export async function readInstall(): Promise<Install> {
  const read = (name: string) => readFile(new URL(`install/${name}`, sqlFolder), "utf8").catch(missing(name));
  return { schema: await read("schema.sql"), history: await read("migration.sql") };
}

function missing(path: string): (cause: unknown) => never {
  return (cause) => {
    throw new MigrationError(`The SQL files of Rouse are missing: cannot read ${path}. Install the package again.`, {
      cause,
    });
  };
}

/** Reads the committed files in order and verifies that they are what their author committed. */
export async function readMigrations(folder: string = committedFolder): Promise<Migration[]> {
  const names = await readdir(folder).catch(missing(folder));
  const migrations: Migration[] = [];
  for (const name of names) {
    if (fileName.test(name)) migrations.push(parseMigration(name, await readFile(`${folder}/${name}`, "utf8")));
  }
  if (migrations.length === 0) {
    throw new MigrationError(`The SQL files of Rouse are missing: ${folder} holds none. Install the package again.`);
  }
  migrations.sort((a, b) => a.number - b.number);
  verifyChain(migrations);
  return migrations;
}

export function parseMigration(file: string, text: string): Migration {
  const lines = text.split("\n");
  const headers = new Map<string, string>();
  let line = 0;
  for (; line < lines.length; line++) {
    const header = /^--! ([A-Z]\w*)(?::(.*))?$/.exec(lines[line] ?? "");
    if (!header) break;
    headers.set(header[1]!, (header[2] ?? "").trim());
  }
  if (lines[line]?.endsWith("\r")) {
    throw new MigrationError(
      `${file} has Windows line endings, so its hash cannot match. Let git keep it as it is (see .gitattributes).`,
    );
  }
  const required = (name: string): string => {
    const value = headers.get(name);
    if (!value) throw new MigrationError(`${file} is damaged: its header has no "--! ${name}:" line.`);
    return value;
  };
  const previous = required("Previous");
  const body = `${lines.slice(line).join("\n").trim()}\n`;
  const firstLine = lines.findIndex((content, index) => index >= line && content.trim() !== "");
  const compatibleFrom = headers.get("CompatibleFrom");
  return {
    number: Number.parseInt(file, 10),
    file,
    hash: required("Hash"),
    previousHash: previous === "-" ? null : previous,
    body,
    bodyLine: firstLine + 1,
    transaction: !/^--!\s*no-transaction\b/.test(body),
    compatibleFrom: compatibleFrom ? Number.parseInt(compatibleFrom, 10) : null,
    unreleased: headers.has("Unreleased"),
  };
}

/** graphile-migrate's hash of a body that follows the migration with the given hash. */
export function migrationHash(body: string, previousHash: string | null): string {
  const content = `${`${previousHash ?? ""}\n${body.trim()}`.trim()}\n`;
  return `sha1:${createHash("sha1").update(content).digest("hex")}`;
}

function verifyChain(migrations: readonly Migration[]): void {
  let previous: Migration | undefined;
  for (const migration of migrations) {
    const { file, hash, previousHash } = migration;
    if (migration.number !== (previous?.number ?? 0) + 1) {
      throw new MigrationError(`A migration is missing before ${file}. Install the package again.`);
    }
    if (previousHash !== (previous?.hash ?? null)) {
      throw new MigrationError(
        `${file} does not follow ${previous?.file ?? "an empty schema"}: it names ${previousHash ?? "-"} as its ` +
          `predecessor, which has the hash ${previous?.hash ?? "-"}. Install the package again.`,
      );
    }
    const actual = migrationHash(migration.body, previousHash);
    if (actual !== hash) {
      throw new MigrationError(
        `${file} is damaged or was edited: its content has the hash ${actual}, its header says ${hash}. ` +
          "Install the package again.",
      );
    }
    previous = migration;
  }
}

/**
 * A statement that removes what an interrupted `create index concurrently` leaves behind: an index that is invalid, yet in the
 * way of building it again. Null for a migration that builds none in this way.
 */
export function brokenIndex(migration: Migration): string | null {
  if (migration.transaction) return null;
  const build = /\bcreate\s+(?:unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?(\w+)/i.exec(migration.body);
  return build ? `drop index concurrently if exists :SCHEMA.${build[1]};` : null;
}
