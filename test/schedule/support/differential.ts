import { CronExpressionParser } from "cron-parser";
import { nextRun } from "./evaluator.ts";
import { type Question, Random, randomQuestion } from "./random-cron.ts";
import { day, ZoneClock } from "./zone-clock.ts";

type Query = <Row extends object>(text: string, values?: unknown[]) => Promise<Row[]>;

/** What a run found; the disagreements are sentences. */
export interface Outcome {
  /** Answers of the database that the evaluator of the tests gives too. */
  agreed: number;
  /** Of those: specs that the database refuses since no date matches, and for which the evaluator finds none in fifty years. */
  impossible: number;
  /** Of the agreed: answers within a day of a clock change. */
  nearChange: number;
  /** Left out: PostgreSQL and the JavaScript engine were built with other data about the zone at that time. */
  otherZoneData: number;
  disagreements: string[];
  /** Answers that cron-parser gives too, where it has the same rules. */
  cronParserAgreed: number;
  /** Specs that cron-parser does not take, such as a number given twice (1,1-5). */
  cronParserRefused: number;
  cronParserDisagreements: string[];
}

/** A time in milliseconds; null where none follows. */
type Answer = number | null;

const batch = 2000;

/** Asks the database, the evaluator of the tests and cron-parser the same random questions, the same ones for the same seed. */
export async function compareEvaluators(query: Query, questions: number, seed: number): Promise<Outcome> {
  const random = new Random(seed);
  const outcome: Outcome = {
    ...{ agreed: 0, impossible: 0, nearChange: 0, otherZoneData: 0, disagreements: [] },
    ...{ cronParserAgreed: 0, cronParserRefused: 0, cronParserDisagreements: [] },
  };
  let previous: { question: Question; expected: Answer } | undefined;
  for (let asked = 0; asked < questions; asked += batch) {
    const all: { question: Question; expected: Answer }[] = [];
    while (all.length < Math.min(batch, questions - asked)) {
      // Every fourth goes on from the answer before, as a schedule does.
      const question: Question =
        previous?.expected && random.chance(0.25)
          ? { ...previous.question, after: previous.expected }
          : randomQuestion(random);
      previous = { question, expected: nextRun(question.spec, question.after, question.zone) };
      all.push(previous);
    }
    const answers = await askDatabase(
      query,
      all.map(({ question }) => question),
    );
    for (const [index, { question, expected }] of all.entries()) {
      const { at, refused } = answers[index]!;
      if (at === expected && (refused === null || refused.startsWith("day of month: no date"))) {
        outcome.agreed++;
        if (refused !== null) outcome.impossible++;
        if (expected !== null && ZoneClock.of(question.zone).changes(expected - day, expected + day).length > 0)
          outcome.nearChange++;
        askCronParser(question, expected, outcome);
      } else if (refused?.startsWith("time zone") || (await zoneDataDiffer(query, question, [at, expected]))) {
        outcome.otherZoneData++;
      } else {
        outcome.disagreements.push(`${show(question)}: ${refused ?? showTime(at)}, expected ${showTime(expected)}`);
      }
    }
  }
  return outcome;
}

async function askDatabase(query: Query, questions: readonly Question[]) {
  await query(`
    create or replace function pg_temp.ask(spec text, after timestamptz, zone text, out at text, out refused text)
    language plpgsql as $$
    begin
      at := round(extract(epoch from rouse.cron_next(spec, after, zone)) * 1000);
    exception when sqlstate '22023' then
      refused := sqlerrm;
    end $$`);
  const rows = await query<{ at: string | null; refused: string | null }>(
    `select at, refused
     from unnest($1::text[], $2::float8[], $3::text[]) with ordinality as question (spec, after, zone, n)
     cross join lateral pg_temp.ask(spec, to_timestamp(after / 1000), zone)
     order by n`,
    [questions.map(({ spec }) => spec), questions.map(({ after }) => after), questions.map(({ zone }) => zone)],
  );
  return rows.map(({ at, refused }) => ({ at: at === null ? null : Number(at), refused }));
}

/** Whether the clocks of PostgreSQL and of JavaScript show different times somewhere between the question and its answers. */
async function zoneDataDiffer(query: Query, { after, zone }: Question, answers: readonly Answer[]): Promise<boolean> {
  const times = answers.filter((answer) => answer !== null);
  const [from, to] = [after - 2 * day, Math.max(after, ...times) + day];
  const clock = ZoneClock.of(zone);
  const instants = clock.changes(from, to).flatMap(({ at }) => [at - 1000, at]);
  for (let instant = from; instant < to; instant += day / 4) instants.push(Math.floor(instant / 1000) * 1000);
  const rows = await query<{ ahead: string }>(
    `select extract(epoch from (at at time zone $1) - (at at time zone 'UTC')) * 1000 as ahead
     from unnest($2::float8[]) with ordinality as instant (epoch, n)
     cross join lateral to_timestamp(epoch / 1000) as at
     order by n`,
    [zone, instants],
  );
  return rows.some(({ ahead }, index) => clock.offset(instants[index]!) !== Number(ahead));
}

/**
 * cron-parser differs on clock changes (a gap's slot moves on by the gap's length, an overlap's second pass is left out), on
 * `*` with a step in a day field (no star to it, so either field matches where both should) and on `$`, `sat-sun` and `1,5#1`,
 * which it refuses. It is asked about the rest.
 */
function askCronParser(question: Question, expected: Answer, outcome: Outcome): void {
  const { spec, zone, after } = question;
  const [dayOfMonth, dayOfWeek] = [spec.trim().split(/\s+/).at(-3) ?? "", spec.trim().split(/\s+/).at(-1) ?? ""];
  const starStep = [dayOfMonth, dayOfWeek].some((field) => field.startsWith("*/"));
  if (expected === null || starStep || /\$|-sun|#.*,|,.*#/i.test(spec)) return;
  if (ZoneClock.of(zone).changes(after - day, expected + day).length > 0) return;
  let parsed: ReturnType<typeof CronExpressionParser.parse>;
  try {
    parsed = CronExpressionParser.parse(spec, { currentDate: after, tz: zone });
  } catch {
    outcome.cronParserRefused++;
    return;
  }
  const answer = parsed.next().toISOString();
  if (answer === new Date(expected).toISOString()) outcome.cronParserAgreed++;
  else outcome.cronParserDisagreements.push(`${show(question)}: ${answer}, expected ${showTime(expected)}`);
}

function show({ spec, zone, after }: Question): string {
  return `"${spec}" in ${zone} after ${new Date(after).toISOString()}`;
}

function showTime(answer: Answer): string {
  return answer === null ? "nothing" : new Date(answer).toISOString();
}

export function summary(outcome: Outcome): string {
  const { agreed, disagreements, impossible, otherZoneData, nearChange } = outcome;
  const { cronParserAgreed, cronParserDisagreements, cronParserRefused } = outcome;
  return [
    `${agreed} answers agree (${nearChange} of them within a day of a clock change, ${impossible} refusals of impossible dates)`,
    `${disagreements.length} disagree, ${otherZoneData} left out for other zone data`,
    `cron-parser agrees ${cronParserAgreed} times and disagrees ${cronParserDisagreements.length} times where it has the same rules, refusing ${cronParserRefused}`,
  ].join("; ");
}
