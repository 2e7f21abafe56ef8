import type { Outcome } from "../harness/play.ts";
import { show } from "./table.ts";

/** The picture and three lines of figures for the README; undefined where one of the scenarios was not measured. */
export function highlights(outcomes: readonly Outcome[]): string | undefined {
  const of = (name: string) => outcomes.find(({ scenario }) => scenario === name);
  const [drain, archive, latency, commits] = ["drain", "drain-archive", "latency", "commits"].map(of);
  if (!drain || !archive || !latency || !commits) return undefined;
  const value = (outcome: Outcome, variant: string, measure: string) => outcome.figures[variant]![measure]!.median;
  const ratio = (outcome: Outcome, n = 0) => show(outcome.targets[n]!.median);
  return `
![Rouse beside graphile-worker and pg-boss](docs/performance.svg)

- A worker with its default settings drains ${show(value(drain, "rouse", "rate"))} no-op jobs/s (${show(value(archive, "rouse", "rate"))} where each is kept for a day, as by default): ${ratio(drain)} × graphile-worker, ${ratio(drain, 1)} × pg-boss, each with
  its best settings.
- From \`enqueue\` to the first line of the handler on an idle worker it takes ${show(value(latency, "rouse", "p50"))} ms, p99 ${show(value(latency, "rouse", "p99"))} ms: ${ratio(latency)} × and ${ratio(latency, 1)} × those of the best peer.
- While workers are busy 16 writers reach ${ratio(commits)} of what they reach without us, ${ratio(commits, 1)} through \`enqueue\`; with a plain
  \`NOTIFY\` it would be ${show(value(commits, "bare insert and a NOTIFY", "16 writers") / value(commits, "bare insert", "16 writers"))}.

Worker, server and writers shared ${drain.machine}. [docs/performance.md](docs/performance.md) has all figures, how they were measured, and the
goals that are missed.
`.trimEnd();
}
