import type { Check } from "./invariants.ts";
import { RATE, SLOTS, WIDE } from "./limits.ts";

/** How soon a claim is on disk though its commit did not wait for that, in milliseconds; with time to spare. */
const FLUSHED_AFTER_MS = 2_000;
/** Between the claim of a job and the start of its handler, at most. */
const AHEAD_MS = 1_000;
/** How long after a fault its effects last: backing off, connecting and registering again. */
const AFTERMATH_MS = 10_000;

/** How long the result of a handler may be on its way: 0.02 s as a rule, 1.6 s in new sessions on two overloaded cores. */
const UNRECORDED_MS = 3_000;

/** No handler goes on for longer, frozen or not. */
const LONGEST_RUN_MS = 60_000;
/** Seconds between a claim and the start of its handler, where the process or its network stands still meanwhile. */
const RATE_LATE_S = 2;

/** How long a worker may take to come back to a server that has started, where nothing keeps it. */
const RETURN_MS = 6_000;
/** Time after the start of a server in which no worker is taken for dead: 10 s from the first beat, which may come a little before the start is noticed. */
const RESTART_PATIENCE_MS = 9_500;

/** Faults that strike the process of a run: its own, and those of the server and of all sessions. */
const STRIKES = "(f.process is null or f.process = a.process)";

/**
 * Whether the lease of run `a` may have passed on before run `b` began: its worker was frozen or cut off for longer than others
 * wait for it, or was kept from coming back to a server that had started anew; or a crash of the server forgot the claim.
 */
const PASSED_ON = `(
  exists (
    select from ledger.fault as f
    where ${STRIKES}
      and (
        f.patience is not null and b.began - f.began >= f.patience and f.ended >= a.began - ${AHEAD_MS}
        or f.crash and f.began <= b.began and f.ended >= a.began - ${AHEAD_MS} - ${FLUSHED_AFTER_MS}
          and f.began <= a.began + ${FLUSHED_AFTER_MS}
      )
  )
  or exists (
    select from ledger.fault as s
    join ledger.fault as f on f.absent and f.process = a.process
    where s.restart
      and a.began <= s.ended + ${AHEAD_MS}
      and f.began <= s.ended + ${RETURN_MS}
      and least(f.ended, b.began) >= s.ended + ${RESTART_PATIENCE_MS}
  )
)`;

/** Pairs of runs of one job that were going on at the same time, the earlier claimed first. */
export const OVERLAPS = `
  select a.job_id, a.run as first, b.run as second, round(b.began - a.began) as ms_after, ${PASSED_ON} as allowed
  from ledger.run as a
  join ledger.run as b on b.job_id = a.job_id and b.run <> a.run and b.began >= a.began
  left join ledger.death as d on d.process = a.process
  where b.began < coalesce(a.ended, d.at, 'infinity')`;

/** What must hold of the ledger and Rouse's tables when all is over. */
export const AUDIT: readonly Check[] = [
  { title: "the queue is empty", text: "select id, task, state, attempt, worker_id, run_at from rouse.job" },
  {
    title: "every committed job has ended, once, in the way its task ends or cancelled",
    text: `select e.job_id, e.n, e.task, array_agg(a.state) as states, min(c.at) as cancelled_at
           from ledger.enqueued as e
           left join (select job_id, min(at) as at from ledger.cancelled group by job_id) as c using (job_id)
           left join rouse.archive as a on a.id = e.job_id
           group by e.job_id, e.n, e.task
           having count(a.id) <> 1
             or min(a.state) not in (
               case when min(c.at) is not null then 'cancelled' else '' end,
               -- An attempt whose end was being recorded when the cancel was committed has come first.
               case
                 when min(c.at) + interval '2 seconds' < min(a.finished_at) then ''
                 when e.task = 'doomed' then 'failed'
                 else 'succeeded'
               end
             )`,
  },
  {
    title: "every committed job ran, but for those that were cancelled",
    text: `select job_id, n, task from ledger.enqueued as e
           where not exists (select from ledger.run as r where r.n = e.n and r.job_id = e.job_id)
             and not exists (select from ledger.cancelled as c where c.job_id = e.job_id)`,
  },
  {
    title: "no job that was not committed ran",
    text: `select r.n, r.job_id, r.run from ledger.run as r
           where r.n is not null and not exists (select from ledger.enqueued as e where e.n = r.n and e.job_id = r.job_id)`,
  },
  {
    title: "no job began before it was due",
    text: `select r.job_id, r.run, r.began_at, e.due_at from ledger.run as r join ledger.enqueued as e using (job_id)
           where r.began_at < e.due_at - interval '5 ms'`,
  },
  {
    title: "every transactional effect happened exactly once, and none of a job that ended cancelled",
    text: `select e.job_id, e.n, min(a.state) as state, count(f.n) as times, array_agg(f.run) as runs
           from ledger.enqueued as e
           join rouse.archive as a on a.id = e.job_id
           left join ledger.effect as f using (n)
           where e.task = 'effect'
           group by e.job_id, e.n
           having count(f.n) <> case min(a.state) when 'succeeded' then 1 else 0 end`,
  },
  {
    title: "no transactional effect is that of a job that was not committed",
    text: "select f.n, f.run from ledger.effect as f where not exists (select from ledger.enqueued as e where e.n = f.n)",
  },
  {
    title:
      "what ended a job was its last lease: the run whose result was kept is of the worker and the attempt that held it",
    text: `select a.id, a.result ->> 'run' as run, r.process, r.attempt as run_attempt, w.process as holder, a.attempt
           from rouse.archive as a
           left join ledger.run as r on r.run = a.result ->> 'run'
           left join ledger.worker as w on w.id = a.worker_id
           where a.state = 'succeeded'
             and (r.job_id, r.process, r.attempt) is distinct from (a.id, w.process, a.attempt::integer)`,
  },
  {
    title: "the effect of a job is that of the run whose result was kept",
    text: `select a.id, f.run, a.result ->> 'run' as kept
           from ledger.effect as f
           join ledger.enqueued as e using (n)
           join rouse.archive as a on a.id = e.job_id
           where f.run is distinct from a.result ->> 'run'`,
  },
  {
    title: "no job was in two live attempts at once, but where its lease had passed on",
    text: `select job_id, first, second, ms_after from (${OVERLAPS}) as o where not allowed`,
  },
  {
    title: "jobs under one unique key ran one after the other",
    text: `select a.job_id, b.job_id as other, a.run, b.run as other_run
           from (ledger.run join ledger.enqueued using (job_id, n)) as a
           join (ledger.run join ledger.enqueued using (job_id, n)) as b
             on b.task = a.task and b.unique_key = a.unique_key and b.job_id <> a.job_id and b.began >= a.began
           join rouse.archive as d on d.id = a.job_id
           -- What a handler still does after ctx.transaction has committed is no part of its job.
           where b.began < a.ended and d.result ->> 'run' = a.run and d.task <> 'effect'`,
  },
  {
    title: "no job ran again after it had succeeded, but where a fault struck",
    text: `select a.job_id, a.run, b.run as again, round(b.began - a.ended) as ms_after
           from ledger.run as a
           join ledger.run as b on b.job_id = a.job_id and b.began > a.ended
           where a.outcome = 'ok'
             and not exists (
               select from ledger.fault as f
               where (f.process is null or f.process in (a.process, b.process))
                 and f.began <= a.ended + ${UNRECORDED_MS}
                 and f.ended >= a.began - ${AFTERMATH_MS}
             )`,
  },
  {
    title: "no more jobs of a key than its limit ran at once, but where a lease had passed on",
    text: `select b.concurrency_key, b.run, round(b.began) as began, array_agg(a.run) as others
           from ledger.keyed as b
           join ledger.keyed as a
             on a.concurrency_key = b.concurrency_key
            and a.job_id <> b.job_id
            and a.began between b.began - ${LONGEST_RUN_MS} and b.began
           left join ledger.death as d on d.process = a.process
           where b.began < coalesce(a.ended, d.at, 'infinity')
             and not ${PASSED_ON}
           group by b.concurrency_key, b.run, b.began
           having count(*) >= case b.concurrency_key when '${WIDE.key}' then ${WIDE.concurrency} else 1 end`,
  },
  {
    title: "no rate was exceeded, by the instants of the claims",
    text: overRate(
      RATE.burst,
      "select id as run, extract(epoch from started_at) as at from rouse.archive where task = 'rated' and started_at is not null",
    ),
  },
  {
    title: "no rate was exceeded, by the handlers that began, but for their way there and where a crash forgot claims",
    text: overRate(
      RATE.burst + RATE.rate * RATE_LATE_S,
      `select a.run, (a.began / 1000)::numeric as at
       from ledger.run as a join ledger.enqueued as e using (job_id, n)
       where e.task = 'rated'
         and not exists (
           select from ledger.fault as f
           where f.crash and a.began between f.began - ${FLUSHED_AFTER_MS} and f.began + ${AHEAD_MS}
         )`,
    ),
  },
  {
    title: "no queue with slots of its own had more of them in a worker",
    text: `select b.run, array_agg(a.run) as others
           from (ledger.run join ledger.enqueued using (job_id, n)) as b
           join (ledger.run join ledger.enqueued using (job_id, n)) as a
             on a.process = b.process
            and a.run <> b.run
            and a.began between b.began - ${LONGEST_RUN_MS} and b.began
           where b.process like '${SLOTS.post}.%'
             and a.queue = '${SLOTS.queue}'
             and b.queue = '${SLOTS.queue}'
             -- A batch has one slot.
             and 'batched' not in (a.task, b.task)
             and b.began < coalesce(a.ended, 'infinity')
           group by b.run
           having count(*) >= ${SLOTS.slots}`,
  },
  {
    title: "every second has one slot of the schedule, and each slot's job ran",
    text: `select s.slot_at, s.outcome, s.job_id, count(*) over (partition by s.slot_at) as times
           from (
             select t.slot_at, t.outcome, t.job_id, t.slot_at - lag(t.slot_at) over (order by t.slot_at) as gap
             from rouse.slot as t
           ) as s
           where s.outcome <> 'run'
              or s.gap <> interval '1 second'
              or not exists (
                select from ledger.run as r
                join rouse.archive as a on a.id = r.job_id
                where r.job_id = s.job_id and a.state = 'succeeded'
              )`,
  },
  {
    title: "no worker and no session is left",
    text: `select name as left from rouse.worker
           union all
           select application_name from pg_stat_activity where application_name like 'rouse%'`,
  },
];

/** Starts up to which more had been made in some time than burst + rate * time, of rows of (run, at), at in seconds. */
function overRate(burst: number, starts: string): string {
  return `
    select run, at, most
    from (
      select run, at, 1 + behind - min(behind) over (order by n) as most
      from (
        select run, at, n, n - at * ${RATE.rate} as behind
        from (select run, at, row_number() over (order by at) as n from (${starts}) as s) as t
      ) as u
    ) as v
    where most > ${burst} + 0.001`;
}
