import assert from "node:assert/strict";
import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { COMMANDS } from "../../src/cli/commands.ts";
import { testDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const database = testDatabase();

/** Seconds that a worker may take to stop: its grace, then what it needs to abort handlers and give their jobs back. */
const STOP_SECONDS = 30 + 10;

let project: string;

/** A project as the files of deploy/ expect it at /srv/app: the tasks, and `rouse` in node_modules/.bin. */
before(async () => {
  project = await mkdtemp(join(tmpdir(), "rouse-deploy-test-"));
  await mkdir(join(project, "node_modules/.bin"), { recursive: true });
  await symlink(join(root, "node_modules/tsx"), join(project, "node_modules/tsx"));
  const rouse = join(project, "node_modules/.bin/rouse");
  await writeFile(rouse, `#!/bin/sh\nexec "${process.execPath}" "${root}src/cli/main.js" "$@"\n`);
  await chmod(rouse, 0o755);
  await writeFile(join(project, "tasks.ts"), `export { slow } from "${root}test/deploy/slow-task.js";\n`);
});
after(() => rm(project, { recursive: true, force: true }));

test("A13: the files of deploy/ call commands that there are", async () => {
  const commands: [file: string, command: RegExp][] = [
    ["deploy/rouse-worker.service", /^ExecStart=\/srv\/app\/node_modules\/\.bin\/rouse (.+)$/m],
    ["deploy/supervisord.conf", /^command=\/srv\/app\/node_modules\/\.bin\/rouse (.+)$/m],
    ["deploy/Procfile", /^worker: node_modules\/\.bin\/rouse (.+)$/m],
    ["deploy/Dockerfile", /^CMD \["(.+)"\]$/m],
    ["docker-compose.yml", /^ {2}worker:\n(?: {4}.*\n)*? {4}command: \["(.+)"\]$/m],
    ["docker-compose.yml", /^ {2}migrate:\n(?: {4}.*\n)*? {4}command: \["(.+)"\]$/m],
  ];
  for (const [file, pattern] of commands) {
    const [, command] = pattern.exec(await read(file)) ?? assert.fail(`${file} calls no command`);
    assert.ok(command! in COMMANDS, `${file} calls rouse ${command}`);
  }
  assert.match(await read("deploy/Dockerfile"), /^ENTRYPOINT \["rouse"\]$/m);
});

test("A13: each of them sends SIGTERM and waits for as long as a worker may take to stop", async () => {
  const unit = await read("deploy/rouse-worker.service");
  assert.match(unit, /^KillSignal=SIGTERM$/m);
  assert.match(unit, /^KillMode=mixed$/m);
  assert.ok(number(unit, /^TimeoutStopSec=(\d+)$/m) >= STOP_SECONDS);
  const supervisor = await read("deploy/supervisord.conf");
  assert.match(supervisor, /^stopsignal=TERM$/m);
  assert.ok(number(supervisor, /^stopwaitsecs=(\d+)$/m) >= STOP_SECONDS);
  assert.match(await read("deploy/Dockerfile"), /^STOPSIGNAL SIGTERM$/m);
  assert.ok(number(await read("docker-compose.yml"), /^ {4}stop_grace_period: (\d+)s$/m) >= STOP_SECONDS);
});

test("A13: the Dockerfile copies from stages and files that there are, and runs as nobody special", async () => {
  const dockerfile = await read("deploy/Dockerfile");
  const stages = [...dockerfile.matchAll(/^FROM \S+ AS (\S+)$/gm)].map(([, stage]) => stage);
  for (const [, stage] of dockerfile.matchAll(/--from=(\S+)/g)) assert.ok(stages.includes(stage!), stage);
  for (const [, files] of dockerfile.matchAll(/^COPY ((?!--).+) \S+$/gm)) {
    for (const file of files!.split(" ").filter((name) => name !== ".")) await read(file);
  }
  const last = dockerfile.slice(dockerfile.lastIndexOf("\nFROM "));
  assert.match(last, /^USER node$/m);
  const compose = await read("docker-compose.yml");
  await read(/dockerfile: (\S+)/.exec(compose)![1]!);
  assert.match(compose, /image: postgres:18$/m);
  assert.match(compose, /- postgres:\/var\/lib\/postgresql$/m);
});

test("A13: systemd takes the unit", { skip: missing("systemd-analyze") }, async () => {
  const unit = join(project, "rouse-worker.service");
  await writeFile(unit, await atProject("deploy/rouse-worker.service"));
  await promisify(execFile)("systemd-analyze", ["verify", "--man=no", unit]);
});

test("A13: under supervisor a worker runs, and ends its running job when it is stopped", {
  skip: missing("supervisord"),
}, async () => {
  const configuration = join(project, "supervisord.conf");
  const log = join(project, "supervisord.log");
  const program = (await atProject("deploy/supervisord.conf"))
    .replace(/^environment=.*$/m, `environment=DATABASE_URL="${database.url.replaceAll("%", "%%")}"`)
    // The tests are of whoever runs them.
    .replace(/^user=.*$/m, "");
  await writeFile(
    configuration,
    `[supervisord]\nnodaemon=true\nlogfile=${log}\npidfile=${join(project, "supervisord.pid")}\n${program}`,
  );
  const supervisor = spawn("supervisord", ["-c", configuration], { cwd: project, stdio: "ignore" });
  await stopsCleanly(supervisor, "supervisor");
  assert.match(await readFile(log, "utf8"), /stopped: rouse-worker \(exit status 0\)/);
});

test("A13: under a Procfile runner a worker runs, and ends its running job when it is stopped", {
  skip: missing("foreman"),
}, async () => {
  const args = ["start", "--procfile", join(root, "deploy/Procfile"), "--root", project, "--timeout", "45"];
  const foreman = spawn("foreman", args, {
    cwd: project,
    env: { ...process.env, DATABASE_URL: database.url },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  foreman.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  await stopsCleanly(foreman, "foreman");
  assert.match(output, /exited with code 0/);
});

/** Has the worker run a job, and stops whatever runs the worker in the middle of it. */
async function stopsCleanly(runner: ReturnType<typeof spawn>, key: string): Promise<void> {
  const ended = once(runner, "exit");
  try {
    await database.query("select rouse.enqueue('slow', unique_key => $1)", [key]);
    const job = async (state: string) => {
      const [row] = await database.query("select id from rouse.jobs where unique_key = $1 and state = $2", [
        key,
        state,
      ]);
      return row;
    };
    await until(() => job("running"), { message: "the job runs" });
    runner.kill("SIGTERM");
    await ended;
    assert.ok(await job("succeeded"), "the job was not ended");
    assert.deepEqual(await database.query("select worker from rouse.workers"), []);
  } finally {
    // Not killed: it would leave its worker behind.
    runner.kill("SIGTERM");
    await ended;
  }
}

function read(file: string): Promise<string> {
  return readFile(join(root, file), "utf8");
}

async function atProject(file: string): Promise<string> {
  return (await read(file)).replaceAll("/srv/app", project);
}

function number(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1]);
}

/** Why a test of that program is skipped, where it is not installed. */
function missing(program: string): string | false {
  return spawnSync(program, ["--version"]).error ? `${program} is not installed` : false;
}
