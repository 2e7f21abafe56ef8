import { execFile } from "node:child_process";
import { mkdir, readdir, rm, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** Holds a folder for each run, named after its process. */
const BUILDS = ".build";

/**
 * Compiles the repository into a folder in it, beside links to all that is no TypeScript, and gives the folder. That takes a
 * second; to translate it anew takes each of the many processes of a run half a second. And so tests run what
 * users run: JavaScript, with tsx for nothing but their task files.
 */
export async function compile(root: string): Promise<string> {
  await removeAbandoned(join(root, BUILDS));
  const build = join(root, BUILDS, String(process.pid));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const args = [tsc, "-p", "tsconfig.test.json", "--outDir", build];
  await promisify(execFile)(process.execPath, args, { cwd: root }).catch(({ stdout }) => {
    throw new Error(stdout);
  });
  // The package comes without maps, and tells its own lines of a stack by the folder that it runs from.
  for (const file of await readdir(join(build, "src"), { recursive: true })) {
    if (file.endsWith(".map")) await rm(join(build, "src", file));
  }
  await linkRest(root, build);
  return build;
}

/** Those of killed runs. */
async function removeAbandoned(builds: string): Promise<void> {
  await mkdir(builds, { recursive: true });
  for (const pid of await readdir(builds)) {
    if (!isRunning(Number(pid))) await rm(join(builds, pid), { recursive: true, force: true });
  }
}

/** Links what is in a folder and not in its compiled form. */
async function linkRest(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.name === BUILDS || entry.name === ".git" || entry.name.endsWith(".ts")) continue;
    if (await stat(target).catch(() => undefined)) await linkRest(source, target);
    else await symlink(source, target);
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
