import type { Outcome } from "../harness/play.ts";
import { limit, measured, show, verdict } from "./table.ts";

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Beside the bar; default the value. */
  readonly text?: string;
  readonly own: boolean;
}

export interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly Bar[];
  /** What was to be reached, and whether it was. */
  readonly goals: readonly { text: string; missed: boolean }[];
}

/** What the chart shows of the results there are. */
export function panels(outcomes: readonly Outcome[]): Panel[] {
  return [drains, latency, commits, heldSnapshot].flatMap((panel) => panel(outcomes) ?? []);
}

type Outcomes = readonly Outcome[];

function drains(outcomes: Outcomes): Panel | undefined {
  const rate = (scenario: string, variant: string, label: string, own = false) =>
    bars(outcomes, scenario, [[variant, label]], "rate", own);
  const drawn = [
    ...rate("drain", "rouse", "Rouse, nothing kept", true),
    ...rate("drain-archive", "rouse", "Rouse, defaults", true),
    ...rate("drain", "graphile-worker", "graphile-worker, best"),
    ...rate("drain", "pg-boss", "pg-boss, best"),
    ...rate("drain-defaults", "graphile-worker", "graphile-worker, defaults"),
    ...rate("drain-defaults", "pg-boss", "pg-boss, defaults"),
  ];
  if (drawn.length === 0) return undefined;
  return {
    title: "No-op jobs drained a second",
    unit: "jobs/s",
    bars: drawn,
    goals: [
      ...goals(outcomes, "drain", ["graphile-worker with its best settings", "pg-boss with its best settings"]),
      ...goals(outcomes, "drain-defaults", ["graphile-worker with its defaults"]),
    ],
  };
}

function latency(outcomes: Outcomes): Panel | undefined {
  const outcome = outcomes.find(({ scenario }) => scenario === "latency");
  if (outcome === undefined) return undefined;
  const drawn = Object.entries(outcome.figures).map(([variant, { p50, p99 }]) => ({
    label: variant === "rouse" ? "Rouse" : variant,
    value: p50!.median,
    text: `${show(p50!.median)} ms, p99 ${show(p99!.median)}`,
    own: variant === "rouse",
  }));
  return {
    title: "From enqueue to start on an idle worker, median (less is better)",
    unit: "ms",
    bars: drawn,
    goals: goals(outcomes, "latency", ["the median of the best peer", "the best p99 of a peer"]),
  };
}

function commits(outcomes: Outcomes): Panel | undefined {
  const measure = "16 writers";
  const drawn = [
    ...bars(
      outcomes,
      "commits",
      [
        ["insert", "insert into rouse.job"],
        ["enqueue()", "rouse.enqueue()"],
      ],
      measure,
      true,
    ),
    ...bars(
      outcomes,
      "commits",
      [
        ["bare insert", "no queue: bare insert"],
        ["bare insert and a NOTIFY", "bare insert and a NOTIFY"],
      ],
      measure,
      false,
    ),
  ];
  if (drawn.length === 0) return undefined;
  return {
    title: "Commits a second of 16 writers, one job each, workers busy",
    unit: "commits/s",
    bars: drawn,
    goals: goals(outcomes, "commits", ["a bare insert: insert into rouse.job", "a bare insert: rouse.enqueue()"]),
  };
}

function heldSnapshot(outcomes: Outcomes): Panel | undefined {
  const drawn = [
    ...bars(outcomes, "held-snapshot", [["rouse, held", "Rouse"]], "rate", true),
    ...bars(
      outcomes,
      "held-snapshot",
      [
        ["graphile-worker, held", "graphile-worker, best"],
        ["pg-boss, held", "pg-boss, best"],
      ],
      "rate",
      false,
    ),
  ];
  if (drawn.length === 0) return undefined;
  return {
    title: "Jobs done a second of 4,000 that come in, while an old transaction stays open",
    unit: "jobs/s",
    bars: drawn,
    goals: goals(outcomes, "held-snapshot", ["what it does without the old transaction"]),
  };
}

function bars(
  outcomes: Outcomes,
  scenario: string,
  variants: readonly (readonly [variant: string, label: string])[],
  measure: string,
  own: boolean,
): Bar[] {
  const outcome = outcomes.find((outcome) => outcome.scenario === scenario);
  if (outcome === undefined) return [];
  return variants.map(([variant, label]) => ({ label, value: outcome.figures[variant]![measure]!.median, own }));
}

/** The first targets of a scenario, each as a multiple of something. */
function goals(outcomes: Outcomes, scenario: string, of: readonly string[]): Panel["goals"] {
  const targets = outcomes.find((outcome) => outcome.scenario === scenario)?.targets ?? [];
  return of
    .map((what, n) => [what, targets[n]] as const)
    .flatMap(([what, target]) =>
      target === undefined
        ? []
        : [
            {
              text: `${measured(target)} ${what} (goal ${limit(target)})`,
              missed: verdict(target) === "missed",
            },
          ],
    );
}
