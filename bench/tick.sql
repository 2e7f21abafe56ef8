-- How long a tick takes over 10,000 schedules of which 1,000 are due. In a database that Rouse was migrated into:
--   psql -f bench/tick.sql
-- Everything is rolled back. The first tick also plans its statements; the figure is the others'.
\set QUIET on
\pset tuples_only on
begin;
set local client_min_messages = warning;
delete from rouse.schedule;
insert into rouse.schedule (name, spec, task, overlap)
select 'bench ' || n, '* * * * *', 'bench', 'allow'
from generate_series(1, 10000) as n;
update rouse.schedule
set next_run_at = next_run_at + interval '1 year'
where id % 10 > 0;

do $$
declare
  slot timestamptz := date_trunc('minute', clock_timestamp());
  began timestamptz;
  took numeric;
  times numeric[] := array[]::numeric[];
begin
  for turn in 0..10 loop
    slot := slot + interval '1 minute';
    began := clock_timestamp();
    perform rouse.tick(slot);
    took := extract(epoch from clock_timestamp() - began) * 1000;
    if turn > 0 then
      times := times || took;
    end if;
    if (select count(*) from rouse.job where task = 'bench') <> 1000 then
      raise exception 'a tick enqueued % jobs', (select count(*) from rouse.job where task = 'bench');
    end if;
    delete from rouse.job where task = 'bench';
  end loop;
  create temp table figure on commit drop as
  select
    round((select percentile_cont(0.5) within group (order by t) from unnest(times) as t)::numeric) as median,
    round((select min(t) from unnest(times) as t)) as least,
    round((select max(t) from unnest(times) as t)) as most;
end;
$$;
select format('tick, 1,000 due of 10,000 schedules: median %s ms, %s to %s ms (goal: under 200)', median, least, most)
from figure;
rollback;
