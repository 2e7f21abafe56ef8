--! Previous: -
--! Hash: sha1:305a0c399ad74be996370a7bbf34af9c9af2e16e
--! Unreleased

--! Included tables/setting.sql
-- Where this installation is at home is told by two oids that pg_upgrade and a failover keep, and that a restored dump
-- or a database made from a template does not. They are plain numbers here: a regclass would follow the copy.
create table :SCHEMA.setting (
  only_row boolean not null default true,
  shard smallint not null default 0,
  payload_limit integer not null default 1000000,
  lease interval not null default '30 seconds',
  home_database oid,
  home_table oid,
  constraint setting_pkey primary key (only_row),
  constraint setting_has_one_row check (only_row),
  constraint setting_shard_between_0_and_511 check (shard between 0 and 511),
  constraint setting_payload_limit_at_least_1000_bytes check (payload_limit >= 1000),
  constraint setting_lease_at_least_5_seconds check (lease >= interval '5 seconds')
);

insert into :SCHEMA.setting default values;

update :SCHEMA.setting
set
  home_database = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database()),
  home_table = tableoid;

comment on table :SCHEMA.setting is 'Settings of this installation, one row. Change with UPDATE; workers follow within a beat.';
comment on column :SCHEMA.setting.only_row is 'Always true: there is one row.';
comment on column :SCHEMA.setting.shard is 'Number of this server among several, 0 to 511; part of each job id. Set by use_shard().';
comment on column :SCHEMA.setting.payload_limit is 'Largest payload that enqueue accepts, in bytes of jsonb; at least 1000, so that most jobs need not look here.';
comment on column :SCHEMA.setting.lease is 'How long a worker may be silent before its jobs are handed to others.';
comment on column :SCHEMA.setting.home_database is 'Oid of the database that this installation is at home in; elsewhere it is a copy, on which no worker starts. Set by confirm_copy().';
comment on column :SCHEMA.setting.home_table is 'Oid of this table there.';
--! EndIncluded tables/setting.sql
--! Included tables/task.sql
create table :SCHEMA.task (
  name text not null,
  queue text not null default 'default',
  priority smallint not null default 0,
  delay interval not null default '0',
  max_attempts smallint not null default 10,
  backoff text not null default 'exponential',
  backoff_base interval not null default '5 seconds',
  backoff_cap interval not null default '1 hour',
  backoff_list interval[],
  jitter real not null default 0.2,
  timeout interval,
  concurrency_key text,
  expires_in interval,
  deadline interval,
  keep_succeeded interval not null default '1 day',
  keep_failed interval not null default '30 days',
  dead_letter text,
  payload_schema jsonb,
  aliases text[] not null default '{}',
  declared_at timestamptz not null default clock_timestamp(),
  constraint task_pkey primary key (name),
  constraint task_name_1_to_200_characters check (length(name) between 1 and 200),
  constraint task_queue_1_to_200_characters check (length(queue) between 1 and 200),
  constraint task_priority_between_minus_100_and_100 check (priority between -100 and 100),
  constraint task_delay_between_0_and_1000_years check (delay between interval '0' and interval '1000 years'),
  constraint task_max_attempts_is_positive check (max_attempts > 0),
  constraint task_backoff_is_known check (backoff in ('fixed', 'linear', 'exponential', 'list')),
  constraint task_backoff_base_is_not_negative check (backoff_base >= interval '0'),
  constraint task_backoff_cap_is_not_negative check (backoff_cap >= interval '0'),
  constraint task_backoff_list_goes_with_list check (
    (backoff = 'list') = (backoff_list is not null)
    and (backoff_list is null or cardinality(backoff_list) > 0)
    and array_position(backoff_list, null) is null
  ),
  constraint task_jitter_between_0_and_1 check (jitter between 0 and 1),
  constraint task_timeout_is_positive check (timeout > interval '0' and isfinite(timeout)),
  constraint task_concurrency_key_1_to_400_characters check (length(concurrency_key) between 1 and 400),
  constraint task_expires_in_is_positive check (expires_in > interval '0' and isfinite(expires_in)),
  constraint task_deadline_is_positive check (deadline > interval '0' and isfinite(deadline)),
  constraint task_keep_succeeded_is_not_negative check (keep_succeeded >= interval '0'),
  constraint task_keep_failed_is_not_negative check (keep_failed >= interval '0'),
  constraint task_dead_letter_is_another_task check (
    length(dead_letter) between 1 and 200
    and dead_letter <> name
    and not starts_with(dead_letter, 'rouse.')
  )
);

comment on table :SCHEMA.task is 'What is known of each task: the defaults of its jobs, how they are retried, how long they are kept. Workers declare theirs at start; SQL users may write rows too.';
comment on column :SCHEMA.task.name is 'Name given to enqueue.';
comment on column :SCHEMA.task.queue is 'Queue of jobs that name none.';
comment on column :SCHEMA.task.priority is 'Priority of jobs that name none; a higher number runs first.';
comment on column :SCHEMA.task.delay is 'Delay of jobs that name neither delay nor run_at.';
comment on column :SCHEMA.task.max_attempts is 'Attempts before a job ends failed.';
comment on column :SCHEMA.task.backoff is 'Wait before attempt n+1: fixed = base; linear = base * n; exponential = base * 2^(n-1); list = the n-th of backoff_list, its last one from there on.';
comment on column :SCHEMA.task.backoff_base is 'Base of the backoff.';
comment on column :SCHEMA.task.backoff_cap is 'Longest wait between two attempts, before jitter.';
comment on column :SCHEMA.task.backoff_list is 'Waits of backoff list.';
comment on column :SCHEMA.task.jitter is 'Share by which a wait varies: 0.2 means from 80 to 120 percent.';
comment on column :SCHEMA.task.timeout is 'Time an attempt may take; null: no limit.';
comment on column :SCHEMA.task.concurrency_key is 'Concurrency key of jobs that name none: a constant, or after $. the path of a field of the payload, such as $.customer.id; null: none. Its limit is in job_limit.';
comment on column :SCHEMA.task.expires_in is 'How long after its due time a job may still start; null: any time.';
comment on column :SCHEMA.task.deadline is 'Time from a job''s due time in which all its attempts must have ended; null: no limit.';
comment on column :SCHEMA.task.keep_succeeded is 'How long succeeded jobs stay in the archive; 0 keeps nothing.';
comment on column :SCHEMA.task.keep_failed is 'How long failed, cancelled and expired jobs stay in the archive; 0 keeps nothing.';
comment on column :SCHEMA.task.dead_letter is 'Task that gets a job of its own for each one that ends failed; null: none.';
comment on column :SCHEMA.task.payload_schema is 'JSON Schema of the payload as it is stored, told by the code that declared the task.';
comment on column :SCHEMA.task.aliases is 'Former names: jobs enqueued under them belong to this task.';
comment on column :SCHEMA.task.declared_at is 'When a worker last declared this task.';
--! EndIncluded tables/task.sql
--! Included tables/unique_window.sql
-- Rows of their own: a window outlives the job that opened it, and may end before it.
create table :SCHEMA.unique_window (
  scope text not null,
  key text not null,
  job_id bigint not null,
  ends_at timestamptz not null,
  constraint unique_window_pkey primary key (scope, key)
);

create index unique_window_ends on :SCHEMA.unique_window (ends_at);

comment on table :SCHEMA.unique_window is 'Keys under which a job was enqueued with unique_period: until the window ends there is no second one.';
comment on column :SCHEMA.unique_window.scope is 'global, or task or queue, a colon and its name.';
comment on column :SCHEMA.unique_window.key is 'Unique key.';
comment on column :SCHEMA.unique_window.job_id is 'Job that was enqueued.';
comment on column :SCHEMA.unique_window.ends_at is 'From then on the key is free.';
--! EndIncluded tables/unique_window.sql
--! Included tables/queue.sql
create table :SCHEMA.queue (
  name text not null,
  paused_at timestamptz,
  paused_by text,
  constraint queue_pkey primary key (name),
  constraint queue_name_1_to_200_characters check (length(name) between 1 and 200)
);

comment on table :SCHEMA.queue is 'Settings of queues that have any. A queue needs no row to exist: naming it in a job is enough.';
comment on column :SCHEMA.queue.name is 'Name of the queue.';
comment on column :SCHEMA.queue.paused_at is 'Since when no job of the queue is claimed; null: not paused.';
comment on column :SCHEMA.queue.paused_by is 'Role that paused it.';
--! EndIncluded tables/queue.sql
--! Included tables/job_limit.sql
-- What a limit is about is its lane: a task, a queue or a key. Rules for each key of a task or a queue have a row too.
create table :SCHEMA.job_limit (
  kind text collate "C" not null,
  name text not null,
  concurrency integer,
  rate integer,
  period interval,
  burst integer not null default 1,
  holds boolean not null default false,
  paused_at timestamptz,
  paused_by text,
  declared boolean not null default false,
  changed_in xid8 not null default pg_catalog.pg_current_xact_id(),
  settled boolean not null default false,
  lane text not null generated always as (kind || ':' || name) stored,
  constraint job_limit_pkey primary key (kind, name),
  constraint job_limit_kind_is_known check (kind in ('task', 'queue', 'key', 'task_keys', 'queue_keys')),
  constraint job_limit_name_1_to_400_characters check (length(name) between 1 and 400),
  constraint job_limit_concurrency_is_positive check (concurrency > 0),
  constraint job_limit_rate_between_1_and_1000000 check (rate between 1 and 1000000),
  constraint job_limit_period_is_positive check (period > interval '0' and isfinite(period)),
  constraint job_limit_rate_goes_with_period check ((rate is null) = (period is null)),
  constraint job_limit_burst_between_1_and_1000000 check (burst between 1 and 1000000)
);

comment on table :SCHEMA.job_limit is 'Limits of tasks, queues and keys: how many jobs run at a time on all workers, and how many start in a period. Changed by set_limit() and drop_limit(), or edited directly; both take effect at the commit. Read them in the view limits.';
comment on column :SCHEMA.job_limit.kind is 'task, queue or key: a limit of all its jobs together; task_keys or queue_keys: of each concurrency key of its jobs.';
comment on column :SCHEMA.job_limit.name is 'Name of the task, the queue or the key.';
comment on column :SCHEMA.job_limit.concurrency is 'Jobs that run at a time; null: any number. A key that no row is about has 1.';
comment on column :SCHEMA.job_limit.rate is 'Jobs that start in each period; null: any number.';
comment on column :SCHEMA.job_limit.period is 'Time in which that many start.';
comment on column :SCHEMA.job_limit.burst is 'Most that start at once after a pause: in any time at most burst + rate * time / period.';
comment on column :SCHEMA.job_limit.holds is 'Whether a job that failed keeps its slot until its next attempt, so that no other one passes it.';
comment on column :SCHEMA.job_limit.paused_at is 'Since when none starts; null: not paused.';
comment on column :SCHEMA.job_limit.paused_by is 'Role that paused it.';
comment on column :SCHEMA.job_limit.declared is 'Whether the code of a task says so: a worker that starts sets it again.';
comment on column :SCHEMA.job_limit.changed_in is 'Transaction that last changed the row.';
comment on column :SCHEMA.job_limit.settled is 'Whether all transactions that did not know of it have ended.';
comment on column :SCHEMA.job_limit.lane is 'What the jobs under it stand in line for.';
--! EndIncluded tables/job_limit.sql
--! Included tables/job.sql
-- An id is shard * 2^44 + n: unique across servers, telling where a job lives, and below 2^53, so a
-- JavaScript number holds it exactly. use_shard() moves the range.
--
-- No check constraints: job_inserted() and job_checked() refuse what breaks a rule, for a reason given in is_sound().
create table :SCHEMA.job (
  id bigint generated by default as identity (
    sequence name :SCHEMA.job_id
    minvalue 1
    maxvalue 17592186044415
  ),
  run_at timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  worker_id integer,
  schedule_id integer,
  priority smallint not null default 0,
  attempt smallint not null default 0,
  max_attempts smallint,
  task text not null,
  queue text not null default 'default',
  state text collate "C" not null default 'ready',
  payload jsonb not null default '{}',
  lease uuid,
  unique_key text,
  unique_scope text,
  coalesce_key text,
  concurrency_key text,
  lane text,
  timeout interval,
  expires_at timestamptz,
  deadline_at timestamptz,
  scheduled_for timestamptz,
  tags text[],
  headers jsonb,
  constraint job_pkey primary key (id)
) with (
  -- A claim writes a new version of each row and a finish removes it: room on the page keeps both there.
  fillfactor = 70,
  -- The table is a stream: vacuum by count of dead rows, not by share of a size that swings all day.
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_insert_scale_factor = 0,
  autovacuum_vacuum_insert_threshold = 50000,
  autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 50000
);

-- The claim index holds only what can run now. Claims take one priority after the other and go on in it where they were
-- before, which one comparison of rows says only where all columns ascend.
create index job_ready on :SCHEMA.job (queue, priority, run_at, id)
  where state = 'ready';

create index job_due on :SCHEMA.job (run_at, id)
  where state = 'scheduled';

-- What may start no longer once this instant has come. Jobs without either are not in it.
create index job_expiring on :SCHEMA.job (least(expires_at, deadline_at))
  where least(expires_at, deadline_at) is not null and state <> 'running';

create index job_running on :SCHEMA.job (worker_id)
  where state = 'running';

-- Jobs that stand in line, lane by lane in the order in which they are admitted. None of them is in the claim index.
create index job_blocked on :SCHEMA.job (lane, priority desc, run_at, id)
  where state = 'blocked';

create unique index job_unique_key on :SCHEMA.job (task, unique_key)
  where unique_key is not null and unique_scope is null;

create unique index job_unique_scope on :SCHEMA.job (unique_scope, unique_key)
  where unique_scope is not null;

-- A job that runs has left the index: a change that comes meanwhile makes a new one. When the running one then
-- would have to wait again, for a retry or because its worker stops, it gives way to the newer (see give_back).
create unique index job_coalesce_key on :SCHEMA.job (task, coalesce_key)
  where coalesce_key is not null and state <> 'running';

create index job_schedule on :SCHEMA.job (schedule_id)
  where schedule_id is not null;

-- ANALYZE keeps samples of what it reads: of these columns it would keep what purge() has to remove. No plan needs them.
alter table :SCHEMA.job
  alter column payload set statistics 0,
  alter column unique_key set statistics 0,
  alter column unique_scope set statistics 0,
  alter column coalesce_key set statistics 0,
  alter column concurrency_key set statistics 0,
  alter column lane set statistics 0,
  alter column tags set statistics 0,
  alter column headers set statistics 0;

comment on sequence :SCHEMA.job_id is 'Job ids: shard * 2^44 + n.';
comment on table :SCHEMA.job is 'Live jobs: scheduled, ready, running, blocked or waiting. INSERT and COPY are the bulk door to the queue. Finished jobs are in archive; read both in the view jobs.';
comment on column :SCHEMA.job.id is 'Identity of the job, kept in the archive: shard * 2^44 + n, below 2^53.';
comment on column :SCHEMA.job.run_at is 'When the job is due.';
comment on column :SCHEMA.job.created_at is 'When it was enqueued.';
comment on column :SCHEMA.job.started_at is 'When the running attempt was claimed.';
comment on column :SCHEMA.job.worker_id is 'Worker that runs it.';
comment on column :SCHEMA.job.priority is '-100 to 100; a higher number runs first.';
comment on column :SCHEMA.job.attempt is 'Attempts started so far, the running one included.';
comment on column :SCHEMA.job.max_attempts is 'Attempts before the job ends failed; null: as the task says.';
comment on column :SCHEMA.job.task is 'Task that handles it.';
comment on column :SCHEMA.job.queue is 'Queue it waits in.';
comment on column :SCHEMA.job.state is 'scheduled (run_at ahead), ready, running, blocked (waits for its key, or for a limit of its task or queue) or waiting (for jobs it depends on).';
comment on column :SCHEMA.job.payload is 'Input of the task.';
comment on column :SCHEMA.job.lease is 'Random token of the running attempt: whoever shows another one is refused.';
comment on column :SCHEMA.job.unique_key is 'At most one live job of a task, or of unique_scope, has a given key.';
comment on column :SCHEMA.job.unique_scope is 'Within what the unique key is unique: global, or queue: and its name; null: its task.';
comment on column :SCHEMA.job.coalesce_key is 'At most one job of a task that waits has a given key: a later one gives it its payload instead of being added.';
comment on column :SCHEMA.job.concurrency_key is 'Of the jobs with a given key one runs at a time, or as many as the key''s limit says.';
comment on column :SCHEMA.job.lane is 'The key, task or queue for which it stands in line, or through which it came; null: it is under no limit.';
comment on column :SCHEMA.job.timeout is 'Time an attempt may take; null: as the task says.';
comment on column :SCHEMA.job.expires_at is 'From then on no attempt starts: a job that waits ends expired; null: never.';
comment on column :SCHEMA.job.deadline_at is 'When all attempts together must have ended: an attempt that runs times out and is not retried, a job that waits ends expired; null: no such instant.';
comment on column :SCHEMA.job.schedule_id is 'Schedule that this job serves.';
comment on column :SCHEMA.job.scheduled_for is 'Slot of the schedule that this job serves.';
comment on column :SCHEMA.job.tags is 'Labels for people.';
comment on column :SCHEMA.job.headers is 'Context that travels with the job, such as a trace id.';
--! EndIncluded tables/job.sql
--! Included tables/arrival.sql
-- Append-only for all but admission, so that neither an enqueue nor a finish ever waits for another one of the same key.
create table :SCHEMA.arrival (
  lane text not null,
  job_id bigint,
  started_at timestamptz,
  arrived_at timestamptz not null default clock_timestamp()
) with (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_cost_delay = 0
);

create index arrival_lane on :SCHEMA.arrival (lane);

comment on table :SCHEMA.arrival is 'Lanes where something happened that may let a job start: one came, one ended, a limit was changed. admit() takes them.';
comment on column :SCHEMA.arrival.lane is 'task, queue or key, a colon, and its name.';
comment on column :SCHEMA.arrival.job_id is 'Job that may have left its slot; null: none has.';
comment on column :SCHEMA.arrival.started_at is 'When the job started that has to be counted by the rate of the lane; null: none has.';
comment on column :SCHEMA.arrival.arrived_at is 'Since when it waits.';
--! EndIncluded tables/arrival.sql
--! Included tables/holder.sql
-- Written by admission alone, which holds the lock of the lane. What it says is believed only as far as the job says the
-- same: a row whose job has gone counts until the job's arrival, or the sweep, has removed it.
create table :SCHEMA.holder (
  lane text not null,
  job_id bigint not null,
  started boolean not null default false,
  constraint holder_pkey primary key (lane, job_id)
) with (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_cost_delay = 0
);

comment on table :SCHEMA.holder is 'Jobs that were admitted to a lane and have a slot of it.';
comment on column :SCHEMA.holder.lane is 'task, queue or key, a colon, and its name.';
comment on column :SCHEMA.holder.job_id is 'Job that is ready or runs; or that failed and keeps its slot.';
comment on column :SCHEMA.holder.started is 'Whether its start was counted by the rate of the lane.';
--! EndIncluded tables/holder.sql
--! Included tables/meter.sql
-- GCRA: full_at is when the bucket will be full again. Each start moves it on by one step.
create table :SCHEMA.meter (
  lane text not null,
  full_at timestamptz not null default '-infinity',
  step interval not null,
  next_at timestamptz,
  constraint meter_pkey primary key (lane)
);

create index meter_next on :SCHEMA.meter (next_at)
  where next_at is not null;

comment on table :SCHEMA.meter is 'Rates: what each lane with one has used of it. Written by admission alone.';
comment on column :SCHEMA.meter.lane is 'task, queue or key, a colon, and its name.';
comment on column :SCHEMA.meter.full_at is 'When as many as burst may start at once again.';
comment on column :SCHEMA.meter.step is 'Time for which one start counts: the period divided by the rate.';
comment on column :SCHEMA.meter.next_at is 'When the next job that waits may start; null: none waits for that.';
--! EndIncluded tables/meter.sql
--! Included tables/archive.sql
-- Partitioned by the day on which a row may go, so that any retention is a partition drop, never a delete.
-- maintain() makes the partitions ahead of time; the default one catches what is missing until it does.
create table :SCHEMA.archive (
  id bigint not null,
  run_at timestamptz not null,
  created_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz not null,
  worker_id integer,
  drop_on date not null,
  priority smallint not null,
  attempt smallint not null,
  max_attempts smallint,
  task text not null,
  queue text not null,
  state text collate "C" not null,
  payload jsonb not null,
  result jsonb,
  unique_key text,
  unique_scope text,
  coalesce_key text,
  concurrency_key text,
  timeout interval,
  scheduled_for timestamptz,
  tags text[],
  headers jsonb,
  constraint archive_state_is_final check (state in ('succeeded', 'failed', 'cancelled', 'expired'))
) partition by range (drop_on);

create index archive_id on :SCHEMA.archive (id);

create index archive_failed on :SCHEMA.archive (task, finished_at)
  where state = 'failed';

create table :SCHEMA.archive_default
  partition of :SCHEMA.archive default;

-- No samples of what purge() has to remove; see the table job.
alter table :SCHEMA.archive
  alter column payload set statistics 0,
  alter column result set statistics 0,
  alter column unique_key set statistics 0,
  alter column unique_scope set statistics 0,
  alter column coalesce_key set statistics 0,
  alter column concurrency_key set statistics 0,
  alter column tags set statistics 0,
  alter column headers set statistics 0;

alter table :SCHEMA.archive_default
  alter column payload set statistics 0,
  alter column result set statistics 0,
  alter column unique_key set statistics 0,
  alter column unique_scope set statistics 0,
  alter column coalesce_key set statistics 0,
  alter column concurrency_key set statistics 0,
  alter column tags set statistics 0,
  alter column headers set statistics 0;

comment on table :SCHEMA.archive is 'Finished jobs, until their retention has passed.';
comment on table :SCHEMA.archive_default is 'Finished jobs whose partition was missing; maintain() moves them.';
comment on column :SCHEMA.archive.id is 'Identity of the job.';
comment on column :SCHEMA.archive.run_at is 'When the last attempt was due.';
comment on column :SCHEMA.archive.created_at is 'When it was enqueued.';
comment on column :SCHEMA.archive.started_at is 'When the last attempt was claimed; null: it never ran.';
comment on column :SCHEMA.archive.finished_at is 'When it finished.';
comment on column :SCHEMA.archive.worker_id is 'Worker that ran the last attempt.';
comment on column :SCHEMA.archive.drop_on is 'Day from which the row may be dropped.';
comment on column :SCHEMA.archive.priority is 'Priority it had.';
comment on column :SCHEMA.archive.attempt is 'Attempts it took.';
comment on column :SCHEMA.archive.max_attempts is 'Attempts it was allowed; null: as the task says.';
comment on column :SCHEMA.archive.task is 'Task that handled it.';
comment on column :SCHEMA.archive.queue is 'Queue it waited in.';
comment on column :SCHEMA.archive.state is 'succeeded, failed, cancelled or expired.';
comment on column :SCHEMA.archive.payload is 'Input of the task.';
comment on column :SCHEMA.archive.result is 'What the task returned.';
comment on column :SCHEMA.archive.unique_key is 'Key it held while live.';
comment on column :SCHEMA.archive.unique_scope is 'Within what that key was unique; null: its task.';
comment on column :SCHEMA.archive.coalesce_key is 'Key under which it waited.';
comment on column :SCHEMA.archive.concurrency_key is 'Key of which it had a slot while it ran.';
comment on column :SCHEMA.archive.timeout is 'Time an attempt might take; null: as the task says.';
comment on column :SCHEMA.archive.scheduled_for is 'Slot of the schedule that it served.';
comment on column :SCHEMA.archive.tags is 'Labels for people.';
comment on column :SCHEMA.archive.headers is 'Context that travelled with the job.';
--! EndIncluded tables/archive.sql
--! Included tables/attempt_error.sql
-- Apart from the job, so that a failing job keeps its history without its row growing.
create table :SCHEMA.attempt_error (
  job_id bigint not null,
  failed_at timestamptz not null default clock_timestamp(),
  drop_on date not null,
  worker_id integer,
  attempt smallint not null,
  message text not null,
  detail jsonb
) partition by range (drop_on);

create index attempt_error_job on :SCHEMA.attempt_error (job_id, attempt);

create table :SCHEMA.attempt_error_default
  partition of :SCHEMA.attempt_error default;

-- No samples of what purge() has to remove; see the table job.
alter table :SCHEMA.attempt_error
  alter column message set statistics 0,
  alter column detail set statistics 0;

alter table :SCHEMA.attempt_error_default
  alter column message set statistics 0,
  alter column detail set statistics 0;

comment on table :SCHEMA.attempt_error is 'Why attempts failed, one row each.';
comment on table :SCHEMA.attempt_error_default is 'Errors whose partition was missing; maintain() moves them.';
comment on column :SCHEMA.attempt_error.job_id is 'Job that failed.';
comment on column :SCHEMA.attempt_error.failed_at is 'When.';
comment on column :SCHEMA.attempt_error.drop_on is 'Day from which the row may be dropped.';
comment on column :SCHEMA.attempt_error.worker_id is 'Worker that ran the attempt.';
comment on column :SCHEMA.attempt_error.attempt is 'Number of the attempt, from 1.';
comment on column :SCHEMA.attempt_error.message is 'The error in one line.';
comment on column :SCHEMA.attempt_error.detail is 'What else is known: name, code, stack.';
--! EndIncluded tables/attempt_error.sql
--! Included tables/progress.sql
create table :SCHEMA.progress (
  job_id bigint not null,
  lease uuid not null,
  reported_at timestamptz not null default clock_timestamp(),
  progress real not null,
  message text,
  constraint progress_pkey primary key (job_id),
  constraint progress_between_0_and_1 check (progress between 0 and 1)
) with (
  -- A row is rewritten up to once a second, which touches no index.
  fillfactor = 50
);

-- No samples of what purge() has to remove; see the table job.
alter table :SCHEMA.progress
  alter column message set statistics 0;

comment on table :SCHEMA.progress is 'How far running jobs are, as far as they say so. Read it in the view jobs.';
comment on column :SCHEMA.progress.job_id is 'Job that runs.';
comment on column :SCHEMA.progress.lease is 'Its attempt: what an earlier one said does not count.';
comment on column :SCHEMA.progress.reported_at is 'When it said so.';
comment on column :SCHEMA.progress.progress is 'Share of the work that is done, 0 to 1.';
comment on column :SCHEMA.progress.message is 'The same in words.';
--! EndIncluded tables/progress.sql
--! Included tables/job_log.sql
create table :SCHEMA.job_log (
  job_id bigint not null,
  logged_at timestamptz not null,
  drop_on date not null,
  attempt smallint not null,
  level text not null,
  message text not null,
  fields jsonb
) partition by range (drop_on);

create index job_log_job on :SCHEMA.job_log (job_id, logged_at);

create table :SCHEMA.job_log_default
  partition of :SCHEMA.job_log default;

-- No samples of what purge() has to remove; see the table job.
alter table :SCHEMA.job_log
  alter column message set statistics 0,
  alter column fields set statistics 0;

alter table :SCHEMA.job_log_default
  alter column message set statistics 0,
  alter column fields set statistics 0;

comment on table :SCHEMA.job_log is 'What handlers logged, one line a row.';
comment on table :SCHEMA.job_log_default is 'Lines whose partition was missing; maintain() moves them.';
comment on column :SCHEMA.job_log.job_id is 'Job.';
comment on column :SCHEMA.job_log.logged_at is 'When, on the clock of the worker.';
comment on column :SCHEMA.job_log.drop_on is 'Day from which the row may be dropped.';
comment on column :SCHEMA.job_log.attempt is 'Number of the attempt, from 1.';
comment on column :SCHEMA.job_log.level is 'info, warn or error.';
comment on column :SCHEMA.job_log.message is 'The line.';
comment on column :SCHEMA.job_log.fields is 'What belongs to it.';
--! EndIncluded tables/job_log.sql
--! Included tables/dead_letter.sql
create table :SCHEMA.dead_letter (
  letter_id bigint not null,
  job_id bigint not null,
  constraint dead_letter_pkey primary key (letter_id)
);

create index dead_letter_job on :SCHEMA.dead_letter (job_id);

comment on table :SCHEMA.dead_letter is 'Which jobs tell of which failed ones, so that a purge finds the copies of a payload.';
comment on column :SCHEMA.dead_letter.letter_id is 'Job of the task that receives the failed jobs of another.';
comment on column :SCHEMA.dead_letter.job_id is 'Job that failed.';
--! EndIncluded tables/dead_letter.sql
--! Included tables/cancel_request.sql
create table :SCHEMA.cancel_request (
  job_id bigint not null,
  requested_at timestamptz not null default clock_timestamp(),
  requested_by text not null default session_user,
  constraint cancel_request_pkey primary key (job_id)
);

comment on table :SCHEMA.cancel_request is 'Running jobs that are to end cancelled, until they have. Written by cancel(): the row of a running job is written by claim and finish alone.';
comment on column :SCHEMA.cancel_request.job_id is 'Job that runs.';
comment on column :SCHEMA.cancel_request.requested_at is 'When cancel() was called.';
comment on column :SCHEMA.cancel_request.requested_by is 'Role that called it.';
--! EndIncluded tables/cancel_request.sql
--! Included tables/awaited.sql
-- Unlogged: who waits renews its row every few seconds, so that a crash of the server loses nothing.
create unlogged table :SCHEMA.awaited (
  job_id bigint not null,
  until timestamptz not null,
  constraint awaited_pkey primary key (job_id)
);

create index awaited_until on :SCHEMA.awaited (until);

comment on table :SCHEMA.awaited is 'Jobs whose end somebody waits for: only these are notified of.';
comment on column :SCHEMA.awaited.job_id is 'Job.';
comment on column :SCHEMA.awaited.until is 'Until when, unless renewed.';
--! EndIncluded tables/awaited.sql
--! Included tables/worker.sql
create table :SCHEMA.worker (
  id integer not null generated always as identity,
  name text not null,
  host text,
  pid integer,
  version text,
  queues text[],
  tasks text[],
  concurrency integer,
  started_at timestamptz not null default clock_timestamp(),
  stopping_at timestamptz,
  beat_at timestamptz not null default clock_timestamp(),
  beats bigint not null default 0,
  holds_lock boolean not null default false,
  polls_since timestamptz,
  lost_at timestamptz,
  given_up_at timestamptz,
  stuck integer not null default 0,
  constraint worker_pkey primary key (id),
  constraint worker_name_1_to_200_characters check (length(name) between 1 and 200)
) with (
  -- Each row is rewritten at every beat, which touches no index: room for the next version makes that a HOT update.
  fillfactor = 50
);

comment on table :SCHEMA.worker is 'Worker processes that are running, one row each.';
comment on column :SCHEMA.worker.id is 'Identity of the worker, never used twice.';
comment on column :SCHEMA.worker.name is 'Name for people, host and process id unless chosen.';
comment on column :SCHEMA.worker.host is 'Host it runs on.';
comment on column :SCHEMA.worker.pid is 'Its process id there.';
comment on column :SCHEMA.worker.version is 'Version of Rouse it runs.';
comment on column :SCHEMA.worker.queues is 'Queues it serves; null: all.';
comment on column :SCHEMA.worker.tasks is 'Tasks it knows; null: all.';
comment on column :SCHEMA.worker.concurrency is 'Jobs it runs at a time.';
comment on column :SCHEMA.worker.started_at is 'When it started.';
comment on column :SCHEMA.worker.stopping_at is 'Since when it takes no new jobs.';
comment on column :SCHEMA.worker.beat_at is 'When it last gave a sign of life.';
comment on column :SCHEMA.worker.beats is 'Signs of life so far: others judge it by this counter and their own clocks, so that a jump of the server clock expires nobody.';
comment on column :SCHEMA.worker.polls_since is 'Since when it looks for jobs every second, because it hears no notification; null: it does hear.';
comment on column :SCHEMA.worker.holds_lock is 'Whether a session holds the lock of this worker, so that its absence means death.';
comment on column :SCHEMA.worker.lost_at is 'When the lock was found missing; null: it was there at the last look.';
comment on column :SCHEMA.worker.given_up_at is 'Since when it counts as dead, while one of its jobs, which somebody holds locked, has still to be handed over; null: it does not.';
comment on column :SCHEMA.worker.stuck is 'Slots held by handlers that go on though their signal has aborted.';
--! EndIncluded tables/worker.sql
--! Included tables/server_run.sql
-- Unlogged: emptied by a crash and by a failover. Together with the start time of the server it tells that
-- all sessions, and with them all worker locks, ended for a reason that says nothing about the workers.
create unlogged table :SCHEMA.server_run (
  started_at timestamptz not null,
  first_beat_at timestamptz not null,
  constraint server_run_pkey primary key (started_at)
);

comment on table :SCHEMA.server_run is 'When workers first came back to this run of the server. Their locks count from some seconds later.';
comment on column :SCHEMA.server_run.started_at is 'Start of the server.';
comment on column :SCHEMA.server_run.first_beat_at is 'First sign of life of a worker since then.';
--! EndIncluded tables/server_run.sql
--! Included tables/sleeper.sql
-- Unlogged: a crash of the server ends every worker's sleep, since each looks for jobs when it is connected again.
-- Every producer reads all of it, so it is written rarely: dead versions cost each of them, and under an old snapshot
-- they stay.
create unlogged table :SCHEMA.sleeper (
  worker_id integer not null,
  queues text[],
  next_wake timestamptz,
  constraint sleeper_pkey primary key (worker_id)
);

comment on table :SCHEMA.sleeper is 'Workers that have to be told of jobs. Whoever commits a job while nobody is here for it leaves out the notification.';
comment on column :SCHEMA.sleeper.worker_id is 'The worker.';
comment on column :SCHEMA.sleeper.queues is 'Queues it serves; null: all.';
comment on column :SCHEMA.sleeper.next_wake is 'When it wakes by itself, so that of later jobs it need not be told; null: it has yet to look for jobs of those who committed without telling.';
--! EndIncluded tables/sleeper.sql
--! Included tables/access.sql
-- By the role's oid, which a new role of an old name does not have.
create table :SCHEMA.access (
  role regrole not null,
  level text not null,
  granted_at timestamptz not null default clock_timestamp(),
  granted_by text not null default session_user,
  constraint access_pkey primary key (role, level),
  constraint access_level_is_known check (level in ('enqueue', 'work', 'view', 'admin'))
);

comment on table :SCHEMA.access is 'Who was given which level by grant_access(), so that every migration can give it again for what it made anew. Changed by grant_access() and revoke_access() alone.';
comment on column :SCHEMA.access.role is 'Role.';
comment on column :SCHEMA.access.level is 'enqueue, work, view or admin; a role may have several.';
comment on column :SCHEMA.access.granted_at is 'When it was granted.';
comment on column :SCHEMA.access.granted_by is 'Role that granted it.';
--! EndIncluded tables/access.sql
--! Included schedule/cron_spec.sql
-- The parsed form of a spec, as a schedule's row keeps it. A bitmap has bit n set where the value n matches.
create type :SCHEMA.cron_spec as (
  kind text,
  seconds bigint,
  minutes bigint,
  hours bigint,
  days bigint,
  months bigint,
  weekdays bigint,
  either_day boolean,
  elapsed boolean,
  period interval,
  at timestamptz,
  local_at timestamp
);

comment on type :SCHEMA.cron_spec is 'A schedule''s spec, parsed by cron_parse and evaluated by cron_after.';
comment on column :SCHEMA.cron_spec.kind is 'cron (the bitmaps count), every (period counts) or once (at or local_at counts); the other attributes are null.';
comment on column :SCHEMA.cron_spec.seconds is 'Bits 0 to 59.';
comment on column :SCHEMA.cron_spec.minutes is 'Bits 0 to 59.';
comment on column :SCHEMA.cron_spec.hours is 'Bits 0 to 23.';
comment on column :SCHEMA.cron_spec.days is 'Days of the month, bits 1 to 31; bit 0 is the last day of the month (L).';
comment on column :SCHEMA.cron_spec.months is 'Bits 1 to 12.';
comment on column :SCHEMA.cron_spec.weekdays is 'Days of the week, Sunday 0: bits 0 to 6 in any week, bits 7n to 7n + 6 the nth of a month (1#2), bits 42 to 48 the last of a month (5L).';
comment on column :SCHEMA.cron_spec.either_day is 'True where day of month and day of week are both restricted: a day matches when either does. Otherwise both must.';
comment on column :SCHEMA.cron_spec.elapsed is 'True where second, minute or hour starts with *: the spec follows elapsed time through clock changes. Otherwise each local time runs once.';
comment on column :SCHEMA.cron_spec.period is 'The interval of an every spec.';
comment on column :SCHEMA.cron_spec.at is 'The instant of a single time that was written with its offset.';
comment on column :SCHEMA.cron_spec.local_at is 'A single time written without an offset: local time in the schedule''s zone.';
--! EndIncluded schedule/cron_spec.sql
--! Included tables/schedule.sql
create table :SCHEMA.schedule (
  id integer not null generated always as identity,
  name text not null,
  spec text not null,
  timezone text not null default 'UTC',
  task text,
  payload jsonb not null default '{}',
  command text,
  autocommit boolean not null default false,
  queue text,
  priority smallint,
  catch_up text not null default 'latest',
  catch_up_limit integer not null default 100,
  catch_up_age interval not null default '1 day',
  overlap text not null default 'skip',
  starts_at timestamptz,
  ends_at timestamptz,
  max_runs integer,
  jitter interval not null default '0',
  enabled boolean not null default true,
  source text,
  stored_by text not null default session_user,
  parsed :SCHEMA.cron_spec not null,
  next_run_at timestamptz,
  last_run_at timestamptz,
  last_job_id bigint,
  queued_for timestamptz[] not null default '{}',
  runs integer not null default 0,
  last_error text,
  constraint schedule_pkey primary key (id),
  constraint schedule_name_is_unique unique (name),
  constraint schedule_name_1_to_200_characters check (length(name) between 1 and 200),
  constraint schedule_has_a_task_or_a_command check ((task is null) <> (command is null)),
  constraint schedule_autocommit_goes_with_command check (not autocommit or command is not null),
  constraint schedule_priority_between_minus_100_and_100 check (priority between -100 and 100),
  constraint schedule_catch_up_is_known check (catch_up in ('all', 'latest', 'none')),
  constraint schedule_catch_up_limit_between_1_and_10000 check (catch_up_limit between 1 and 10000),
  constraint schedule_catch_up_age_is_positive check (catch_up_age > interval '0'),
  constraint schedule_overlap_is_known check (overlap in ('allow', 'skip', 'queue')),
  constraint schedule_starts_before_it_ends check (starts_at < ends_at),
  constraint schedule_max_runs_is_positive check (max_runs > 0),
  constraint schedule_jitter_is_not_negative check (jitter >= interval '0')
) with (
  -- Rewritten at each slot; next_run_at is indexed, so this is no HOT update, but the pages stay few.
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 500
);

create index schedule_due on :SCHEMA.schedule (next_run_at)
  where enabled;

create index schedule_queued on :SCHEMA.schedule (id)
  where queued_for <> '{}';

comment on table :SCHEMA.schedule is 'What runs when. Edit it with INSERT, UPDATE and DELETE, or with schedule() and unschedule(): triggers check each row, compute next_run_at and tell workers.';
comment on column :SCHEMA.schedule.id is 'Identity, the same for as long as the schedule exists.';
comment on column :SCHEMA.schedule.name is 'Name by which it is declared again, paused and removed.';
comment on column :SCHEMA.schedule.spec is 'Cron with 5 fields, or 6 with seconds first; a macro such as @daily; every 5 seconds; at 2026-12-01 10:00.';
comment on column :SCHEMA.schedule.timezone is 'Zone in which the spec is read, a name such as Europe/Berlin.';
comment on column :SCHEMA.schedule.task is 'Task that runs; or command.';
comment on column :SCHEMA.schedule.payload is 'Input of the task.';
comment on column :SCHEMA.schedule.command is 'SQL that a worker runs as its own role; or task.';
comment on column :SCHEMA.schedule.autocommit is 'Run the command outside a transaction, as VACUUM needs it.';
comment on column :SCHEMA.schedule.queue is 'Queue of its jobs; null: as the task says.';
comment on column :SCHEMA.schedule.priority is 'Priority of its jobs; null: as the task says.';
comment on column :SCHEMA.schedule.catch_up is 'What happens to slots that nobody was there to run: all, the latest one, or none. A slot at most a minute late was not missed.';
comment on column :SCHEMA.schedule.catch_up_limit is 'With catch_up all: at most so many, the newest. They run one after the other unless overlap is allow.';
comment on column :SCHEMA.schedule.catch_up_age is 'With catch_up all: none older than this.';
comment on column :SCHEMA.schedule.overlap is 'When a slot comes while the job of an earlier one is live: allow both, skip the slot, or queue it (one at most) until that job has ended.';
comment on column :SCHEMA.schedule.starts_at is 'No slot before; intervals count from here.';
comment on column :SCHEMA.schedule.ends_at is 'No slot after.';
comment on column :SCHEMA.schedule.max_runs is 'It ends after so many runs.';
comment on column :SCHEMA.schedule.jitter is 'Each job is due up to this much after its slot, at random.';
comment on column :SCHEMA.schedule.enabled is 'False: paused.';
comment on column :SCHEMA.schedule.source is 'Code or file that declared it and that removes it by no longer naming it; null: made by hand.';
comment on column :SCHEMA.schedule.stored_by is 'Role that stored it.';
comment on column :SCHEMA.schedule.parsed is 'The spec as it is evaluated; computed.';
comment on column :SCHEMA.schedule.next_run_at is 'Its next slot; computed; null: none follows.';
comment on column :SCHEMA.schedule.last_run_at is 'Its last slot that was considered.';
comment on column :SCHEMA.schedule.last_job_id is 'Job of the last slot that ran.';
comment on column :SCHEMA.schedule.queued_for is 'Slots that wait for the end of the job before them, the oldest first.';
comment on column :SCHEMA.schedule.runs is 'Slots that have run or wait to.';
comment on column :SCHEMA.schedule.last_error is 'Why its last slot could not be enqueued.';
--! EndIncluded tables/schedule.sql
--! Included tables/slot.sql
-- The unique constraint is what makes a slot happen once, whatever evaluates it. It has to name the partition key,
-- which follows from the slot's time alone.
create table :SCHEMA.slot (
  schedule_id integer not null,
  slot_at timestamptz not null,
  drop_on date not null,
  outcome text collate "C" not null,
  job_id bigint,
  decided_at timestamptz not null default clock_timestamp(),
  constraint slot_happens_once primary key (schedule_id, slot_at, drop_on),
  constraint slot_outcome_is_known check (outcome in ('run', 'queued', 'skipped', 'failed'))
) partition by range (drop_on);

create table :SCHEMA.slot_default
  partition of :SCHEMA.slot default;

comment on table :SCHEMA.slot is 'Slots of schedules and what became of each, for a week.';
comment on table :SCHEMA.slot_default is 'Slots whose partition was missing; maintain() moves them.';
comment on column :SCHEMA.slot.schedule_id is 'Schedule.';
comment on column :SCHEMA.slot.slot_at is 'Time of the slot.';
comment on column :SCHEMA.slot.drop_on is 'Day from which the row may be dropped.';
comment on column :SCHEMA.slot.outcome is 'run: its job was enqueued; queued: it waits for the job before it; skipped: the job before it was still live; failed: it could not be enqueued.';
comment on column :SCHEMA.slot.job_id is 'Its job.';
comment on column :SCHEMA.slot.decided_at is 'When that was decided.';
--! EndIncluded tables/slot.sql
--! Included tables/watch.sql
create table :SCHEMA.watch (
  id integer not null generated by default as identity (sequence name :SCHEMA.watch_id),
  name text not null,
  relation text not null,
  tasks text[] not null,
  topic text,
  events text[] not null,
  columns text[],
  condition text,
  payload text not null,
  key text[] not null,
  batch integer,
  queue text,
  priority text,
  delay text,
  unique_key text,
  coalesce_key text,
  concurrency_key text,
  context text[] not null,
  on_error text not null,
  level text not null,
  source text,
  changed_at timestamptz not null default clock_timestamp(),
  changed_by text not null default session_user,
  constraint watch_pkey primary key (id),
  constraint watch_name_unique unique (name),
  constraint watch_name_1_to_200_characters check (length(name) between 1 and 200),
  constraint watch_has_a_receiver check (cardinality(tasks) > 0 or topic is not null),
  constraint watch_events_are_known check (
    events <@ array['insert', 'update', 'delete', 'truncate']
    and cardinality(events) > 0
  ),
  constraint watch_batch_is_positive check (batch > 0),
  constraint watch_on_error_is_known check (on_error in ('report', 'raise')),
  constraint watch_level_is_known check (level in ('statement', 'row'))
);

comment on sequence :SCHEMA.watch_id is 'Numbers of watches.';
comment on table :SCHEMA.watch is 'What was given to watch(), which makes from it the function watch_<id> and the triggers that call it. Changed by watch() and unwatch() alone; read it in the view watches.';
comment on column :SCHEMA.watch.id is 'Number in the names of the function and the triggers.';
comment on column :SCHEMA.watch.name is 'Name given to watch() and unwatch().';
comment on column :SCHEMA.watch.relation is 'The table as it was called then; the triggers follow when it is renamed.';
comment on column :SCHEMA.watch.tasks is 'Tasks that get the jobs.';
comment on column :SCHEMA.watch.topic is 'Topic that the changes are published to.';
comment on column :SCHEMA.watch.events is 'insert, update, delete, truncate.';
comment on column :SCHEMA.watch.columns is 'An update counts where one of these changed; null: always.';
comment on column :SCHEMA.watch.condition is 'SQL over new and old that a row must meet.';
comment on column :SCHEMA.watch.payload is 'key, row, change, changed, a JSON value, or SQL over new and old.';
comment on column :SCHEMA.watch.key is 'Columns that identify a row.';
comment on column :SCHEMA.watch.batch is 'Rows in a job; null: a job for each row.';
comment on column :SCHEMA.watch.queue is 'Queue of the jobs, or SQL over new and old.';
comment on column :SCHEMA.watch.priority is 'Priority of the jobs, or SQL over new and old.';
comment on column :SCHEMA.watch.delay is 'Delay of the jobs, or SQL over new and old.';
comment on column :SCHEMA.watch.unique_key is 'Unique key of the jobs: key, a text, or SQL over new and old.';
comment on column :SCHEMA.watch.coalesce_key is 'Coalescing key of the jobs: key, a text, or SQL over new and old.';
comment on column :SCHEMA.watch.concurrency_key is 'Concurrency key of the jobs: key, a text, or SQL over new and old.';
comment on column :SCHEMA.watch.context is 'Settings that are copied into the headers of the jobs.';
comment on column :SCHEMA.watch.on_error is 'report: an error in an expression is kept in watch_error and the write goes on; raise: the write fails.';
comment on column :SCHEMA.watch.level is 'statement or row: what its triggers fire for.';
comment on column :SCHEMA.watch.source is 'Code that declared it and that removes it by no longer naming it; null: made by hand.';
comment on column :SCHEMA.watch.changed_at is 'When watch() was last called for it.';
comment on column :SCHEMA.watch.changed_by is 'Role that called it.';
--! EndIncluded tables/watch.sql
--! Included tables/watch_error.sql
-- One row a failure, never a counter: application transactions that fail at the same time must not wait for each other.
create table :SCHEMA.watch_error (
  watch_id integer not null,
  failed_at timestamptz not null default clock_timestamp(),
  event text not null,
  code text not null,
  message text not null
);

create index watch_error_watch on :SCHEMA.watch_error (watch_id, failed_at);

comment on table :SCHEMA.watch_error is 'Errors of watches that let the write go on: its changes made no jobs. At most one row in ten seconds for each watch and code, kept for 7 days.';
comment on column :SCHEMA.watch_error.watch_id is 'Watch that failed.';
comment on column :SCHEMA.watch_error.failed_at is 'When.';
comment on column :SCHEMA.watch_error.event is 'insert, update, delete or truncate.';
comment on column :SCHEMA.watch_error.code is 'SQLSTATE of the error.';
comment on column :SCHEMA.watch_error.message is 'The error in one line.';
--! EndIncluded tables/watch_error.sql
--! Included tables/subscription.sql
create table :SCHEMA.subscription (
  topic text not null,
  task text not null,
  declared boolean not null default false,
  constraint subscription_pkey primary key (topic, task),
  constraint subscription_topic_1_to_200_characters check (length(topic) between 1 and 200),
  constraint subscription_task_1_to_200_characters check (length(task) between 1 and 200),
  constraint subscription_task_is_not_one_of_rouse check (not starts_with(task, 'rouse.'))
);

comment on table :SCHEMA.subscription is 'Which tasks get a job for what is published to a topic. Rows may be written directly; subscribe() and unsubscribe() are sugar.';
comment on column :SCHEMA.subscription.topic is 'Name given to publish().';
comment on column :SCHEMA.subscription.task is 'Task that gets a job.';
comment on column :SCHEMA.subscription.declared is 'Whether the code of the task declares it, and takes it away again.';
--! EndIncluded tables/subscription.sql
--! Included tables/broadcast.sql
-- Unlogged and short-lived: listening processes fetch a message within milliseconds of its commit, and nobody else
-- ever reads it. A crash of the server empties the table and disconnects every listener.
create unlogged table :SCHEMA.broadcast (
  id bigint not null generated by default as identity (sequence name :SCHEMA.broadcast_id),
  n integer not null default 1,
  published_at timestamptz not null default clock_timestamp(),
  topic text not null,
  payload jsonb not null,
  xact xid8 not null default pg_current_xact_id(),
  constraint broadcast_pkey primary key (id, n)
) with (
  -- As many rows are removed as are added: vacuum by count of dead rows.
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 50000
);

-- No samples of what people may have published; see the table job.
alter table :SCHEMA.broadcast
  alter column payload set statistics 0;

comment on sequence :SCHEMA.broadcast_id is 'Ids of live messages.';
comment on table :SCHEMA.broadcast is 'Live messages on their way to listening processes, removed by maintain() ten minutes after their commit or later. A notification names them, since any size must fit and since every role of a database may listen.';
comment on column :SCHEMA.broadcast.id is 'What the notification names: messages published in one statement share it.';
comment on column :SCHEMA.broadcast.n is 'Position of the message among these.';
comment on column :SCHEMA.broadcast.published_at is 'When it was published.';
comment on column :SCHEMA.broadcast.topic is 'Topic it was published to.';
comment on column :SCHEMA.broadcast.payload is 'The message.';
comment on column :SCHEMA.broadcast.xact is 'Transaction that published it, to tell whether it was committed before or after a mark.';
--! EndIncluded tables/broadcast.sql
--! Included tables/broadcast_mark.sql
-- Notifications come in the order of commits. Who has heard of a mark has therefore heard of all that its snapshot sees, and
-- what the snapshot does not see is what to look for after a broken connection.
--
-- Unlogged as the messages are: where a crash has emptied their table no mark is left to go on from.
create unlogged table :SCHEMA.broadcast_mark (
  id bigint not null generated always as identity,
  snapshot pg_snapshot not null,
  made_at timestamptz not null default clock_timestamp(),
  constraint broadcast_mark_pkey primary key (id)
);

comment on table :SCHEMA.broadcast_mark is 'Marks in the stream of live messages: listening processes make one about every 30 seconds, all of them together, and after a broken connection go on from the last one they heard of.';
comment on column :SCHEMA.broadcast_mark.id is 'What the notification names.';
comment on column :SCHEMA.broadcast_mark.snapshot is 'Which transactions were committed before it.';
comment on column :SCHEMA.broadcast_mark.made_at is 'When it was made.';
--! EndIncluded tables/broadcast_mark.sql
--! Included wake/installation.sql
-- A constant, so that it is inlined wherever it is called: as a query it took 12 µs of an insert, 30 of a wake-up.
create function :SCHEMA.installation()
  returns oid
  language sql
  stable
  parallel safe
return cast(cast($schema$:SCHEMA$schema$ as pg_catalog.regnamespace) as oid);

comment on function :SCHEMA.installation() is 'The oid of this schema, from which the channel and the advisory lock keys are made, so that several installations in a database keep apart.';
--! EndIncluded wake/installation.sql
--! Included wake/channel.sql
create function :SCHEMA.channel()
  returns text
  language sql
  stable
  parallel safe
return 'rouse_' || :SCHEMA.installation();

comment on function :SCHEMA.channel() is 'The channel on which this installation notifies. A payload is a JSON object and only a hint: {"queue": name} has work, {"due": instant} may be earlier than a timer, {"cancel": worker} has attempts to end, see cancels_v1(), {"probe": worker} is a worker testing its own listener, {"ended": id} is the end of a job that is awaited, see await_v1(), {"progress": [id, …]} are running jobs that said how far they are, {"topic": name, "id": number} is a live message to fetch with broadcasts_v1(). Every role of the database may listen, so no payload is ever part of it.';
--! EndIncluded wake/channel.sql
--! Included wake/may_be_silent.sql
-- One expression, so that it is inlined. The key comes from the oid of a row type, which is at hand: installation() is a
-- query, 12 µs of an insert.
create function :SCHEMA.may_be_silent()
  returns boolean
  language sql
  volatile
return pg_catalog.current_setting('transaction_isolation') = 'read committed'
  and pg_catalog.pg_try_advisory_xact_lock_shared(pg_catalog.pg_typeof(cast(null as :SCHEMA.sleeper))::oid::integer, -4);

comment on function :SCHEMA.may_be_silent() is 'Whether the transaction may commit a job without telling anybody, provided that its next statement sees nobody asleep. Where that is so it holds a lock until it ends.';
--! EndIncluded wake/may_be_silent.sql
--! Included wake/nobody_sleeps.sql
-- What is read here may be old by the commit. The shared lock closes that gap: it is held from before the look at the
-- sleepers until the commit is visible, and a worker whose sign is up waits for it before it looks for jobs for the last
-- time (see settle). So either the look saw the sign, or that worker sees the job. model/wake.pml proves it, and
-- shows what is lost without each part.
--
-- The look needs a snapshot that is newer than the lock, which only READ COMMITTED gives.
create function :SCHEMA.nobody_sleeps(queue text, due timestamptz)
  returns boolean
  language plpgsql
  volatile
as $$
begin
  if not :SCHEMA.may_be_silent() then
    return false;
  end if;
  return not exists (
    select
    from :SCHEMA.sleeper as s
    where coalesce(s.next_wake > nobody_sleeps.due, true)
      and (s.queues is null or nobody_sleeps.queue is null or nobody_sleeps.queue = any (s.queues))
  );
end;
$$;

comment on function :SCHEMA.nobody_sleeps(text, timestamptz) is 'Whether the transaction may commit a job of that queue (null: of any), due then, without telling anybody. Where that is so it holds a lock until it ends.';
--! EndIncluded wake/nobody_sleeps.sql
--! Included wake/wake_queue.sql
-- PostgreSQL itself drops a payload that the transaction has already sent on the channel.
create function :SCHEMA.wake_queue(queue text)
  returns void
  language plpgsql
  volatile
as $$
begin
  if not :SCHEMA.nobody_sleeps(queue, '-infinity') then
    perform pg_notify(:SCHEMA.channel(), json_build_object('queue', queue)::text);
  end if;
end;
$$;

comment on function :SCHEMA.wake_queue(text) is 'Tells sleeping workers, at the commit, that the queue has a ready job.';
--! EndIncluded wake/wake_queue.sql
--! Included wake/wake_timer.sql
-- Whether a job that is due earlier is already known says nothing: its timer may fire, and its workers go back to
-- sleep, before this transaction commits. So every transaction looks who sleeps for longer, but only for jobs due
-- earlier than it has seen to; a savepoint's rollback takes back both. UTC, so that any language reads the instant.
create function :SCHEMA.wake_timer(due timestamptz)
  returns void
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
declare
  memory constant text := 'rouse.seen_to_' || :SCHEMA.installation();
  seen_to constant numeric := nullif(current_setting(memory, true), '')::numeric;
begin
  if seen_to <= extract(epoch from due) then
    return;
  end if;
  perform set_config(memory, extract(epoch from due)::text, true);
  if not :SCHEMA.nobody_sleeps(null, due) then
    perform pg_notify(:SCHEMA.channel(), json_build_object('due', due)::text);
  end if;
end;
$$;

comment on function :SCHEMA.wake_timer(timestamptz) is 'Tells sleeping workers, at the commit, that a job is due then.';
--! EndIncluded wake/wake_timer.sql
--! Included wake/settle.sql
-- The lock is held to the end of the transaction, which costs nothing but a few notifications: who cannot have it
-- meanwhile tells.
create function :SCHEMA.settle(worker integer, as_of timestamptz)
  returns boolean
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '50ms'
as $$
begin
  if exists (
    select
    from :SCHEMA.sleeper as s
    where s.worker_id = settle.worker
      and (s.next_wake is null or s.next_wake <= as_of)
  ) then
    perform pg_advisory_xact_lock(pg_typeof(cast(null as :SCHEMA.sleeper))::oid::integer, -4);
    return true;
  end if;
  return false;
exception
  when lock_not_available then
    return false;
end;
$$;

comment on function :SCHEMA.settle(integer, timestamptz) is 'First step of a look for jobs by a worker whose sign is up but whose timer is not: waits shortly for transactions that told nobody of their jobs. True: they have ended, and this look sees what they did.';
--! EndIncluded wake/settle.sql
--! Included wake/fall_asleep.sql
-- Who sleeps already may wake earlier than it said, never later: of jobs due after that nobody has told it. To sleep
-- for longer it settles.
create function :SCHEMA.fall_asleep(worker integer, settled boolean, due timestamptz, as_of timestamptz)
  returns double precision
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  until timestamptz;
begin
  select
    case
      when settled then coalesce(due, 'infinity')
      when s.next_wake > as_of then least(s.next_wake, due)
    end
  into until
  from :SCHEMA.sleeper as s
  where s.worker_id = fall_asleep.worker;
  if not found then
    insert into :SCHEMA.sleeper (worker_id, queues)
    select w.id, w.queues
    from :SCHEMA.worker as w
    where w.id = fall_asleep.worker
    on conflict (worker_id) do update
    set next_wake = null;
    return case when found then 0 else 250 end;
  end if;

  update :SCHEMA.sleeper as s
  set next_wake = until
  where s.worker_id = fall_asleep.worker
    and s.next_wake is distinct from until
    and (settled or until is null or s.next_wake > until);
  return case
    when until is null then least(250, :SCHEMA.ms_until(due))
    else :SCHEMA.ms_until(until)
  end;
end;
$$;

comment on function :SCHEMA.fall_asleep(integer, boolean, timestamptz, timestamptz) is 'Last step of a look for jobs that left slots free: puts up the sign of the worker, or its timer. settled is what settle() returned, due the next due time. Returns the milliseconds after which it has to look again (null: when it is told).';
--! EndIncluded wake/fall_asleep.sql
--! Included wake/awake_v1.sql
create function :SCHEMA.awake_v1(worker integer)
  returns void
  language sql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
begin atomic
  delete from :SCHEMA.sleeper as s
  where s.worker_id = awake_v1.worker;
end;

comment on function :SCHEMA.awake_v1(integer) is
'Worker protocol: from its commit on nobody tells the worker of jobs, which spares all who enqueue a notification. For a worker that has been busy for a second or so; it must call exchange_v1 again before it waits for anything but its own jobs.';
--! EndIncluded wake/awake_v1.sql
--! Included limit/lane_of.sql
-- Plain expressions, so that it is inlined into the statements that insert jobs.
create function :SCHEMA.lane_of(concurrency_key text, task text, queue text, limited text[])
  returns text
  language sql
  immutable
  parallel safe
return case
  when concurrency_key is not null then 'key:' || concurrency_key
  when pg_catalog.cardinality(limited) > 0 then case
    when 'task:' || task = any (limited) then 'task:' || task
    when 'queue:' || queue = any (limited) then 'queue:' || queue
  end
end;

comment on function :SCHEMA.lane_of(text, text, text, text[]) is 'The lane in which a new job stands first; null: it is under no limit. limited: limited_lanes().';
--! EndIncluded limit/lane_of.sql
--! Included limit/limited_lanes.sql
create function :SCHEMA.limited_lanes()
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
begin atomic
  select array(
    select l.lane
    from :SCHEMA.job_limit as l
    where l.kind in ('task', 'queue')
  );
end;

comment on function :SCHEMA.limited_lanes() is 'Tasks and queues that have a limit.';
--! EndIncluded limit/limited_lanes.sql
--! Included limit/lanes_of.sql
-- A queue that is paused is one that lets nobody in: its jobs must not take slots that those of other queues could use.
-- In PL/pgSQL, since each job that leaves a slot comes through here: SQL would be planned anew for each.
create function :SCHEMA.lanes_of(job :SCHEMA.job)
  returns text[]
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  return array_remove(array['key:' || job.concurrency_key], null) || array(
    select l.lane
    from :SCHEMA.job_limit as l
    where l.kind = 'task'
      and l.name = job.task
  ) || array(
    select l.lane
    from :SCHEMA.job_limit as l
    where l.kind = 'queue'
      and l.name = job.queue
    union
    select 'queue:' || q.name
    from :SCHEMA.queue as q
    where q.name = job.queue
      and q.paused_at is not null
  );
end;
$$;

comment on function :SCHEMA.lanes_of(:SCHEMA.job) is 'All lanes of a job, its key, its task and its queue: it starts when each has a slot and a token for it.';
--! EndIncluded limit/lanes_of.sql
--! Included wake/file_inserted.sql
create function :SCHEMA.file_inserted(ids bigint[], limited text[], as_of timestamptz)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off
as $$
begin
  update :SCHEMA.job as j
  set
    state = case when j.run_at > as_of then 'scheduled' else 'blocked' end,
    lane = case when j.run_at > as_of then j.lane else :SCHEMA.lane_of(j.concurrency_key, j.task, j.queue, limited) end
  where j.id = any (ids);
end;
$$;

comment on function :SCHEMA.file_inserted(bigint[], text[], timestamptz) is 'Files new jobs that say ready: those due later as scheduled, the others, which are under a limit, as blocked. limited: limited_lanes().';
--! EndIncluded wake/file_inserted.sql
--! Included enqueue/is_sound.sql
-- The rules of the table job as one expression, which is inlined into the statement that asks. As check constraints they took
-- half of the server's time for an insert, and 50 µs of each update, because it reads their text from the catalog for every statement.
-- As with those, what is null breaks none.
create function :SCHEMA.is_sound(job :SCHEMA.job)
  returns boolean
  language sql
  immutable
  parallel safe
return pg_catalog.length(job.task) between 1 and 200
  and pg_catalog.length(job.queue) between 1 and 200
  and job.priority between -100 and 100
  and pg_catalog.isfinite(job.run_at)
  and job.state in ('scheduled', 'ready', 'running', 'blocked', 'waiting')
  and (job.state = 'running') = (job.lease is not null)
  and job.attempt >= 0
  and job.max_attempts > 0
  and job.timeout > interval '0'
  and pg_catalog.isfinite(job.timeout)
  and pg_catalog.length(job.unique_key) between 1 and 400
  and pg_catalog.length(job.coalesce_key) between 1 and 400
  and pg_catalog.length(job.concurrency_key) between 1 and 400
  and pg_catalog.jsonb_typeof(job.headers) = 'object';

comment on function :SCHEMA.is_sound(:SCHEMA.job) is 'Whether a row keeps the rules of the table job: false where it breaks one, and then check_job() says which.';
--! EndIncluded enqueue/is_sound.sql
--! Included wake/is_plain.sql
-- Inlined into the trigger's first statement, which pays for each operator in it: 0.2 µs.
create function :SCHEMA.is_plain(job :SCHEMA.job)
  returns boolean
  language sql
  volatile
return job.state = 'ready'
  and job.run_at <= pg_catalog.clock_timestamp()
  and job.run_at > '-infinity'
  and pg_catalog.length(job.task) between 1 and 200
  and pg_catalog.length(job.queue) between 1 and 200
  and job.priority between -100 and 100
  and job.attempt = 0
  and pg_catalog.num_nonnulls(
    job.concurrency_key, job.lane, job.lease, job.max_attempts, job.timeout, job.unique_key, job.coalesce_key, job.headers
  ) = 0;

comment on function :SCHEMA.is_plain(:SCHEMA.job) is 'Whether a new row is due and says so little that it needs no look at its options.';
--! EndIncluded wake/is_plain.sql
--! Included wake/job_inserted.sql
-- One trigger serves enqueue, INSERT and COPY alike. Rows of a plain INSERT say ready by default: those due
-- later, or under a limit, are moved on before anyone else can see them.
--
-- Every enqueue comes through here, and each statement costs it 5 to 10 µs. So one tells all of the usual case: rows that are
-- due, have no limit, and find nobody asleep (see nobody_sleeps). What moves rows on is a function of its own, because it
-- needs settings that force an index.
create function :SCHEMA.job_inserted()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  set jit = off
as $$
declare
  as_of constant timestamptz := clock_timestamp();
  seen record;
  unsound :SCHEMA.job;
  filing record;
  limited text[];
  woken text;
begin
  if :SCHEMA.may_be_silent() then
    perform
    from inserted as i
    where not :SCHEMA.is_plain(i)
       or exists (select from :SCHEMA.sleeper)
       or exists (select from :SCHEMA.job_limit as l where l.kind in ('task', 'queue'))
    limit 1;
    if not found then
      return null;
    end if;
  end if;

  select
    i.queue,
    exists (
      select
      from inserted as o
      where o.queue <> i.queue
         or o.state <> 'ready'
         or o.run_at > as_of
         or o.concurrency_key is not null
         or o.lane is not null
         or not :SCHEMA.is_sound(o)
    )
    or exists (select from :SCHEMA.job_limit as l where l.kind in ('task', 'queue')) as special
  into seen
  from inserted as i
  limit 1;
  if not found then
    return null;
  end if;
  if not seen.special then
    perform :SCHEMA.wake_queue(seen.queue);
    return null;
  end if;

  select i.*
  into unsound
  from inserted as i
  where not :SCHEMA.is_sound(i)
  limit 1;
  if found then
    perform :SCHEMA.check_job(unsound);
  end if;

  limited := array(select l.lane from :SCHEMA.job_limit as l where l.kind in ('task', 'queue'));
  select
    array_agg(id) filter (
      where state = 'ready' and (run_at > as_of or :SCHEMA.lane_of(concurrency_key, task, queue, limited) is not null)
    ) as misfiled,
    bool_or(run_at <= as_of and (state = 'ready' or lane is not null)) as due_now,
    min(run_at) filter (where state = 'scheduled' or state = 'ready' and run_at > as_of) as due_later
  into filing
  from inserted;

  if filing.misfiled is not null then
    perform :SCHEMA.file_inserted(filing.misfiled, limited, as_of);
  end if;
  if filing.due_now then
    insert into :SCHEMA.arrival (lane)
    select distinct coalesce(lane, :SCHEMA.lane_of(concurrency_key, task, queue, limited))
    from inserted
    where run_at <= as_of
      and state in ('ready', 'blocked')
      and coalesce(lane, :SCHEMA.lane_of(concurrency_key, task, queue, limited)) is not null;
    for woken in
      select distinct queue
      from inserted
      where run_at <= as_of
        and (state = 'ready' or lane is not null)
    loop
      perform :SCHEMA.wake_queue(woken);
    end loop;
  end if;
  if filing.due_later is not null then
    perform :SCHEMA.wake_timer(filing.due_later);
  end if;
  return null;
end;
$$;

comment on function :SCHEMA.job_inserted() is 'Trigger: files future jobs as scheduled and those under a limit as blocked, and wakes workers, once a statement.';

create trigger job_inserted
  after insert on :SCHEMA.job
  referencing new table as inserted
  for each statement
  execute function :SCHEMA.job_inserted();

comment on trigger job_inserted on :SCHEMA.job is 'Files future jobs as scheduled and those under a limit as blocked, and wakes workers.';
--! EndIncluded wake/job_inserted.sql
--! Included limit/leave_lanes.sql
create function :SCHEMA.leave_lanes(job :SCHEMA.job)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  insert into :SCHEMA.arrival (lane, job_id)
  select l.lane, job.id
  from unnest(:SCHEMA.lanes_of(job) || job.lane) as l (lane)
  group by l.lane;
  if current_setting('rouse.admits_' || pg_typeof(cast(null as :SCHEMA.job))::oid, true) is distinct from 'on' then
    perform :SCHEMA.wake_queue(job.queue);
  end if;
end;
$$;

comment on function :SCHEMA.leave_lanes(:SCHEMA.job) is 'Tells that a job may have left the slots it had, and wakes workers where this call does not admit the next one itself.';
--! EndIncluded limit/leave_lanes.sql
--! Included wake/job_due_moved.sql
-- A row trigger, because only its column list keeps claims and finishes, which set none of the columns, free of it.
create function :SCHEMA.job_due_moved()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_when = 'BEFORE' then
    new.lane := :SCHEMA.lane_of(new.concurrency_key, new.task, new.queue, :SCHEMA.limited_lanes());
    new.state := case
      when new.run_at > clock_timestamp() then 'scheduled'
      when new.lane is null then 'ready'
      when old.state = 'ready' and new.queue = old.queue then 'ready'
      else 'blocked'
    end;
    return new;
  end if;

  if new.state = 'blocked' then
    insert into :SCHEMA.arrival (lane, job_id)
    values (new.lane, new.id);
  end if;
  if old.lane is not null and old.state <> 'scheduled' and new.state <> 'ready' then
    perform :SCHEMA.leave_lanes(old);
  end if;
  if new.state = 'scheduled' then
    perform :SCHEMA.wake_timer(new.run_at);
  end if;
  if new.state <> 'scheduled' or old.lane is not null then
    perform :SCHEMA.wake_queue(new.queue);
  end if;
  return null;
end;
$$;

comment on function :SCHEMA.job_due_moved() is 'Trigger: files a job whose due time or queue was changed as scheduled, ready or blocked and wakes workers.';

create trigger job_due_moved
  before update of run_at, queue on :SCHEMA.job
  for each row
  when (new.state in ('scheduled', 'ready', 'blocked'))
  execute function :SCHEMA.job_due_moved();

create trigger job_due_moved_wake
  after update of run_at, queue on :SCHEMA.job
  for each row
  when (new.state in ('scheduled', 'ready', 'blocked'))
  execute function :SCHEMA.job_due_moved();

comment on trigger job_due_moved on :SCHEMA.job is 'Files a job whose due time or queue was changed as scheduled, ready or blocked.';
comment on trigger job_due_moved_wake on :SCHEMA.job is 'Wakes workers for a job whose due time or queue was changed.';
--! EndIncluded wake/job_due_moved.sql
--! Included enqueue/refuse.sql
create function :SCHEMA.refuse(message text, hint text)
  returns text
  language plpgsql
  volatile
as $$
begin
  raise exception using
    errcode = 'invalid_parameter_value',
    message = message,
    hint = hint;
end;
$$;

comment on function :SCHEMA.refuse(text, text) is 'Raises an error about a bad argument (22023) from within an expression.';
--! EndIncluded enqueue/refuse.sql
--! Included enqueue/shorten.sql
create function :SCHEMA.shorten(value text, most integer default 60)
  returns text
  language sql
  immutable
  parallel safe
return case
  when pg_catalog.length(value) <= most then value
  else pg_catalog.left(value, most) || '… (' || pg_catalog.length(value) || ' characters)'
end;

comment on function :SCHEMA.shorten(text, integer) is 'A value as error messages and views quote it.';
--! EndIncluded enqueue/shorten.sql
--! Included enqueue/check_name.sql
create function :SCHEMA.check_name(kind text, name text, most integer default 200)
  returns text
  language plpgsql
  immutable
  parallel safe
as $$
begin
  if name is null or length(name) not between 1 and most then
    perform :SCHEMA.refuse(
      format('%s %s has %s characters', kind, quote_nullable(:SCHEMA.shorten(name)), coalesce(length(name), 0)),
      format('A %s has 1 to %s characters.', kind, most)
    );
  end if;
  return name;
end;
$$;

comment on function :SCHEMA.check_name(text, text, integer) is 'The name itself, or an error that says what is wrong with it.';
--! EndIncluded enqueue/check_name.sql
--! Included enqueue/check_task.sql
create function :SCHEMA.check_task(name text)
  returns text
  language plpgsql
  immutable
  parallel safe
as $$
begin
  if starts_with(name, 'rouse.') then
    perform :SCHEMA.refuse(
      format('the task "%s" is Rouse''s own', :SCHEMA.shorten(name)),
      'Names that start with "rouse." are reserved; give your task another name. SQL is run by schedule(command => …).'
    );
  end if;
  return :SCHEMA.check_name('task', name);
end;
$$;

comment on function :SCHEMA.check_task(text) is 'The name itself, or an error that says what is wrong with it. Rouse''s own tasks are among these: whoever may enqueue must not be able to start them.';
--! EndIncluded enqueue/check_task.sql
--! Included enqueue/check_priority.sql
create function :SCHEMA.check_priority(priority integer)
  returns smallint
  language plpgsql
  immutable
  strict
  parallel safe
as $$
begin
  if priority not between -100 and 100 then
    perform :SCHEMA.refuse(
      format('priority %s is out of range', priority),
      'A priority is a number from -100 to 100; a higher one runs first.'
    );
  end if;
  return priority::smallint;
end;
$$;

comment on function :SCHEMA.check_priority(integer) is 'The priority itself, or an error that says what is wrong with it.';
--! EndIncluded enqueue/check_priority.sql
--! Included enqueue/check_max_attempts.sql
create function :SCHEMA.check_max_attempts(max_attempts integer)
  returns smallint
  language plpgsql
  immutable
  strict
  parallel safe
as $$
begin
  if max_attempts not between 1 and 32767 then
    perform :SCHEMA.refuse(
      format('max_attempts %s is out of range', max_attempts),
      'A job has 1 to 32767 attempts; leave it out for what its task says.'
    );
  end if;
  return max_attempts::smallint;
end;
$$;

comment on function :SCHEMA.check_max_attempts(integer) is 'The number itself, or an error that says what is wrong with it.';
--! EndIncluded enqueue/check_max_attempts.sql
--! Included enqueue/check_timeout.sql
create function :SCHEMA.check_timeout(timeout interval)
  returns interval
  language plpgsql
  immutable
  strict
  parallel safe
as $$
begin
  if timeout <= interval '0' or not isfinite(timeout) then
    perform :SCHEMA.refuse(
      format('timeout %s is not a positive, finite time', timeout),
      'Give the time that an attempt may take, such as interval ''30 seconds'', or leave it out for what the task says.'
    );
  end if;
  return timeout;
end;
$$;

comment on function :SCHEMA.check_timeout(interval) is 'The timeout itself, or an error that says what is wrong with it.';
--! EndIncluded enqueue/check_timeout.sql
--! Included enqueue/check_span.sql
create function :SCHEMA.check_span(what text, span interval)
  returns interval
  language plpgsql
  immutable
  strict
  parallel safe
as $$
begin
  if span <= interval '0' or not isfinite(span) then
    perform :SCHEMA.refuse(
      format('%s %s is not a positive, finite time', what, span),
      'Give a time such as interval ''30 seconds'', or leave it out for what the task says.'
    );
  end if;
  return span;
end;
$$;

comment on function :SCHEMA.check_span(text, interval) is 'The time itself, or an error that says what is wrong with it.';
--! EndIncluded enqueue/check_span.sql
--! Included enqueue/check_payload.sql
-- #> '{}' gives the payload as it is, but never compressed, as one that comes from a table may be.
create function :SCHEMA.check_payload(payload jsonb, most integer)
  returns jsonb
  language plpgsql
  immutable
  strict
  parallel safe
as $$
declare
  size constant integer := pg_column_size(payload #> '{}');
begin
  if size > most then
    perform :SCHEMA.refuse(
      format('payload has %s bytes, the limit is %s', size, most),
      'Store large data in a table or a file and enqueue a reference to it. The limit is payload_limit in the table setting.'
    );
  end if;
  return payload;
end;
$$;

comment on function :SCHEMA.check_payload(jsonb, integer) is 'The payload itself, or an error that says that it is too large.';
--! EndIncluded enqueue/check_payload.sql
--! Included enqueue/check_headers.sql
create function :SCHEMA.check_headers(headers jsonb)
  returns jsonb
  language plpgsql
  immutable
  strict
  parallel safe
as $$
begin
  if jsonb_typeof(headers) <> 'object' then
    perform :SCHEMA.refuse(
      format('headers is a JSON %s: %s', jsonb_typeof(headers), :SCHEMA.shorten(headers::text)),
      'Headers are a JSON object, such as {"trace": "4bf9"}.'
    );
  end if;
  return headers;
end;
$$;

comment on function :SCHEMA.check_headers(jsonb) is 'The headers themselves, or an error that says what is wrong with them.';
--! EndIncluded enqueue/check_headers.sql
--! Included enqueue/check_delay.sql
create function :SCHEMA.check_delay(delay interval)
  returns interval
  language plpgsql
  immutable
  strict
  parallel safe
as $$
begin
  if delay not between interval '0' and interval '1000 years' then
    perform :SCHEMA.refuse(
      format('delay %s is out of range', delay),
      'A delay is a time from now, at most 1000 years; leave it out for a job that is due at once.'
    );
  end if;
  return delay;
end;
$$;

comment on function :SCHEMA.check_delay(interval) is 'The delay itself, or an error that says what is wrong with it.';
--! EndIncluded enqueue/check_delay.sql
--! Included enqueue/check_given_name.sql
create function :SCHEMA.check_given_name(kind text, name text, most integer)
  returns text
  language plpgsql
  immutable
  strict
  parallel safe
as $$
begin
  return :SCHEMA.check_name(kind, name, most);
end;
$$;

comment on function :SCHEMA.check_given_name(text, text, integer) is 'The name itself, null where none was given, or an error that says what is wrong with it.';
--! EndIncluded enqueue/check_given_name.sql
--! Included limit/key_of.sql
create function :SCHEMA.key_of(template text, payload jsonb)
  returns text
  language sql
  immutable
  parallel safe
return case
  when template like '$.%' then nullif(payload #>> pg_catalog.string_to_array(pg_catalog.substr(template, 3), '.'), '')
  else template
end;

comment on function :SCHEMA.key_of(text, jsonb) is 'The concurrency key that a task gives its jobs: a constant, or after $. the path of a field of the payload; null where the payload has no such field.';
--! EndIncluded limit/key_of.sql
--! Included limit/line_of.sql
create function :SCHEMA.line_of(given text, template text, payload jsonb, task text, queue text, limited text[], out key text, out lane text)
  language plpgsql
  immutable
  parallel safe
as $$
begin
  key := coalesce(given, :SCHEMA.check_given_name('concurrency_key', :SCHEMA.key_of(template, payload), 400));
  lane := :SCHEMA.lane_of(key, task, queue, limited);
end;
$$;

comment on function :SCHEMA.line_of(text, text, jsonb, text, text, text[]) is 'The concurrency key of a job, the one given or else the task''s, and the lane in which the job stands first.';
--! EndIncluded limit/line_of.sql
--! Included enqueue/due_at.sql
create function :SCHEMA.due_at(run_at timestamptz, delay interval, task_delay interval, as_of timestamptz)
  returns timestamptz
  language plpgsql
  immutable
  parallel safe
as $$
begin
  if run_at is not null and delay is not null then
    perform :SCHEMA.refuse(
      'both run_at and delay were given',
      'Give run_at for an instant, or delay for a time from now.'
    );
  end if;
  if not isfinite(run_at) then
    perform :SCHEMA.refuse(
      format('run_at is %s', run_at),
      'Give an instant, such as now() + interval ''1 hour''. A job that should wait for someone belongs in a paused queue.'
    );
  end if;
  return coalesce(run_at, as_of + coalesce(:SCHEMA.check_delay(delay), task_delay));
end;
$$;

comment on function :SCHEMA.due_at(timestamptz, interval, interval, timestamptz) is 'When a job enqueued with these options is due; or an error that says what is wrong with them.';
--! EndIncluded enqueue/due_at.sql
--! Included enqueue/expiry_at.sql
-- An instant of infinity is how a call says never where its task has a default.
create function :SCHEMA.expiry_at(expires_at timestamptz, expires_in interval, task_expires_in interval, due timestamptz)
  returns timestamptz
  language plpgsql
  immutable
  parallel safe
as $$
begin
  if expires_at is not null and expires_in is not null then
    perform :SCHEMA.refuse(
      'both expires_at and expires_in were given',
      'Give expires_at for an instant, or expires_in for a time from when the job is due.'
    );
  end if;
  return coalesce(
    expires_at,
    due + coalesce(:SCHEMA.check_span('expires_in', expires_in), task_expires_in)
  );
end;
$$;

comment on function :SCHEMA.expiry_at(timestamptz, interval, interval, timestamptz) is 'When a job enqueued with these options expires, null: never; or an error that says what is wrong with them.';
--! EndIncluded enqueue/expiry_at.sql
--! Included enqueue/check_job.sql
create function :SCHEMA.check_job(job :SCHEMA.job)
  returns void
  language plpgsql
  immutable
  parallel safe
as $$
begin
  perform :SCHEMA.check_name('task', job.task);
  perform :SCHEMA.check_name('queue', job.queue);
  perform :SCHEMA.check_priority(job.priority);
  perform :SCHEMA.due_at(job.run_at, null, null, null);
  perform :SCHEMA.check_max_attempts(job.max_attempts);
  perform :SCHEMA.check_timeout(job.timeout);
  perform :SCHEMA.check_given_name('unique_key', job.unique_key, 400);
  perform :SCHEMA.check_given_name('coalesce_key', job.coalesce_key, 400);
  perform :SCHEMA.check_given_name('concurrency_key', job.concurrency_key, 400);
  perform :SCHEMA.check_headers(job.headers);
  if not :SCHEMA.is_sound(job) then
    perform :SCHEMA.refuse(
      format('a job in state %s with lease %s and attempt %s', quote_literal(:SCHEMA.shorten(job.state)), quote_nullable(job.lease), job.attempt),
      'Leave state, lease and attempt out: they are what Rouse keeps of a job.'
    );
  end if;
end;
$$;

comment on function :SCHEMA.check_job(:SCHEMA.job) is 'An error that says which rule of the table job a row breaks, where it breaks one.';
--! EndIncluded enqueue/check_job.sql
--! Included enqueue/job_checked.sql
-- Columns that claims and finishes set are left out, so that these stay free of it. A retry sets run_at: it pays for one
-- expression, not for the calls that name what is wrong, 30 µs.
create function :SCHEMA.job_checked()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  if not :SCHEMA.is_sound(new) then
    perform :SCHEMA.check_job(new);
  end if;
  return new;
end;
$$;

comment on function :SCHEMA.job_checked() is 'Trigger: refuses a change that no worker could handle.';

create trigger job_checked
  before update of
    task, queue, priority, run_at, max_attempts, timeout, unique_key, coalesce_key, concurrency_key, headers
  on :SCHEMA.job
  for each row
  execute function :SCHEMA.job_checked();

comment on trigger job_checked on :SCHEMA.job is 'Refuses a change that no worker could handle; job_inserted() does it for new rows.';
--! EndIncluded enqueue/job_checked.sql
--! Included enqueue/edit_distance.sql
-- Levenshtein, row by row. fuzzystrmatch is an extension, and Rouse needs none.
create function :SCHEMA.edit_distance(a text, b text)
  returns integer
  language plpgsql
  immutable
  parallel safe
as $$
declare
  previous integer[] := array(select generate_series(0, length(b)));
  current integer[];
begin
  for i in 1 .. length(a) loop
    current := array[i];
    for j in 1 .. length(b) loop
      current := current || least(
        previous[j + 1] + 1,
        current[j] + 1,
        previous[j] + (substr(a, i, 1) <> substr(b, j, 1))::integer
      );
    end loop;
    previous := current;
  end loop;
  return previous[length(b) + 1];
end;
$$;

comment on function :SCHEMA.edit_distance(text, text) is 'Number of single-character edits between two names.';
--! EndIncluded enqueue/edit_distance.sql
--! Included enqueue/nearest_name.sql
-- A name whose length alone is too far off is not compared: the comparison costs a millisecond for five names.
create function :SCHEMA.nearest_name(name text, candidates text[])
  returns text
  language sql
  immutable
  parallel safe
begin atomic
  select near.candidate
  from unnest(candidates) as c (candidate)
  cross join lateral (select greatest(2, length(name) / 3) as edits) as most
  cross join lateral (
    select
      c.candidate,
      :SCHEMA.edit_distance(lower(left(name, 60)), lower(left(c.candidate, 60))) as distance
    where abs(length(name) - length(c.candidate)) <= most.edits
  ) as near
  where near.distance <= most.edits
  order by near.distance, near.candidate
  limit 1;
end;

comment on function :SCHEMA.nearest_name(text, text[]) is 'The candidate that a mistyped name most likely meant; null where none is near.';
--! EndIncluded enqueue/nearest_name.sql
--! Included enqueue/notice_unknown_task.sql
-- Once a transaction for the same name: whoever enqueues a thousand such jobs in a loop needs to be told once.
create function :SCHEMA.notice_unknown_task(name text)
  returns void
  language plpgsql
  volatile
as $$
declare
  memory constant text := 'rouse.unknown_' || :SCHEMA.installation();
  nearest text;
begin
  if name = current_setting(memory, true) then
    return;
  end if;
  perform set_config(memory, name, true);
  nearest := :SCHEMA.nearest_name(name, array(select t.name from :SCHEMA.task as t limit 500));
  raise notice using
    message = 'task "' || :SCHEMA.shorten(name) || '" is not known yet' || coalesce('; did you mean "' || nearest || '"?', ''),
    hint = 'The job waits until a worker that knows the task has started.';
end;
$$;

comment on function :SCHEMA.notice_unknown_task(text) is 'Tells an enqueuer that no worker has declared the task so far, with the nearest name that is known.';
--! EndIncluded enqueue/notice_unknown_task.sql
--! Included enqueue/task_defaults.sql
create type :SCHEMA.task_default as (
  name text,
  known boolean,
  queue text,
  priority smallint,
  delay interval,
  payload_limit integer,
  expires_in interval,
  deadline interval,
  concurrency_key text,
  limited text[]
);

comment on type :SCHEMA.task_default is 'What a job takes from its task where the enqueuer names nothing.';
comment on column :SCHEMA.task_default.name is 'Name of the task; of its present one where it was found by a former name.';
comment on column :SCHEMA.task_default.known is 'Whether it was declared.';
comment on column :SCHEMA.task_default.queue is 'Queue of jobs that name none.';
comment on column :SCHEMA.task_default.priority is 'Priority of jobs that name none.';
comment on column :SCHEMA.task_default.delay is 'Delay of jobs that name neither delay nor run_at.';
comment on column :SCHEMA.task_default.payload_limit is 'Largest payload, in bytes.';
comment on column :SCHEMA.task_default.expires_in is 'How long after its due time a job may start that says nothing itself.';
comment on column :SCHEMA.task_default.deadline is 'Time for all attempts of jobs that name none.';
comment on column :SCHEMA.task_default.concurrency_key is 'Concurrency key of jobs that name none, as key_of() reads it.';
comment on column :SCHEMA.task_default.limited is 'Tasks and queues that have a limit.';

create function :SCHEMA.task_defaults(name text, internal boolean default false, tell boolean default true)
  returns :SCHEMA.task_default
  language plpgsql
  volatile
as $$
declare
  found_defaults :SCHEMA.task_default;
begin
  if starts_with(task_defaults.name, 'rouse.') and not internal then
    perform :SCHEMA.check_task(task_defaults.name);
  end if;

  select
    t.name, true, t.queue, t.priority, t.delay, s.payload_limit, t.expires_in, t.deadline, t.concurrency_key,
    array(select l.lane from :SCHEMA.job_limit as l where l.kind in ('task', 'queue'))
  into found_defaults
  from :SCHEMA.setting as s, :SCHEMA.task as t
  where t.name = task_defaults.name;
  if found then
    return found_defaults;
  end if;

  select
    t.name, true, t.queue, t.priority, t.delay, s.payload_limit, t.expires_in, t.deadline, t.concurrency_key,
    array(select l.lane from :SCHEMA.job_limit as l where l.kind in ('task', 'queue'))
  into found_defaults
  from :SCHEMA.setting as s, :SCHEMA.task as t
  where task_defaults.name = any (t.aliases)
  limit 1;
  if found then
    return found_defaults;
  end if;

  select
    :SCHEMA.check_name('task', task_defaults.name), false, 'default', 0::smallint, interval '0', s.payload_limit,
    null::interval, null::interval, null::text,
    array(select l.lane from :SCHEMA.job_limit as l where l.kind in ('task', 'queue'))
  into found_defaults
  from :SCHEMA.setting as s;
  if tell then
    perform :SCHEMA.notice_unknown_task(task_defaults.name);
  end if;
  return found_defaults;
end;
$$;

comment on function :SCHEMA.task_defaults(text, boolean, boolean) is 'Defaults of a task, found by its name or a former one; for an unknown task those of a task that says nothing, with a NOTICE unless tell is false. Tasks of Rouse itself, rouse.…, are refused unless Rouse asks: whoever may enqueue must not be able to start them.';
--! EndIncluded enqueue/task_defaults.sql
--! Included enqueue/check_unique.sql
create function :SCHEMA.check_unique(unique_key text, unique_scope text, unique_while text, unique_period interval, on_conflict text)
  returns void
  language plpgsql
  immutable
  parallel safe
as $$
begin
  if unique_key is null then
    perform :SCHEMA.refuse(
      'unique_scope, unique_while, unique_period and on_conflict need a unique_key',
      'For example unique_key => ''order 17'', on_conflict => ''replace''.'
    );
  end if;
  if unique_scope not in ('task', 'queue', 'global') then
    perform :SCHEMA.refuse(
      format('unique_scope %s is not known', quote_literal(:SCHEMA.shorten(unique_scope))),
      'Give task (the default), queue or global: within what the key is unique.'
    );
  end if;
  if unique_while not in ('live', 'waiting') then
    perform :SCHEMA.refuse(
      format('unique_while %s is not known', quote_literal(:SCHEMA.shorten(unique_while))),
      'Give live (the default: until the job has finished) or waiting (until it starts).'
    );
  end if;
  if on_conflict not in ('keep', 'replace', 'debounce', 'raise') then
    perform :SCHEMA.refuse(
      format('on_conflict %s is not known', quote_literal(:SCHEMA.shorten(on_conflict))),
      'Give keep (the default), replace (the payload), debounce (the payload and the due time) or raise.'
    );
  end if;
  perform :SCHEMA.check_span('unique_period', unique_period);
  if unique_period is not null and unique_while is not null then
    perform :SCHEMA.refuse('both unique_while and unique_period were given', 'A key is unique for a time, or while its job lives or waits.');
  end if;
  if unique_while = 'live' and on_conflict in ('replace', 'debounce') then
    perform :SCHEMA.refuse(
      format('on_conflict %s does not go with unique_while live', quote_literal(on_conflict)),
      'A job that runs has its payload already, and the change would be lost: leave unique_while out, and a job that runs gets a successor.'
    );
  end if;
  if unique_scope in ('queue', 'global') and unique_period is null
    and (unique_while = 'waiting' or on_conflict in ('replace', 'debounce')) then
    perform :SCHEMA.refuse(
      format('unique_scope %s does not go with unique_while waiting', quote_literal(unique_scope)),
      'A key that is unique while its job waits is one of its task.'
    );
  end if;
end;
$$;

comment on function :SCHEMA.check_unique(text, text, text, interval, text) is 'Refuses options of a unique key that are not known or do not go together, naming them.';
--! EndIncluded enqueue/check_unique.sql
--! Included enqueue/add_unique.sql
-- Whoever inserts first wins, by an index. The others wait for the end of its transaction, read its row in a new statement,
-- and try again where that has gone, or has started, meanwhile.
create function :SCHEMA.add_unique(job :SCHEMA.job, unique_while text, unique_period interval, on_conflict text)
  returns bigint
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
declare
  given_key constant text := job.unique_key;
  window_scope constant text := coalesce(job.unique_scope, 'task:' || job.task);
  holder :SCHEMA.job;
begin
  if unique_period is not null then
    job.unique_key := null;
    job.unique_scope := null;
  elsif unique_while = 'waiting' or on_conflict in ('replace', 'debounce') then
    job.coalesce_key := given_key;
    job.unique_key := null;
  end if;

  loop
    job.id := (select nextval(s.tableoid::regclass) from :SCHEMA.job_id as s);
    holder := null;
    if unique_period is not null then
      insert into :SCHEMA.unique_window as w (scope, key, job_id, ends_at)
      values (window_scope, given_key, job.id, job.created_at + unique_period)
      on conflict on constraint unique_window_pkey do update
      set
        job_id = excluded.job_id,
        ends_at = excluded.ends_at
      where w.ends_at <= job.created_at;
      if found then
        insert into :SCHEMA.job
        select job.*;
        return job.id;
      end if;
      select w.job_id
      into holder.id
      from :SCHEMA.unique_window as w
      where w.scope = window_scope
        and w.key = given_key;
    else
      insert into :SCHEMA.job
      select job.*
      on conflict do nothing;
      if found then
        return job.id;
      end if;
      -- Each by its own index.
      if job.coalesce_key is not null then
        select j.*
        into holder
        from :SCHEMA.job as j
        where j.task = job.task
          and j.coalesce_key = given_key
          and j.state <> 'running';
      elsif job.unique_scope is not null then
        select j.*
        into holder
        from :SCHEMA.job as j
        where j.unique_scope = job.unique_scope
          and j.unique_key = given_key;
      else
        select j.*
        into holder
        from :SCHEMA.job as j
        where j.task = job.task
          and j.unique_key = given_key
          and j.unique_scope is null;
      end if;
    end if;
    continue when holder.id is null;

    if on_conflict = 'raise' then
      raise exception using
        errcode = 'unique_violation',
        message = format('the unique key %s is taken by job %s', quote_literal(:SCHEMA.shorten(given_key)), holder.id),
        hint = 'Leave on_conflict out to get that job''s id instead.';
    end if;
    if on_conflict in ('replace', 'debounce') then
      if on_conflict = 'replace' then
        update :SCHEMA.job as j
        set
          payload = job.payload,
          headers = job.headers
        where j.id = holder.id
          and j.state <> 'running'
        returning j.*
        into holder;
      else
        update :SCHEMA.job as j
        set
          payload = job.payload,
          headers = job.headers,
          run_at = job.run_at
        where j.id = holder.id
          and j.state <> 'running'
        returning j.*
        into holder;
      end if;
      -- It has started, or has gone: the key of a job that waits is free again, a window is not.
      continue when not found and unique_period is null;
      if found and holder.state = 'ready' then
        perform :SCHEMA.wake_queue(holder.queue);
      end if;
      if not found then
        return (
          select w.job_id
          from :SCHEMA.unique_window as w
          where w.scope = window_scope
            and w.key = given_key
        );
      end if;
    end if;
    return holder.id;
  end loop;
end;
$$;

comment on function :SCHEMA.add_unique(:SCHEMA.job, text, interval, text) is 'Adds a job whose unique key means more than one live job of its task; returns its id, or that of the job that has the key.';
--! EndIncluded enqueue/add_unique.sql
--! Included enqueue/enqueue.sql
create function :SCHEMA.enqueue(
  task text,
  payload jsonb default '{}',
  queue text default null,
  priority integer default null,
  run_at timestamptz default null,
  delay interval default null,
  max_attempts integer default null,
  unique_key text default null,
  timeout interval default null,
  tags text[] default null,
  headers jsonb default null,
  expires_at timestamptz default null,
  expires_in interval default null,
  deadline interval default null,
  concurrency_key text default null,
  unique_scope text default null,
  unique_while text default null,
  unique_period interval default null,
  on_conflict text default null
)
  returns bigint
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  as_of constant timestamptz := clock_timestamp();
  defaults :SCHEMA.task_default;
  own :SCHEMA.job;
begin
  -- Most jobs say no more than task and payload, most tasks nothing of time or keys, and no task or queue has a limit: then one
  -- statement does all, in half the time of what follows; each expression in it counts. No payload_limit is below 1,000 bytes.
  if num_nonnulls(
      enqueue.queue, enqueue.priority, enqueue.run_at, enqueue.delay, enqueue.max_attempts, enqueue.unique_key,
      enqueue.timeout, enqueue.headers, enqueue.expires_at, enqueue.expires_in, enqueue.deadline, enqueue.concurrency_key,
      enqueue.unique_scope, enqueue.unique_while, enqueue.unique_period, enqueue.on_conflict
    ) = 0
    and pg_column_size(enqueue.payload #> '{}') <= 1000
    and not starts_with(enqueue.task, 'rouse.')
  then
    insert into :SCHEMA.job (task, payload, queue, priority, tags)
    select t.name, enqueue.payload, t.queue, t.priority, enqueue.tags
    from :SCHEMA.task as t
    where t.name = enqueue.task
      and t.delay = interval '0'
      and num_nonnulls(t.expires_in, t.deadline, t.concurrency_key) = 0
      and not exists (select from :SCHEMA.job_limit as l where l.kind in ('task', 'queue'))
    returning id
    into own.id;
    if found then
      return own.id;
    end if;
  end if;

  -- The checks are strict: of what was not given none is called.
  defaults := :SCHEMA.task_defaults(enqueue.task);
  own.task := defaults.name;
  own.payload := :SCHEMA.check_payload(coalesce(enqueue.payload, '{}'), defaults.payload_limit);
  own.queue := coalesce(:SCHEMA.check_given_name('queue', enqueue.queue, 200), defaults.queue);
  own.priority := coalesce(:SCHEMA.check_priority(enqueue.priority), defaults.priority);
  own.run_at := :SCHEMA.due_at(enqueue.run_at, enqueue.delay, defaults.delay, as_of);
  own.created_at := as_of;
  own.attempt := 0;
  own.max_attempts := :SCHEMA.check_max_attempts(enqueue.max_attempts);
  own.unique_key := :SCHEMA.check_given_name('unique_key', enqueue.unique_key, 400);
  own.timeout := :SCHEMA.check_timeout(enqueue.timeout);
  own.tags := enqueue.tags;
  own.headers := :SCHEMA.check_headers(enqueue.headers);
  own.expires_at := :SCHEMA.expiry_at(enqueue.expires_at, enqueue.expires_in, defaults.expires_in, own.run_at);
  own.deadline_at := own.run_at + coalesce(:SCHEMA.check_span('deadline', enqueue.deadline), defaults.deadline);
  own.concurrency_key := :SCHEMA.check_given_name(
    'concurrency_key',
    coalesce(enqueue.concurrency_key, :SCHEMA.key_of(defaults.concurrency_key, enqueue.payload)),
    400
  );
  own.state := 'scheduled';
  if own.run_at <= as_of then
    own.lane := :SCHEMA.lane_of(own.concurrency_key, own.task, own.queue, defaults.limited);
    own.state := case when own.lane is null then 'ready' else 'blocked' end;
  end if;

  if num_nonnulls(
    enqueue.unique_key, enqueue.unique_scope, enqueue.unique_while, enqueue.unique_period, enqueue.on_conflict
  ) > 0 then
    perform :SCHEMA.check_unique(
      enqueue.unique_key, enqueue.unique_scope, enqueue.unique_while, enqueue.unique_period, enqueue.on_conflict
    );
    own.unique_scope := case enqueue.unique_scope when 'queue' then 'queue:' || own.queue when 'global' then 'global' end;
    return :SCHEMA.add_unique(own, enqueue.unique_while, enqueue.unique_period, enqueue.on_conflict);
  end if;

  own.id := (select nextval(s.tableoid::regclass) from :SCHEMA.job_id as s);
  insert into :SCHEMA.job
  select own.*;
  return own.id;
end;
$$;

comment on function :SCHEMA.enqueue(text, jsonb, text, integer, timestamptz, interval, integer, text, interval, text[], jsonb, timestamptz, interval, interval, text, text, text, interval, text) is
'Adds a job and returns its id. It runs after the commit, never after a rollback.
  task          the task that handles it; a NOTICE where no worker has declared it yet
  payload       its input, at most payload_limit bytes (table setting)
  queue, priority, max_attempts, timeout   left out: as the task says
  run_at        an instant; or
  delay         a time from now
  unique_key    while a job of the task with this key is live, its id is returned instead
  unique_scope  within what the key is unique: task, queue or global; left out: task
  unique_while  live, or waiting: a job that runs does not count; left out: live
  unique_period instead, a time from the enqueueing in which there is no second job
  on_conflict   keep (left out: that): the existing id; replace: it gets this payload, where it has not started;
                debounce: it gets this payload and due time; raise: an error. Replace and debounce mean unique_while waiting
  tags          labels for people
  headers       context that travels with the job, a JSON object
  expires_at    from that instant on it does not start, and ends expired; ''infinity'': never; or
  expires_in    a time from when it is due
  deadline      a time from when it is due in which all its attempts must have ended
  concurrency_key   of the jobs with this key, of whatever task, one runs at a time, or as many as the key''s limit says';
--! EndIncluded enqueue/enqueue.sql
--! Included enqueue/enqueue_entry.sql
create function :SCHEMA.enqueue_entry(entry jsonb)
  returns bigint
  language plpgsql
  volatile
as $$
begin
  return (
    select :SCHEMA.enqueue(
      o.task, coalesce(entry -> 'payload', '{}'), o.queue, o.priority, o.run_at, o.delay, o.max_attempts, o.unique_key,
      o.timeout, o.tags, o.headers, o.expires_at, o.expires_in, o.deadline, o.concurrency_key,
      o.unique_scope, o.unique_while, o.unique_period, o.on_conflict
    )
    from jsonb_to_record(entry) as o (
      task text, queue text, priority integer, run_at timestamptz, delay interval, max_attempts integer, unique_key text,
      timeout interval, tags text[], headers jsonb, expires_at timestamptz, expires_in interval, deadline interval,
      concurrency_key text, unique_scope text, unique_while text, unique_period interval, on_conflict text
    )
  );
end;
$$;

comment on function :SCHEMA.enqueue_entry(jsonb) is 'Adds the job of one object of enqueue_many().';
--! EndIncluded enqueue/enqueue_entry.sql
--! Included enqueue/check_objects.sql
create function :SCHEMA.check_objects(given jsonb, kind text, key text, options text[])
  returns text[]
  language plpgsql
  immutable
  parallel safe
as $$
declare
  used text[];
  bad record;
begin
  if given is null or jsonb_typeof(given) <> 'array' then
    perform :SCHEMA.refuse(
      format('%ss are %s, not a JSON array', kind, coalesce('a JSON ' || jsonb_typeof(given), 'null')),
      format('Give an array of objects, such as [{"%s": "send_mail"}, …].', key)
    );
  end if;

  select e.entry, e.n
  into bad
  from jsonb_array_elements(given) with ordinality as e (entry, n)
  where jsonb_typeof(e.entry) <> 'object'
     or jsonb_typeof(e.entry -> key) is distinct from 'string'
  limit 1;
  if found then
    perform :SCHEMA.refuse(
      format('%s %s of the array has no %s: %s', kind, bad.n, key, :SCHEMA.shorten(bad.entry::text)),
      format('Each %s is an object with at least {"%s": name}.', kind, key)
    );
  end if;

  used := array(
    select distinct jsonb_object_keys(e.entry)
    from jsonb_array_elements(given) as e (entry)
  );
  if not used <@ options then
    select o.option, e.n
    into bad
    from jsonb_array_elements(given) with ordinality as e (entry, n)
    cross join lateral jsonb_object_keys(e.entry) as o (option)
    where o.option <> all (options)
    limit 1;
    perform :SCHEMA.refuse(
      format(
        '%s %s of the array has an unknown option "%s"%s',
        kind,
        bad.n,
        :SCHEMA.shorten(bad.option),
        coalesce('; did you mean "' || :SCHEMA.nearest_name(bad.option, options) || '"?', '')
      ),
      'Options are ' || array_to_string(options, ', ') || '.'
    );
  end if;
  return used;
end;
$$;

comment on function :SCHEMA.check_objects(jsonb, text, text, text[]) is 'The options that the objects of an array have; or an error, naming the object and the option, where it is not an array of objects that have this key and no other options.';
--! EndIncluded enqueue/check_objects.sql
--! Included enqueue/check_enqueue_many.sql
create function :SCHEMA.check_enqueue_many(jobs jsonb)
  returns text[]
  language plpgsql
  stable
  parallel safe
as $$
declare
  used constant text[] := :SCHEMA.check_objects(jobs, 'job', 'task', array[
    'task', 'payload', 'queue', 'priority', 'run_at', 'delay',
    'max_attempts', 'unique_key', 'timeout', 'tags', 'headers', 'expires_at', 'expires_in', 'deadline',
    'concurrency_key', 'unique_scope', 'unique_while', 'unique_period', 'on_conflict'
  ]);
begin
  if used <@ array['task', 'payload'] then
    return used;
  end if;
  -- Caught in a block of its own, because it takes a subtransaction, which the usual array is spared.
  begin
    perform
    from jsonb_to_recordset(jobs) as j (
      priority integer,
      run_at timestamptz,
      delay interval,
      max_attempts integer,
      timeout interval,
      tags text[],
      expires_at timestamptz,
      expires_in interval,
      deadline interval
    );
  exception
    when data_exception then
      raise exception using
        errcode = sqlstate,
        message = sqlerrm,
        hint = 'priority and max_attempts are whole numbers, run_at and expires_at are timestamps, delay, timeout, expires_in and deadline are intervals, tags is an array of strings.';
  end;
  return used;
end;
$$;

comment on function :SCHEMA.check_enqueue_many(jsonb) is 'The options that the objects of an array have, or an error that says why enqueue_many cannot read it.';
--! EndIncluded enqueue/check_enqueue_many.sql
--! Included enqueue/new_jobs.sql
-- The checks are strict: of what was not given none is called. One plain query, so that it is inlined into the statements
-- that insert its rows. Jobs that give no more than task and payload are spared the reading of all other options: of an
-- empty array, whose missing rows are null.
create function :SCHEMA.new_jobs(jobs jsonb, size integer, plain boolean, asked text[], defaults :SCHEMA.task_default[], as_of timestamptz)
  returns table (
    n bigint,
    task text,
    payload jsonb,
    queue text,
    priority smallint,
    state text,
    run_at timestamptz,
    max_attempts smallint,
    unique_key text,
    timeout interval,
    tags text[],
    headers jsonb,
    expires_at timestamptz,
    deadline_at timestamptz,
    concurrency_key text,
    lane text
  )
  language sql
  stable
begin atomic
  select
    j.n,
    d.name,
    -- No payload is larger than the whole array.
    case
      when size <= d.payload_limit then coalesce(j.entry -> 'payload', '{}')
      else :SCHEMA.check_payload(coalesce(j.entry -> 'payload', '{}'), d.payload_limit)
    end,
    coalesce(:SCHEMA.check_given_name('queue', j.queue, 200), d.queue),
    coalesce(:SCHEMA.check_priority(j.priority), d.priority),
    case when due.at > as_of then 'scheduled' when line.lane is not null then 'blocked' else 'ready' end,
    due.at,
    :SCHEMA.check_max_attempts(j.max_attempts),
    :SCHEMA.check_given_name('unique_key', j.unique_key, 400),
    :SCHEMA.check_timeout(j.timeout),
    j.tags,
    :SCHEMA.check_headers(j.headers),
    case
      when j.expires_at is null and j.expires_in is null then due.at + d.expires_in
      else :SCHEMA.expiry_at(j.expires_at, j.expires_in, d.expires_in, due.at)
    end,
    due.at + coalesce(:SCHEMA.check_span('deadline', j.deadline), d.deadline),
    :SCHEMA.check_given_name('concurrency_key', due.key, 400),
    case when due.at <= as_of then line.lane end
  from rows from (
    jsonb_array_elements(jobs),
    jsonb_to_recordset(case when plain then '[]' else jobs end) as (
      queue text,
      priority integer,
      run_at timestamptz,
      delay interval,
      max_attempts integer,
      unique_key text,
      timeout interval,
      tags text[],
      headers jsonb,
      expires_at timestamptz,
      expires_in interval,
      deadline interval,
      concurrency_key text
    )
  ) with ordinality as j (
    entry, queue, priority, run_at, delay, max_attempts, unique_key, timeout, tags, headers,
    expires_at, expires_in, deadline, concurrency_key, n
  )
  join unnest(asked, defaults) as d (asked, name, known, queue, priority, delay, payload_limit, expires_in, deadline, concurrency_key, limited)
    on d.asked = j.entry ->> 'task'
  cross join lateral (
    select
      case
        when j.run_at is null and j.delay is null then as_of + d.delay
        else :SCHEMA.due_at(j.run_at, j.delay, d.delay, as_of)
      end as at,
      coalesce(j.concurrency_key, :SCHEMA.key_of(d.concurrency_key, j.entry -> 'payload')) as key
  ) as due
  cross join lateral (
    select :SCHEMA.lane_of(due.key, d.name, coalesce(j.queue, d.queue), d.limited) as lane
  ) as line;
end;

comment on function :SCHEMA.new_jobs(jsonb, integer, boolean, text[], :SCHEMA.task_default[], timestamptz) is 'The rows of jobs as enqueue_many() takes them, n being the place in the array, which has that size. plain: they have no option but task and payload. asked and defaults: their tasks and what these say.';
--! EndIncluded enqueue/new_jobs.sql
--! Included enqueue/add_jobs.sql
-- Ids are taken before the insert, so that each result is told from its place in the array even where a key
-- made the insert skip a row. Keys are inserted in their order: two batches that share some wait for each
-- other, and never in a circle. Without keys sorting would cost 1.2 of 8 µs a job, and looking for conflicts more.
create function :SCHEMA.add_jobs(jobs jsonb)
  returns table (id bigint, created boolean)
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
  set enable_bitmapscan = off
  set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  as_of constant timestamptz := clock_timestamp();
  options constant text[] := :SCHEMA.check_enqueue_many(jobs);
  size constant integer := pg_column_size(jobs #> '{}');
  plain constant boolean := options <@ array['task', 'payload'];
  asked text[];
  defaults :SCHEMA.task_default[];
  ids bigint[];
  inserted bigint;
  entry record;
begin
  -- Keys that mean more are taken one by one, in their order too.
  if options && array['unique_scope', 'unique_while', 'unique_period', 'on_conflict'] then
    return query
    with added as materialized (
      select e.n, o.id, o.id = currval(s.tableoid::regclass) as created
      from (
        select j.entry, j.n
        from jsonb_array_elements(jobs) with ordinality as j (entry, n)
        order by j.entry ->> 'unique_key', j.n
      ) as e
      cross join :SCHEMA.job_id as s
      cross join lateral :SCHEMA.enqueue_entry(e.entry) as o (id)
    )
    select a.id, a.created
    from added as a
    order by a.n;
    return;
  end if;

  asked := array(
    select distinct j.entry ->> 'task'
    from jsonb_array_elements(jobs) as j (entry)
  );
  defaults := array(
    select :SCHEMA.task_defaults(a.name)
    from unnest(asked) with ordinality as a (name, n)
    order by a.n
  );

  ids := array(
    select nextval(s.tableoid::regclass)
    from :SCHEMA.job_id as s, generate_series(1, jsonb_array_length(jobs))
  );
  if 'unique_key' = any (options) then
    insert into :SCHEMA.job (
      id, task, payload, queue, priority, state, run_at, created_at,
      max_attempts, unique_key, timeout, tags, headers, expires_at, deadline_at, concurrency_key, lane
    )
    select
      ids[j.n], j.task, j.payload, j.queue, j.priority, j.state, j.run_at, as_of,
      j.max_attempts, j.unique_key, j.timeout, j.tags, j.headers, j.expires_at, j.deadline_at, j.concurrency_key, j.lane
    from :SCHEMA.new_jobs(jobs, size, plain, asked, defaults, as_of) as j
    order by j.unique_key, j.task, j.n
    on conflict (task, unique_key) where unique_key is not null and unique_scope is null do nothing;
  else
    insert into :SCHEMA.job (
      id, task, payload, queue, priority, state, run_at, created_at,
      max_attempts, timeout, tags, headers, expires_at, deadline_at, concurrency_key, lane
    )
    select
      ids[j.n], j.task, j.payload, j.queue, j.priority, j.state, j.run_at, as_of,
      j.max_attempts, j.timeout, j.tags, j.headers, j.expires_at, j.deadline_at, j.concurrency_key, j.lane
    from :SCHEMA.new_jobs(jobs, size, plain, asked, defaults, as_of) as j;
  end if;
  get diagnostics inserted = row_count;

  if inserted = cardinality(ids) then
    return query
    select i.id, true
    from unnest(ids) with ordinality as i (id, n)
    order by i.n;
    return;
  end if;

  for entry in
    select ids[j.n] as own_id, d.name, j.options
    from jsonb_array_elements(jobs) with ordinality as j (options, n)
    join unnest(asked, defaults) as d (asked, name, known, queue, priority, delay, payload_limit, expires_in, deadline, concurrency_key, limited)
      on d.asked = j.options ->> 'task'
    order by j.n
  loop
    id := entry.own_id;
    created := exists (select from :SCHEMA.job as k where k.id = entry.own_id);
    if not created then
      id := (
        select k.id
        from :SCHEMA.job as k
        where k.task = entry.name
          and k.unique_key = entry.options ->> 'unique_key'
          and k.unique_scope is null
      );
    end if;
    -- The job that held the key has finished meanwhile.
    if id is null then
      select m.id, m.created
      into id, created
      from :SCHEMA.enqueue_many(jsonb_build_array(entry.options)) as m;
    end if;
    return next;
  end loop;
end;
$$;

comment on function :SCHEMA.add_jobs(jsonb) is 'Adds the jobs of an array, as enqueue_many() does, in one statement.';
--! EndIncluded enqueue/add_jobs.sql
--! Included enqueue/enqueue_many.sql
-- Clients enqueue single jobs by this too, so an array of one is seen to without what only many make up for, which takes
-- settings of its own and 150 µs: most of the time the job says no more than task and payload, and nothing is to be checked.
create function :SCHEMA.enqueue_many(jobs jsonb)
  returns table (id bigint, created boolean)
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  rows 100
as $$
#variable_conflict use_column
declare
  first constant jsonb := jobs -> 0;
begin
  if jobs -> 1 is not null or jsonb_typeof(first -> 'task') is distinct from 'string' then
    return query
    select a.id, a.created
    from :SCHEMA.add_jobs(jobs) as a;
    return;
  end if;

  if first - array['task', 'payload'] = '{}' then
    id := :SCHEMA.enqueue(first ->> 'task', coalesce(first -> 'payload', '{}'));
    -- Without a unique key nothing is in its way.
    created := true;
  else
    perform :SCHEMA.check_enqueue_many(jobs);
    id := :SCHEMA.enqueue_entry(first);
    created := (select id = currval(s.tableoid::regclass) from :SCHEMA.job_id as s);
  end if;
  return next;
end;
$$;

comment on function :SCHEMA.enqueue_many(jsonb) is
'Adds many jobs in one statement: an array of objects with the options of enqueue() as keys, such as
[{"task": "send_mail", "payload": {"to": 1}, "delay": "5 minutes"}, …].
Returns for each, in the order of the array, its id and whether it is new; a key that is taken gives the id of
the job that holds it and never fails the batch. A bad option refuses the whole array, naming it.';
--! EndIncluded enqueue/enqueue_many.sql
--! Included maintain/drop_on.sql
-- Rounded up, so that few partitions serve any retention: to a day, beyond ten days to a Monday, beyond ten
-- weeks to the first of a month. The day after the last one that must be kept, since a day has 24 hours of rows.
create function :SCHEMA.drop_on(finished_at timestamptz, keep interval)
  returns date
  language sql
  immutable
  parallel safe
return case
  when keep <= interval '10 days' then ((finished_at at time zone 'UTC') + keep)::date + 1
  when keep <= interval '10 weeks' then pg_catalog.date_trunc('week', (finished_at at time zone 'UTC') + keep)::date + 7
  else (pg_catalog.date_trunc('month', (finished_at at time zone 'UTC') + least(keep, interval '1000 years')) + interval '1 month')::date
end;

comment on function :SCHEMA.drop_on(timestamptz, interval) is 'The day from which a job that finished then may be dropped, in UTC.';
--! EndIncluded maintain/drop_on.sql
--! Included finish/task_policy.sql
create function :SCHEMA.task_policy(name text)
  returns :SCHEMA.task
  language plpgsql
  stable
  parallel safe
as $$
declare
  policy :SCHEMA.task;
begin
  select *
  into policy
  from :SCHEMA.task as t
  where t.name = task_policy.name;
  if not found then
    select *
    into policy
    from :SCHEMA.task as t
    where task_policy.name = any (t.aliases)
    limit 1;
  end if;
  if not found then
    -- What the column defaults of the table say, for a task that nobody has declared.
    policy.name := task_policy.name;
    policy.max_attempts := 10;
    policy.backoff := 'exponential';
    policy.backoff_base := interval '5 seconds';
    policy.backoff_cap := interval '1 hour';
    policy.jitter := 0.2;
    policy.keep_succeeded := interval '1 day';
    policy.keep_failed := interval '30 days';
  end if;
  return policy;
end;
$$;

comment on function :SCHEMA.task_policy(text) is 'The row of a task, found by its name or a former one; the defaults for a task that nobody has declared.';
--! EndIncluded finish/task_policy.sql
--! Included finish/tell_ended.sql
create function :SCHEMA.tell_ended(ids bigint[])
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
begin
  -- As a rule nobody waits for anything, and one look says so for any number of jobs.
  if exists (select from :SCHEMA.awaited) then
    perform pg_notify(:SCHEMA.channel(), json_build_object('ended', a.job_id)::text)
    from :SCHEMA.awaited as a
    where a.job_id = any (ids);
  end if;
end;
$$;

comment on function :SCHEMA.tell_ended(bigint[]) is 'Tells those who wait for the end of a job, at the commit, that it has come.';
--! EndIncluded finish/tell_ended.sql
--! Included finish/archive_job.sql
create function :SCHEMA.archive_job(
  job :SCHEMA.job,
  state text,
  keep interval,
  result jsonb default null,
  finished_at timestamptz default clock_timestamp()
)
  returns void
  language sql
  volatile
  set search_path = pg_catalog, pg_temp
begin atomic
  insert into :SCHEMA.archive (
    id, run_at, created_at, started_at, finished_at, worker_id, drop_on, priority, attempt, max_attempts,
    task, queue, state, payload, result, unique_key, unique_scope, coalesce_key, concurrency_key, timeout, scheduled_for, tags, headers
  )
  select
    job.id, job.run_at, job.created_at, job.started_at, finished_at, job.worker_id,
    :SCHEMA.drop_on(finished_at, keep), job.priority, job.attempt, job.max_attempts,
    job.task, job.queue, state, job.payload, result, job.unique_key, job.unique_scope, job.coalesce_key, job.concurrency_key, job.timeout,
    job.scheduled_for, job.tags, job.headers
  where keep > interval '0';
  select :SCHEMA.tell_ended(array[job.id]);
end;

comment on function :SCHEMA.archive_job(:SCHEMA.job, text, interval, jsonb, timestamptz) is 'Files a finished job, unless nothing of it is to be kept, and tells who waits for its end.';
--! EndIncluded finish/archive_job.sql
--! Included finish/expire.sql
-- Rows are skipped where somebody holds them, as everywhere: they are ended the next time.
create function :SCHEMA.expire(as_of timestamptz default clock_timestamp(), most integer default 1000)
  returns integer
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $$
declare
  expired integer;
begin
  if not exists (
    select
    from :SCHEMA.job
    where state <> 'running'
      and least(expires_at, deadline_at) <= as_of
  ) then
    return 0;
  end if;
  with late as (
    select id
    from :SCHEMA.job
    where state <> 'running'
      and least(expires_at, deadline_at) <= as_of
    order by least(expires_at, deadline_at)
    limit most
    for update skip locked
  ),
  gone as (
    delete from :SCHEMA.job
    where id = any (array(select id from late))
    returning *
  )
  select count(*)
  into expired
  from (
    select :SCHEMA.archive_job(g, 'expired', (:SCHEMA.task_policy(g.task)).keep_failed, null, as_of)
    from gone as g
    offset 0
  ) as archived;
  return expired;
end;
$$;

comment on function :SCHEMA.expire(timestamptz, integer) is 'Ends jobs that wait and may start no longer; returns how many. Claims and beats do this by themselves.';
--! EndIncluded finish/expire.sql
--! Included limit/lock_lane.sql
-- An advisory lock, not the lock of a row: there is no row to make first, for which two would wait, and none to write. It
-- ends after the commit has become visible, so whoever has it next sees, in a new statement, what was done under it.
--
-- Lanes share 2048 locks, so that admission to any number of lanes by any number of workers fits into the server's table of
-- locks, which has some 6,000 with its default settings. One expression, so that it is inlined.
create function :SCHEMA.lock_lane(lane text)
  returns boolean
  language sql
  volatile
return pg_catalog.pg_try_advisory_xact_lock(
  pg_catalog.pg_typeof(cast(null as :SCHEMA.job))::oid::bigint * 2048 + (pg_catalog.hashtextextended(lane, 0) & 2047)
);

comment on function :SCHEMA.lock_lane(text) is 'Tries to get the lane, and those that share its lock, to itself until the end of the transaction; never waits.';
--! EndIncluded limit/lock_lane.sql
--! Included limit/lane_rule.sql
create function :SCHEMA.lane_rule(lane text, task text, queue text)
  returns :SCHEMA.job_limit
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  rule :SCHEMA.job_limit;
begin
  select l.*
  into rule
  from :SCHEMA.job_limit as l
  where l.kind = split_part(lane_rule.lane, ':', 1)
    and l.name = substr(lane_rule.lane, strpos(lane_rule.lane, ':') + 1);
  if found or not starts_with(lane_rule.lane, 'key:') then
    return rule;
  end if;

  select l.*
  into rule
  from :SCHEMA.job_limit as l
  where (l.kind, l.name) in (('task_keys', lane_rule.task), ('queue_keys', lane_rule.queue))
  order by l.kind desc
  limit 1;
  if not found then
    rule.lane := lane_rule.lane;
    rule.concurrency := 1;
    rule.holds := false;
  end if;
  return rule;
end;
$$;

comment on function :SCHEMA.lane_rule(text, text, text) is 'The limit of a lane, for a job of that task and queue: of a key its own row, or else what the task or the queue says of each key, or else one at a time. All null: there is none.';
--! EndIncluded limit/lane_rule.sql
--! Included limit/holds_lane.sql
create function :SCHEMA.holds_lane(lane text, job_id bigint)
  returns boolean
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
begin
  return exists (
    select
    from :SCHEMA.job as j
    where j.id = holds_lane.job_id
      and holds_lane.lane in ('key:' || j.concurrency_key, 'task:' || j.task, 'queue:' || j.queue)
      and (
        j.state in ('ready', 'running')
        or j.attempt > 0 and (:SCHEMA.lane_rule(holds_lane.lane, j.task, j.queue)).holds
      )
  );
end;
$$;

comment on function :SCHEMA.holds_lane(text, bigint) is 'Whether a job that was admitted to a lane still has its slot: it is ready or runs, or the lane''s jobs keep theirs until their next attempt.';
--! EndIncluded limit/holds_lane.sql
--! Included limit/lane_room.sql
-- A job that was admitted and has not started counts against the tokens there are: it may start at any moment, and a token
-- that is there now is there later. The start itself is counted at its own time. So starts keep to the rate even where
-- admitted jobs had to wait for a worker.
create function :SCHEMA.lane_room(lane text, job :SCHEMA.job, as_of timestamptz)
  returns integer
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set jit = off
as $$
declare
  rule constant :SCHEMA.job_limit := :SCHEMA.lane_rule(lane_room.lane, job.task, job.queue);
  pace constant interval := make_interval(secs => ceil(extract(epoch from rule.period) * 1000000 / rule.rate)::double precision / 1000000);
  taken record;
  filled_at timestamptz;
  tokens integer;
  slots integer := 2147483647;
begin
  if rule.paused_at is not null or starts_with(lane_room.lane, 'queue:') and exists (
    select
    from :SCHEMA.queue as q
    where q.name = job.queue
      and q.paused_at is not null
  ) then
    return null;
  end if;
  if rule.lane is null then
    return slots;
  end if;

  select count(*)::integer as slots, count(*) filter (where not h.started)::integer as tokens
  into taken
  from :SCHEMA.holder as h
  where h.lane = lane_room.lane
    and h.job_id <> job.id;
  slots := coalesce(rule.concurrency - taken.slots, slots);
  if rule.rate is null or slots <= 0 then
    return slots;
  end if;

  insert into :SCHEMA.meter as m (lane, step)
  values (lane_room.lane, pace)
  on conflict on constraint meter_pkey do update
  set step = excluded.step
  returning m.full_at
  into filled_at;
  tokens := floor(
    rule.burst - greatest(0, extract(epoch from nullif(filled_at, '-infinity') - as_of) / extract(epoch from pace))
  ) - taken.tokens;
  if tokens <= 0 and taken.tokens < rule.burst then
    update :SCHEMA.meter as m
    set next_at = filled_at - pace * (rule.burst - taken.tokens - 1)
    where m.lane = lane_room.lane;
  end if;
  return least(slots, tokens);
end;
$$;

comment on function :SCHEMA.lane_room(text, :SCHEMA.job, timestamptz) is 'How many jobs like this one the lane has slots and tokens for. Null: it is paused. Where only a token is missing it notes when there will be one. The caller has locked the lane.';
--! EndIncluded limit/lane_room.sql
--! Included limit/admit_lane.sql
-- A job for which another of its lanes has no room goes to stand there: so none is looked at again before the lane that
-- keeps it has changed, and a lane full of jobs of one busy key is no obstacle to the others. From a key to its task, and
-- on to its queue, only as many go as there would have been room for, so that a line does not wander to and fro; to one that is paused
-- all go, since there they wait for a person. Where one of the lanes is being admitted to elsewhere, all is left to the
-- next look.
create function :SCHEMA.admit_lane(lane text, as_of timestamptz)
  returns text[]
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_sort = off
  set jit = off
as $$
declare
  most constant integer := 500;
  woken text[] := array[]::text[];
  kept bigint[] := array[]::bigint[];
  job :SCHEMA.job;
  lanes text[];
  standing text;
  obstacle text;
  room integer;
  own_room integer;
  moved integer := 0;
begin
  -- Those that failed and kept their slot go first: the slot is theirs.
  if exists (select from :SCHEMA.job_limit as l where l.holds) then
    kept := array(
      select h.job_id
      from :SCHEMA.holder as h
      where h.lane = admit_lane.lane
        and exists (select from :SCHEMA.job as j where j.id = h.job_id and j.state = 'blocked')
    );
  end if;

  for n in 1 .. most loop
    if cardinality(kept) > 0 then
      select j.*
      into job
      from :SCHEMA.job as j
      where j.id = kept[1]
        and j.state = 'blocked'
      for update skip locked;
      kept := kept[2:];
      continue when not found;
    else
      select j.*
      into job
      from :SCHEMA.job as j
      where j.state = 'blocked'
        and j.lane = admit_lane.lane
      order by j.lane, j.priority desc, j.run_at, j.id
      limit 1
      for update skip locked;
      if not found then
        return woken;
      end if;
    end if;

    lanes := :SCHEMA.lanes_of(job);
    obstacle := null;
    own_room := 2147483647;
    foreach standing in array array[admit_lane.lane] || array_remove(lanes, admit_lane.lane) loop
      -- Its limit was lifted.
      continue when standing <> all (lanes);
      if standing <> admit_lane.lane and not :SCHEMA.lock_lane(standing) then
        insert into :SCHEMA.arrival (lane)
        values (admit_lane.lane);
        return woken;
      end if;
      room := :SCHEMA.lane_room(standing, job, as_of);
      if standing = admit_lane.lane then
        own_room := room;
      end if;
      if coalesce(room, 0) <= 0 then
        obstacle := standing;
        exit;
      end if;
    end loop;

    if obstacle is null then
      -- It is back before its last start was counted: that comes first, else the token would be free in between.
      if exists (
        select
        from unnest(lanes) as l (lane)
        join :SCHEMA.holder as h on h.lane = l.lane and h.job_id = job.id
        where not h.started
          and exists (
            select
            from :SCHEMA.arrival as a
            where a.lane = h.lane
              and a.job_id = h.job_id
              and a.started_at is not null
          )
      ) then
        insert into :SCHEMA.arrival (lane)
        values (admit_lane.lane);
        return woken;
      end if;
      -- Who is back before its slot was taken from it has to start anew, by a token of its own.
      insert into :SCHEMA.holder as h (lane, job_id)
      select l.lane, job.id
      from unnest(lanes) as l (lane)
      on conflict on constraint holder_pkey do update set started = false
      where h.started;
      update :SCHEMA.job as j
      set state = 'ready'
      where j.id = job.id;
      woken := woken || array_remove(array[job.queue], woken[cardinality(woken)]);
    else
      exit when obstacle = admit_lane.lane and cardinality(kept) = 0;
      continue when obstacle = admit_lane.lane;
      update :SCHEMA.job as j
      set lane = obstacle
      where j.id = job.id;
      insert into :SCHEMA.arrival (lane)
      select l.lane
      from unnest(lanes) as l (lane)
      where l.lane not in (obstacle, admit_lane.lane);
      -- lanes has the key first, then the task, then the queue.
      if room is not null and array_position(lanes, obstacle) > array_position(lanes, admit_lane.lane) then
        moved := moved + 1;
      end if;
      exit when moved >= own_room;
    end if;

    -- The rest has to be looked at too, by the next call.
    if n = most then
      insert into :SCHEMA.arrival (lane)
      values (admit_lane.lane);
    end if;
  end loop;
  return woken;
end;
$$;

comment on function :SCHEMA.admit_lane(text, timestamptz) is 'Makes jobs that stand in a lane ready, by priority, due time and id, as long as all their lanes have room for them; returns their queues. The caller has locked the lane.';
--! EndIncluded limit/admit_lane.sql
--! Included limit/admit_keys.sql
-- Most jobs with a key are under no other limit, and their key admits one at a time: all such lanes are seen to in one
-- statement, 20 times as fast as one after the other. Whatever else is known of the next job, by a limit of its own key, of
-- its task or its queue, is left to admit_lane.
create function :SCHEMA.admit_keys(inout lanes text[], out woken text[])
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off
as $$
declare
  limits constant boolean := exists (select from :SCHEMA.job_limit);
  pauses constant boolean := exists (select from :SCHEMA.queue as q where q.paused_at is not null);
begin
  -- Jobs that failed and kept their slot may stand anywhere in the line.
  if limits and exists (select from :SCHEMA.job_limit as l where l.holds) then
    return;
  end if;

  -- What is asked in a case is asked lane by lane. As a join it could be one in which, by what the tables held when the plan
  -- was made, all holders were gone through for each lane.
  with head as materialized (
    select
      w.lane, j.id, j.at, j.queue,
      j.lane = 'key:' || j.concurrency_key
        and case when limits then not exists (
          select
          from :SCHEMA.job_limit as l
          where (l.kind, l.name) in (
            ('key', j.concurrency_key), ('task', j.task), ('task_keys', j.task), ('queue', j.queue), ('queue_keys', j.queue)
          )
        ) else true end
        and case when pauses then not exists (
          select
          from :SCHEMA.queue as q
          where q.name = j.queue
            and q.paused_at is not null
        ) else true end as plain
    from unnest(admit_keys.lanes) as w (lane)
    left join lateral (
      select b.id, b.ctid as at, b.queue, b.task, b.concurrency_key, b.lane
      from :SCHEMA.job as b
      where b.state = 'blocked'
        and b.lane = w.lane
      order by b.lane, b.priority desc, b.run_at, b.id
      limit 1
      for update skip locked
    ) as j on true
  ),
  free as materialized (
    select h.lane, h.id, h.at, h.queue
    from head as h
    where case when h.plain then not exists (
      select
      from :SCHEMA.holder as o
      where o.lane = h.lane
        and o.job_id <> h.id
    ) end
  ),
  admitted as (
    update :SCHEMA.job as j
    set state = 'ready'
    where j.ctid = any (array(select f.at from free as f))
  ),
  held as (
    insert into :SCHEMA.holder (lane, job_id)
    select f.lane, f.id
    from free as f
    on conflict do nothing
  )
  select
    coalesce(array_agg(h.lane order by h.lane) filter (where h.id is not null and h.plain is not true), '{}'),
    array(select distinct f.queue from free as f)
  into lanes, woken
  from head as h;
end;
$$;

comment on function :SCHEMA.admit_keys(text[]) is 'Makes the next job of each key ready, where one at a time is all that limits it and none is; returns the lanes for which there is more to it, and the queues of these jobs. The caller has locked the lanes.';
--! EndIncluded limit/admit_keys.sql
--! Included limit/arrived_lanes.sql
-- A loose index scan: one probe for each lane, however much has arrived in it. It starts where the session's last one
-- ended, so that of very many lanes each has its turn.
create function :SCHEMA.arrived_lanes(most integer)
  returns text[]
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_sort = off
  set jit = off
as $$
declare
  memory constant text := 'rouse.lane_' || :SCHEMA.installation();
  lanes text[];
begin
  if not exists (select from :SCHEMA.arrival) then
    return array[]::text[];
  end if;
  for turn in 1 .. 2 loop
    lanes := array(
      with recursive arrived as (
        (
          select a.lane
          from :SCHEMA.arrival as a
          where a.lane > coalesce(current_setting(memory, true), '')
          order by a.lane
          limit 1
        )
        union all
        select (
          select a.lane
          from :SCHEMA.arrival as a
          where a.lane > r.lane
          order by a.lane
          limit 1
        )
        from arrived as r
        where r.lane is not null
      )
      select r.lane
      from arrived as r
      where r.lane is not null
      limit most
    );
    perform set_config(memory, case when cardinality(lanes) = most then lanes[most] else '' end, false);
    exit when cardinality(lanes) > 0;
  end loop;
  return lanes;
end;
$$;

comment on function :SCHEMA.arrived_lanes(integer) is 'Lanes with arrivals, up to that many.';
--! EndIncluded limit/arrived_lanes.sql
--! Included limit/admit.sql
-- Arrivals are taken under the lock of their lane, with the slots of those that left; who stands in line is looked at in
-- later statements. So whatever arrived was visible when it was taken, and what was not visible then is taken the next
-- time: no free slot is overlooked, and nobody waits. Queues come before tasks and these before keys: a job that has got further
-- is not overtaken by a later one of its key.
create function :SCHEMA.admit(as_of timestamptz default clock_timestamp())
  returns boolean
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off
as $$
declare
  -- As many as an exchange may finish.
  most constant integer := 1000;
  -- Of those that are seen to one by one, 0.2 ms each.
  most_single constant integer := 100;
  waiting text[];
  own text[];
  others text[];
  keys_from integer;
  keys record;
  next text;
  start record;
  woken text[] := array[]::text[];
begin
  waiting := :SCHEMA.arrived_lanes(most) || array(
    select m.lane
    from :SCHEMA.meter as m
    where m.next_at <= as_of
    order by m.next_at
    limit most
  );
  -- In a stricter level nothing newer than the transaction would be seen.
  if cardinality(waiting) = 0 or current_setting('transaction_isolation') <> 'read committed' then
    return false;
  end if;

  own := array(
    select w.lane
    from (select distinct d.lane from unnest(waiting) as d (lane)) as w
    where :SCHEMA.lock_lane(w.lane)
    order by w.lane
  );

  -- Arrivals and jobs are of one snapshot: a job that started and ended after it keeps its slot until its start is counted.
  for start in
    with taken as (
      delete from :SCHEMA.arrival as a
      where a.lane = any (own)
      returning a.lane, a.job_id, a.started_at
    ),
    left_by as (
      delete from :SCHEMA.holder as h
      where h.ctid = any (array(
        select s.at
        from taken as t
        cross join lateral (
          select h.ctid as at, h.lane, h.job_id
          from :SCHEMA.holder as h
          where h.lane = t.lane
            and h.job_id = t.job_id
          offset 0
        ) as s
        -- Of holders, not of arrivals: most of these never held anything, and each look at a job has its price.
        where not exists (select from :SCHEMA.job as j where j.id = s.job_id)
           or not :SCHEMA.holds_lane(s.lane, s.job_id)
      ))
    )
    select t.lane, t.job_id, t.started_at
    from taken as t
    where t.started_at is not null
    order by t.lane, t.started_at
  loop
    update :SCHEMA.meter as m
    set full_at = greatest(m.full_at, start.started_at) + m.step
    where m.lane = start.lane;
    update :SCHEMA.holder as h
    set started = true
    where h.lane = start.lane
      and h.job_id = start.job_id;
  end loop;
  update :SCHEMA.meter as m
  set next_at = null
  where m.lane = any (own)
    and m.next_at is not null;

  others := array(
    select o.lane
    from unnest(own) as o (lane)
    where not starts_with(o.lane, 'key:')
    order by split_part(o.lane, ':', 1) = 'task', o.lane
  );
  keys_from := cardinality(others) + 1;
  foreach next in array others[:most_single] loop
    woken := woken || :SCHEMA.admit_lane(next, as_of);
  end loop;
  keys := :SCHEMA.admit_keys(array(select o.lane from unnest(own) as o (lane) where starts_with(o.lane, 'key:')));
  others := others || keys.lanes;
  woken := woken || keys.woken;
  foreach next in array others[keys_from:most_single] loop
    woken := woken || :SCHEMA.admit_lane(next, as_of);
  end loop;
  insert into :SCHEMA.arrival (lane)
  select l.lane
  from unnest(others[most_single + 1:]) as l (lane);
  perform :SCHEMA.wake_queue(w.queue)
  from (select distinct unnest(woken) as queue) as w;
  return cardinality(woken) > 0;
end;
$$;

comment on function :SCHEMA.admit(timestamptz) is 'Admits jobs under limits for which there is room, and wakes workers; returns whether there were any. Claims and beats do this by themselves.';
--! EndIncluded limit/admit.sql
--! Included limit/pass_on.sql
-- A job that ends tells of it by an arrival, since the lane of its key may be somebody else's at the moment. Where an exchange
-- gets the lane at once it needs none: the next job is admitted in the transaction in which the last one ended. That and no
-- trigger for each job takes half of what an end costs.
create function :SCHEMA.pass_on(ids bigint[], lanes text[], keys text[], tasks text[], queues text[])
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off
as $$
declare
  limited constant text[] := array(select l.lane from :SCHEMA.job_limit as l where l.kind in ('task', 'queue'));
  admits constant boolean := current_setting('rouse.admits_' || pg_typeof(cast(null as :SCHEMA.job))::oid, true) = 'on';
  -- In a stricter level nothing newer than the transaction would be seen.
  direct constant boolean := admits and current_setting('transaction_isolation') = 'read committed';
  meters constant boolean := exists (select from :SCHEMA.meter);
  own record;
  next record;
begin
  with ended as materialized (
    select
      e.id, e.lane, e.key, e.task, e.queue,
      coalesce(
        direct
          and e.lane = 'key:' || e.key
          and not limited && array['task:' || e.task, 'queue:' || e.queue]
          -- Its start has to be counted before its slot is free.
          and not (meters and exists (select from :SCHEMA.meter as m where m.lane = e.lane))
          and :SCHEMA.lock_lane(e.lane),
        false
      ) as passed
    from unnest(ids, lanes, keys, tasks, queues) as e (id, lane, key, task, queue)
  ),
  told as (
    insert into :SCHEMA.arrival (lane, job_id)
    select distinct l.lane, e.id
    from ended as e
    cross join lateral unnest(array[e.lane, 'key:' || e.key, 'task:' || e.task, 'queue:' || e.queue]) as l (lane)
    where not e.passed
      and (l.lane in (e.lane, 'key:' || e.key) or l.lane = any (limited))
  )
  select array_agg(e.id) as ids, array_agg(e.lane) as lanes
  into own
  from ended as e
  where e.passed;

  if own.ids is not null then
    delete from :SCHEMA.holder as h
    where h.ctid = any (array(
      select s.at
      from unnest(own.lanes, own.ids) as e (lane, job_id)
      cross join lateral (
        select h.ctid as at
        from :SCHEMA.holder as h
        where h.lane = e.lane
          and h.job_id = e.job_id
        offset 0
      ) as s
    ));
    next := :SCHEMA.admit_keys(own.lanes);
    insert into :SCHEMA.arrival (lane)
    select l.lane
    from unnest(next.lanes) as l (lane);
    queues := next.woken;
  end if;
  if own.ids is not null or not admits then
    perform :SCHEMA.wake_queue(w.queue)
    from (select distinct q.queue from unnest(queues) as q (queue)) as w;
  end if;
end;
$$;

comment on function :SCHEMA.pass_on(bigint[], text[], text[], text[], text[]) is 'Gives the slots of jobs under limits that have ended, of which these are ids, lanes, concurrency keys, tasks and queues, to the next ones of their keys where an exchange can do so at once; tells of all others by arrivals.';
--! EndIncluded limit/pass_on.sql
--! Included limit/repair_lanes.sql
-- What is left here to repair: a holder whose job went without leaving an arrival, as by TRUNCATE, a job that was locked
-- when its turn came, or arrivals lost with their table. Each session goes on where it stopped.
create function :SCHEMA.repair_lanes(as_of timestamptz default clock_timestamp(), most integer default 50)
  returns integer
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_sort = off
  set jit = off
as $$
declare
  memory constant text := 'rouse.repaired_' || :SCHEMA.installation();
  next text := coalesce(current_setting(memory, true), '');
  admitted integer := 0;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    return 0;
  end if;
  for n in 1 .. most loop
    next := (
      select j.lane
      from :SCHEMA.job as j
      where j.state = 'blocked'
        and j.lane > next
      order by j.lane
      limit 1
    );
    exit when next is null;
    if :SCHEMA.lock_lane(next) then
      -- Where an arrival tells of a job, admit() removes its holder, having counted its start: until then that is its token.
      delete from :SCHEMA.holder as h
      where h.lane = next
        and not :SCHEMA.holds_lane(h.lane, h.job_id)
        and h.job_id <> all (array(
          select a.job_id
          from :SCHEMA.arrival as a
          where a.lane = next
            and a.job_id is not null
        ));
      admitted := admitted + cardinality(:SCHEMA.admit_lane(next, as_of));
    end if;
  end loop;
  perform set_config(memory, coalesce(next, ''), false);
  return admitted;
end;
$$;

comment on function :SCHEMA.repair_lanes(timestamptz, integer) is 'Part of each beat: looks again at lanes in which jobs stand, some at a time; returns how many queues have jobs to run now that nobody had looked at.';
--! EndIncluded limit/repair_lanes.sql
--! Included limit/park.sql
create function :SCHEMA.park(ids bigint[], lane text)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
begin
  with parked as (
    update :SCHEMA.job as j
    set
      state = 'blocked',
      lane = park.lane
    where j.id = any (ids)
    returning j as job
  )
  insert into :SCHEMA.arrival (lane, job_id)
  select h.lane, h.job_id
  from parked as p
  cross join lateral unnest(:SCHEMA.lanes_of(p.job)) as l (lane)
  join :SCHEMA.holder as h on h.lane = l.lane and h.job_id = (p.job).id;
end;
$$;

comment on function :SCHEMA.park(bigint[], text) is 'Has ready jobs, which the caller has locked, stand in that lane and leave the slots that they have.';
--! EndIncluded limit/park.sql
--! Included limit/park_ready.sql
-- Rows that somebody holds are skipped: a claim under way takes its jobs all the same, and the next sweep finds the rest.
create function :SCHEMA.park_ready(rule :SCHEMA.job_limit)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set jit = off
as $$
#variable_conflict use_column
begin
  perform :SCHEMA.park(
    array(
      select id
      from :SCHEMA.job
      where state = 'ready'
        and case rule.kind
          when 'task' then task = rule.name
          when 'queue' then queue = rule.name
          when 'key' then rule.paused_at is not null and concurrency_key = rule.name
        end
        and (
          rule.paused_at is not null
          or not exists (select from :SCHEMA.holder as h where h.lane = rule.lane and h.job_id = id)
        )
      order by id
      for update skip locked
    ),
    rule.lane
  );
end;
$$;

comment on function :SCHEMA.park_ready(:SCHEMA.job_limit) is 'Has jobs that are ready stand in line for a limit that is new to them, or for the end of a pause.';
--! EndIncluded limit/park_ready.sql
--! Included limit/park_admitted.sql
-- Found by their slots, which are few, and not in the queue, where any number of jobs may be ready.
create function :SCHEMA.park_admitted(queue text)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
begin
  perform :SCHEMA.park(
    array(
      select j.id
      from :SCHEMA.job as j
      where j.id = any (array(select h.job_id from :SCHEMA.holder as h))
        and j.state = 'ready'
        and j.queue = park_admitted.queue
      order by j.id
      for update skip locked
    ),
    'queue:' || park_admitted.queue
  );
end;
$$;

comment on function :SCHEMA.park_admitted(text) is 'Has jobs of a queue that is paused, which were admitted under their limits and not claimed, give their slots to others.';
--! EndIncluded limit/park_admitted.sql
--! Included limit/settle_limits.sql
-- A transaction that was open when a limit came may commit jobs that know nothing of it.
create function :SCHEMA.settle_limits()
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  fresh :SCHEMA.job_limit;
begin
  for fresh in
    select l.*
    from :SCHEMA.job_limit as l
    where not l.settled
    order by l.kind, l.name
    for update skip locked
  loop
    if fresh.kind in ('task', 'queue') then
      perform :SCHEMA.park_ready(fresh);
      insert into :SCHEMA.arrival (lane)
      values (fresh.lane);
    end if;
    update :SCHEMA.job_limit as l
    set settled = true
    where l.kind = fresh.kind
      and l.name = fresh.name
      and l.changed_in < pg_snapshot_xmin(pg_current_snapshot());
  end loop;
end;
$$;

comment on function :SCHEMA.settle_limits() is 'Part of each sweep: finds jobs that were enqueued by transactions older than a limit of theirs.';
--! EndIncluded limit/settle_limits.sql
--! Included limit/job_limit_changed.sql
create function :SCHEMA.job_limit_changed()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  set jit = off
as $$
declare
  changed :SCHEMA.job_limit := coalesce(new, old);
begin
  if tg_op <> 'DELETE' and changed.kind in ('task', 'queue', 'key') then
    perform :SCHEMA.park_ready(changed);
  end if;
  if changed.kind in ('task', 'queue', 'key') then
    insert into :SCHEMA.arrival (lane)
    values (changed.lane);
  else
    insert into :SCHEMA.arrival (lane)
    select distinct j.lane
    from :SCHEMA.job as j
    where j.state = 'blocked'
      and j.lane is not null
      and changed.name = case changed.kind when 'task_keys' then j.task else j.queue end;
  end if;
  perform :SCHEMA.wake_timer(clock_timestamp());
  return null;
end;
$$;

comment on function :SCHEMA.job_limit_changed() is 'Trigger: puts a new, changed or dropped limit into effect.';

create trigger job_limit_changed
  after insert or delete or update of kind, name, concurrency, rate, period, burst, holds, paused_at on :SCHEMA.job_limit
  for each row
  execute function :SCHEMA.job_limit_changed();

comment on trigger job_limit_changed on :SCHEMA.job_limit is 'Puts a new, changed or dropped limit into effect.';
--! EndIncluded limit/job_limit_changed.sql
--! Included limit/check_limit.sql
create function :SCHEMA.check_limit(concurrency integer, rate integer, period interval, burst integer)
  returns void
  language plpgsql
  immutable
  parallel safe
as $$
begin
  if concurrency < 1 then
    perform :SCHEMA.refuse(
      format('concurrency %s is not a positive number', concurrency),
      'Give how many jobs may run at a time. To let none run, pause() it; to lift the limit, drop_limit().'
    );
  end if;
  if rate not between 1 and 1000000 then
    perform :SCHEMA.refuse(
      format('rate %s is out of range', rate),
      'Give how many jobs may start in each period, 1 to 1000000. To let none start, pause() it.'
    );
  end if;
  if period <= interval '0' or not isfinite(period) then
    perform :SCHEMA.refuse(
      format('period %s is not a positive, finite time', period),
      'Give the time in which that many jobs may start, such as interval ''1 minute''.'
    );
  end if;
  if burst not between 1 and 1000000 then
    perform :SCHEMA.refuse(
      format('burst %s is out of range', burst),
      'Give how many jobs may start at once after a pause, 1 to 1000000.'
    );
  end if;
  if rate is null and (period is not null or burst > 1) then
    perform :SCHEMA.refuse('period and burst need a rate', 'For example rate => 100, period => ''1 minute'', burst => 10.');
  end if;
end;
$$;

comment on function :SCHEMA.check_limit(integer, integer, interval, integer) is 'Refuses a limit that makes no sense, naming the value.';
--! EndIncluded limit/check_limit.sql
--! Included limit/limit_of.sql
create function :SCHEMA.limit_of(queue text, task text, key text, each_key boolean, out kind text, out name text)
  language plpgsql
  immutable
  parallel safe
as $$
begin
  if num_nonnulls(limit_of.queue, limit_of.task, limit_of.key) <> 1 then
    perform :SCHEMA.refuse(
      'a limit is of one of queue, task and key',
      'For example set_limit(task => ''send_mail'', concurrency => 5).'
    );
  end if;
  if limit_of.key is not null and each_key then
    perform :SCHEMA.refuse(
      'each_key goes with a task or a queue',
      'set_limit(task => ''sync'', each_key => true, …) is about each key of a task''s jobs, set_limit(key => …) about one key.'
    );
  end if;
  name := case
    when limit_of.queue is not null then :SCHEMA.check_name('queue', limit_of.queue)
    when limit_of.task is not null then :SCHEMA.check_name('task', limit_of.task)
    else :SCHEMA.check_name('key', limit_of.key, 400)
  end;
  kind := case
    when limit_of.queue is not null then 'queue'
    when limit_of.task is not null then 'task'
    else 'key'
  end || case when each_key then '_keys' else '' end;
end;
$$;

comment on function :SCHEMA.limit_of(text, text, text, boolean) is 'The row of job_limit that these arguments mean, or an error that says what is wrong with them.';
--! EndIncluded limit/limit_of.sql
--! Included limit/set_limit.sql
create function :SCHEMA.set_limit(
  queue text default null,
  task text default null,
  key text default null,
  each_key boolean default false,
  concurrency integer default null,
  rate integer default null,
  period interval default null,
  burst integer default 1,
  holds boolean default false
)
  returns void
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  target record := :SCHEMA.limit_of(set_limit.queue, set_limit.task, set_limit.key, set_limit.each_key);
begin
  perform :SCHEMA.check_limit(set_limit.concurrency, set_limit.rate, set_limit.period, set_limit.burst);
  if num_nonnulls(set_limit.concurrency, set_limit.rate) = 0 then
    perform :SCHEMA.refuse(
      'a limit needs concurrency or rate',
      'Give concurrency => 5, or rate => 100, period => ''1 minute'', or both; drop_limit() lifts one.'
    );
  end if;
  insert into :SCHEMA.job_limit (kind, name, concurrency, rate, period, burst, holds)
  values (
    target.kind,
    target.name,
    set_limit.concurrency,
    set_limit.rate,
    case when set_limit.rate is not null then coalesce(set_limit.period, interval '1 second') end,
    coalesce(set_limit.burst, 1),
    coalesce(set_limit.holds, false)
  )
  on conflict on constraint job_limit_pkey do update
  set
    concurrency = excluded.concurrency,
    rate = excluded.rate,
    period = excluded.period,
    burst = excluded.burst,
    holds = excluded.holds,
    declared = false;
end;
$$;

comment on function :SCHEMA.set_limit(text, text, text, boolean, integer, integer, interval, integer, boolean) is
'Limits the jobs of a queue, a task or a concurrency key, on all workers together and from its commit on; what runs goes on.
  queue, task, key   one of them
  each_key      true: not the jobs of the task or queue together, but those of each of their concurrency keys
  concurrency   how many run at a time; left out: any number
  rate, period  how many start in each period, default a second; left out: any number
  burst         how many may start at once after a pause; in any time at most burst + rate * time / period
  holds         true: a job that failed keeps its slot until its next attempt, so that no other passes it
It replaces the limit that there was. A key without any limit has concurrency 1.';
--! EndIncluded limit/set_limit.sql
--! Included limit/drop_limit.sql
create function :SCHEMA.drop_limit(
  queue text default null,
  task text default null,
  key text default null,
  each_key boolean default false
)
  returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  target record := :SCHEMA.limit_of(drop_limit.queue, drop_limit.task, drop_limit.key, drop_limit.each_key);
begin
  delete from :SCHEMA.job_limit as l
  where l.kind = target.kind
    and l.name = target.name;
  return found;
end;
$$;

comment on function :SCHEMA.drop_limit(text, text, text, boolean) is 'Lifts a limit that set_limit() or a task''s code has set; a key falls back to what its task or queue says of each key, or to one at a time. Returns whether there was one.';
--! EndIncluded limit/drop_limit.sql
--! Included limit/pause_limit.sql
create function :SCHEMA.pause_limit(kind text, name text)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  insert into :SCHEMA.job_limit as l (kind, name, paused_at, paused_by)
  values (pause_limit.kind, pause_limit.name, clock_timestamp(), session_user)
  on conflict on constraint job_limit_pkey do update
  set
    paused_at = excluded.paused_at,
    paused_by = excluded.paused_by
  where l.paused_at is null;
end;
$$;

comment on function :SCHEMA.pause_limit(text, text) is 'Lets no job of a task or a key start.';
--! EndIncluded limit/pause_limit.sql
--! Included limit/resume_limit.sql
create function :SCHEMA.resume_limit(kind text, name text)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  -- A row that is about the pause alone goes with it.
  delete from :SCHEMA.job_limit as l
  where l.kind = resume_limit.kind
    and l.name = resume_limit.name
    and l.paused_at is not null
    and num_nonnulls(l.concurrency, l.rate) = 0;
  update :SCHEMA.job_limit as l
  set
    paused_at = null,
    paused_by = null
  where l.kind = resume_limit.kind
    and l.name = resume_limit.name
    and l.paused_at is not null;
end;
$$;

comment on function :SCHEMA.resume_limit(text, text) is 'Ends what pause_limit() began.';
--! EndIncluded limit/resume_limit.sql
--! Included limit/declare_limits.sql
create function :SCHEMA.declare_limits(declarations jsonb)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform :SCHEMA.check_limit(r.concurrency, r.rate, r.period, r.burst)
  from jsonb_to_recordset(declarations) as d ("limit" jsonb, key_limit jsonb)
  cross join lateral (values (d."limit"), (d.key_limit)) as w (rule)
  cross join lateral jsonb_to_record(w.rule) as r (concurrency integer, rate integer, period interval, burst integer)
  where w.rule is not null;
  -- A limit that the code no longer states goes; one that was set from SQL stays.
  delete from :SCHEMA.job_limit as l
  using jsonb_to_recordset(declarations) as d (name text, "limit" jsonb, key_limit jsonb)
  where l.declared
    and l.name = d.name
    and (l.kind = 'task' and d."limit" is null or l.kind = 'task_keys' and d.key_limit is null);

  insert into :SCHEMA.job_limit as l (kind, name, concurrency, rate, period, burst, holds, declared)
  select
    w.kind,
    d.name,
    r.concurrency,
    r.rate,
    case when r.rate is not null then coalesce(r.period, interval '1 second') end,
    coalesce(r.burst, 1),
    coalesce(r.holds, false),
    true
  from jsonb_to_recordset(declarations) as d (name text, "limit" jsonb, key_limit jsonb)
  cross join lateral (values ('task', d."limit"), ('task_keys', d.key_limit)) as w (kind, rule)
  cross join lateral jsonb_to_record(w.rule) as r (concurrency integer, rate integer, period interval, burst integer, holds boolean)
  where w.rule is not null
  order by w.kind, d.name
  on conflict on constraint job_limit_pkey do update
  set
    concurrency = excluded.concurrency,
    rate = excluded.rate,
    period = excluded.period,
    burst = excluded.burst,
    holds = excluded.holds,
    declared = true
  where (l.concurrency, l.rate, l.period, l.burst, l.holds, l.declared)
    is distinct from (excluded.concurrency, excluded.rate, excluded.period, excluded.burst, excluded.holds, true);
end;
$$;

comment on function :SCHEMA.declare_limits(jsonb) is 'Sets the limits that the code of tasks states; part of declare_tasks_v1().';
--! EndIncluded limit/declare_limits.sql
--! Included claim/claimed_job.sql
create type :SCHEMA.claimed_job as (
  id bigint,
  lease uuid,
  task text,
  payload jsonb,
  queue text,
  priority smallint,
  attempt smallint,
  max_attempts smallint,
  run_at timestamptz,
  created_at timestamptz,
  scheduled_for timestamptz,
  timeout interval,
  tags text[],
  headers jsonb,
  expires_in interval
);

comment on type :SCHEMA.claimed_job is 'A job as a worker receives it.';
comment on column :SCHEMA.claimed_job.id is 'Identity of the job.';
comment on column :SCHEMA.claimed_job.lease is 'Token of this attempt: complete_v1, fail_v1 and release_v1 take it.';
comment on column :SCHEMA.claimed_job.task is 'Task that handles it.';
comment on column :SCHEMA.claimed_job.payload is 'Input of the task.';
comment on column :SCHEMA.claimed_job.queue is 'Queue it waited in.';
comment on column :SCHEMA.claimed_job.priority is 'Its priority.';
comment on column :SCHEMA.claimed_job.attempt is 'Number of this attempt, from 1.';
comment on column :SCHEMA.claimed_job.max_attempts is 'Attempts before the job ends failed; null: as the task says.';
comment on column :SCHEMA.claimed_job.run_at is 'When this attempt was due.';
comment on column :SCHEMA.claimed_job.created_at is 'When the job was enqueued.';
comment on column :SCHEMA.claimed_job.scheduled_for is 'Slot of the schedule that it serves.';
comment on column :SCHEMA.claimed_job.timeout is 'Time this attempt may take; null: as the task says.';
comment on column :SCHEMA.claimed_job.tags is 'Labels for people.';
comment on column :SCHEMA.claimed_job.headers is 'Context that travels with the job.';
comment on column :SCHEMA.claimed_job.expires_in is 'Time left in which this attempt may start: where it has passed, release the job; null: any time.';
--! EndIncluded claim/claimed_job.sql
--! Included claim/place.sql
create type :SCHEMA.place as (
  queue text,
  priority smallint,
  run_at timestamptz,
  id bigint
);

comment on type :SCHEMA.place is 'Where in the claim index a look for jobs of that queue and priority starts.';
comment on column :SCHEMA.place.queue is 'Queue that is looked at.';
comment on column :SCHEMA.place.priority is 'Priority that is looked at.';
comment on column :SCHEMA.place.run_at is 'Jobs due before this instant have been seen to.';
comment on column :SCHEMA.place.id is 'Of the jobs due at that instant, those below this id have been seen to.';
--! EndIncluded claim/place.sql
--! Included claim/walked.sql
-- Counted and not timed: a first call, or a busy machine, is no long way. Entries marked dead are not counted when they are
-- skipped, but the pages full of them are: skipping one takes as long as reading some 20 entries.
create function :SCHEMA.walked()
  returns bigint
  language sql
  volatile
return pg_catalog.pg_stat_get_xact_tuples_returned($index$:SCHEMA.job_ready$index$::pg_catalog.regclass)
  + 20 * pg_catalog.pg_stat_get_xact_blocks_fetched($index$:SCHEMA.job_ready$index$::pg_catalog.regclass)
  + pg_catalog.pg_stat_get_xact_tuples_returned($index$:SCHEMA.job_due$index$::pg_catalog.regclass)
  + pg_catalog.pg_stat_get_xact_tuples_returned($index$:SCHEMA.job_expiring$index$::pg_catalog.regclass);

comment on function :SCHEMA.walked() is 'How far this transaction has walked in the indexes in which claims look for jobs, in entries read.';
--! EndIncluded claim/walked.sql
--! Included claim/walked_far.sql
-- Each queue and priority is found by some probes, of three or four pages each, and a job is read up to four times. A thousand
-- entries more are a tenth of a millisecond: about what going on at a bookmark costs instead. At one without a place no job is
-- found before the next look: that is worth half a millisecond.
create function :SCHEMA.walked_far(since bigint, queues integer, places :SCHEMA.place[], jobs integer)
  returns boolean
  language sql
  volatile
return :SCHEMA.walked() - since
  > case when cardinality(places) = 0 then 5000 else 1000 end + 200 * (queues + cardinality(places)) + 4 * jobs;

comment on function :SCHEMA.walked_far(bigint, integer, :SCHEMA.place[], integer) is 'Whether a look that began when walked() was that has read much more than it had to for so many queues and jobs, to make it worth while to go on at these places.';
--! EndIncluded claim/walked_far.sql
--! Included claim/look_wait.sql
-- What has become ready behind a bookmark waits for the look under way, this wait and the next look at most.
create function :SCHEMA.look_wait(began timestamptz)
  returns double precision
  language sql
  volatile
return greatest(
  240 - 2000 * extract(epoch from clock_timestamp() - began),
  1000 * extract(epoch from clock_timestamp() - began)
)::double precision;

comment on function :SCHEMA.look_wait(timestamptz) is 'Milliseconds after which the look after one that began then is due: so many that what is behind a bookmark is seen within 250 ms, or as many as it took, where that is longer.';
--! EndIncluded claim/look_wait.sql
--! Included claim/agenda.sql
-- Each statement costs a call of exchange_v1 some 10 µs, and most of what it is responsible for is seldom due. So one
-- statement tells what is, and only for that the functions that do it are called.
create function :SCHEMA.agenda(
  worker integer,
  since timestamptz,
  as_of timestamptz,
  whole boolean,
  out registered boolean,
  out slot_at timestamptz,
  out slot_waits boolean,
  out expiring boolean,
  out job_at timestamptz,
  out arrived boolean,
  out metered boolean,
  out paused boolean
)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set jit = off
as $$
begin
  select
    exists (select from :SCHEMA.worker as w where w.id = agenda.worker),
    (select s.next_run_at from :SCHEMA.schedule as s where s.enabled order by s.next_run_at limit 1),
    exists (select from :SCHEMA.schedule as s where s.queued_for <> '{}'),
    whole and exists (
      select
      from :SCHEMA.job as j
      where j.state <> 'running'
        and least(j.expires_at, j.deadline_at) <= as_of
    ),
    (
      select j.run_at
      from :SCHEMA.job as j
      where j.state = 'scheduled'
        and j.run_at >= since
      order by j.run_at, j.id
      limit 1
    ),
    exists (select from :SCHEMA.arrival),
    exists (select from :SCHEMA.meter),
    exists (select from :SCHEMA.queue as q where q.paused_at is not null)
  into registered, slot_at, slot_waits, expiring, job_at, arrived, metered, paused;
end;
$$;

comment on function :SCHEMA.agenda(integer, timestamptz, timestamptz, boolean) is
'What an exchange of this worker has to see to beside its own jobs:
  registered   whether the worker still is
  slot_at      when the next slot of a schedule is due
  slot_waits   whether a slot waits for the end of the job before it
  expiring     whether a job that waits may start no longer; not looked for where the look is not a whole one
  job_at       of the scheduled jobs from since on, when the first is due
  arrived      whether something happened under a limit that has not been seen to
  metered      whether any limit is a rate
  paused       whether a queue is paused';
--! EndIncluded claim/agenda.sql
--! Included claim/first_due.sql
create function :SCHEMA.first_due(as_of timestamptz, since timestamptz default '-infinity')
  returns timestamptz
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set jit = off
as $$
begin
  return (
    select j.run_at
    from :SCHEMA.job as j
    where j.state = 'scheduled'
      and j.run_at between since and as_of
    order by j.run_at, j.id
    limit 1
  );
end;
$$;

comment on function :SCHEMA.first_due(timestamptz, timestamptz) is 'Of the scheduled jobs that are due, the earliest instant; null: none is.';
--! EndIncluded claim/first_due.sql
--! Included claim/promote.sql
-- Rows are skipped where somebody holds them: a reschedule in an open transaction keeps nobody waiting.
create function :SCHEMA.promote(
  as_of timestamptz default clock_timestamp(),
  most integer default 1000,
  since timestamptz default '-infinity'
)
  returns integer
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $$
declare
  limited constant text[] := :SCHEMA.limited_lanes();
  woken record;
  promoted integer := 0;
begin
  for woken in
    with due as (
      select id
      from :SCHEMA.job
      where state = 'scheduled'
        and run_at between since and as_of
      order by run_at, id
      limit most
      for update skip locked
    ),
    moved as (
      update :SCHEMA.job
      set
        state = case when :SCHEMA.lane_of(concurrency_key, task, queue, limited) is null then 'ready' else 'blocked' end,
        lane = :SCHEMA.lane_of(concurrency_key, task, queue, limited)
      where id = any (array(select id from due))
      returning id, queue, lane
    ),
    arrived as (
      insert into :SCHEMA.arrival (lane, job_id)
      select lane, id
      from moved
      where lane is not null
    )
    select queue, count(*) as jobs
    from moved
    group by queue
  loop
    promoted := promoted + woken.jobs::integer;
    perform :SCHEMA.wake_queue(woken.queue);
  end loop;
  return promoted;
end;
$$;

comment on function :SCHEMA.promote(timestamptz, integer, timestamptz) is 'Makes scheduled jobs that are due, from since on, ready, or has them stand in line for their limits, and wakes workers; returns how many. Claims do this by themselves.';
--! EndIncluded claim/promote.sql
--! Included claim/heads.sql
-- A loose index scan: one probe of the claim index for each queue and priority, however many jobs wait there. What it has to
-- walk past is what vacuum cannot remove yet and what this worker does not know; claims start at what it found, so that
-- this is walked past once and not by each of their steps.
create function :SCHEMA.heads(queues text[], tasks text[])
  returns :SCHEMA.place[]
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_sort = off
  set enable_incremental_sort = off
  set jit = off
as $$
begin
  if queues is null then
    return array(
      with recursive head (queue, priority, run_at, id) as (
        select '', 0::smallint, null::timestamptz, null::bigint
        union all
        select n.queue, n.priority, n.run_at, n.id
        from head as h
        cross join lateral (
          select j.queue, j.priority, j.run_at, j.id
          from :SCHEMA.job as j
          where j.state = 'ready'
            and (j.queue, j.priority) > (h.queue, h.priority)
            and (tasks is null or j.task = any (tasks))
          order by j.queue, j.priority, j.run_at, j.id
          limit 1
        ) as n
      )
      select cast(row(h.queue, h.priority, h.run_at, h.id) as :SCHEMA.place)
      from head as h
      where h.id is not null
    );
  end if;
  return array(
    with recursive head (queue, priority, run_at, id) as (
      select distinct q.name, (-32768)::smallint, null::timestamptz, null::bigint
      from unnest(queues) as q (name)
      union all
      select n.queue, n.priority, n.run_at, n.id
      from head as h
      cross join lateral (
        select j.queue, j.priority, j.run_at, j.id
        from :SCHEMA.job as j
        where j.state = 'ready'
          and j.queue = h.queue
          and j.priority > h.priority
          and (tasks is null or j.task = any (tasks))
        order by j.priority, j.run_at, j.id
        limit 1
      ) as n
    )
    select cast(row(h.queue, h.priority, h.run_at, h.id) as :SCHEMA.place)
    from head as h
    where h.id is not null
  );
end;
$$;

comment on function :SCHEMA.heads(text[], text[]) is 'The first ready job of each queue (null: of all) and priority among those of these tasks (null: all).';
--! EndIncluded claim/heads.sql
--! Included claim/open_places.sql
-- PL/pgSQL, like all that each exchange calls: it keeps its plans, and a SQL function makes them anew in each call.
create function :SCHEMA.open_places(places :SCHEMA.place[])
  returns :SCHEMA.place[]
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
as $$
begin
  return array(
    select p
    from unnest(places) as p
    where not exists (
      select
      from :SCHEMA.queue as k
      where k.name = p.queue
        and k.paused_at is not null
    )
  );
end;
$$;

comment on function :SCHEMA.open_places(:SCHEMA.place[]) is 'Those of these places whose queue is not paused.';
--! EndIncluded claim/open_places.sql
--! Included claim/lanes.sql
create function :SCHEMA.lanes(slots jsonb, places :SCHEMA.place[])
  returns table (places :SCHEMA.place[], slots integer)
  language sql
  stable
  rows 3
  set search_path = pg_catalog, pg_temp
begin atomic
  select
    array(
      select p
      from unnest(lanes.places) as p
      where p.queue = s.key
         or s.key = '*' and not lanes.slots ? p.queue
    ),
    s.value::integer
  from (
    select e.key, e.value
    from jsonb_each_text(lanes.slots) as e (key, value)
    order by e.key = '*', e.key
  ) as s;
end;

comment on function :SCHEMA.lanes(jsonb, :SCHEMA.place[]) is 'Of slots by queue, {"mail": 5, "*": 10}, where the jobs for them are, and how many they are.';
--! EndIncluded claim/lanes.sql
--! Included claim/pick.sql
-- Priority by priority. Which share of the batch each queue has is decided by a look that locks nothing; the rows are then
-- locked queue by queue. Where another worker was faster, the lock passes on to the next rows of the same queue, and what is
-- missing in the end is filled from any queue that has more.
--
-- A locked row stays where it is, so the jobs are told by their ctid: start_jobs() finds them without another search.
--
-- Settings leave one possible plan. The table empties and fills all day, so statistics of it mean nothing; an
-- analyze at the wrong moment made claims 20 times slower.
create function :SCHEMA.pick(
  inout places :SCHEMA.place[],
  tasks text[],
  most integer,
  as_of timestamptz,
  out jobs tid[]
)
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set enable_sort = off
  set enable_incremental_sort = off
  set jit = off
as $$
#variable_conflict use_column
declare
  class record;
  turns integer[];
  shares bigint[];
  place :SCHEMA.place;
  wanted bigint;
  taken tid[];
begin
  jobs := '{}';
  for class in
    select array_agg(p.n::integer) as numbers
    from unnest(places) with ordinality as p (queue, priority, run_at, id, n)
    where most > 0
    group by p.priority
    order by p.priority desc
  loop
    exit when cardinality(jobs) >= most;
    turns := class.numbers;
    shares := '{}';
    if cardinality(class.numbers) > 1 then
      select array_agg(h.n) || class.numbers, array_agg(h.jobs)
      into turns, shares
      from (
        select j.n, count(*) as jobs
        from (
          select c.n
          from unnest(class.numbers) as c (n)
          cross join lateral (
            select j.run_at, j.id
            from :SCHEMA.job as j
            where j.state = 'ready'
              and j.queue = (places[c.n]).queue
              and j.priority = (places[c.n]).priority
              and (j.run_at, j.id) >= ((places[c.n]).run_at, (places[c.n]).id)
              and (tasks is null or j.task = any (tasks))
              and coalesce(least(j.expires_at, j.deadline_at) > as_of, true)
            order by j.run_at, j.id
            limit most - cardinality(jobs)
          ) as j
          order by j.run_at, j.id
          limit most - cardinality(jobs)
        ) as j
        group by j.n
      ) as h;
    end if;
    for turn in 1 .. cardinality(turns) loop
      wanted := least(shares[turn], most - cardinality(jobs));
      exit when wanted <= 0;
      place := places[turns[turn]];
      taken := array(
        select j.ctid
        from :SCHEMA.job as j
        where j.state = 'ready'
          and j.queue = place.queue
          and j.priority = place.priority
          and (j.run_at, j.id) >= (place.run_at, place.id)
          and (tasks is null or j.task = any (tasks))
          and coalesce(least(j.expires_at, j.deadline_at) > as_of, true)
        order by j.run_at, j.id
        limit wanted
        for update skip locked
      );
      jobs := jobs || taken;
      if cardinality(taken) < wanted then
        place.run_at := 'infinity';
      else
        select j.run_at, j.id + 1
        into place.run_at, place.id
        from :SCHEMA.job as j
        where j.ctid = taken[wanted];
      end if;
      places[turns[turn]] := place;
    end loop;
  end loop;
end;
$$;

comment on function :SCHEMA.pick(:SCHEMA.place[], text[], integer, timestamptz) is 'Locks up to that many ready jobs from these places on, by priority, due time and id. Returns where in the table they are and the places that were reached, infinity where nothing is left.';
--! EndIncluded claim/pick.sql
--! Included claim/pick_by_slots.sql
create function :SCHEMA.pick_by_slots(
  slots jsonb,
  inout places :SCHEMA.place[],
  tasks text[],
  most integer,
  as_of timestamptz,
  out jobs tid[],
  out left_open :SCHEMA.place[]
)
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  lane record;
  picked record;
  reached :SCHEMA.place[] := array[]:::SCHEMA.place[];
begin
  jobs := '{}';
  left_open := reached;
  for lane in
    select l.places, l.slots
    from :SCHEMA.lanes(pick_by_slots.slots, pick_by_slots.places) as l
  loop
    picked := :SCHEMA.pick(lane.places, tasks, least(lane.slots, most - cardinality(jobs)), as_of);
    jobs := jobs || picked.jobs;
    reached := reached || picked.places;
    -- A queue whose slots are all taken is none to look at again.
    if cardinality(picked.jobs) < lane.slots then
      left_open := left_open || lane.places;
    end if;
  end loop;
  places := reached;
end;
$$;

comment on function :SCHEMA.pick_by_slots(jsonb, :SCHEMA.place[], text[], integer, timestamptz) is 'pick() where there is room for so many jobs of each queue: see exchange_v1. left_open are the places of queues with room for more.';
--! EndIncluded claim/pick_by_slots.sql
--! Included claim/start_jobs.sql
-- The token is random, not a counter: a claim may be lost in a crash of the server together with any counter,
-- and a counter would then be handed out twice.
create function :SCHEMA.start_jobs(worker integer, jobs tid[], as_of timestamptz)
  returns setof :SCHEMA.claimed_job
  language plpgsql
  volatile
  rows 100
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off
as $$
#variable_conflict use_column
declare
  token uuid := gen_random_uuid();
  -- Later than whatever made these jobs ready, as_of need not be: rates count by it.
  began timestamptz := greatest(as_of, clock_timestamp());
begin
  -- What a rate counts is the start; told before the rows move.
  if exists (select from :SCHEMA.meter) then
    insert into :SCHEMA.arrival (lane, job_id, started_at)
    select m.lane, j.id, began
    from :SCHEMA.job as j
    cross join lateral unnest(array['key:' || j.concurrency_key, 'task:' || j.task, 'queue:' || j.queue]) as l (lane)
    join :SCHEMA.meter as m on m.lane = l.lane
    where j.ctid = any (jobs)
      and j.lane is not null;
  end if;

  return query
  with claimed as (
    update :SCHEMA.job
    set
      state = 'running',
      attempt = least(attempt, 32766) + 1,
      lease = token,
      worker_id = start_jobs.worker,
      started_at = began
    where ctid = any (jobs)
    returning
      id, lease, task, payload, queue, priority, attempt, max_attempts,
      run_at, created_at, scheduled_for,
      case
        when deadline_at is null then timeout
        else least(coalesce(timeout, (:SCHEMA.task_policy(task)).timeout), deadline_at - as_of)
      end as timeout,
      tags, headers,
      case when isfinite(least(expires_at, deadline_at)) then least(expires_at, deadline_at) - began end as expires_in
  )
  select *
  from claimed
  order by priority desc, run_at, id;
end;
$$;

comment on function :SCHEMA.start_jobs(integer, tid[], timestamptz) is 'Hands jobs that pick() locked to a worker, under a fresh lease, by priority, due time and id.';
--! EndIncluded claim/start_jobs.sql
--! Included claim/claim_v1.sql
-- Who claims by this call is told of jobs from the first one on, busy or not.
create function :SCHEMA.claim_v1(
  worker integer,
  queues text[] default null,
  tasks text[] default null,
  most integer default 1,
  as_of timestamptz default clock_timestamp()
)
  returns setof :SCHEMA.claimed_job
  language plpgsql
  volatile
  security definer
  rows 100
  set search_path = pg_catalog, pg_temp
as $$
declare
  picked tid[];
begin
  if most is null or most < 0 then
    perform :SCHEMA.refuse(
      format('most is %s', coalesce(most::text, 'null')),
      'Give the number of jobs that the worker can take now.'
    );
  end if;
  if not exists (select from :SCHEMA.worker as w where w.id = claim_v1.worker) then
    perform :SCHEMA.refuse(
      format('worker %s is not registered', coalesce(worker::text, 'null')),
      'Give the id that register_v1 returned. A worker that was silent for too long is given up and registers again.'
    );
  end if;
  perform :SCHEMA.fall_asleep(worker, :SCHEMA.settle(worker, as_of), null, as_of);
  perform :SCHEMA.tick_if_due(as_of);
  perform :SCHEMA.expire(as_of);
  perform :SCHEMA.promote(as_of);
  perform :SCHEMA.admit(as_of);
  select p.jobs
  into picked
  from :SCHEMA.pick(:SCHEMA.open_places(:SCHEMA.heads(queues, tasks)), tasks, most, as_of) as p;
  return query
  select *
  from :SCHEMA.start_jobs(worker, picked, as_of);
end;
$$;

comment on function :SCHEMA.claim_v1(integer, text[], text[], integer, timestamptz) is
'Worker protocol: takes up to `most` ready jobs, by priority, due time and id.
  worker   the id that register_v1 gave
  queues   queues to serve, paused ones are left alone; null: all
  tasks    tasks that this worker knows; null: all
Each job carries a lease: complete_v1, fail_v1 and release_v1 take it and refuse any other.';
--! EndIncluded claim/claim_v1.sql
--! Included claim/ms_until.sql
-- Not 0 where nothing is due, which greatest would make of null: a worker would look again and again.
create function :SCHEMA.ms_until(at timestamptz)
  returns double precision
  language sql
  volatile
return case
  when isfinite(at) then greatest(0, extract(epoch from at - clock_timestamp()) * 1000)::double precision
end;

comment on function :SCHEMA.ms_until(timestamptz) is 'Milliseconds to an instant, 0 where it has passed; null for null and infinity.';
--! EndIncluded claim/ms_until.sql
--! Included claim/left_behind.sql
-- It locks nothing. A row that is ready and was not claimed is held by a transaction that may roll back, and then nobody
-- would tell: the worker has to look again by itself.
create function :SCHEMA.left_behind(places :SCHEMA.place[], tasks text[])
  returns boolean
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set jit = off
as $$
begin
  return exists (
    select
    from unnest(places) as p
    cross join lateral (
      select
      from :SCHEMA.job as j
      where j.state = 'ready'
        and j.queue = p.queue
        and j.priority = p.priority
        and (j.run_at, j.id) >= (p.run_at, p.id)
        and (tasks is null or j.task = any (tasks))
      order by j.run_at, j.id
      limit 1
    ) as l
  );
end;
$$;

comment on function :SCHEMA.left_behind(:SCHEMA.place[], text[]) is 'Whether there are ready jobs of these tasks (null: of all) from these places on.';
--! EndIncluded claim/left_behind.sql
--! Included claim/next_look.sql
-- These looks lock nothing: what is due and still there is held by a transaction that may roll back, and then nobody would tell.
create function :SCHEMA.next_look(
  places :SCHEMA.place[],
  tasks text[],
  as_of timestamptz,
  since timestamptz,
  out ready boolean,
  out due timestamptz
)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set jit = off
  set enable_bitmapscan = off
as $$
begin
  ready := :SCHEMA.left_behind(places, tasks) or exists (
    select
    from :SCHEMA.job as j
    where j.state = 'scheduled'
      and j.run_at between since and as_of
  ) or exists (
    select
    from :SCHEMA.schedule as s
    where s.enabled
      and s.next_run_at <= as_of
  );
  if exists (select from :SCHEMA.arrival) or exists (select from :SCHEMA.meter as m where m.next_at <= as_of) then
    ready := true;
  end if;
  due := least(
    (
      select j.run_at
      from :SCHEMA.job as j
      where j.state = 'scheduled'
        and j.run_at > as_of
      order by j.run_at, j.id
      limit 1
    ),
    (
      select s.next_run_at
      from :SCHEMA.schedule as s
      where s.enabled
        and s.next_run_at > as_of
      order by s.next_run_at
      limit 1
    ),
    (
      select m.next_at
      from :SCHEMA.meter as m
      where m.next_at > as_of
      order by m.next_at
      limit 1
    ),
    -- Somebody is admitting to that lane now and will soon have ended; if not, the looks become rarer.
    (
      select clock_timestamp() + greatest(interval '5 milliseconds', (clock_timestamp() - a.arrived_at) / 2)
      from :SCHEMA.arrival as a
      limit 1
    )
  );
end;
$$;

comment on function :SCHEMA.next_look(:SCHEMA.place[], text[], timestamptz, timestamptz) is 'When a worker that took what it could at that instant, from these places and from the due time since on, has to look again: whether jobs or schedules were due that it could not lock, and the next due time of either, or the next start that a rate allows (null: none).';
--! EndIncluded claim/next_look.sql
--! Included finish/backoff.sql
-- Reckoned in seconds as floating point and bounded before it becomes an interval: neither the thousandth attempt
-- of a job nor a cap of infinity may overflow.
create function :SCHEMA.backoff(policy :SCHEMA.task, attempt integer, dice double precision default random())
  returns interval
  language sql
  volatile
return pg_catalog.make_interval(
  secs => (1 + policy.jitter * (2 * dice - 1)) * greatest(
    0,
    least(
      extract(epoch from policy.backoff_cap)::double precision,
      extract(epoch from interval '100 years')::double precision,
      case policy.backoff
        when 'list' then extract(epoch from policy.backoff_list[least(attempt, cardinality(policy.backoff_list))])
        else extract(epoch from policy.backoff_base)
      end::double precision
      * case policy.backoff
        when 'linear' then attempt
        when 'exponential' then power(2, least(attempt - 1, 100))
        else 1
      end
    )
  )
);

comment on function :SCHEMA.backoff(:SCHEMA.task, integer, double precision) is 'How long to wait after that attempt failed: the backoff of the task, at most its cap (and 100 years), varied by its jitter; dice from 0 to 1 chooses where in that range.';
--! EndIncluded finish/backoff.sql
--! Included finish/own_job.sql
create function :SCHEMA.own_job(id bigint, lease uuid, wait boolean)
  returns :SCHEMA.job
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
declare
  own :SCHEMA.job;
begin
  if wait then
    select j.*
    into own
    from :SCHEMA.job as j
    where j.id = own_job.id
      and j.lease = own_job.lease
    for update;
  else
    select j.*
    into own
    from :SCHEMA.job as j
    where j.id = own_job.id
      and j.lease = own_job.lease
    for update skip locked;
  end if;
  return own;
end;
$$;

comment on function :SCHEMA.own_job(bigint, uuid, boolean) is 'The fence that every finishing call passes: locks and returns the job if the lease is still its own; otherwise all is null, and not_own() says why.';
--! EndIncluded finish/own_job.sql
--! Included finish/not_own.sql
-- In a new snapshot: whoever held the row may have ended it meanwhile.
create function :SCHEMA.not_own(id bigint, lease uuid)
  returns text
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
begin
  return case
    when exists (
      select
      from :SCHEMA.job as j
      where j.id = not_own.id
        and j.lease = not_own.lease
    ) then 'busy'
    else 'stale'
  end;
end;
$$;

comment on function :SCHEMA.not_own(bigint, uuid) is 'Why own_job() returned nothing: stale, or busy where another transaction holds the row.';
--! EndIncluded finish/not_own.sql
--! Included finish/is_cancelled.sql
-- Asked once the row is locked, in a statement of its own: cancel() holds that lock until it has committed.
create function :SCHEMA.is_cancelled(id bigint)
  returns boolean
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
begin
  return exists (
    select
    from :SCHEMA.cancel_request as r
    where r.job_id = is_cancelled.id
  );
end;
$$;

comment on function :SCHEMA.is_cancelled(bigint) is 'Whether a running job, which the caller has locked, is to end cancelled.';
--! EndIncluded finish/is_cancelled.sql
--! Included finish/end_cancelled.sql
create function :SCHEMA.end_cancelled(job :SCHEMA.job)
  returns text
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
declare
  canceller text;
begin
  delete from :SCHEMA.cancel_request as r
  where r.job_id = job.id
  returning r.requested_by
  into canceller;
  delete from :SCHEMA.job as j
  where j.id = job.id;
  perform :SCHEMA.archive_job(
    job,
    'cancelled',
    (:SCHEMA.task_policy(job.task)).keep_failed,
    jsonb_build_object('cancelled_by', coalesce(canceller, session_user))
  );
  return 'cancelled';
end;
$$;

comment on function :SCHEMA.end_cancelled(:SCHEMA.job) is 'Ends a job, which the caller has locked, as cancelled.';
--! EndIncluded finish/end_cancelled.sql
--! Included finish/complete_many_v1.sql
-- Rows are locked in the order of their ids, like everywhere, and a row that somebody else holds is skipped and
-- reported as busy: one open transaction never holds up a batch.
create function :SCHEMA.complete_many_v1(ids bigint[], leases uuid[], results jsonb default '{}')
  returns table (id bigint, outcome text)
  language plpgsql
  volatile
  security definer
  rows 1
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set jit = off
  set enable_bitmapscan = off
  set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  done bigint[] := array[]::bigint[];
  places tid[] := array[]::tid[];
  ended record;
  day date;
  limited boolean := false;
  slots record;
  asked bigint[] := array(select r.job_id from :SCHEMA.cancel_request as r where r.job_id = any (ids));
  own :SCHEMA.job;
  cancelled record;
begin
  -- What is cancelled from here on has ended before.
  if cardinality(asked) > 0 then
    for cancelled in
      select g.id, g.lease
      from unnest(ids, leases) as g (id, lease)
      where g.id = any (asked)
      order by g.id
    loop
      own := :SCHEMA.own_job(cancelled.id, cancelled.lease, false);
      if own.id is null then
        id := cancelled.id;
        outcome := :SCHEMA.not_own(cancelled.id, cancelled.lease);
        return next;
      else
        perform :SCHEMA.end_cancelled(own);
      end if;
    end loop;
    select coalesce(array_agg(g.id), '{}'), coalesce(array_agg(g.lease), '{}')
    into ids, leases
    from unnest(ids, leases) as g (id, lease)
    where g.id <> all (asked);
  end if;

  -- Task by task, since each has its own retention. A locked row stays where it is: by its ctid it is found again.
  for ended in
    with locked as materialized (
      select ctid as at, id, lease, task, lane
      from :SCHEMA.job
      where id = any (ids)
      order by id
      for update skip locked
    )
    select
      l.task,
      array_agg(l.at) as places,
      array_agg(l.id) as ids,
      bool_or(l.lane is not null) as limited,
      (:SCHEMA.task_policy(l.task)).keep_succeeded as keep,
      clock_timestamp() as finished_at
    from locked as l
    join unnest(ids, leases) as g (id, lease)
      on g.id = l.id
     and g.lease = l.lease
    group by l.task
  loop
    if ended.keep > interval '0' then
      day := :SCHEMA.drop_on(ended.finished_at, ended.keep);
      insert into :SCHEMA.archive (
        id, run_at, created_at, started_at, finished_at, worker_id, drop_on, priority, attempt, max_attempts,
        task, queue, state, payload, result, unique_key, unique_scope, coalesce_key, concurrency_key, timeout, scheduled_for, tags, headers
      )
      select
        j.id, j.run_at, j.created_at, j.started_at, ended.finished_at, j.worker_id, day, j.priority, j.attempt, j.max_attempts,
        j.task, j.queue, 'succeeded', j.payload, results -> j.id::text, j.unique_key, j.unique_scope, j.coalesce_key, j.concurrency_key,
        j.timeout, j.scheduled_for, j.tags, j.headers
      from :SCHEMA.job as j
      where j.ctid = any (ended.places);
    end if;
    done := done || ended.ids;
    places := places || ended.places;
    limited := limited or ended.limited;
  end loop;
  if limited then
    select
      array_agg(j.id) as ids,
      array_agg(j.lane) as lanes,
      array_agg(j.concurrency_key) as keys,
      array_agg(j.task) as tasks,
      array_agg(j.queue) as queues
    into slots
    from :SCHEMA.job as j
    where j.ctid = any (places)
      and j.lane is not null;
    perform set_config('rouse.passes_on', 'on', true);
  end if;
  delete from :SCHEMA.job
  where ctid = any (places);
  perform :SCHEMA.tell_ended(done);
  if limited then
    perform set_config('rouse.passes_on', 'off', true);
    perform :SCHEMA.pass_on(slots.ids, slots.lanes, slots.keys, slots.tasks, slots.queues);
  end if;

  if cardinality(done) = cardinality(ids) then
    return;
  end if;
  return query
  select g.id, :SCHEMA.not_own(g.id, g.lease)
  from unnest(ids, leases) as g (id, lease)
  where g.id <> all (done);
end;
$$;

comment on function :SCHEMA.complete_many_v1(bigint[], uuid[], jsonb) is
'Worker protocol: finishes attempts that succeeded, each named by its job and the lease it was claimed under.
results is an object from job id to what the task returned. Jobs that were cancelled end so. Returns only the jobs that were not finished:
  stale   the lease is no longer the job''s: the attempt has been given to somebody else, or the job is gone
  busy    another transaction holds the row, if only for a moment: try again';
--! EndIncluded finish/complete_many_v1.sql
--! Included finish/complete_v1.sql
create function :SCHEMA.complete_v1(job bigint, lease uuid, result jsonb default null)
  returns text
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  own :SCHEMA.job;
begin
  own := :SCHEMA.own_job(complete_v1.job, complete_v1.lease, true);
  if own.id is null then
    return :SCHEMA.not_own(complete_v1.job, complete_v1.lease);
  end if;

  if :SCHEMA.is_cancelled(own.id) then
    return :SCHEMA.end_cancelled(own);
  end if;

  delete from :SCHEMA.job as j
  where j.id = complete_v1.job;
  perform :SCHEMA.archive_job(
    own,
    'succeeded',
    (:SCHEMA.task_policy(own.task)).keep_succeeded,
    complete_v1.result
  );
  return 'succeeded';
end;
$$;

comment on function :SCHEMA.complete_v1(bigint, uuid, jsonb) is
'Worker protocol: finishes an attempt that succeeded. Called in the transaction that holds the effects of the job, both commit together.
Returns succeeded; or a reason to roll back:
  stale       the lease is no longer the job''s
  cancelled   the job was cancelled, and has ended so where the caller commits; after a rollback fail_v1 or release_v1 ends it so';
--! EndIncluded finish/complete_v1.sql
--! Included finish/put_back.sql
create function :SCHEMA.put_back(id bigint, run_at timestamptz, attempt integer)
  returns text
  language sql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
begin atomic
  update :SCHEMA.job as j
  set
    state = case when put_back.run_at > clock_timestamp() then 'scheduled' else 'ready' end,
    run_at = put_back.run_at,
    attempt = put_back.attempt,
    lease = null,
    worker_id = null,
    started_at = null
  where j.id = put_back.id
  returning j.state;
end;

comment on function :SCHEMA.put_back(bigint, timestamptz, integer) is 'Takes a running job from its worker; returns whether it is scheduled or ready now. A trigger of the due time wakes workers.';
--! EndIncluded finish/put_back.sql
--! Included finish/give_back.sql
-- Of the jobs under a coalescing key only one waits, the newest: an older attempt that would have to wait again ends
-- instead. Whether there is a newer one may hang on a transaction of the application that is still open, and a worker
-- waits for none of these: then it is busy, and tried again.
create function :SCHEMA.give_back(job :SCHEMA.job, run_at timestamptz, attempt integer, wait boolean)
  returns text
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
declare
  outcome text;
  newer bigint;
  patience text := current_setting('lock_timeout');
begin
  if job.coalesce_key is null then
    return :SCHEMA.put_back(job.id, run_at, attempt);
  end if;

  begin
    if not wait then
      perform set_config('lock_timeout', '1ms', true);
    end if;
    outcome := :SCHEMA.put_back(job.id, run_at, attempt);
    perform set_config('lock_timeout', patience, true);
    return outcome;
  exception
    when lock_not_available then
      return 'busy';
    when unique_violation then
      select j.id
      into newer
      from :SCHEMA.job as j
      where j.task = job.task
        and j.coalesce_key = job.coalesce_key
        and j.state <> 'running';
      delete from :SCHEMA.job as j
      where j.id = job.id;
      perform :SCHEMA.archive_job(
        job,
        'cancelled',
        (:SCHEMA.task_policy(job.task)).keep_failed,
        jsonb_build_object('superseded_by', newer)
      );
      return 'cancelled';
  end;
end;
$$;

comment on function :SCHEMA.give_back(:SCHEMA.job, timestamptz, integer, boolean) is 'Lets a running job, which the caller has locked, wait again. Returns scheduled or ready; cancelled where a newer job waits under its coalescing key; busy where an open transaction may be adding one and the caller does not wait for it.';
--! EndIncluded finish/give_back.sql
--! Included finish/send_dead_letter.sql
-- Not by enqueue(): together with what is told of it a payload may be larger than one may be, and a job must be able to
-- fail all the same. A dead letter that fails makes no other, so none goes round.
create function :SCHEMA.send_dead_letter(job :SCHEMA.job, receiver text, error jsonb)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
declare
  defaults :SCHEMA.task_default;
  due timestamptz;
  letter bigint;
begin
  if exists (select from :SCHEMA.dead_letter where letter_id = job.id) then
    return;
  end if;
  defaults := :SCHEMA.task_defaults(receiver, tell => false);
  due := clock_timestamp() + defaults.delay;
  insert into :SCHEMA.job (task, payload, queue, priority, run_at, tags, headers, expires_at, deadline_at)
  values (
    defaults.name,
    jsonb_build_object('job', job.id, 'task', job.task, 'payload', job.payload, 'error', error, 'attempts', job.attempt),
    defaults.queue,
    defaults.priority,
    due,
    job.tags,
    job.headers,
    due + defaults.expires_in,
    due + defaults.deadline
  )
  returning id
  into letter;
  insert into :SCHEMA.dead_letter (letter_id, job_id)
  values (letter, job.id);
end;
$$;

comment on function :SCHEMA.send_dead_letter(:SCHEMA.job, text, jsonb) is 'Makes a job of that task, which tells of one that has failed: {"job": id, "task", "payload", "error": {"message", …}, "attempts"}.';
--! EndIncluded finish/send_dead_letter.sql
--! Included finish/fail_v1.sql
-- A retried job stands in line by its new due time: it does not push ahead of jobs that came meanwhile.
create function :SCHEMA.fail_v1(
  job bigint,
  lease uuid,
  error jsonb,
  retry boolean default true,
  retry_at timestamptz default null,
  wait boolean default true
)
  returns text
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
declare
  as_of timestamptz := clock_timestamp();
  own :SCHEMA.job;
  policy :SCHEMA.task;
  next timestamptz;
  ends boolean;
  outcome text;
  reason jsonb;
begin
  if not isfinite(fail_v1.retry_at) then
    perform :SCHEMA.refuse(
      format('retry_at is %s', fail_v1.retry_at),
      'Give an instant, or retry => false for a job that should not run again.'
    );
  end if;
  own := :SCHEMA.own_job(fail_v1.job, fail_v1.lease, fail_v1.wait);
  if own.id is null then
    return :SCHEMA.not_own(fail_v1.job, fail_v1.lease);
  end if;
  if :SCHEMA.is_cancelled(own.id) then
    return :SCHEMA.end_cancelled(own);
  end if;
  policy := :SCHEMA.task_policy(own.task);

  next := coalesce(fail_v1.retry_at, as_of + :SCHEMA.backoff(policy, own.attempt));
  ends := not coalesce(retry, true)
    or own.attempt >= coalesce(own.max_attempts, policy.max_attempts)
    or coalesce(next >= own.deadline_at, false);
  if not ends then
    outcome := :SCHEMA.give_back(
      own,
      next,
      own.attempt,
      fail_v1.wait
    );
    if outcome = 'busy' then
      return outcome;
    end if;
  end if;

  reason := case jsonb_typeof(error)
    when 'object' then jsonb_build_object('message', coalesce(error ->> 'message', 'unknown error')) || (error - 'message')
    when 'string' then jsonb_build_object('message', error #>> '{}')
    else jsonb_build_object('message', coalesce(error::text, 'unknown error'))
  end;
  insert into :SCHEMA.attempt_error (job_id, failed_at, drop_on, worker_id, attempt, message, detail)
  values (
    own.id,
    as_of,
    :SCHEMA.drop_on(as_of, greatest(policy.keep_failed, interval '1 day')),
    own.worker_id,
    own.attempt,
    reason ->> 'message',
    nullif(reason - 'message', '{}')
  );

  if ends then
    delete from :SCHEMA.job
    where id = fail_v1.job;
    if policy.keep_failed = interval '0' then
      delete from :SCHEMA.attempt_error
      where job_id = fail_v1.job;
    end if;
    perform :SCHEMA.archive_job(own, 'failed', policy.keep_failed, null, as_of);
    if policy.dead_letter is not null then
      perform :SCHEMA.send_dead_letter(own, policy.dead_letter, reason);
    end if;
    return 'failed';
  end if;
  return outcome;
end;
$$;

comment on function :SCHEMA.fail_v1(bigint, uuid, jsonb, boolean, timestamptz, boolean) is
'Worker protocol: ends an attempt that failed. The task''s retry policy says when the next one is due.
  error      {"message": …} with any further keys, or a plain JSON string
  retry      false: the job ends failed whatever attempts are left
  retry_at   the instant of the next attempt; left out: the backoff of the task
  wait       false: return busy where another transaction holds the row, instead of waiting for it
Returns the state of the job now (scheduled, ready or failed; cancelled where that was asked for, or a newer job waits under its coalescing key), or stale, or busy.';
--! EndIncluded finish/fail_v1.sql
--! Included finish/release_v1.sql
create function :SCHEMA.release_v1(job bigint, lease uuid, wait boolean default true)
  returns text
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  own :SCHEMA.job;
begin
  own := :SCHEMA.own_job(release_v1.job, release_v1.lease, release_v1.wait);
  if own.id is null then
    return :SCHEMA.not_own(release_v1.job, release_v1.lease);
  end if;
  if :SCHEMA.is_cancelled(own.id) then
    return :SCHEMA.end_cancelled(own);
  end if;

  return :SCHEMA.give_back(own, own.run_at, greatest(own.attempt, 1) - 1, release_v1.wait);
end;
$$;

comment on function :SCHEMA.release_v1(bigint, uuid, boolean) is
'Worker protocol: gives a job back that was not run to its end, as a worker does when it stops. The attempt does not count.
Returns the state of the job now (ready; cancelled where that was asked for, or a newer job waits under its coalescing key), or stale, or busy (only where wait is false and another transaction holds the row).';
--! EndIncluded finish/release_v1.sql
--! Included claim/bookmark.sql
-- Nothing that commits within 100 ms of its due time is left behind it. Whatever else is (a late commit, a retry, a new
-- priority or queue) waits for the next look from the heads on. Places where jobs are left all stay: no claim may sleep on
-- one, and no look would find it sooner.
create function :SCHEMA.bookmark(known :SCHEMA.place[], reached :SCHEMA.place[], due timestamptz, as_of timestamptz)
  returns jsonb
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set jit = off
as $$
begin
  return (
    select jsonb_build_object('due', least(bookmark.due, as_of - interval '100 milliseconds'), 'places', coalesce(jsonb_agg(p.place), '[]'))
    from (
      select
        jsonb_build_object(
          'queue', a.queue,
          'priority', a.priority,
          'run_at', least(a.run_at, n.past),
          'id', case when a.run_at <= n.past then a.id else 0 end
        ) as place
      from (values (as_of - interval '100 milliseconds')) as n (past)
      cross join lateral (
        select r.queue, r.priority, r.run_at, r.id, isfinite(r.run_at) as has_jobs
        from unnest(reached) as r
        union all
        select k.queue, k.priority, k.run_at, k.id, false
        from unnest(known) as k
        where not exists (
          select
          from unnest(reached) as r
          where r.queue = k.queue
            and r.priority = k.priority
        )
      ) as a
      order by a.has_jobs desc, a.run_at desc
      limit greatest(100, (select count(*) from unnest(reached) as r where isfinite(r.run_at)))
    ) as p
  );
end;
$$;

comment on function :SCHEMA.bookmark(:SCHEMA.place[], :SCHEMA.place[], timestamptz, timestamptz) is 'Where the next exchange goes on: the places that were reached, those known of queues in which nothing was ready, and from which due time on scheduled jobs are to be looked at.';
--! EndIncluded claim/bookmark.sql
--! Included claim/exchange_v1.sql
-- One round trip: what is finished goes in, what is next comes out. Finishing commits as the server is
-- configured. A call that only claims does not wait for the disk: where a crash of the server loses it, the job
-- is simply still ready, and the lost lease fences whoever held it. A slot that fired must not be lost so: its job may
-- be running by then.
create function :SCHEMA.exchange_v1(
  worker integer,
  queues text[],
  tasks text[],
  most integer,
  completed bigint[] default '{}',
  leases uuid[] default '{}',
  results jsonb default '{}',
  failures jsonb default '[]',
  releases jsonb default '[]',
  as_of timestamptz default clock_timestamp(),
  notes jsonb default '[]',
  slots jsonb default null,
  bookmark jsonb default null,
  whole boolean default true
)
  returns table (
    outcome text,
    id bigint,
    lease uuid,
    task text,
    payload jsonb,
    queue text,
    priority smallint,
    attempt smallint,
    max_attempts smallint,
    run_at timestamptz,
    created_at timestamptz,
    scheduled_for timestamptz,
    timeout interval,
    tags text[],
    headers jsonb,
    wait_ms double precision,
    expires_in interval
  )
  language plpgsql
  volatile
  security definer
  rows 100
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  promotion constant integer := 1000;
  finishing constant boolean := cardinality(completed) > 0 or failures <> '[]' or releases <> '[]' or notes <> '[]';
  known :SCHEMA.place[];
  since timestamptz := timestamptz '-infinity';
  began timestamptz;
  before bigint;
  agenda record;
  settled boolean := false;
  -- When this worker wakes by itself, as its sign says: -infinity where it has to settle first, null where there is none.
  next_wake timestamptz;
  fires boolean;
  -- Whether limits may have room that has not been given away.
  stirred boolean;
  admitted boolean := false;
  promoted integer := 0;
  places :SCHEMA.place[];
  picked record;
  moved boolean;
  claimed integer := 0;
  left_open :SCHEMA.place[];
  look record;
  ready boolean;
  due timestamptz;
begin
  -- Only a look at everything may be the last one before a sleep. First of all, because what ends here may enqueue, and then
  -- holds the lock for which this waits: two such calls would wait for each other.
  if most > 0 then
    next_wake := (
      select coalesce(s.next_wake, '-infinity')
      from :SCHEMA.sleeper as s
      where s.worker_id = exchange_v1.worker
    );
    if whole and next_wake <= as_of then
      settled := :SCHEMA.settle(worker, as_of);
    end if;
  end if;
  -- What ends here frees no slot without this call admitting the next one: nobody has to be woken for that.
  perform set_config('rouse.admits_' || pg_typeof(cast(null as :SCHEMA.job))::oid, 'on', true);
  if finishing then
    if notes <> '[]' then
      perform :SCHEMA.note_v1(notes, true);
    end if;
    if cardinality(completed) > 0 then
      for outcome, id in
        select c.outcome, c.id
        from :SCHEMA.complete_many_v1(completed, leases, results) as c
      loop
        return next;
      end loop;
    end if;
    if failures <> '[]' then
      for outcome, id in
        select
          :SCHEMA.fail_v1(f.id, f.lease, f.error, f.retry, coalesce(f.retry_at, clock_timestamp() + f.retry_in), false),
          f.id
        from jsonb_to_recordset(failures) as f (
          id bigint, lease uuid, error jsonb, retry boolean, retry_at timestamptz, retry_in interval
        )
        order by f.id
      loop
        return next;
      end loop;
    end if;
    if releases <> '[]' then
      for outcome, id in
        select :SCHEMA.release_v1(r.id, r.lease, false), r.id
        from jsonb_to_recordset(releases) as r (id bigint, lease uuid)
        order by r.id
      loop
        return next;
      end loop;
    end if;
  end if;

  if bookmark is not null then
    began := clock_timestamp();
    before := :SCHEMA.walked();
    if bookmark <> '{}' then
      known := array(
        select p
        from jsonb_populate_recordset(null:::SCHEMA.place, bookmark -> 'places') as p
      );
    end if;
  end if;
  if not whole then
    since := coalesce((bookmark ->> 'due')::timestamptz, since);
  end if;

  agenda := :SCHEMA.agenda(worker, since, as_of, whole);
  fires := agenda.slot_at <= as_of or agenda.slot_waits;
  if fires then
    perform :SCHEMA.tick(as_of);
  elsif not finishing then
    perform set_config('synchronous_commit', 'off', true);
  end if;
  if most > 0 then
    if agenda.expiring then
      perform :SCHEMA.expire(as_of);
    end if;
    if agenda.job_at <= as_of then
      promoted := :SCHEMA.promote(as_of, promotion, agenda.job_at);
    end if;
  end if;
  stirred := fires or agenda.arrived or agenda.metered or agenda.expiring or promoted > 0;
  if stirred then
    admitted := :SCHEMA.admit(as_of);
  end if;

  -- Jobs of a worker that was given up would be its own again only until the next sweep.
  if most > 0 and agenda.registered then
    places := case when whole then :SCHEMA.heads(queues, tasks) else known end;
    if agenda.paused then
      places := :SCHEMA.open_places(places);
    end if;
    if cardinality(places) > 0 then
      if slots is null then
        left_open := places;
        picked := :SCHEMA.pick(places, tasks, most, as_of);
      else
        picked := :SCHEMA.pick_by_slots(slots, places, tasks, most, as_of);
        left_open := picked.left_open;
      end if;
      places := picked.places;
      claimed := cardinality(picked.jobs);
      if claimed > 0 then
        return query
        select
          'claimed', c.id, c.lease, c.task, c.payload, c.queue, c.priority, c.attempt, c.max_attempts,
          c.run_at, c.created_at, c.scheduled_for, c.timeout, c.tags, c.headers, null::double precision, c.expires_in
        from :SCHEMA.start_jobs(worker, picked.jobs, as_of) as c;
      end if;
    end if;
    moved := case
      when bookmark is null then false
      -- To make a new one takes as long as to walk past several hundred entries: where a call claims one job, one is good for many.
      when not whole then admitted or :SCHEMA.walked() - before > 100 + 200 * cardinality(places)
      else :SCHEMA.walked_far(before, coalesce(cardinality(queues), 0), coalesce(known, '{}') || places, claimed)
    end;
    if moved then
      outcome := 'bookmark';
      id := null;
      payload := :SCHEMA.bookmark(known, places, case when promoted = promotion then agenda.job_at else as_of end, as_of);
      -- What a limit admits has waited, and may be behind.
      wait_ms := case when whole then :SCHEMA.look_wait(began) when admitted then 0 end;
      return next;
      payload := null;
    end if;
    -- Counts the starts and tells when the next one may be.
    if claimed > 0 and stirred and exists (select from :SCHEMA.meter) then
      perform :SCHEMA.admit(as_of);
    end if;
  end if;

  if claimed < most or most = 0 then
    if stirred or least(agenda.job_at, agenda.slot_at) <= as_of then
      -- Something was due, and may be left.
      look := :SCHEMA.next_look(case when whole then left_open end, tasks, as_of, agenda.job_at);
      ready := look.ready;
      due := look.due;
    else
      ready := whole and cardinality(left_open) > 0 and :SCHEMA.left_behind(left_open, tasks);
      due := least(agenda.job_at, agenda.slot_at);
    end if;
    outcome := case when ready or not whole then 'look_again' else 'sleep' end;
    id := null;
    wait_ms := case
      when promoted = promotion then 0
      when most = 0 then :SCHEMA.ms_until(due)
      -- Its sign says what it has to.
      when next_wake > as_of and coalesce(due >= next_wake, true) then :SCHEMA.ms_until(next_wake)
      else :SCHEMA.fall_asleep(worker, settled, due, as_of)
    end;
    return next;
  end if;
  if stirred and claimed = most and (most > 0 or finishing) then
    -- The caller has all it wanted and sets no timer, or stops: others are told when a limit has to be looked at again.
    perform :SCHEMA.wake_timer(l.at)
    from (
      select case
        when exists (select from :SCHEMA.arrival) then as_of
        else (select m.next_at from :SCHEMA.meter as m where m.next_at is not null order by m.next_at limit 1)
      end as at
    ) as l
    where l.at is not null;
  end if;
end;
$$;

comment on function :SCHEMA.exchange_v1(integer, text[], text[], integer, bigint[], uuid[], jsonb, jsonb, jsonb, timestamptz, jsonb, jsonb, jsonb, boolean) is
'Worker protocol: finishes, fails and releases attempts and claims up to `most` new ones in one call.
  completed, leases, results   as in complete_many_v1
  failures   array of {"id", "lease", "error", "retry", "retry_at"}, as in fail_v1; "retry_in" is an interval from now
  releases   array of {"id", "lease"}, as in release_v1
  notes      what these attempts had still to say, as in note_v1
  slots      how many jobs of each queue there is room for, {"mail": 5, "*": 10}, * standing for all others together;
             left out: `most` of all of them
  bookmark   the last one that was answered, {} where there was none; left out: none is wanted
  whole      false: goes on at the bookmark. What has become ready behind it is not seen: look_v1 is for that
Rows by their outcome:
  claimed      a job to run
  stale, busy  of a job that could not be finished, failed or released: see complete_many_v1
  scheduled, ready, blocked, failed, cancelled   where a failed or released job is now
  sleep        no more work; the next job is due in wait_ms (null: none is)
  look_again   due jobs are left that another transaction holds, or the look was not a whole one: look again within half
               a second, or in wait_ms
  bookmark     the look for jobs had to walk far, as behind a transaction that stays open: payload is a bookmark, from which
               the next calls may go on, in the place of the one that was given; look_v1 is due in wait_ms (null: as was said
               before; 0: a little sooner than that is worth while)
A worker that is no longer registered gets no jobs; beat_v1 tells it.
To be called in a transaction of its own: a call that only claims lets its transaction commit asynchronously.';
--! EndIncluded claim/exchange_v1.sql
--! Included claim/look_v1.sql
-- What claims that go on at a bookmark leave out. It claims nothing, so claims go on beside it, and none of them has to walk.
--
-- The barrier comes first, as in an exchange that looks at the whole: what silent producers have committed is seen below.
create function :SCHEMA.look_v1(
  worker integer,
  queues text[],
  tasks text[],
  slots jsonb default null,
  inout bookmark jsonb default '{}',
  as_of timestamptz default clock_timestamp(),
  out outcome text,
  out wait_ms double precision,
  out due_ms double precision
)
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  settled constant boolean := :SCHEMA.settle(worker, as_of);
  began constant timestamptz := clock_timestamp();
  before constant bigint := :SCHEMA.walked();
  known constant :SCHEMA.place[] := array(
    select p
    from jsonb_populate_recordset(null:::SCHEMA.place, bookmark -> 'places') as p
  );
  promotion constant integer := 1000;
  due_since timestamptz;
  promoted integer := 0;
  heads :SCHEMA.place[];
  look record;
begin
  perform set_config('synchronous_commit', 'off', true);
  perform :SCHEMA.expire(as_of);
  due_since := :SCHEMA.first_due(as_of);
  if due_since is not null then
    promoted := :SCHEMA.promote(as_of, promotion, due_since);
  end if;
  heads := :SCHEMA.heads(queues, tasks);
  bookmark := case
    when :SCHEMA.walked_far(before, coalesce(cardinality(queues), 0), known || heads, promoted) then
      :SCHEMA.bookmark(known, heads, case when promoted = promotion then due_since else as_of end, as_of)
    else '{}'
  end;
  due_ms := :SCHEMA.look_wait(began);

  heads := :SCHEMA.open_places(heads);
  if slots is not null then
    -- A queue whose slots are all taken is none to look at again.
    heads := array(
      select p
      from :SCHEMA.lanes(slots, heads) as l
      cross join lateral unnest(l.places) as p
      where l.slots > 0
    );
  end if;
  look := :SCHEMA.next_look(heads, tasks, as_of, due_since);
  outcome := case when look.ready then 'look_again' else 'sleep' end;
  wait_ms := case when look.ready then 0 else :SCHEMA.fall_asleep(worker, settled, look.due, as_of) end;
end;
$$;

comment on function :SCHEMA.look_v1(integer, text[], text[], jsonb, jsonb, timestamptz) is
'Worker protocol: looks at the whole for a worker whose exchanges go on at a bookmark, beside these and instead of one with `whole`.
  slots      how many jobs of each queue there is room for, as in exchange_v1
  bookmark   where the exchanges are; in the answer, where they go on, so that they see what has become ready behind it. The
             answers of exchanges that began before this one count for nothing. {}: looks are no long way any more, go on without
  outcome    sleep: no more work; look_again: there is some, call exchange_v1
  wait_ms    where it says sleep, when the next job is due (null: none is)
  due_ms     when the next look of this kind is due';
--! EndIncluded claim/look_v1.sql
--! Included maintain/make_partition.sql
-- The columns that ANALYZE must not sample (see the table job) say so in the parent; LIKE does not copy that.
create function :SCHEMA.make_partition(house name, parent name, fallback name, partition name, day date)
  returns void
  language plpgsql
  volatile
as $$
declare
  unsampled name;
begin
  execute format('create table %I.%I (like %I.%I including all)', house, partition, house, parent);
  execute format('revoke all on %I.%I from public', house, partition);
  execute format('revoke all on type %I.%I from public', house, partition);
  for unsampled in
    select a.attname
    from pg_attribute as a
    where a.attrelid = format('%I.%I', house, parent)::regclass
      and a.attnum > 0
      and a.attstattarget = 0
  loop
    execute format('alter table %I.%I alter column %I set statistics 0', house, partition, unsampled);
  end loop;
  execute format(
    'with moved as (delete from %I.%I where drop_on = %L returning *) insert into %I.%I select * from moved',
    house, fallback, day, house, partition
  );
  execute format(
    'alter table %I.%I attach partition %I.%I for values from (%L) to (%L)',
    house, parent, house, partition, day, day + 1
  );
end;
$$;

comment on function :SCHEMA.make_partition(name, name, name, name, date) is 'Makes one partition, with the rows of its day that the default partition has caught.';
--! EndIncluded maintain/make_partition.sql
--! Included maintain/wanted_partitions.sql
create function :SCHEMA.wanted_partitions(as_of timestamptz, days integer default 3)
  returns table (house name, parent name, fallback name, partition name, day date)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
begin atomic
  select distinct
    n.nspname,
    p.relname,
    (p.relname || '_default')::name,
    (p.relname || '_' || to_char(d.day, 'YYYYMMDD'))::name,
    d.day
  from pg_class as p
  join pg_namespace as n on n.oid = p.relnamespace
  cross join (
    select t.keep_succeeded from :SCHEMA.task as t
    union
    select greatest(t.keep_failed, interval '1 day') from :SCHEMA.task as t
    union
    values (interval '1 day'), (interval '7 days'), (interval '30 days')
  ) as k (keep)
  cross join generate_series(0, days) as ahead
  cross join lateral (
    select :SCHEMA.drop_on(as_of + ahead * interval '24 hours', k.keep)
  ) as d (day)
  where p.relnamespace = :SCHEMA.installation()
    and p.relkind = 'p'
    and not exists (
      select
      from pg_class as c
      where c.relnamespace = p.relnamespace
        and c.relname = p.relname || '_' || to_char(d.day, 'YYYYMMDD')
    )
  order by d.day;
end;

comment on function :SCHEMA.wanted_partitions(timestamptz, integer) is 'Partitions that jobs finishing until so many days from then will need and that are not there.';
--! EndIncluded maintain/wanted_partitions.sql
--! Included maintain/make_partitions.sql
-- A partition is made apart and then attached: CREATE … PARTITION OF takes an exclusive lock on the whole table,
-- and every finish would wait behind it while it waits for one pg_dump. Days are made three ahead, so that
-- midnight never finds one missing, and only those that some task's retention leads to.
create function :SCHEMA.make_partitions(as_of timestamptz default clock_timestamp())
  returns integer
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '50ms'
as $$
declare
  wanted record;
  made integer := 0;
begin
  -- One session at a time; another one has nothing to add.
  if not pg_try_advisory_xact_lock(:SCHEMA.installation()::integer, 0) then
    return 0;
  end if;

  for wanted in
    select w.*
    from :SCHEMA.wanted_partitions(as_of) as w
    order by w.day
  loop
    begin
      perform :SCHEMA.make_partition(wanted.house, wanted.parent, wanted.fallback, wanted.partition, wanted.day);
      made := made + 1;
    exception
      -- The default partition has just caught a row of this day, or another session has made the partition where our
      -- snapshot is too old to show it: there are days left to try again.
      when check_violation or duplicate_table then
        null;
      -- Somebody reads the default partition. To wait again for the next day would keep other readers waiting.
      when lock_not_available then
        exit;
    end;
  end loop;
  return made;
end;
$$;

comment on function :SCHEMA.make_partitions(timestamptz) is 'Makes the partitions that jobs finishing in the next three days will need; returns how many.';
--! EndIncluded maintain/make_partitions.sql
--! Included maintain/drop_partitions.sql
create function :SCHEMA.drop_partitions(as_of timestamptz default clock_timestamp())
  returns integer
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '50ms'
as $$
declare
  today constant date := (as_of at time zone 'UTC')::date;
  past record;
  dropped integer := 0;
begin
  if not pg_try_advisory_xact_lock(:SCHEMA.installation()::integer, 0) then
    return 0;
  end if;

  -- What a default partition caught and nobody moved has no partition to drop.
  for past in
    select n.nspname as house, p.relname || '_default' as fallback
    from pg_class as p
    join pg_namespace as n on n.oid = p.relnamespace
    where p.relnamespace = :SCHEMA.installation()
      and p.relkind = 'p'
    order by p.relname
  loop
    execute format('delete from %I.%I where drop_on <= %L', past.house, past.fallback, today);
  end loop;

  for past in
    select n.nspname as house, c.relname as partition
    from pg_class as p
    join pg_namespace as n on n.oid = p.relnamespace
    join pg_inherits as i on i.inhparent = p.oid
    join pg_class as c on c.oid = i.inhrelid
    where p.relnamespace = :SCHEMA.installation()
      and p.relkind = 'p'
      and c.relname ~ '_[0-9]{8}$'
      and right(c.relname, 8)::date <= today
    order by c.relname
  loop
    begin
      execute format('drop table %I.%I', past.house, past.partition);
      dropped := dropped + 1;
    exception
      -- Somebody reads the table. Finishes waited behind this for 50 ms; the next round tries again.
      when lock_not_available then
        exit;
    end;
  end loop;
  return dropped;
exception
  when lock_not_available then
    return 0;
end;
$$;

comment on function :SCHEMA.drop_partitions(timestamptz) is 'Drops the partitions of finished jobs, and their errors, whose retention has passed; returns how many.';
--! EndIncluded maintain/drop_partitions.sql
--! Included maintain/drop_stale.sql
create function :SCHEMA.drop_stale(as_of timestamptz default clock_timestamp())
  returns void
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  old_enough :SCHEMA.broadcast_mark;
begin
  select m.*
  into old_enough
  from :SCHEMA.broadcast_mark as m
  where m.made_at < as_of - interval '10 minutes'
  order by m.made_at desc
  limit 1;
  -- Ten minutes after the commit: a message may be much older than the end of its transaction.
  delete from :SCHEMA.broadcast as b
  where pg_visible_in_snapshot(b.xact, old_enough.snapshot)
     or b.published_at < as_of - interval '1 day';
  delete from :SCHEMA.broadcast_mark as m
  where m.made_at < old_enough.made_at;
  -- For the next time, where nobody listens and makes marks.
  insert into :SCHEMA.broadcast_mark (snapshot)
  select pg_current_snapshot()
  where exists (select from :SCHEMA.broadcast);

  delete from :SCHEMA.progress as p
  where (select j.id from :SCHEMA.job as j where j.id = p.job_id) is null;
  delete from :SCHEMA.dead_letter as d
  where (select j.id from :SCHEMA.job as j where j.id = d.letter_id) is null
    and (select a.id from :SCHEMA.archive as a where a.id = d.letter_id limit 1) is null;
  delete from :SCHEMA.unique_window as w
  where w.ends_at < as_of - interval '1 minute';
  -- A full bucket says nothing; there may be one for each key that ever had a rate.
  delete from :SCHEMA.meter as m
  where m.lane = any (array(
      select o.lane
      from :SCHEMA.meter as o
      where o.full_at < as_of - interval '1 minute'
        and o.next_at is null
        and not exists (select from :SCHEMA.holder as h where h.lane = o.lane)
      limit 1000
    ))
    and :SCHEMA.lock_lane(m.lane);
  delete from :SCHEMA.watch_error
  where failed_at < as_of - interval '7 days';
end;
$$;

comment on function :SCHEMA.drop_stale(timestamptz) is 'Removes the progress of jobs that have ended, live messages that every listener has had, unique keys whose time is over, and old errors of watches.';
--! EndIncluded maintain/drop_stale.sql
--! Included maintain/maintain.sql
create function :SCHEMA.maintain()
  returns void
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  -- One session at a time; another one has nothing to add, and would wait where it reads a table that gets a partition.
  if not pg_try_advisory_xact_lock(:SCHEMA.installation()::integer, 0) then
    return;
  end if;
  perform :SCHEMA.make_partitions();
  perform :SCHEMA.drop_partitions();
  perform :SCHEMA.drop_stale();
end;
$$;

comment on function :SCHEMA.maintain() is 'Housekeeping: makes the partitions of the coming days, drops those that have passed, and removes stale messages. Every worker calls it now and then; without a worker any client may, in a transaction of its own.';

select :SCHEMA.make_partitions();
--! EndIncluded maintain/maintain.sql
--! Included maintain/use_shard.sql
create function :SCHEMA.use_shard(shard integer)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  ids regclass;
  is_used boolean;
begin
  if use_shard.shard is null or use_shard.shard not between 0 and 511 then
    perform :SCHEMA.refuse(
      format('shard %s is out of range', coalesce(use_shard.shard::text, 'null')),
      'Servers are numbered from 0 to 511.'
    );
  end if;
  if exists (select from :SCHEMA.setting as s where s.shard = use_shard.shard) then
    return;
  end if;

  select s.tableoid::regclass, s.is_called
  into ids, is_used
  from :SCHEMA.job_id as s;
  if is_used then
    raise exception using
      errcode = 'object_not_in_prerequisite_state',
      message = 'this installation has given out job ids already, so its shard can no longer change',
      hint = 'Choose the shard when migrating into an empty schema.';
  end if;

  execute format(
    'alter sequence %s minvalue %s maxvalue %s start %s restart',
    ids,
    greatest(use_shard.shard * 2::numeric ^ 44, 1)::bigint,
    ((use_shard.shard + 1) * 2::numeric ^ 44 - 1)::bigint,
    greatest(use_shard.shard * 2::numeric ^ 44, 1)::bigint
  );
  update :SCHEMA.setting
  set shard = use_shard.shard;
end;
$$;

comment on function :SCHEMA.use_shard(integer) is 'Makes this server number n of several: its job ids run from n * 2^44. Only before the first job.';
--! EndIncluded maintain/use_shard.sql
--! Included control/running_jobs.sql
-- Without an order, which its callers give: order by id could be planned as a walk along the primary key.
create function :SCHEMA.running_jobs(worker integer)
  returns table (id bigint, lease uuid, run_at timestamptz)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
begin
  return query
  select j.id, j.lease, j.run_at
  from :SCHEMA.job as j
  where j.state = 'running'
    and j.worker_id = running_jobs.worker;
end;
$$;

comment on function :SCHEMA.running_jobs(integer) is 'What a worker runs, in no order.';
--! EndIncluded control/running_jobs.sql
--! Included control/is_copy.sql
create function :SCHEMA.is_copy()
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
begin atomic
  select (s.home_database, s.home_table) is distinct from (d.oid, s.tableoid)
  from :SCHEMA.setting as s
  cross join pg_database as d
  where d.datname = current_database();
end;

comment on function :SCHEMA.is_copy() is 'Whether this database is a restored dump of another one, or was made with it as a template. A copy of the server''s files cannot be told from the original.';
--! EndIncluded control/is_copy.sql
--! Included control/confirm_copy.sql
create function :SCHEMA.confirm_copy()
  returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  was_copy constant boolean := :SCHEMA.is_copy();
begin
  update :SCHEMA.setting as s
  set
    home_database = (select d.oid from pg_database as d where d.datname = current_database()),
    home_table = s.tableoid
  where was_copy;
  return was_copy;
end;
$$;

comment on function :SCHEMA.confirm_copy() is 'Lets workers run on this copy of a database: from now on this is where the installation is at home. Look first at what its jobs and schedules would do: they are those of the original. Returns whether it was a copy.';
--! EndIncluded control/confirm_copy.sql
--! Included control/register_v1.sql
create function :SCHEMA.register_v1(
  name text,
  host text default null,
  pid integer default null,
  version text default null,
  queues text[] default null,
  tasks text[] default null,
  concurrency integer default null
)
  returns integer
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  worker_id integer;
begin
  if :SCHEMA.is_copy() then
    raise exception using
      errcode = 'object_not_in_prerequisite_state',
      message = format('the database "%s" is a copy: it was restored or made from a template, and its jobs are those of the original', current_database()),
      hint = 'No worker starts on it, so that a copy sends no mail. If its jobs are to run here: rouse doctor --confirm-copy, or select confirm_copy() in Rouse''s schema.';
  end if;

  insert into :SCHEMA.worker (name, host, pid, version, queues, tasks, concurrency)
  values (
    :SCHEMA.check_name('worker', register_v1.name),
    register_v1.host, register_v1.pid, register_v1.version,
    register_v1.queues, register_v1.tasks, register_v1.concurrency
  )
  returning id
  into worker_id;
  return worker_id;
end;
$$;

comment on function :SCHEMA.register_v1(text, text, integer, text, text[], text[], integer) is 'Worker protocol: enters a worker and returns its id, which claims and beats take. queues and tasks null: all. Refused on a copy of a database that nobody has confirmed.';
--! EndIncluded control/register_v1.sql
--! Included control/hold_v1.sql
-- Where a former session of the worker still has the lock, which the server may find dead at any moment, its end
-- says nothing about the worker: until this one has the lock, only the lease counts.
create function :SCHEMA.hold_v1(worker integer)
  returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  held boolean;
begin
  -- A host that vanishes sends no farewell: have the server look for it, and end the session, within seconds.
  perform
    set_config('tcp_keepalives_idle', '5', false),
    set_config('tcp_keepalives_interval', '3', false),
    set_config('tcp_keepalives_count', '3', false);
  held := pg_try_advisory_lock(:SCHEMA.installation()::integer, worker);
  update :SCHEMA.worker as w
  set
    holds_lock = held,
    lost_at = null,
    beats = w.beats + 1,
    beat_at = clock_timestamp()
  where w.id = hold_v1.worker;
  return held;
end;
$$;

comment on function :SCHEMA.hold_v1(integer) is 'Worker protocol: binds the life of a worker to this session. Where the session ends and no new one holds the worker within about 2 seconds of that being noticed, its jobs go to others. Returns false where a former session of the worker is not gone yet: call it again at the next beat. Without it only the lease tells that a worker died.';
--! EndIncluded control/hold_v1.sql
--! Included maintain/server_settled.sql
create function :SCHEMA.server_settled(as_of timestamptz default clock_timestamp())
  returns boolean
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  first_beat timestamptz;
begin
  select r.first_beat_at
  into first_beat
  from :SCHEMA.server_run as r
  where r.started_at = pg_postmaster_start_time();
  if found then
    -- The clock was set back.
    if first_beat > as_of then
      update :SCHEMA.server_run
      set first_beat_at = as_of;
    end if;
    return first_beat < as_of - interval '10 seconds';
  end if;

  delete from :SCHEMA.server_run;
  insert into :SCHEMA.server_run (started_at, first_beat_at)
  values (pg_postmaster_start_time(), as_of)
  on conflict do nothing;
  return false;
end;
$$;

comment on function :SCHEMA.server_settled(timestamptz) is 'Whether workers have had the time to come back since the server started: until 10 seconds after the first of them, nobody is dead for a missing lock.';
--! EndIncluded maintain/server_settled.sql
--! Included maintain/hand_over.sql
-- They keep their place in the queue, ahead of what came after them, so that a backlog does not make them wait again; and
-- in an order of their own: where one of them kills its workers, those that stood beside it are not taken along each
-- time. Rows that somebody holds locked are left for the next sweep; so is a job that fails to be handed over, of which
-- the beat tells.
create function :SCHEMA.hand_over(worker integer, name text, as_of timestamptz)
  returns integer
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  lost record;
  ended text;
  handed_over integer := 0;
begin
  for lost in
    select r.id, r.lease, r.run_at
    from :SCHEMA.running_jobs(hand_over.worker) as r
    order by r.id
  loop
    begin
      ended := :SCHEMA.fail_v1(
        lost.id,
        lost.lease,
        jsonb_build_object('message', format('worker "%s" died or vanished during this attempt', name), 'code', 'worker_lost'),
        retry_at => least(lost.run_at, as_of) - random() * interval '1 second',
        wait => false
      );
      if ended not in ('stale', 'busy') then
        handed_over := handed_over + 1;
      end if;
    exception
      when others then
        perform set_config(
          'rouse.trouble',
          format('job %s of worker "%s" cannot be handed over: %s', lost.id, name, sqlerrm),
          true
        );
    end;
  end loop;
  return handed_over;
end;
$$;

comment on function :SCHEMA.hand_over(integer, text, timestamptz) is 'Makes the jobs of a dead worker ready for others at once, the lost attempt counted; returns how many.';
--! EndIncluded maintain/hand_over.sql
--! Included maintain/release_orphans.sql
-- A worker that was given up may have claimed once more before it knew, and a call that its client had given up may
-- have been carried out after all: nobody would ever sweep for the worker of such a job. A loose index scan finds
-- them: one probe for each worker that runs something, from the end, where there is least of what has ended since the
-- oldest snapshot.
create function :SCHEMA.release_orphans()
  returns integer
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
  set enable_bitmapscan = off
as $$
declare
  orphan record;
  released integer := 0;
begin
  for orphan in
    with recursive holder as (
      (
        select j.worker_id
        from :SCHEMA.job as j
        where j.state = 'running'
        order by j.worker_id desc
        limit 1
      )
      union all
      select (
        select j.worker_id
        from :SCHEMA.job as j
        where j.state = 'running'
          and j.worker_id < h.worker_id
        order by j.worker_id desc
        limit 1
      )
      from holder as h
      where h.worker_id is not null
    ),
    gone as materialized (
      select h.worker_id
      from holder as h
      left join :SCHEMA.worker as w on w.id = h.worker_id
      where h.worker_id is not null
        and w.id is null
    )
    select j.id, j.lease
    from gone as g
    cross join lateral (
      select o.id, o.lease
      from :SCHEMA.job as o
      where o.state = 'running'
        and o.worker_id = g.worker_id
      for update skip locked
    ) as j
  loop
    if :SCHEMA.release_v1(orphan.id, orphan.lease, false) <> 'busy' then
      released := released + 1;
    end if;
  end loop;
  return released;
end;
$$;

comment on function :SCHEMA.release_orphans() is 'Gives back the jobs that run in the name of a worker that there is no longer, their attempts uncounted; returns how many.';
--! EndIncluded maintain/release_orphans.sql
--! Included maintain/sweep.sql
-- A worker is dead when its session lock has been missing for 1.9 s, time enough for one that only lost its
-- connection to come back: the server ends the session of a process that dies at once, and beats, which are 2 s apart
-- where anything runs, notice that. Where most locks vanish together it is not the workers that died, and they have
-- 10 s; the same after a start of the server. A worker is also dead when its beat counter has not moved for a lease on the clock of whoever suspects it,
-- which is how a frozen or vanished host is noticed and which no jump of the server's clock can fake.
create function :SCHEMA.sweep(suspects jsonb default '[]', as_of timestamptz default clock_timestamp())
  returns integer
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
declare
  settled boolean;
  held bigint[];
  grace interval;
  dead record;
  handed_over integer := 0;
begin
  -- One sweeper at a time; another one would find the same.
  if not pg_try_advisory_xact_lock(:SCHEMA.installation()::integer, -1) then
    return 0;
  end if;

  settled := :SCHEMA.server_settled(as_of);
  held := array(
    select l.objid::bigint
    from pg_locks as l
    where l.locktype = 'advisory'
      and l.database = (select d.oid from pg_database as d where d.datname = current_database())
      and l.classid = :SCHEMA.installation()
      and l.objsubid = 2
      and l.granted
  );
  update :SCHEMA.worker as w
  set lost_at = case when w.id <> all (held) then as_of end
  where w.id in (
    select k.id
    from :SCHEMA.worker as k
    where k.holds_lock
      and (
        (k.lost_at is not null) <> (k.id <> all (held))
        -- The clock was set back.
        or k.lost_at > as_of
      )
    for update skip locked
  );
  select
    case
      when count(*) filter (where w.lost_at is not null) > greatest(2, count(*) / 2) then interval '10 seconds'
      else interval '1.9 seconds'
    end
  into grace
  from :SCHEMA.worker as w
  where w.holds_lock;

  for dead in
    select w.id, w.name
    from :SCHEMA.worker as w
    where w.given_up_at is not null
      or settled
      and w.holds_lock
      and w.lost_at < as_of - grace
      or exists (
        select
        from jsonb_to_recordset(suspects) as s (id integer, beats bigint)
        where s.id = w.id
          and s.beats = w.beats
      )
    order by w.id
    for update of w skip locked
  loop
    handed_over := handed_over + :SCHEMA.hand_over(dead.id, dead.name, as_of);
    -- A job that somebody holds locked keeps the worker's row, and with it the next sweep, for its sake. The worker itself
    -- is told with its next beat, all the same.
    delete from :SCHEMA.worker as w
    where w.id = dead.id
      and not exists (
        select
        from :SCHEMA.job as j
        where j.state = 'running'
          and j.worker_id = dead.id
      );
    update :SCHEMA.worker as w
    set given_up_at = coalesce(w.given_up_at, as_of)
    where w.id = dead.id;
  end loop;

  -- Rows that somebody holds are left to the next sweep, here too: while one waits there is no other, and nobody's jobs
  -- are rescued. These are of jobs that succeeded while they were cancelled.
  delete from :SCHEMA.cancel_request as r
  where r.job_id = any (array(
    select o.job_id
    from :SCHEMA.cancel_request as o
    where (select j.id from :SCHEMA.job as j where j.id = o.job_id) is null
    for update skip locked
  ));
  delete from :SCHEMA.awaited as a
  where a.job_id = any (array(
    select o.job_id
    from :SCHEMA.awaited as o
    where o.until < as_of
    for update skip locked
  ));
  delete from :SCHEMA.sleeper as s
  where s.worker_id = any (array(
    select o.worker_id
    from :SCHEMA.sleeper as o
    where not exists (select from :SCHEMA.worker as w where w.id = o.worker_id)
    for update skip locked
  ));
  perform :SCHEMA.settle_limits();
  return handed_over + :SCHEMA.release_orphans();
end;
$$;

comment on function :SCHEMA.sweep(jsonb, timestamptz) is 'Hands the jobs of dead workers to others, the lost attempt counted; returns how many. Part of every beat. suspects: workers whose beat counter did not move for a lease, as {"id", "beats"}.';
--! EndIncluded maintain/sweep.sql
--! Included control/beat_v1.sql
create function :SCHEMA.beat_v1(
  worker integer,
  suspects jsonb default '[]',
  stuck integer default 0,
  out known boolean,
  out ready boolean,
  out wait_ms double precision,
  out busy boolean,
  out long_held bigint,
  out lease_ms double precision,
  out peers jsonb,
  out trouble text,
  out cancels boolean
)
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set enable_bitmapscan = off
  set jit = off
as $$
declare
  own record;
  -- Behind an old snapshot the index of running jobs keeps all that ran since. To count a worker's jobs is to read all entries of
  -- it: that may take a twentieth of the time, so the session remembers when it is due. No rest is longer than the longest, or
  -- the clock was set back.
  rest constant integer := 19;
  longest constant integer := 60;
  memory constant text := 'rouse.count_' || :SCHEMA.installation();
  began timestamptz;
begin
  update :SCHEMA.worker as w
  set
    beats = w.beats + 1,
    beat_at = clock_timestamp(),
    stuck = beat_v1.stuck
  where w.id = beat_v1.worker
    and w.given_up_at is null
  returning w.queues, w.tasks
  into own;
  known := found;
  if not known then
    return;
  end if;

  -- One job that cannot be handed over, or one schedule that cannot fire, must not take away the sign of life of
  -- every worker.
  begin
    perform :SCHEMA.sweep(suspects);
    trouble := nullif(current_setting('rouse.trouble', true), '');
  exception
    when others then
      trouble := sqlerrm;
  end;
  begin
    -- Here too, so that slots are on time while the handlers of every worker compute.
    perform :SCHEMA.tick_if_due(clock_timestamp());
    perform :SCHEMA.expire();
    perform :SCHEMA.promote();
    perform :SCHEMA.repair_lanes(clock_timestamp());
    perform :SCHEMA.admit();
  exception
    when others then
      trouble := coalesce(trouble || '; ', '') || sqlerrm;
  end;
  select l.ready, :SCHEMA.ms_until(l.due)
  into ready, wait_ms
  from clock_timestamp() as n (as_of)
  cross join lateral :SCHEMA.next_look(
    :SCHEMA.open_places(:SCHEMA.heads(own.queues, own.tasks)), own.tasks, n.as_of, :SCHEMA.first_due(n.as_of)
  ) as l;
  -- From its end: what lies there runs, mostly.
  busy := (
    select j.worker_id
    from :SCHEMA.job as j
    where j.state = 'running'
    order by j.worker_id desc
    limit 1
  ) is not null;
  began := clock_timestamp();
  if coalesce(nullif(current_setting(memory, true), '')::numeric - extract(epoch from began) not between 0 and longest, true) then
    select count(*)
    into long_held
    from :SCHEMA.job as j
    where j.state = 'running'
      and j.worker_id = beat_v1.worker
      and j.started_at < began - interval '10 seconds';
    perform set_config(
      memory,
      (extract(epoch from began) + least(longest, (rest + 1) * extract(epoch from clock_timestamp() - began)))::text,
      false
    );
  end if;
  select extract(epoch from s.lease)::double precision * 1000
  into lease_ms
  from :SCHEMA.setting as s;
  select coalesce(jsonb_agg(jsonb_build_object('id', w.id, 'beats', w.beats)), '[]')
  into peers
  from :SCHEMA.worker as w
  where w.id <> beat_v1.worker;
  cancels := exists (
    select
    from :SCHEMA.cancels_v1(beat_v1.worker)
  );
  perform pg_notify(:SCHEMA.channel(), json_build_object('probe', worker)::text);
end;
$$;

comment on function :SCHEMA.beat_v1(integer, jsonb, integer) is
'Worker protocol: a sign of life, every 4 seconds, every 2 while anything runs anywhere. It sweeps up after dead workers, looks whether a wake was missed, and notifies {"probe": worker}, so that a worker that does not hear itself knows that its listener is dead.
  suspects   workers whose beat counter did not move for a lease on the caller''s own clock, as {"id", "beats"}
  stuck      slots held by handlers that go on though their attempt has ended
  known      false: the worker was given up and its jobs went to others; register again
  ready      there is work for it now
  wait_ms    milliseconds to the next due time; null: none
  busy       a job is running somewhere
  long_held  jobs that have run in its name for more than 10 seconds; where it knows of fewer, reconcile_v1; null: they were
             not counted this time
  lease_ms   the lease
  peers      the other workers with their beat counters, to suspect them next time
  trouble    what failed of sweeping and of firing schedules; null: nothing did
  cancels    jobs that it runs were cancelled: ask cancels_v1';
--! EndIncluded control/beat_v1.sql
--! Included control/stopping_v1.sql
create function :SCHEMA.stopping_v1(worker integer)
  returns void
  language sql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
begin atomic
  update :SCHEMA.worker as w
  set stopping_at = coalesce(w.stopping_at, pg_catalog.clock_timestamp())
  where w.id = stopping_v1.worker;
end;

comment on function :SCHEMA.stopping_v1(integer) is 'Worker protocol: says that a worker takes no new jobs and waits for those it runs, for people who look at the view workers.';
--! EndIncluded control/stopping_v1.sql
--! Included control/polls_v1.sql
create function :SCHEMA.polls_v1(worker integer, polls boolean default true)
  returns void
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  update :SCHEMA.worker as w
  set polls_since = case when polls then clock_timestamp() end
  where w.id = polls_v1.worker
    and (w.polls_since is not null) <> polls;
end;
$$;

comment on function :SCHEMA.polls_v1(integer, boolean) is 'Worker protocol: tells that the worker hears no notification, as behind a pooler in transaction mode, and looks for jobs every second instead; or that it hears again.';
--! EndIncluded control/polls_v1.sql
--! Included control/deregister_v1.sql
create function :SCHEMA.deregister_v1(worker integer)
  returns integer
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  own record;
  released integer := 0;
begin
  for own in
    select r.id, r.lease
    from :SCHEMA.running_jobs(deregister_v1.worker) as r
    order by r.id
  loop
    if :SCHEMA.release_v1(own.id, own.lease) in ('ready', 'blocked') then
      released := released + 1;
    end if;
  end loop;
  delete from :SCHEMA.worker
  where id = deregister_v1.worker;
  perform :SCHEMA.awake_v1(worker);
  return released;
end;
$$;

comment on function :SCHEMA.deregister_v1(integer) is 'Worker protocol: removes a worker that stops and gives back what it still holds, its attempts uncounted; returns how many jobs that were.';
--! EndIncluded control/deregister_v1.sql
--! Included control/reconcile_v1.sql
create function :SCHEMA.reconcile_v1(worker integer, held bigint[])
  returns integer
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  unknown record;
  released integer := 0;
begin
  for unknown in
    select r.id, r.lease
    from :SCHEMA.running_jobs(reconcile_v1.worker) as r
    where r.id <> all (held)
    order by r.id
  loop
    if :SCHEMA.release_v1(unknown.id, unknown.lease, false) in ('ready', 'blocked') then
      released := released + 1;
    end if;
  end loop;
  return released;
end;
$$;

comment on function :SCHEMA.reconcile_v1(integer, bigint[]) is 'Worker protocol: after an answer was lost with its connection, gives back the jobs that were claimed in it: all that run in the worker''s name but the ones it knows of. Returns how many. Not while an exchange of that worker is under way.';
--! EndIncluded control/reconcile_v1.sql
--! Included control/declare_tasks_v1.sql
-- Only what changed is written: twenty workers that start together do not rewrite a table that every enqueue reads.
create function :SCHEMA.declare_tasks_v1(declarations jsonb)
  returns integer
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  changed integer;
  rule text;
begin
  perform :SCHEMA.check_objects(declarations, 'task', 'name', array[
    'name', 'queue', 'priority', 'delay', 'max_attempts', 'backoff', 'backoff_base', 'backoff_cap', 'backoff_list',
    'jitter', 'timeout', 'expires_in', 'deadline', 'concurrency_key',
    'limit', 'key_limit', 'keep_succeeded', 'keep_failed', 'dead_letter', 'payload_schema',
    'aliases'
  ]);
  perform :SCHEMA.declare_limits(declarations);
  insert into :SCHEMA.task as t (
    name, queue, priority, delay, max_attempts, backoff, backoff_base, backoff_cap, backoff_list, jitter,
    timeout, expires_in, deadline, concurrency_key, keep_succeeded, keep_failed, dead_letter, payload_schema, aliases
  )
  select
    :SCHEMA.check_name('task', d.name),
    coalesce(d.queue, 'default'),
    coalesce(:SCHEMA.check_priority(d.priority), 0),
    coalesce(d.delay, interval '0'),
    coalesce(:SCHEMA.check_max_attempts(d.max_attempts), 10),
    coalesce(d.backoff, 'exponential'),
    coalesce(d.backoff_base, interval '5 seconds'),
    coalesce(d.backoff_cap, interval '1 hour'),
    d.backoff_list,
    coalesce(d.jitter, 0.2),
    :SCHEMA.check_timeout(d.timeout),
    :SCHEMA.check_span('expires_in', d.expires_in),
    :SCHEMA.check_span('deadline', d.deadline),
    d.concurrency_key,
    coalesce(d.keep_succeeded, interval '1 day'),
    coalesce(d.keep_failed, interval '30 days'),
    d.dead_letter,
    d.payload_schema,
    coalesce(d.aliases, '{}')
  from jsonb_to_recordset(declarations) as d (
    name text,
    queue text,
    priority integer,
    delay interval,
    max_attempts integer,
    backoff text,
    backoff_base interval,
    backoff_cap interval,
    backoff_list interval[],
    jitter real,
    timeout interval,
    expires_in interval,
    deadline interval,
    concurrency_key text,
    keep_succeeded interval,
    keep_failed interval,
    dead_letter text,
    payload_schema jsonb,
    aliases text[]
  )
  order by d.name
  on conflict (name) do update
  set
    queue = excluded.queue,
    priority = excluded.priority,
    delay = excluded.delay,
    max_attempts = excluded.max_attempts,
    backoff = excluded.backoff,
    backoff_base = excluded.backoff_base,
    backoff_cap = excluded.backoff_cap,
    backoff_list = excluded.backoff_list,
    jitter = excluded.jitter,
    timeout = excluded.timeout,
    expires_in = excluded.expires_in,
    deadline = excluded.deadline,
    concurrency_key = excluded.concurrency_key,
    keep_succeeded = excluded.keep_succeeded,
    keep_failed = excluded.keep_failed,
    dead_letter = excluded.dead_letter,
    payload_schema = excluded.payload_schema,
    aliases = excluded.aliases,
    declared_at = excluded.declared_at
  where (
      t.queue, t.priority, t.delay, t.max_attempts, t.backoff, t.backoff_base, t.backoff_cap, t.backoff_list,
      t.jitter, t.timeout, t.expires_in, t.deadline, t.concurrency_key, t.keep_succeeded,
      t.keep_failed, t.dead_letter, t.payload_schema, t.aliases
    ) is distinct from (
      excluded.queue, excluded.priority, excluded.delay, excluded.max_attempts, excluded.backoff,
      excluded.backoff_base, excluded.backoff_cap, excluded.backoff_list, excluded.jitter, excluded.timeout,
      excluded.expires_in, excluded.deadline, excluded.concurrency_key, excluded.keep_succeeded,
      excluded.keep_failed, excluded.dead_letter, excluded.payload_schema, excluded.aliases
    );
  get diagnostics changed = row_count;
  if changed > 0 then
    perform :SCHEMA.make_partitions();
  end if;
  return changed;
exception
  when check_violation then
    -- Each constraint is named by what it demands.
    get stacked diagnostics rule = constraint_name;
    raise exception using
      errcode = 'invalid_parameter_value',
      message = format('a task does not keep the rule "%s"', replace(substr(rule, 6), '_', ' ')),
      hint = 'Correct that option where the task is defined.';
  when cardinality_violation then
    raise exception using
      errcode = 'invalid_parameter_value',
      message = 'two tasks of the array have the same name',
      hint = 'Declare each task once.';
end;
$$;

comment on function :SCHEMA.declare_tasks_v1(jsonb) is 'Worker protocol: enters or updates tasks, an array of objects whose keys are columns of the table task; returns how many changed. Tasks that are not named stay as they are.';
--! EndIncluded control/declare_tasks_v1.sql
--! Included schedule/cron_refuse.sql
create function :SCHEMA.cron_refuse(field text, problem text)
  returns text
  language sql
  immutable
  parallel safe
begin atomic
  select :SCHEMA.refuse(
    field || ': ' || problem,
    case field
      when 'second' then 'A second is 0 to 59; lists (0,30), ranges (0-29), steps (*/5) and * are allowed.'
      when 'minute' then 'A minute is 0 to 59; lists (0,30), ranges (0-29), steps (*/5) and * are allowed.'
      when 'hour' then 'An hour is 0 to 23; lists (8,20), ranges (9-17), steps (*/6) and * are allowed.'
      when 'day of month' then 'A day of month is 1 to 31, or L for the last one; lists (1,15), ranges (1-7), steps (*/2), * and ? are allowed.'
      when 'month' then 'A month is 1 to 12 or jan to dec; lists (1,7), ranges (jun-aug), steps (*/3) and * are allowed.'
      when 'day of week' then 'A day of week is 0 to 7 (0 and 7 are Sunday) or sun to sat, 5L for the last Friday of the month, 1#2 for the second Monday; lists (1,3), ranges (mon-fri), steps (*/2), * and ? are allowed.'
      when 'macro' then 'Macros are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly. An interval is written without one: every 5 seconds.'
      when 'interval' then 'Write an interval of at least 1 second as PostgreSQL reads it, without a minus: every 5 seconds, every 1h30m, every 2 days, every 1 month.'
      when 'time' then 'Write a single time as in at 2026-12-01 10:00, with seconds if they matter, and with an offset (Z, +02:00) unless it is in the time zone of the schedule.'
      else 'Write minute, hour, day of month, month and day of week, with seconds before them where wanted; or a macro such as @daily, or "every 5 seconds", or "at 2026-12-01 10:00".'
    end
  );
end;

comment on function :SCHEMA.cron_refuse(text, text) is 'Raises the error (22023) about a field of a spec, with what that field allows as its hint.';
--! EndIncluded schedule/cron_refuse.sql
--! Included schedule/low_bit.sql
create function :SCHEMA.low_bit(bits bigint)
  returns integer
  language sql
  immutable
  parallel safe
return pg_catalog.bit_count(((bits & -bits) - 1)::bit(64))::integer;

comment on function :SCHEMA.low_bit(bigint) is 'Internal: the number of the lowest bit that is set.';
--! EndIncluded schedule/low_bit.sql
--! Included schedule/cron_day.sql
create function :SCHEMA.cron_day(spec :SCHEMA.cron_spec, since date)
  returns date
  language plpgsql
  immutable
  parallel safe
as $$
declare
  day integer := date_part('day', since);
  month integer := date_part('month', since);
  first date := since - (day - 1);
  length integer;
  weekday integer;
  week bigint;
  weeks bigint;
  by_week bigint;
  days bigint;
  later bigint;
begin
  -- After 400 years the calendar repeats, weekdays included.
  while first <= since + 146097 loop
    if (spec.months >> month) & 1 = 1 then
      length := (first + interval '1 month')::date - first;
      weekday := date_part('dow', first);

      -- The bitmap of weekdays holds seven groups of seven: every week, the first to fifth, the last.
      by_week := 0;
      weeks := spec.weekdays;
      for nth in 0..6 loop
        exit when weeks = 0;
        week := weeks & 127;
        -- Turned so that bit 0 is the weekday of day 1, then repeated from bit 1 on: 270549121 has bits 0, 7, 14, 21 and 28.
        week := ((((week >> weekday) | (week << (7 - weekday))) & 127) * 270549121) << 1;
        by_week := by_week | (
          week & case nth
            when 0 then -1
            when 6 then 127::bigint << (length - 6)
            else 127::bigint << (7 * nth - 6)
          end
        );
        weeks := weeks >> 7;
      end loop;

      days := (spec.days & ~1::bigint) | ((spec.days & 1) << length);
      days := case when spec.either_day then days | by_week else days & by_week end;
      days := days & ((1::bigint << (length + 1)) - (1::bigint << day));
      if days <> 0 then
        return first + :SCHEMA.low_bit(days) - 1;
      end if;
    end if;

    later := spec.months & (-1::bigint << (month + 1));
    length := case when later <> 0 then :SCHEMA.low_bit(later) else 12 + :SCHEMA.low_bit(spec.months) end - month;
    first := first + make_interval(months => length);
    month := (month + length - 1) % 12 + 1;
    day := 1;
  end loop;
  return null;
end;
$$;

comment on function :SCHEMA.cron_day(:SCHEMA.cron_spec, date) is 'Internal: the first day from since on that a cron spec matches, null where there is none.';
--! EndIncluded schedule/cron_day.sql
--! Included schedule/cron_slot.sql
create function :SCHEMA.cron_slot(spec :SCHEMA.cron_spec, since timestamp)
  returns timestamp
  language plpgsql
  immutable
  parallel safe
as $$
declare
  today constant date := since::date;
  clock integer := date_part('epoch', since - today);
  hour constant integer := clock / 3600;
  minute constant integer := clock / 60 % 60;
  second constant integer := clock % 60;
  hours constant bigint := spec.hours & (-1::bigint << (hour + 1));
  minutes constant bigint := spec.minutes & (-1::bigint << (minute + 1));
  seconds constant bigint := spec.seconds & (-1::bigint << second);
  day date;
begin
  clock := case
    when (spec.hours >> hour) & (spec.minutes >> minute) & 1 = 1 and seconds <> 0 then
      hour * 3600 + minute * 60 + :SCHEMA.low_bit(seconds)
    when (spec.hours >> hour) & 1 = 1 and minutes <> 0 then
      hour * 3600 + :SCHEMA.low_bit(minutes) * 60 + :SCHEMA.low_bit(spec.seconds)
    when hours <> 0 then
      :SCHEMA.low_bit(hours) * 3600 + :SCHEMA.low_bit(spec.minutes) * 60 + :SCHEMA.low_bit(spec.seconds)
  end;
  day := :SCHEMA.cron_day(spec, case when clock is null then today + 1 else today end);
  if day <> today then
    clock := :SCHEMA.low_bit(spec.hours) * 3600 + :SCHEMA.low_bit(spec.minutes) * 60 + :SCHEMA.low_bit(spec.seconds);
  end if;
  return day + make_interval(secs => clock);
end;
$$;

comment on function :SCHEMA.cron_slot(:SCHEMA.cron_spec, timestamp) is 'Internal: the first local time from since on (a whole second) that a cron spec matches, null where there is none.';
--! EndIncluded schedule/cron_slot.sql
--! Included schedule/clock_change.sql
create function :SCHEMA.clock_change(timezone text, since timestamptz, until timestamptz)
  returns timestamptz
  language plpgsql
  immutable
  parallel safe
as $$
declare
  -- A day holds one change at most: in tzdata 2025b no two are closer than 95 hours (Freetown, 1939).
  low timestamptz := since;
  high timestamptz := until;
  middle timestamptz;
  low_local constant timestamp := since at time zone timezone;
begin
  if (until at time zone timezone) - low_local = until - since then
    return null;
  end if;
  while high - low > interval '1 second' loop
    middle := low + make_interval(secs => trunc(date_part('epoch', high - low) / 2));
    if (middle at time zone timezone) - low_local = middle - since then
      low := middle;
    else
      high := middle;
    end if;
  end loop;
  return high;
end;
$$;

comment on function :SCHEMA.clock_change(text, timestamptz, timestamptz) is 'Internal: the instant after since and up to until (whole seconds, a day apart at most) at which the clocks of a zone change, null where they do not.';
--! EndIncluded schedule/clock_change.sql
--! Included schedule/local_instant.sql
create function :SCHEMA.local_instant(clock timestamp, timezone text)
  returns timestamptz
  language plpgsql
  immutable
  parallel safe
as $$
declare
  -- In a gap PostgreSQL goes on with the offset before it, in an overlap it takes the second pass: a change lies in the day before.
  at constant timestamptz := clock at time zone timezone;
  change timestamptz;
  change_from timestamp;
  change_to timestamp;
begin
  if at at time zone timezone = clock and clock - ((at - interval '24 hours') at time zone timezone) = interval '24 hours' then
    return at;
  end if;
  change := :SCHEMA.clock_change(timezone, date_trunc('second', at) - interval '24 hours', date_trunc('second', at));
  change_to := change at time zone timezone;
  change_from := ((change - interval '1 second') at time zone timezone) + interval '1 second';
  return case
    when clock < change_from then change - (change_from - clock)
    when clock >= change_to then change + (clock - change_to)
    when change_to - change_from <= interval '3 hours' then change
  end;
end;
$$;

comment on function :SCHEMA.local_instant(timestamp, text) is 'Internal: the instant of a local time; the first of two, or the first after a gap. Null in a gap of more than 3 hours: a day that a zone left out.';
--! EndIncluded schedule/local_instant.sql
--! Included schedule/cron_parse_number.sql
create function :SCHEMA.cron_parse_number(field text, word text, low integer, high integer)
  returns integer
  language plpgsql
  immutable
  parallel safe
as $$
declare
  number integer := case
    when word ~ '^[0-9]{1,9}$' then word::integer
    when field = 'day of week' then array_position('{sun,mon,tue,wed,thu,fri,sat}', word) - 1
    when field = 'month' then array_position('{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}', word)
  end;
begin
  if number is null and word !~ '^[0-9]' then
    perform :SCHEMA.cron_refuse(field, format('the name "%s" is not known', :SCHEMA.shorten(word)));
  elsif number is null or number not between low and high then
    perform :SCHEMA.cron_refuse(field, format('%s is not within %s to %s', :SCHEMA.shorten(word), low, high));
  end if;
  return number;
end;
$$;

comment on function :SCHEMA.cron_parse_number(text, text, integer, integer) is 'Internal: the number that a word of a cron field stands for, a name (mon, jan) included.';
--! EndIncluded schedule/cron_parse_number.sql
--! Included schedule/cron_parse_field.sql
create function :SCHEMA.cron_parse_field(field text, value text, low integer, high integer)
  returns bigint
  language plpgsql
  immutable
  parallel safe
as $$
declare
  weekday constant boolean := field = 'day of week';
  item text;
  range text;
  every text;
  first integer;
  last integer;
  step integer;
  bits bigint;
  result bigint := 0;
begin
  if value = '?' and field in ('day of month', 'day of week') then
    value := '*';
  end if;

  -- Items are split, not captured: a regular expression with capturing groups takes 40 µs, all of these together two.
  foreach item in array string_to_array(value, ',') loop
    if field = 'day of month' and item in ('l', '$') then
      result := result | 1;
      continue;
    elsif weekday and item ~ '[l#]' then
      if item !~ '^([0-9]+|[a-z]{3})(l|#[1-5])$' then
        perform :SCHEMA.cron_refuse(
          field,
          format('"%s" is neither a last day (5L) nor a first to fifth one (1#2)', :SCHEMA.shorten(item))
        );
      end if;
      first := :SCHEMA.cron_parse_number(field, rtrim(split_part(item, '#', 1), 'l'), low, high) % 7;
      result := result | (1::bigint << (first + 7 * coalesce(nullif(split_part(item, '#', 2), '')::integer, 6)));
      continue;
    elsif item !~ '^([*]|([0-9]+|[a-z]+)(-([0-9]+|[a-z]+))?)(/[0-9]+)?$' then
      perform :SCHEMA.cron_refuse(
        field,
        case when item = '' then 'an element is empty' else format('"%s" cannot be read', :SCHEMA.shorten(item)) end
      );
    end if;

    range := split_part(item, '/', 1);
    every := split_part(item, '/', 2);
    if range = '*' then
      first := low;
      last := high;
    else
      first := :SCHEMA.cron_parse_number(field, split_part(range, '-', 1), low, high);
      last := case
        when range like '%-%' then :SCHEMA.cron_parse_number(field, split_part(range, '-', 2), low, high)
        when every = '' then first
        else high
      end;
      if weekday and range like '%-sun' then
        last := 7;
        first := case when range = 'sun-sun' then 7 else first end;
      end if;
      if first > last then
        perform :SCHEMA.cron_refuse(field, format('the range "%s" runs backwards', :SCHEMA.shorten(item)));
      end if;
    end if;

    step := case when every = '' then 1 when length(every) < 9 then every::integer else 99999999 end;
    if step = 0 then
      perform :SCHEMA.cron_refuse(field, format('the step of "%s" is 0', :SCHEMA.shorten(item)));
    elsif step > high - low + 1 then
      perform :SCHEMA.cron_refuse(
        field,
        format('the step of "%s" is longer than the field, in which steps start anew', :SCHEMA.shorten(item))
      );
    end if;

    -- Each turn doubles the number of bits set: six turns fill any field.
    bits := 1::bigint << first;
    while first + step <= last loop
      bits := bits | (bits << step);
      step := 2 * step;
    end loop;
    bits := bits & ((1::bigint << (last + 1)) - 1);
    result := result | case when weekday then (bits | (bits >> 7)) & 127 else bits end;
  end loop;
  return result;
end;
$$;

comment on function :SCHEMA.cron_parse_field(text, text, integer, integer) is 'Internal: the bitmap of one cron field (lower-case, low and high being its limits).';
--! EndIncluded schedule/cron_parse_field.sql
--! Included schedule/cron_parse_every.sql
create function :SCHEMA.cron_parse_every(period text)
  returns :SCHEMA.cron_spec
  language plpgsql
  immutable
  parallel safe
as $$
declare
  iso text[];
  rest text := period;
  word text;
  number_text text;
  number numeric;
  name text;
  unit interval;
  seconds numeric := 0;
  parsed :SCHEMA.cron_spec;
begin
  -- Every form becomes a row of numbers with units. Not cast to interval: its input function follows IntervalStyle.
  if period ~ '^p[0-9t]' then
    -- ISO 8601: its M means months before the T and minutes after it.
    iso := regexp_match(
      period,
      '^p(?:([0-9]+)y)?(?:([0-9]+)m)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:t(?=.)(?:([0-9.]+)h)?(?:([0-9.]+)m)?(?:([0-9.]+)s)?)?$'
    );
    if iso is not null then
      rest := concat_ws(' ', iso[1] || 'y', iso[2] || 'mon', iso[3] || 'w', iso[4] || 'd', iso[5] || 'h', iso[6] || 'm', iso[7] || 's');
    end if;
  elsif period ~ '^[a-z]+$' then
    rest := '1 ' || period;
  elsif period like '%:%' then
    rest := regexp_replace(period, '([0-9]+):([0-5][0-9])(?::([0-5][0-9](?:[.][0-9]+)?))?$', E'\\1 h \\2 m 0\\3 s');
  end if;

  parsed.kind := 'every';
  parsed.period := interval '0';
  while rest <> '' loop
    word := ltrim(rest, '0123456789.');
    number_text := left(rest, length(rest) - length(word));
    word := ltrim(word, ' ');
    rest := ltrim(word, 'abcdefghijklmnopqrstuvwxyz');
    name := left(word, length(word) - length(rest));
    rest := ltrim(rest, ' ');
    if number_text !~ '^[0-9]{1,9}([.][0-9]{1,6})?$' or name = '' then
      perform :SCHEMA.cron_refuse('interval', format('"%s" cannot be read', :SCHEMA.shorten(period)));
    end if;
    number := number_text::numeric;
    unit := case
      when name ~ '^(ms|msecs?|milliseconds?)$' then interval '1 millisecond'
      when name ~ '^(s|secs?|seconds?)$' then interval '1 second'
      when name ~ '^(m|mins?|minutes?)$' then interval '1 minute'
      when name ~ '^(h|hrs?|hours?)$' then interval '1 hour'
      when name ~ '^(d|days?)$' then interval '1 day'
      when name ~ '^(w|weeks?)$' then interval '7 days'
      when name ~ '^(mons?|months?)$' then interval '1 month'
      when name ~ '^(y|yrs?|years?)$' then interval '1 year'
    end;
    if unit is null then
      perform :SCHEMA.cron_refuse('interval', format('the unit "%s" is not known', :SCHEMA.shorten(name)));
    elsif unit >= interval '1 day' and number <> trunc(number) then
      perform :SCHEMA.cron_refuse('interval', format('%s %s is not a whole number', number, name));
    end if;
    seconds := seconds + number * extract(epoch from unit);
    if seconds > 1000 * extract(epoch from interval '1 year') then
      perform :SCHEMA.cron_refuse('interval', format('"%s" is longer than 1000 years', :SCHEMA.shorten(period)));
    end if;
    parsed.period := parsed.period + number::double precision * unit;
  end loop;

  if parsed.period < interval '1 second' then
    perform :SCHEMA.cron_refuse('interval', format('"%s" is shorter than 1 second', :SCHEMA.shorten(period)));
  end if;
  return parsed;
end;
$$;

comment on function :SCHEMA.cron_parse_every(text) is 'Internal: the parsed form of the interval (lower-case, single spaces) that follows every.';
--! EndIncluded schedule/cron_parse_every.sql
--! Included schedule/cron_parse_once.sql
create function :SCHEMA.cron_parse_once(moment text)
  returns :SCHEMA.cron_spec
  language plpgsql
  immutable
  parallel safe
as $$
declare
  -- Read part by part and not by a cast, which would follow DateStyle and TimeZone: date, hour and minute stand in fixed places.
  year integer;
  month integer;
  day integer;
  hour integer;
  minute integer;
  second numeric;
  rest text := substr(moment, 17);
  ahead text := ltrim(rest, ':.0123456789 ');
  ahead_hours integer;
  ahead_minutes integer;
  local_at timestamp;
  parsed :SCHEMA.cron_spec;
begin
  if moment !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([t ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?( ?(z|utc|[+-][0-9]{2}(:?[0-9]{2})?))?)?$' then
    perform :SCHEMA.cron_refuse('time', format('"%s" cannot be read', :SCHEMA.shorten(moment)));
  end if;
  year := substr(moment, 1, 4)::integer;
  month := substr(moment, 6, 2)::integer;
  day := substr(moment, 9, 2)::integer;
  hour := coalesce(nullif(substr(moment, 12, 2), ''), '0')::integer;
  minute := coalesce(nullif(substr(moment, 15, 2), ''), '0')::integer;
  second := coalesce(nullif(btrim(left(rest, length(rest) - length(ahead)), ': '), ''), '0')::numeric;

  if year < 1 then
    perform :SCHEMA.cron_refuse('time', format('there is no year %s', substr(moment, 1, 4)));
  elsif month not between 1 and 12 then
    perform :SCHEMA.cron_refuse('time', format('month %s is not within 1 to 12', month));
  elsif day not between 1 and (make_date(year, month, 1) + interval '1 month')::date - make_date(year, month, 1) then
    perform :SCHEMA.cron_refuse('time', format('there is no day %s in %s', day, substr(moment, 1, 7)));
  elsif hour > 23 then
    perform :SCHEMA.cron_refuse('time', format('hour %s is not within 0 to 23', hour));
  elsif minute > 59 then
    perform :SCHEMA.cron_refuse('time', format('minute %s is not within 0 to 59', minute));
  elsif second >= 60 then
    perform :SCHEMA.cron_refuse('time', format('second %s is not within 0 to 59', second));
  end if;
  local_at := make_timestamp(year, month, day, hour, minute, second::double precision);

  parsed.kind := 'once';
  if ahead = '' then
    parsed.local_at := local_at;
  elsif ahead in ('z', 'utc') then
    parsed.at := local_at at time zone 'UTC';
  else
    ahead_hours := substr(ahead, 2, 2)::integer;
    ahead_minutes := coalesce(nullif(ltrim(substr(ahead, 4), ':'), ''), '0')::integer;
    if ahead_hours > 15 or ahead_minutes > 59 then
      perform :SCHEMA.cron_refuse('time', format('the offset %s is not within -15:59 to +15:59', ahead));
    end if;
    parsed.at := (local_at - (left(ahead, 1) || '1')::integer * make_interval(hours => ahead_hours, mins => ahead_minutes))
      at time zone 'UTC';
  end if;
  return parsed;
end;
$$;

comment on function :SCHEMA.cron_parse_once(text) is 'Internal: the parsed form of a single time (lower-case, single spaces), with or without an offset from UTC.';
--! EndIncluded schedule/cron_parse_once.sql
--! Included schedule/cron_parse.sql
create function :SCHEMA.cron_parse(spec text)
  returns :SCHEMA.cron_spec
  language plpgsql
  immutable
  strict
  parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  -- "C": lower() and regular expressions must not follow the database's language (Turkish lowers FRI to frı).
  clean text collate "C" := btrim(translate(lower(spec collate "C"), E'\t\n\x0B\f\r', '     '));
  fields text[] collate "C";
  parsed :SCHEMA.cron_spec;
begin
  if clean like '%  %' then
    clean := regexp_replace(clean, ' +', ' ', 'g');
  end if;
  if clean ~ '^@?every ' then
    return :SCHEMA.cron_parse_every(regexp_replace(clean, '^@?every ', ''));
  elsif clean ~ '^at |^[0-9]{4}-' then
    return :SCHEMA.cron_parse_once(regexp_replace(clean, '^at ', ''));
  end if;

  if clean ~ '^@' then
    clean := case clean
      when '@yearly' then '0 0 1 1 *'
      when '@annually' then '0 0 1 1 *'
      when '@monthly' then '0 0 1 * *'
      when '@weekly' then '0 0 * * 0'
      when '@daily' then '0 0 * * *'
      when '@midnight' then '0 0 * * *'
      when '@hourly' then '0 * * * *'
    end;
    if clean is null then
      perform :SCHEMA.cron_refuse('macro', format('"%s" is not known', :SCHEMA.shorten(btrim(spec))));
    end if;
  end if;

  fields := string_to_array(clean, ' ');
  if cardinality(fields) = 5 then
    fields := array_prepend('0', fields);
  elsif cardinality(fields) <> 6 then
    perform :SCHEMA.cron_refuse('spec', format('"%s" has %s fields, not 5 or 6', :SCHEMA.shorten(clean), cardinality(fields)));
  end if;

  parsed.kind := 'cron';
  parsed.seconds := :SCHEMA.cron_parse_field('second', fields[1], 0, 59);
  parsed.minutes := :SCHEMA.cron_parse_field('minute', fields[2], 0, 59);
  parsed.hours := :SCHEMA.cron_parse_field('hour', fields[3], 0, 23);
  parsed.days := :SCHEMA.cron_parse_field('day of month', fields[4], 1, 31);
  parsed.months := :SCHEMA.cron_parse_field('month', fields[5], 1, 12);
  parsed.weekdays := :SCHEMA.cron_parse_field('day of week', fields[6], 0, 7);
  -- Vixie's rule: a field that starts with * is a star, even with a step.
  parsed.either_day := fields[4] !~ '^[*?]' and fields[6] !~ '^[*?]';
  parsed.elapsed := fields[1] ~ '^[*]' or fields[2] ~ '^[*]' or fields[3] ~ '^[*]';

  if fields[4] <> '*' and :SCHEMA.cron_day(parsed, date '2000-01-01') is null then
    perform :SCHEMA.cron_refuse(
      'day of month',
      format(
        'no date matches "%s" with month "%s" and day of week "%s"',
        :SCHEMA.shorten(fields[4]),
        :SCHEMA.shorten(fields[5]),
        :SCHEMA.shorten(fields[6])
      )
    );
  end if;
  return parsed;
end;
$$;

comment on function :SCHEMA.cron_parse(text) is 'Parses a spec: cron with 5 fields, or 6 with seconds first, a macro (@daily), an interval (every 5 seconds) or a single time (at 2026-12-01 10:00). Refuses what is wrong with SQLSTATE 22023, naming the field.';
--! EndIncluded schedule/cron_parse.sql
--! Included schedule/cron_zone_hint.sql
create function :SCHEMA.cron_zone_hint(zone text)
  returns text
  language sql
  stable
  parallel safe
as $$
  -- Nearest: most pairs of letters in common, in proportion to the length.
  with name as (
    select name
    from pg_timezone_names
    where name ~ '^[A-Z][A-Za-z]+/' and name !~ '^Etc/'
  ),
  pair as (
    select name, substr(lower('/' || name || '/'), start, 2) as pair
    from name, generate_series(1, length(name) + 1) as start
  ),
  wanted as (
    select distinct substr(lower('/' || zone || '/'), start, 2) as pair
    from generate_series(1, least(length(zone), 60) + 1) as start
  ),
  nearest as (
    select name
    from pair
    cross join lateral (select pair.pair in (select pair from wanted) as shared) as shared
    group by name
    having count(*) filter (where shared) > 0.2 * (count(*) + length(zone))
    order by count(*) filter (where shared)::numeric / (count(*) + length(zone)) desc, name
    limit 3
  )
  select coalesce('Nearest: ' || string_agg(name, ', ') || '. ', '')
    || 'A time zone is a name as in pg_timezone_names (Europe/Berlin, UTC), not an abbreviation (CET) or an offset (+02:00).'
  from nearest;
$$;

comment on function :SCHEMA.cron_zone_hint(text) is 'Internal: a hint with the three time zones whose names resemble a wrong one most.';
--! EndIncluded schedule/cron_zone_hint.sql
--! Included schedule/cron_zone.sql
create function :SCHEMA.cron_zone(timezone text)
  returns text
  language plpgsql
  immutable
  strict
  parallel unsafe
  set search_path = pg_catalog, pg_temp
as $$
declare
  zone constant text collate "C" := lower(timezone collate "C");
begin
  -- A word that is no name of a file PostgreSQL reads as an abbreviation (CET is then UTC+1 all year, and PostgreSQL 18 asks the
  -- session's own zone first) or, with a digit in it, as a POSIX rule. Looking in pg_timezone_names would take 40 ms.
  if zone = 'utc' then
    return timezone;
  elsif
    (
      split_part(zone, '/', 1) in (
        'africa', 'america', 'antarctica', 'arctic', 'asia', 'atlantic', 'australia', 'brazil', 'canada', 'chile', 'europe', 'indian',
        'mexico', 'pacific', 'us'
      )
      and zone ~ '^[a-z]+/[a-z_/-]+$'
    )
    or zone ~ '^(etc/)?(utc|uct|gmt|gmt[+-]?0|universal|zulu|greenwich)$|^etc/gmt([-]([1-9]|1[0-4])|[+]([1-9]|1[0-2]))$'
    or zone in (
      'cst6cdt', 'cuba', 'egypt', 'eire', 'est5edt', 'gb', 'gb-eire', 'hongkong', 'iceland', 'iran', 'israel', 'jamaica', 'japan',
      'kwajalein', 'libya', 'mst7mdt', 'navajo', 'nz', 'nz-chat', 'poland', 'portugal', 'prc', 'pst8pdt', 'roc', 'rok', 'singapore',
      'turkey', 'w-su'
    )
  then
    begin
      perform timestamp '2001-01-01' at time zone timezone;
      return timezone;
    exception when invalid_parameter_value then
      null;
    end;
  end if;
  raise exception 'time zone: "%" is not known', :SCHEMA.shorten(timezone)
    using errcode = '22023', hint = :SCHEMA.cron_zone_hint(timezone);
end;
$$;

comment on function :SCHEMA.cron_zone(text) is 'Checks the name of a time zone and returns it. Only names are accepted (Europe/Berlin, UTC), no abbreviations (CET), offsets (+02) or POSIX rules. Errors: SQLSTATE 22023, with the nearest names as the hint.';
--! EndIncluded schedule/cron_zone.sql
--! Included schedule/cron_after_fixed.sql
create function :SCHEMA.cron_after_fixed(spec :SCHEMA.cron_spec, after timestamptz, timezone text)
  returns timestamptz
  language plpgsql
  immutable
  parallel safe
as $$
declare
  start constant timestamptz := date_trunc('second', after);
  since timestamp := start at time zone timezone;
  change timestamptz;
  slot timestamp;
  at timestamptz;
begin
  -- A local time that the clocks have already shown belongs to the past, even where they were put back since.
  change := :SCHEMA.clock_change(timezone, start - interval '24 hours', start);
  if change is not null then
    since := greatest(since, (change - interval '1 second') at time zone timezone);
  end if;

  loop
    slot := :SCHEMA.cron_slot(spec, since + interval '1 second');
    at := :SCHEMA.local_instant(slot, timezone);
    exit when slot is null or at is not null;
    -- The slot is on a day that the zone left out: go on where its clocks do.
    at := slot at time zone timezone;
    change := :SCHEMA.clock_change(timezone, at - interval '24 hours', at);
    since := (change at time zone timezone) - interval '1 second';
  end loop;
  return at;
end;
$$;

comment on function :SCHEMA.cron_after_fixed(:SCHEMA.cron_spec, timestamptz, text) is 'Internal: the next instant of a cron spec whose local times each run once.';
--! EndIncluded schedule/cron_after_fixed.sql
--! Included schedule/cron_after_elapsed.sql
create function :SCHEMA.cron_after_elapsed(spec :SCHEMA.cron_spec, after timestamptz, timezone text)
  returns timestamptz
  language plpgsql
  immutable
  parallel safe
as $$
declare
  since timestamptz := date_trunc('second', after) + interval '1 second';
  local_since timestamp;
  slot timestamp;
  ahead interval;
  change timestamptz;
begin
  while since < after + interval '400 years' loop
    local_since := since at time zone timezone;
    slot := :SCHEMA.cron_slot(spec, local_since);
    ahead := least(slot - local_since, interval '24 hours');
    change := :SCHEMA.clock_change(timezone, since, since + ahead);
    if change is not null then
      -- A change hides the slot or brings an earlier local time back: look again from there.
      since := change;
    elsif ahead = slot - local_since then
      return since + ahead;
    else
      since := (slot - interval '24 hours') at time zone timezone;
    end if;
  end loop;
  return null;
end;
$$;

comment on function :SCHEMA.cron_after_elapsed(:SCHEMA.cron_spec, timestamptz, text) is 'Internal: the next instant of a cron spec that follows elapsed time: both passes of an overlap, nothing in a gap.';
--! EndIncluded schedule/cron_after_elapsed.sql
--! Included schedule/cron_after_every.sql
create function :SCHEMA.cron_after_every(period interval, after timestamptz, timezone text, anchor timestamptz)
  returns timestamptz
  language plpgsql
  immutable
  parallel safe
as $$
declare
  months constant integer := date_part('year', period) * 12 + date_part('month', period);
  days constant integer := date_part('day', period);
  rest constant interval := period - make_interval(months => months, days => days);
  seconds constant numeric := extract(epoch from rest);
  local_anchor timestamp;
  count integer;
  at timestamptz;
begin
  if months = 0 and days = 0 then
    -- The remainder counts from the anchor downwards too, so that it is never negative.
    return after + make_interval(secs => seconds - mod(mod(extract(epoch from after - anchor), seconds) + seconds, seconds));
  end if;

  -- Always a multiple from the anchor, never a step from the slot before: 31 January is followed by 28 February and 31 March.
  local_anchor := anchor at time zone timezone;
  count := floor(
    extract(epoch from (after at time zone timezone) - local_anchor) / (seconds + 86400 * (days + 30.436875 * months))
  ) - 1;
  loop
    at := :SCHEMA.local_instant(local_anchor + make_interval(months => count * months, days => count * days), timezone) + count * rest;
    exit when at > after;
    count := count + 1;
  end loop;
  return at;
end;
$$;

comment on function :SCHEMA.cron_after_every(interval, timestamptz, text, timestamptz) is 'Internal: the first multiple of an interval, counted from the anchor, after an instant. Days and months follow the zone''s clock, hours and less elapsed time.';
--! EndIncluded schedule/cron_after_every.sql
--! Included schedule/cron_after.sql
create function :SCHEMA.cron_after(spec :SCHEMA.cron_spec, after timestamptz, timezone text, anchor timestamptz default null)
  returns timestamptz
  language plpgsql
  immutable
  parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  at timestamptz;
begin
  if spec.kind = 'once' then
    at := coalesce(spec.at, :SCHEMA.local_instant(spec.local_at, timezone));
    return case when at > after then at end;
  end if;

  -- Within these bounds no sum below leaves the range of timestamptz.
  after := greatest(after, timestamptz '0001-01-01 00:00:00+00');
  if after >= timestamptz '290000-01-01 00:00:00+00' then
    return null;
  elsif spec.kind = 'every' then
    if anchor is null or not isfinite(anchor) then
      anchor := timestamp '2001-01-01' at time zone timezone;
    end if;
    return :SCHEMA.cron_after_every(spec.period, after, timezone, anchor);
  elsif spec.elapsed then
    return :SCHEMA.cron_after_elapsed(spec, after, timezone);
  else
    return :SCHEMA.cron_after_fixed(spec, after, timezone);
  end if;
end;
$$;

comment on function :SCHEMA.cron_after(:SCHEMA.cron_spec, timestamptz, text, timestamptz) is 'The first time after an instant at which a parsed spec runs, null where none follows. The zone is taken as checked (cron_zone). Interval specs count from the anchor, by default from Monday, 1 January 2001, 00:00 in the zone.';
--! EndIncluded schedule/cron_after.sql
--! Included schedule/cron_next.sql
-- Not parallel safe, because cron_zone catches an error, which PostgreSQL 15 and 16 cannot do in a parallel query. Sets no
-- search_path: the functions that it calls do, and each setting takes a microsecond.
create function :SCHEMA.cron_next(spec text, after timestamptz, timezone text default 'UTC')
  returns timestamptz
  language plpgsql
  immutable
  strict
  parallel unsafe
as $$
begin
  return :SCHEMA.cron_after(:SCHEMA.cron_parse(spec), after, :SCHEMA.cron_zone(timezone));
end;
$$;

comment on function :SCHEMA.cron_next(text, timestamptz, text) is 'The first time after an instant at which a spec runs, in a time zone (a name such as Europe/Berlin): strictly later than after, a function of the arguments alone. Null where no time follows, or an argument is null. Errors: SQLSTATE 22023, with the field that is wrong and a hint.';
--! EndIncluded schedule/cron_next.sql
--! Included schedule/cron_note.sql
create function :SCHEMA.cron_note(spec :SCHEMA.cron_spec, previous timestamptz, at timestamptz, timezone text)
  returns text
  language plpgsql
  stable
  parallel safe
as $$
declare
  moment constant timestamptz := date_trunc('second', at);
  clock constant timestamp := moment at time zone timezone;
  -- What the spec asks for next, leaving the clock changes aside.
  wanted constant timestamp := case
    when spec.kind = 'cron' then :SCHEMA.cron_slot(spec, date_trunc('second', previous at time zone timezone) + interval '1 second')
    when spec.kind = 'once' then spec.local_at
    when date_trunc('day', spec.period) = spec.period then date_trunc('day', clock)
  end;
  change timestamptz;
begin
  if (wanted at time zone timezone) at time zone timezone <> wanted then
    return format(
      'clocks go forward: %s does not exist, %s',
      to_char(wanted, case when wanted::date = clock::date then 'HH24:MI:SS' else 'YYYY-MM-DD HH24:MI:SS' end),
      case
        when not coalesce(spec.elapsed, false) and :SCHEMA.local_instant(wanted, timezone) = at then
          'runs at ' || to_char(clock, 'HH24:MI:SS')
        else 'skipped'
      end
    );
  end if;

  change := :SCHEMA.clock_change(timezone, moment, moment + interval '24 hours');
  if clock >= change at time zone timezone then
    return format('clocks go back: %s comes twice, this is the first', to_char(clock, 'HH24:MI:SS'));
  end if;
  change := :SCHEMA.clock_change(timezone, moment - interval '24 hours', moment);
  if clock <= (change - interval '1 second') at time zone timezone then
    return format('clocks go back: %s comes twice, this is the second', to_char(clock, 'HH24:MI:SS'));
  end if;
  return null;
end;
$$;

comment on function :SCHEMA.cron_note(:SCHEMA.cron_spec, timestamptz, timestamptz, text) is 'What a clock change does to a time of a spec, in words; null for an ordinary one.';
--! EndIncluded schedule/cron_note.sql
--! Included schedule/cron_upcoming.sql
create function :SCHEMA.cron_upcoming(
  spec text,
  count integer default 5,
  after timestamptz default clock_timestamp(),
  timezone text default 'UTC'
)
  returns table (n integer, at timestamptz, local text, utc text, note text)
  language plpgsql
  stable
  strict
  parallel unsafe
  set search_path = pg_catalog, pg_temp
as $$
declare
  parsed constant :SCHEMA.cron_spec := :SCHEMA.cron_parse(spec);
  zone constant text := :SCHEMA.cron_zone(timezone);
  previous timestamptz := greatest(after, timestamptz '0001-01-01 00:00:00+00');
  shown constant text := 'Dy YYYY-MM-DD HH24:MI:SS';
  ahead interval;
begin
  for turn in 1..count loop
    at := :SCHEMA.cron_after(parsed, previous, zone);
    exit when at is null;
    n := turn;
    ahead := (at at time zone zone) - (at at time zone 'UTC');
    local := to_char(at at time zone zone, shown)
      || case when ahead < interval '0' then ' -' else ' +' end
      || to_char(greatest(ahead, -ahead), 'HH24:MI');
    utc := to_char(at at time zone 'UTC', shown) || ' Z';
    note := regexp_replace(:SCHEMA.cron_note(parsed, previous, at, zone), '([0-9]{2}:[0-9]{2}):00', E'\\1', 'g');
    return next;
    previous := at;
  end loop;
end;
$$;

comment on function :SCHEMA.cron_upcoming(text, integer, timestamptz, text) is 'The next times of a spec after an instant, in its time zone and in UTC, with a note where the clocks change: local times that do not exist or come twice. Errors as of cron_next.';
--! EndIncluded schedule/cron_upcoming.sql
--! Included schedule/refuse_unknown_schedule.sql
create function :SCHEMA.refuse_unknown_schedule(name text)
  returns void
  language plpgsql
  stable
as $$
declare
  nearest text := :SCHEMA.nearest_name(name, array(select t.name from :SCHEMA.schedule as t limit 500));
begin
  raise exception using
    errcode = 'undefined_object',
    message = 'schedule "' || coalesce(:SCHEMA.shorten(name), 'null') || '" does not exist',
    hint = coalesce('Did you mean "' || nearest || '"? ', '') || 'The view schedules lists them.';
end;
$$;

comment on function :SCHEMA.refuse_unknown_schedule(text) is 'Raises the error about a schedule that does not exist, with the nearest name that does.';
--! EndIncluded schedule/refuse_unknown_schedule.sql
--! Included schedule/schedule_next.sql
create function :SCHEMA.schedule_next(s :SCHEMA.schedule, after timestamptz, more_runs integer default 0)
  returns timestamptz
  language plpgsql
  immutable
  parallel safe
as $$
declare
  slot timestamptz;
begin
  if s.runs + more_runs >= s.max_runs then
    return null;
  end if;
  -- A slot at the very start counts, and cron_after looks strictly after.
  slot := :SCHEMA.cron_after(
    s.parsed,
    greatest(after, s.starts_at - interval '1 microsecond'),
    s.timezone,
    s.starts_at
  );
  return case when slot > s.ends_at then null else slot end;
end;
$$;

comment on function :SCHEMA.schedule_next(:SCHEMA.schedule, timestamptz, integer) is 'The first slot of a schedule after an instant, within its start, its end and its count with so many more runs; null where none follows.';
--! EndIncluded schedule/schedule_next.sql
--! Included schedule/schedule_latest.sql
-- There is no evaluator that looks backwards. The last slot is bracketed by doubling the distance, then halved in:
-- some thirty evaluations, where walking forward from a schedule of every second would take a day's worth.
create function :SCHEMA.schedule_latest(s :SCHEMA.schedule, since timestamptz, until timestamptz)
  returns timestamptz
  language plpgsql
  immutable
  parallel safe
as $$
declare
  low timestamptz := until;
  distance interval := interval '1 second';
  middle timestamptz;
  latest timestamptz;
  slot timestamptz;
begin
  while latest is null loop
    if low <= since then
      return null;
    end if;
    low := greatest(until - distance, since);
    distance := distance * 2;
    slot := :SCHEMA.schedule_next(s, low);
    if slot <= until then
      latest := slot;
    end if;
  end loop;

  -- From each slot that is found the next one is tried beyond the middle of what is left.
  loop
    slot := :SCHEMA.schedule_next(s, latest);
    exit when slot is null or slot > until;
    latest := slot;
    middle := latest + (until - latest) / 2;
    exit when middle <= latest;
    slot := :SCHEMA.schedule_next(s, middle);
    if slot <= until then
      latest := slot;
    else
      until := middle;
    end if;
  end loop;
  return latest;
end;
$$;

comment on function :SCHEMA.schedule_latest(:SCHEMA.schedule, timestamptz, timestamptz) is 'The last slot of a schedule after the one instant and not after the other; null where there is none.';
--! EndIncluded schedule/schedule_latest.sql
--! Included schedule/schedule_due.sql
create function :SCHEMA.schedule_due(s :SCHEMA.schedule, as_of timestamptz)
  returns timestamptz[]
  language plpgsql
  immutable
  parallel safe
as $$
declare
  -- Late by less than this is not missed: somebody was there, and busy.
  grace constant interval := interval '1 minute';
  slots timestamptz[] := array[]::timestamptz[];
  slot timestamptz := s.next_run_at;
  since timestamptz := s.next_run_at - interval '1 microsecond';
begin
  if slot > as_of - grace and :SCHEMA.schedule_next(s, slot) > as_of is not false then
    return array[slot];
  end if;

  case s.catch_up
    when 'none' then
      since := greatest(since, as_of - grace);
    when 'all' then
      since := greatest(since, as_of - s.catch_up_age);
    else
      null;
  end case;
  slot := :SCHEMA.schedule_latest(s, since, as_of);
  while slot is not null loop
    slots := slot || slots;
    exit when s.catch_up <> 'all'
      or cardinality(slots) >= least(s.catch_up_limit, s.max_runs - s.runs);
    slot := :SCHEMA.schedule_latest(s, since, slot - interval '1 microsecond');
  end loop;
  return slots;
end;
$$;

comment on function :SCHEMA.schedule_due(:SCHEMA.schedule, timestamptz) is 'The slots of a due schedule that are to run now, oldest first, after its catch-up rule.';
--! EndIncluded schedule/schedule_due.sql
--! Included schedule/enqueue_slots.sql
-- For many slots at once: one insert, and so one look at who is to be woken.
create function :SCHEMA.enqueue_slots(schedule_ids integer[], slots timestamptz[], as_of timestamptz)
  returns bigint[]
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  job_ids bigint[];
begin
  job_ids := array(
    select nextval(i.tableoid::regclass)
    from :SCHEMA.job_id as i, generate_series(1, cardinality(schedule_ids))
  );
  insert into :SCHEMA.job (id, task, payload, queue, priority, state, run_at, schedule_id, scheduled_for, expires_at, deadline_at, concurrency_key, lane)
  select
    job_ids[w.n],
    d.name,
    case when s.command is null then s.payload else '{}' end,
    coalesce(s.queue, d.queue),
    coalesce(s.priority, d.priority),
    case when due.at > as_of then 'scheduled' when l.lane is not null then 'blocked' else 'ready' end,
    due.at,
    s.id,
    w.slot_at,
    due.at + d.expires_in,
    due.at + d.deadline,
    l.key,
    case when due.at <= as_of then l.lane end
  from unnest(schedule_ids, slots) with ordinality as w (schedule_id, slot_at, n)
  join :SCHEMA.schedule as s on s.id = w.schedule_id
  cross join lateral :SCHEMA.task_defaults(coalesce(s.task, 'rouse.command'), internal => s.command is not null) as d
  cross join lateral (select greatest(as_of, w.slot_at + s.jitter * random())) as due (at)
  cross join lateral :SCHEMA.line_of(null, d.concurrency_key, s.payload, d.name, coalesce(s.queue, d.queue), d.limited) as l
  order by w.n;
  return job_ids;
end;
$$;

comment on function :SCHEMA.enqueue_slots(integer[], timestamptz[], timestamptz) is 'Adds the jobs of slots, a slot null where it is not one of the schedule''s own times, and returns their ids in that order.';
--! EndIncluded schedule/enqueue_slots.sql
--! Included schedule/fire.sql
-- The caller holds the schedules' rows, so nobody else decides about their slots. That a slot is recorded already can
-- only be where the schedule was edited back onto it; the unique constraint stands behind the look.
--
-- Slots that are caught up queue behind each other, since their rule says that they run; of those that come on
-- time at most one waits.
create function :SCHEMA.fire(schedule_ids integer[], as_of timestamptz)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  decided record;
begin
  with due as materialized (
    select
      s.id,
      s.overlap,
      s.queued_for = '{}' as none_waits,
      s.queued_for <> '{}' or exists (select from :SCHEMA.job as j where j.schedule_id = s.id) as is_held,
      d.slot_at,
      d.n,
      count(*) over (partition by s.id) as slots
    from :SCHEMA.schedule as s
    cross join lateral unnest(:SCHEMA.schedule_due(s, as_of)) with ordinality as d (slot_at, n)
    where s.id = any (schedule_ids)
      and not exists (
        select
        from :SCHEMA.slot as t
        where t.schedule_id = s.id
          and t.slot_at = d.slot_at
          and t.drop_on = :SCHEMA.drop_on(d.slot_at, interval '7 days')
      )
  ),
  outcomes as (
    select
      id,
      slot_at,
      case
        when overlap = 'allow' or n = 1 and not is_held then 'run'
        when slots > 1 or overlap = 'queue' and none_waits then 'queued'
        else 'skipped'
      end as outcome
    from due
    order by slot_at, id
  )
  select
    coalesce(array_agg(id), '{}') as ids,
    coalesce(array_agg(slot_at), '{}') as slots,
    coalesce(array_agg(outcome), '{}') as outcomes,
    coalesce(array_agg(id) filter (where outcome = 'run'), '{}') as run_ids,
    coalesce(array_agg(slot_at) filter (where outcome = 'run'), '{}') as run_slots
  into decided
  from outcomes;

  with run as (
    select r.schedule_id, r.slot_at, r.job_id
    from unnest(
      decided.run_ids,
      decided.run_slots,
      :SCHEMA.enqueue_slots(decided.run_ids, decided.run_slots, as_of)
    ) as r (schedule_id, slot_at, job_id)
  ),
  recorded as (
    insert into :SCHEMA.slot (schedule_id, slot_at, drop_on, outcome, job_id)
    select o.schedule_id, o.slot_at, :SCHEMA.drop_on(o.slot_at, interval '7 days'), o.outcome, r.job_id
    from unnest(decided.ids, decided.slots, decided.outcomes) as o (schedule_id, slot_at, outcome)
    left join run as r using (schedule_id, slot_at)
    returning schedule_id, slot_at, outcome, job_id
  ),
  fired as (
    select
      i.schedule_id,
      count(*) filter (where r.outcome in ('run', 'queued'))::integer as runs,
      max(r.job_id) as last_job_id,
      max(r.slot_at) as last_run_at,
      coalesce(array_agg(r.slot_at order by r.slot_at) filter (where r.outcome = 'queued'), '{}') as queued_for
    from unnest(schedule_ids) as i (schedule_id)
    left join recorded as r using (schedule_id)
    group by i.schedule_id
  )
  update :SCHEMA.schedule as s
  set
    runs = s.runs + f.runs,
    last_job_id = coalesce(f.last_job_id, s.last_job_id),
    last_run_at = greatest(f.last_run_at, s.last_run_at),
    queued_for = s.queued_for || f.queued_for,
    next_run_at = :SCHEMA.schedule_next(s, as_of, f.runs),
    last_error = null
  from fired as f
  where s.id = f.schedule_id;
end;
$$;

comment on function :SCHEMA.fire(integer[], timestamptz) is 'Decides about the slots of schedules that are due (each runs, waits for the job before it or is skipped, after the catch-up and overlap rules), enqueues those that run and sets the next ones.';
--! EndIncluded schedule/fire.sql
--! Included schedule/fire_queued.sql
create function :SCHEMA.fire_queued(schedule_id integer, as_of timestamptz)
  returns bigint
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  s :SCHEMA.schedule;
  new_job_id bigint;
begin
  -- Where somebody else holds the row it is left to the next tick: a finish waits for nobody.
  select t.*
  into s
  from :SCHEMA.schedule as t
  where t.id = fire_queued.schedule_id
    and t.queued_for <> '{}'
    and not exists (
      select
      from :SCHEMA.job as j
      where j.schedule_id = t.id
    )
  for update skip locked;
  if not found then
    return null;
  end if;

  new_job_id := (:SCHEMA.enqueue_slots(array[s.id], s.queued_for[1:1], as_of))[1];
  update :SCHEMA.slot as t
  set
    outcome = 'run',
    job_id = new_job_id
  where t.schedule_id = s.id
    and t.slot_at = s.queued_for[1];
  update :SCHEMA.schedule as t
  set
    queued_for = t.queued_for[2:],
    last_job_id = new_job_id
  where t.id = s.id;
  return new_job_id;
end;
$$;

comment on function :SCHEMA.fire_queued(integer, timestamptz) is 'Runs the first slot that waited for the job before it, once that has ended; returns the id of its job.';
--! EndIncluded schedule/fire_queued.sql
--! Included schedule/tick.sql
-- Whoever is first holds a schedule's row and fires it, everyone else passes it by: no leader, and any number may
-- tick at the same instant. All that are due fire together. Where one of them cannot, they fire one by one, and
-- that one is noted and moves on, so that it stops nobody else.
create function :SCHEMA.tick(as_of timestamptz default clock_timestamp(), most integer default 1000)
  returns timestamptz
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  due integer[];
  one integer;
  problem text;
begin
  due := array(
    select s.id
    from :SCHEMA.schedule as s
    where s.enabled
      and s.next_run_at <= as_of
    order by s.next_run_at, s.id
    limit most
    for update skip locked
  );
  if due <> '{}' then
    begin
      perform :SCHEMA.fire(due, as_of);
    exception
      when data_exception or integrity_constraint_violation or raise_exception then
        foreach one in array due loop
          begin
            perform :SCHEMA.fire(array[one], as_of);
          exception
            when data_exception or integrity_constraint_violation or raise_exception then
              get stacked diagnostics problem = message_text;
              update :SCHEMA.schedule as s
              set
                last_error = problem,
                next_run_at = :SCHEMA.schedule_next(s, as_of)
              where s.id = one;
          end;
        end loop;
    end;
  end if;

  perform :SCHEMA.fire_queued(s.id, as_of)
  from :SCHEMA.schedule as s
  where s.queued_for <> '{}';

  return (
    select s.next_run_at
    from :SCHEMA.schedule as s
    where s.enabled
      and s.next_run_at is not null
    order by s.next_run_at
    limit 1
  );
end;
$$;

comment on function :SCHEMA.tick(timestamptz, integer) is 'Fires the slots that are due and returns when the next one is; null: none. Workers call it at the exact time; any client may, as often as it likes.';
--! EndIncluded schedule/tick.sql
--! Included schedule/tick_if_due.sql
create function :SCHEMA.tick_if_due(as_of timestamptz)
  returns boolean
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select
    from :SCHEMA.schedule as s
    where s.enabled
      and s.next_run_at <= as_of
  ) and not exists (
    select
    from :SCHEMA.schedule as s
    where s.queued_for <> '{}'
  ) then
    return false;
  end if;
  perform :SCHEMA.tick(as_of);
  return true;
end;
$$;

comment on function :SCHEMA.tick_if_due(timestamptz) is 'Ticks where a schedule is due or a slot waits, at the price of two index probes; returns whether it did.';
--! EndIncluded schedule/tick_if_due.sql
--! Included finish/job_ended.sql
-- One trigger with one condition, because the condition of each is tested for every job that ends. Who passes on the slots
-- of all jobs that a statement ends (see pass_on) says so by a setting; it does not speak for what triggers of others delete.
create function :SCHEMA.job_ended()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  if old.lane is not null then
    perform :SCHEMA.leave_lanes(old);
  end if;
  if old.schedule_id is not null then
    perform :SCHEMA.fire_queued(old.schedule_id, clock_timestamp());
  end if;
  return null;
end;
$$;

comment on function :SCHEMA.job_ended() is 'Trigger: tells that a job under limits has gone, whatever ended it, and runs the slot of a schedule that waited for its end.';

create trigger job_ended
  after delete on :SCHEMA.job
  for each row
  when (
    old.schedule_id is not null
    or old.lane is not null and (current_setting('rouse.passes_on', true) is distinct from 'on' or pg_trigger_depth() > 0)
  )
  execute function :SCHEMA.job_ended();

comment on trigger job_ended on :SCHEMA.job is 'Lets in whatever waited for the end of this job: the next one under its limits, the next slot of its schedule.';
--! EndIncluded finish/job_ended.sql
--! Included schedule/schedule_checked.sql
create function :SCHEMA.schedule_checked()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  perform :SCHEMA.check_name('name of a schedule', new.name);
  if new.queue is not null then
    perform :SCHEMA.check_name('queue', new.queue);
  end if;
  perform :SCHEMA.check_priority(new.priority);
  if (new.task is null) = (new.command is null) then
    perform :SCHEMA.refuse(
      format('schedule "%s" has %s', new.name, case when new.task is null then 'neither task nor command' else 'both task and command' end),
      'Give the task that runs, or the SQL command.'
    );
  end if;
  if new.task is not null then
    perform :SCHEMA.check_task(new.task);
  end if;
  if new.catch_up not in ('all', 'latest', 'none') then
    perform :SCHEMA.refuse(
      format('catch_up "%s" of schedule "%s" is not known', new.catch_up, new.name),
      'Missed slots run all, the latest, or none.'
    );
  end if;
  if new.overlap not in ('allow', 'skip', 'queue') then
    perform :SCHEMA.refuse(
      format('overlap "%s" of schedule "%s" is not known', new.overlap, new.name),
      'Where the job before is still live: allow, skip, or queue.'
    );
  end if;

  new.timezone := :SCHEMA.cron_zone(new.timezone);
  new.parsed := :SCHEMA.cron_parse(new.spec);
  if tg_op = 'INSERT' then
    new.stored_by := session_user;
    new.next_run_at := :SCHEMA.schedule_next(new, clock_timestamp());
    return new;
  end if;

  if new.command is distinct from old.command then
    new.stored_by := session_user;
  end if;
  -- A slot that has been decided is not decided again, and one that is due stays due.
  if (new.spec, new.timezone, new.starts_at, new.ends_at, new.max_runs, new.runs, new.enabled)
    is distinct from (old.spec, old.timezone, old.starts_at, old.ends_at, old.max_runs, old.runs, old.enabled)
  then
    new.next_run_at := :SCHEMA.schedule_next(new, greatest(clock_timestamp(), old.last_run_at));
  end if;
  return new;
end;
$$;

comment on function :SCHEMA.schedule_checked() is 'Trigger: refuses a bad schedule, parses its spec and computes its next slot.';

create trigger schedule_checked
  before insert or update of
    name, spec, timezone, task, command, queue, priority, catch_up, overlap, starts_at, ends_at, max_runs, enabled
  on :SCHEMA.schedule
  for each row
  execute function :SCHEMA.schedule_checked();

comment on trigger schedule_checked on :SCHEMA.schedule is 'Refuses a bad schedule, parses its spec and computes its next slot.';
--! EndIncluded schedule/schedule_checked.sql
--! Included schedule/schedule_changed.sql
create function :SCHEMA.schedule_changed()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_notify(:SCHEMA.channel(), json_build_object('due', new.next_run_at)::text);
  return null;
end;
$$;

comment on function :SCHEMA.schedule_changed() is 'Trigger: tells workers that a timer may have to be set anew.';

create trigger schedule_changed
  after insert or update of spec, timezone, starts_at, ends_at, max_runs, enabled
  on :SCHEMA.schedule
  for each row
  when (new.enabled and new.next_run_at is not null)
  execute function :SCHEMA.schedule_changed();

comment on trigger schedule_changed on :SCHEMA.schedule is 'Tells workers that a timer may have to be set anew.';
--! EndIncluded schedule/schedule_changed.sql
--! Included schedule/schedule.sql
create function :SCHEMA.schedule(
  name text,
  spec text,
  task text default null,
  payload jsonb default '{}',
  command text default null,
  autocommit boolean default false,
  timezone text default 'UTC',
  queue text default null,
  priority integer default null,
  catch_up text default 'latest',
  catch_up_limit integer default 100,
  catch_up_age interval default '1 day',
  overlap text default 'skip',
  starts_at timestamptz default null,
  ends_at timestamptz default null,
  max_runs integer default null,
  jitter interval default '0',
  source text default null
)
  returns integer
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  schedule_id integer;
begin
  insert into :SCHEMA.schedule as t (
    name, spec, task, payload, command, autocommit, timezone, queue, priority, catch_up, catch_up_limit,
    catch_up_age, overlap, starts_at, ends_at, max_runs, jitter, source
  )
  values (
    schedule.name, schedule.spec, schedule.task, schedule.payload, schedule.command, schedule.autocommit,
    schedule.timezone, schedule.queue, :SCHEMA.check_priority(schedule.priority), schedule.catch_up,
    schedule.catch_up_limit, schedule.catch_up_age, schedule.overlap, schedule.starts_at, schedule.ends_at,
    schedule.max_runs, schedule.jitter, schedule.source
  )
  on conflict (name) do update
  set
    spec = excluded.spec,
    task = excluded.task,
    payload = excluded.payload,
    command = excluded.command,
    autocommit = excluded.autocommit,
    timezone = excluded.timezone,
    queue = excluded.queue,
    priority = excluded.priority,
    catch_up = excluded.catch_up,
    catch_up_limit = excluded.catch_up_limit,
    catch_up_age = excluded.catch_up_age,
    overlap = excluded.overlap,
    starts_at = excluded.starts_at,
    ends_at = excluded.ends_at,
    max_runs = excluded.max_runs,
    jitter = excluded.jitter,
    source = excluded.source
  -- Declaring the same again writes nothing: twenty workers do so at each deployment.
  where (
      t.spec, t.task, t.payload, t.command, t.autocommit, t.timezone, t.queue, t.priority, t.catch_up,
      t.catch_up_limit, t.catch_up_age, t.overlap, t.starts_at, t.ends_at, t.max_runs, t.jitter, t.source
    ) is distinct from (
      excluded.spec, excluded.task, excluded.payload, excluded.command, excluded.autocommit, excluded.timezone,
      excluded.queue, excluded.priority, excluded.catch_up, excluded.catch_up_limit, excluded.catch_up_age,
      excluded.overlap, excluded.starts_at, excluded.ends_at, excluded.max_runs, excluded.jitter, excluded.source
    )
  returning t.id
  into schedule_id;
  if not found then
    select t.id
    into schedule_id
    from :SCHEMA.schedule as t
    where t.name = schedule.name;
  end if;
  return schedule_id;
end;
$$;

comment on function :SCHEMA.schedule(text, text, text, jsonb, text, boolean, text, text, integer, text, integer, interval, text, timestamptz, timestamptz, integer, interval, text) is
'Makes a schedule, or changes the one of that name, and returns its id. Whether it is paused, and what it has run, stays.
  name        by which it is changed, paused and removed
  spec        cron with 5 fields, or 6 with seconds first; @daily …; every 5 seconds; at 2026-12-01 10:00
  task, payload         the task that runs and its input; or
  command, autocommit   SQL that a worker runs as its own role, outside a transaction where autocommit is true
  timezone    a name such as Europe/Berlin
  queue, priority       of its jobs; left out: as the task says
  catch_up    slots that nobody was there to run: all (the newest catch_up_limit, none older than catch_up_age), latest, none
  overlap     when the job before is still live: allow, skip, queue (one at most)
  starts_at, ends_at, max_runs   when it is over
  jitter      each job is due up to this much after its slot';
--! EndIncluded schedule/schedule.sql
--! Included schedule/unschedule.sql
create function :SCHEMA.unschedule(name text)
  returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  delete from :SCHEMA.schedule as t
  where t.name = unschedule.name;
  return found;
end;
$$;

comment on function :SCHEMA.unschedule(text) is 'Removes a schedule; jobs that it has enqueued stay. Returns whether there was one.';
--! EndIncluded schedule/unschedule.sql
--! Included schedule/run_now.sql
create function :SCHEMA.run_now(name text)
  returns bigint
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  s :SCHEMA.schedule;
begin
  select t.*
  into s
  from :SCHEMA.schedule as t
  where t.name = run_now.name;
  if not found then
    perform :SCHEMA.refuse_unknown_schedule(name);
  end if;
  return (:SCHEMA.enqueue_slots(array[s.id], array[null::timestamptz], clock_timestamp()))[1];
end;
$$;

comment on function :SCHEMA.run_now(text) is 'Enqueues the job of a schedule at once, beside its slots, paused or not, and returns its id.';
--! EndIncluded schedule/run_now.sql
--! Included schedule/enable_schedule.sql
create function :SCHEMA.enable_schedule(name text, enabled boolean)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  update :SCHEMA.schedule as t
  set enabled = enable_schedule.enabled
  where t.name = enable_schedule.name;
  if not found then
    perform :SCHEMA.refuse_unknown_schedule(name);
  end if;
end;
$$;

comment on function :SCHEMA.enable_schedule(text, boolean) is 'Pauses or resumes a schedule.';
--! EndIncluded schedule/enable_schedule.sql
--! Included schedule/command_v1.sql
-- By the job's schedule_id, which enqueue() cannot set: whoever may enqueue must not be able to have SQL run.
create function :SCHEMA.command_v1(job bigint, out name text, out command text, out autocommit boolean, out stored_by text)
  language plpgsql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  select t.name, t.command, t.autocommit, t.stored_by
  into name, command, autocommit, stored_by
  from :SCHEMA.job as j
  join :SCHEMA.schedule as t on t.id = j.schedule_id
  where j.id = command_v1.job;
end;
$$;

comment on function :SCHEMA.command_v1(bigint) is 'Worker protocol: the SQL command that a running job of the task rouse.command is for; nulls where its schedule is gone.';
--! EndIncluded schedule/command_v1.sql
--! Included access/check_commands.sql
-- A worker may run with fewer rights than others, who would run what it stores. Within a definer's function the role
-- that called is told by the setting role, where SET ROLE chose one, and by the session otherwise.
create function :SCHEMA.check_commands(declarations jsonb)
  returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  caller constant name := coalesce(nullif(current_setting('role'), 'none'), session_user);
  refused text;
begin
  if exists (
    select
    from pg_proc as p
    where p.pronamespace = :SCHEMA.installation()
      and p.proname = 'schedule'
      and has_function_privilege(caller, p.oid, 'execute')
  ) then
    return;
  end if;

  select d.name
  into refused
  from jsonb_to_recordset(declarations) as d (name text, command text)
  where d.command is not null
    and not exists (
      select
      from :SCHEMA.schedule as s
      where s.name = d.name
        and s.command = d.command
    )
  limit 1;
  if found then
    raise exception using
      errcode = 'insufficient_privilege',
      message = format('role "%s" may not store the SQL command of schedule "%s"', caller, :SCHEMA.shorten(refused)),
      hint = 'Workers run stored SQL with their own rights, so only the level admin stores it: let an admin call schedule() with this name and command first; declaring it unchanged is then allowed.';
  end if;
end;
$$;

comment on function :SCHEMA.check_commands(jsonb) is 'Refuses declarations of schedules that bring a new SQL command, where the caller has not the level admin.';
--! EndIncluded access/check_commands.sql
--! Included schedule/declare_schedules_v1.sql
create function :SCHEMA.declare_schedules_v1(source text, declarations jsonb)
  returns table (name text, change text)
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  declared record;
  before :SCHEMA.schedule;
  after :SCHEMA.schedule;
  state text;
  problem text;
  advice text;
begin
  -- Two workers that start at once declare one after the other.
  perform pg_advisory_xact_lock(:SCHEMA.installation()::integer, -2);
  perform :SCHEMA.check_commands(declarations);

  for declared in
    select d.*
    from jsonb_to_recordset(declarations) as d (
      name text, spec text, task text, payload jsonb, command text, autocommit boolean, timezone text, queue text,
      priority integer, catch_up text, catch_up_limit integer, catch_up_age interval, overlap text,
      starts_at timestamptz, ends_at timestamptz, max_runs integer, jitter interval
    )
    order by d.name
  loop
    select t.*
    into before
    from :SCHEMA.schedule as t
    where t.name = declared.name;
    begin
      perform :SCHEMA.schedule(
        declared.name,
        declared.spec,
        declared.task,
        coalesce(declared.payload, '{}'),
        declared.command,
        coalesce(declared.autocommit, false),
        coalesce(declared.timezone, 'UTC'),
        declared.queue,
        declared.priority,
        coalesce(declared.catch_up, 'latest'),
        coalesce(declared.catch_up_limit, 100),
        coalesce(declared.catch_up_age, interval '1 day'),
        coalesce(declared.overlap, 'skip'),
        declared.starts_at,
        declared.ends_at,
        declared.max_runs,
        coalesce(declared.jitter, interval '0'),
        -- One that was made by hand is changed, and stays when the code no longer names it.
        case when before.id is null then declare_schedules_v1.source else before.source end
      );
    exception
      -- Of many schedules, which one?
      when data_exception or integrity_constraint_violation then
        get stacked diagnostics
          state = returned_sqlstate,
          problem = message_text,
          advice = pg_exception_hint;
        raise exception using
          errcode = state,
          message = case when starts_with(problem, 'schedule "') then '' else 'schedule "' || declared.name || '": ' end || problem,
          hint = advice;
    end;
    select t.*
    into after
    from :SCHEMA.schedule as t
    where t.name = declared.name;
    name := declared.name;
    change := case when before.id is null then 'added' when after is distinct from before then 'changed' else 'same' end;
    return next;
  end loop;

  for name in
    delete from :SCHEMA.schedule as t
    where t.source = declare_schedules_v1.source
      and not exists (
        select
        from jsonb_to_recordset(declarations) as d (name text)
        where d.name = t.name
      )
    returning t.name
  loop
    change := 'removed';
    return next;
  end loop;
end;
$$;

comment on function :SCHEMA.declare_schedules_v1(text, jsonb) is 'Makes the schedules of a source (an application''s code, a crontab file) exactly those declared, an array of objects with the arguments of schedule() as keys: adds, changes, and removes those that the source declared before and no longer does. Tells for each what changed.';
--! EndIncluded schedule/declare_schedules_v1.sql
--! Included control/pause.sql
create function :SCHEMA.pause(queue text default null, schedule text default null, task text default null, key text default null)
  returns void
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  if num_nonnulls(pause.queue, pause.schedule, pause.task, pause.key) <> 1 then
    perform :SCHEMA.refuse('pause needs one of queue, schedule, task and key', 'For example pause(queue => ''mail'').');
  end if;
  if pause.schedule is not null then
    perform :SCHEMA.enable_schedule(pause.schedule, false);
    return;
  end if;
  if pause.task is not null then
    perform :SCHEMA.pause_limit('task', :SCHEMA.check_name('task', pause.task));
    return;
  end if;
  if pause.key is not null then
    perform :SCHEMA.pause_limit('key', :SCHEMA.check_name('key', pause.key, 400));
    return;
  end if;

  insert into :SCHEMA.queue (name, paused_at, paused_by)
  values (:SCHEMA.check_name('queue', pause.queue), clock_timestamp(), session_user)
  on conflict (name) do update
  set
    paused_at = excluded.paused_at,
    paused_by = excluded.paused_by
  where :SCHEMA.queue.paused_at is null;
  perform :SCHEMA.park_admitted(pause.queue);
end;
$$;

comment on function :SCHEMA.pause(text, text, text, text) is 'From its commit on no worker claims jobs of the queue, of the task, or of the concurrency key, or no slot of the schedule runs; what runs goes on. resume() ends it.';
--! EndIncluded control/pause.sql
--! Included control/resume.sql
create function :SCHEMA.resume(queue text default null, schedule text default null, task text default null, key text default null)
  returns void
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  if num_nonnulls(resume.queue, resume.schedule, resume.task, resume.key) <> 1 then
    perform :SCHEMA.refuse('resume needs one of queue, schedule, task and key', 'For example resume(queue => ''mail'').');
  end if;
  if resume.schedule is not null then
    perform :SCHEMA.enable_schedule(resume.schedule, true);
    return;
  end if;
  if resume.task is not null then
    perform :SCHEMA.resume_limit('task', :SCHEMA.check_name('task', resume.task));
    return;
  end if;
  if resume.key is not null then
    perform :SCHEMA.resume_limit('key', :SCHEMA.check_name('key', resume.key, 400));
    return;
  end if;

  update :SCHEMA.queue
  set
    paused_at = null,
    paused_by = null
  where name = resume.queue
    and paused_at is not null;
  if found then
    insert into :SCHEMA.arrival (lane)
    values ('queue:' || resume.queue);
    perform :SCHEMA.wake_queue(resume.queue);
  end if;
end;
$$;

comment on function :SCHEMA.resume(text, text, text, text) is 'Ends the pause of a queue, a task or a concurrency key, waking workers, or of a schedule: its slots of the meantime were not missed and do not run.';
--! EndIncluded control/resume.sql
--! Included control/cancel.sql
-- The row of a running job is locked, not written, until this commits: an attempt that ends meanwhile is busy and tried
-- again, so none slips past a cancel under way.
create function :SCHEMA.cancel(id bigint)
  returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
declare
  own :SCHEMA.job;
begin
  select j.*
  into own
  from :SCHEMA.job as j
  where j.id = cancel.id
  for no key update;
  if not found then
    return false;
  end if;

  if own.state <> 'running' then
    perform :SCHEMA.end_cancelled(own);
    return true;
  end if;
  insert into :SCHEMA.cancel_request (job_id)
  values (own.id)
  on conflict do nothing;
  perform pg_notify(:SCHEMA.channel(), json_build_object('cancel', own.worker_id)::text);
  return true;
end;
$$;

comment on function :SCHEMA.cancel(bigint) is
'Ends a job as cancelled, at the commit: one that waits at once; one that runs when its handler has ended, whose signal aborts at once, and whatever the handler then does. It is not retried.
Usable over a query: select rouse.cancel(id) from rouse.job where task = ''send_mail''.
Returns false where the job has ended already or is gone.';
--! EndIncluded control/cancel.sql
--! Included control/cancels_v1.sql
create function :SCHEMA.cancels_v1(worker integer)
  returns table (id bigint, lease uuid)
  language plpgsql
  stable
  security definer
  rows 1
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
begin
  -- The limit keeps the table of jobs from being the outer side of a join.
  return query
  select j.id, j.lease
  from :SCHEMA.cancel_request as r
  cross join lateral (
    select o.id, o.lease, o.worker_id
    from :SCHEMA.job as o
    where o.id = r.job_id
    limit 1
  ) as j
  where j.worker_id = cancels_v1.worker;
end;
$$;

comment on function :SCHEMA.cancels_v1(integer) is
'Worker protocol: attempts of a worker whose jobs were cancelled. To be asked after {"cancel": worker} was notified, when a beat says so, and whenever the listener has come back.
Let their handlers clean up, and then end them by complete_v1, fail_v1 or release_v1: all of these end the job cancelled.';
--! EndIncluded control/cancels_v1.sql
--! Included control/note_v1.sql
-- The lock is one that claims and cancels go along with. A purge waits for it, and so removes what is noted here; where a
-- purge or an end was first, nothing is noted. What comes with the end is noted if the end takes place, so it takes the lock
-- of the end: an end that is busy comes again, with its note.
create function :SCHEMA.note_v1(
  notes jsonb,
  ending boolean default false,
  wait boolean default false,
  out noted integer,
  out busy bigint[]
)
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
declare
  longest constant integer := 10000;
  a_payload constant integer := 300;
  note record;
  own record;
  keep interval;
  moved bigint[] := array[]::bigint[];
begin
  noted := 0;
  busy := array[]::bigint[];
  for note in
    select n.id, n.lease, n.progress, n.message, n.log
    from jsonb_to_recordset(notes) as n (id bigint, lease uuid, progress real, message text, log jsonb)
    order by n.id
  loop
    if ending then
      own := :SCHEMA.own_job(note.id, note.lease, wait);
    else
      select j.id, j.task, j.attempt
      into own
      from :SCHEMA.job as j
      where j.id = note.id
        and j.lease = note.lease
      for key share skip locked;
    end if;
    if own.id is null then
      if :SCHEMA.not_own(note.id, note.lease) = 'busy' then
        busy := busy || note.id;
      end if;
      continue;
    end if;
    noted := noted + 1;
    keep := (:SCHEMA.task_policy(own.task)).keep_failed;
    if note.progress is not null then
      moved := moved || note.id;
      insert into :SCHEMA.progress as p (job_id, lease, progress, message)
      values (note.id, note.lease, note.progress, left(note.message, longest))
      on conflict (job_id) do update
      set
        lease = excluded.lease,
        reported_at = excluded.reported_at,
        progress = excluded.progress,
        message = excluded.message;
    end if;
    insert into :SCHEMA.job_log (job_id, logged_at, drop_on, attempt, level, message, fields)
    select
      note.id, l.at, :SCHEMA.drop_on(clock_timestamp(), keep), own.attempt, l.level, left(l.message, longest), l.fields
    from jsonb_to_recordset(coalesce(note.log, '[]')) as l (at timestamptz, level text, message text, fields jsonb)
    where keep > interval '0';
  end loop;

  -- So many ids fit into the payload of a notification.
  perform pg_notify(:SCHEMA.channel(), json_build_object('progress', json_agg(m.id order by m.n))::text)
  from unnest(moved) with ordinality as m (id, n)
  group by (m.n - 1) / a_payload;
end;
$$;

comment on function :SCHEMA.note_v1(jsonb, boolean, boolean) is
'Worker protocol: progress and log of running attempts, at most once a second, and when they end at the latest: what comes after is refused. An array of
  {"id", "lease", "progress": 0 to 1, "message": text, "log": [{"at", "level", "message", "fields"}]}
of which id and lease must be there.
  ending   true: the attempts end in this transaction; false: they go on
  wait     where they end: true: wait for rows that another transaction holds; false: these are busy, as their ends are
Notifies {"progress": [id, …]}. Returns how many of the attempts were their jobs'' own, and of which jobs another transaction holds the rows: nothing is noted of these, try again.';
--! EndIncluded control/note_v1.sql
--! Included control/reschedule.sql
-- Every column is set, if only to what it was: the triggers of the due time file the job and wake workers.
create function :SCHEMA.reschedule(
  id bigint,
  run_at timestamptz default null,
  delay interval default null,
  queue text default null,
  priority integer default null
)
  returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
declare
  due timestamptz;
begin
  if num_nonnulls(reschedule.run_at, reschedule.delay, reschedule.queue, reschedule.priority) = 0 then
    perform :SCHEMA.refuse(
      'reschedule changes nothing',
      'Give run_at or delay, queue, or priority, for example reschedule(4711, delay => ''5 minutes'').'
    );
  end if;
  if num_nonnulls(reschedule.run_at, reschedule.delay) > 0 then
    due := :SCHEMA.due_at(reschedule.run_at, reschedule.delay, null, clock_timestamp());
  end if;
  perform :SCHEMA.check_priority(reschedule.priority);
  if reschedule.queue is not null then
    perform :SCHEMA.check_name('queue', reschedule.queue);
  end if;

  update :SCHEMA.job as j
  set
    run_at = coalesce(due, j.run_at),
    queue = coalesce(reschedule.queue, j.queue),
    priority = coalesce(reschedule.priority, j.priority)
  where j.id = reschedule.id
    and j.state <> 'running';
  return found;
end;
$$;

comment on function :SCHEMA.reschedule(bigint, timestamptz, interval, text, integer) is
'Gives a job that waits another due time, queue or priority; what is left out stays.
  run_at     an instant; or
  delay      a time from now
  queue      where it waits
  priority   -100 to 100; a higher number runs first
Usable over a query: select rouse.reschedule(id, priority => 50) from rouse.job where queue = ''mail''.
Returns false where the job runs, has ended or is gone.';
--! EndIncluded control/reschedule.sql
--! Included control/retry.sql
create function :SCHEMA.retry(id bigint)
  returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
declare
  old :SCHEMA.archive;
begin
  -- A job that waits for its next attempt is due now.
  update :SCHEMA.job
  set run_at = clock_timestamp()
  where id = retry.id
    and state = 'scheduled'
    and attempt > 0;
  if found then
    return true;
  end if;

  select *
  into old
  from :SCHEMA.archive
  where id = retry.id
    and state <> 'succeeded'
  for update;
  if not found then
    return false;
  end if;

  insert into :SCHEMA.job (
    id, created_at, priority, max_attempts, task, queue, payload, unique_key, unique_scope, coalesce_key,
    concurrency_key, timeout, scheduled_for, tags, headers
  )
  values (
    old.id, old.created_at, old.priority, old.max_attempts, old.task, old.queue, old.payload, old.unique_key, old.unique_scope,
    old.coalesce_key, old.concurrency_key, old.timeout, old.scheduled_for, old.tags, old.headers
  )
  on conflict do nothing;
  if not found then
    return false;
  end if;

  delete from :SCHEMA.archive
  where id = retry.id;
  return true;
end;
$$;

comment on function :SCHEMA.retry(bigint) is
'Runs a failed, cancelled or expired job again, with all its attempts; makes a job that waits for its next attempt due now.
Usable over a query: select rouse.retry(id) from rouse.failures where task = ''send_mail''.
Returns false where there is nothing to retry: the job runs, is ready, has not run yet, succeeded or is gone, or another live job holds its key.';
--! EndIncluded control/retry.sql
--! Included control/result.sql
-- One statement: a job that is retried or ends meanwhile is in one of the two tables for any snapshot.
create function :SCHEMA.result(
  id bigint,
  out state text,
  out result jsonb,
  out error text,
  out attempt integer,
  out errors jsonb,
  out finished_at timestamptz
)
  language plpgsql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
begin
  select f.state, f.result, f.attempt, f.finished_at
  into state, result, attempt, finished_at
  from (
    select j.state, null::jsonb as result, j.attempt, null::timestamptz as finished_at
    from :SCHEMA.job as j
    where j.id = result.id
    union all
    select a.state, a.result, a.attempt, a.finished_at
    from :SCHEMA.archive as a
    where a.id = result.id
  ) as f;

  if attempt > 0 then
    select
      jsonb_agg(
        jsonb_build_object('attempt', e.attempt, 'failed_at', e.failed_at, 'message', e.message) || coalesce(e.detail, '{}')
        order by e.attempt, e.failed_at
      )
    into errors
    from :SCHEMA.attempt_error as e
    where e.job_id = result.id;
  end if;
  if state is distinct from 'succeeded' then
    error := errors -> -1 ->> 'message';
  end if;
end;
$$;

comment on function :SCHEMA.result(bigint) is
'What became of a job, or is becoming of it; all null where there is no such job (any more).
  state         its state now: succeeded, failed, cancelled, expired, or one of a live job
  result        what the task returned; of a cancelled job by whom
  error         why the last attempt failed, unless the job succeeded
  attempt       attempts started
  errors        all failed attempts in their order, as an array of {"attempt", "failed_at", "message", …}
  finished_at   when it ended';
--! EndIncluded control/result.sql
--! Included control/await_v1.sql
-- An end that commits while this call is under way may neither be seen by it nor see that it is awaited: who waits asks
-- again soon after the first time.
create function :SCHEMA.await_v1(ids bigint[])
  returns table (id bigint, state text, result jsonb, error text, attempt integer, errors jsonb, finished_at timestamptz)
  language plpgsql
  volatile
  security definer
  rows 10
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
begin
  insert into :SCHEMA.awaited (job_id, until)
  select distinct g.id, clock_timestamp() + interval '1 minute'
  from unnest(ids) as g (id)
  where (select j.id from :SCHEMA.job as j where j.id = g.id) is not null
  order by g.id
  on conflict (job_id) do update
  set until = excluded.until;

  return query
  select g.id, r.*
  from unnest(ids) as g (id)
  cross join lateral :SCHEMA.result(g.id) as r
  where r.state is null
     or r.state in ('succeeded', 'failed', 'cancelled', 'expired');
end;
$$;

comment on function :SCHEMA.await_v1(bigint[]) is
'For who waits for jobs: of those that have ended, or are gone (state null), what result() says; of the others each end is notified as {"ended": id}, for a minute.
Listen first, then call it, once more a moment later, and then every few seconds while anything is awaited.';
--! EndIncluded control/await_v1.sql
--! Included control/purge.sql
-- The archive is looked at twice: retry() moves a job out of it and an attempt that ends moves one into it. Either
-- may be under way in a transaction for which these deletes wait.
create function :SCHEMA.purge(id bigint)
  returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
declare
  purged boolean;
begin
  delete from :SCHEMA.archive
  where id = purge.id;
  purged := found;
  delete from :SCHEMA.job
  where id = purge.id;
  purged := purged or found;
  delete from :SCHEMA.archive
  where id = purge.id;
  purged := purged or found;
  perform :SCHEMA.tell_ended(array[purge.id]);
  delete from :SCHEMA.awaited
  where job_id = purge.id;
  delete from :SCHEMA.cancel_request
  where job_id = purge.id;
  delete from :SCHEMA.progress
  where job_id = purge.id;
  delete from :SCHEMA.job_log
  where job_id = purge.id;
  delete from :SCHEMA.unique_window
  where job_id = purge.id;
  delete from :SCHEMA.attempt_error
  where job_id = purge.id;
  perform :SCHEMA.purge(d.letter_id)
  from :SCHEMA.dead_letter as d
  where d.job_id = purge.id;
  delete from :SCHEMA.dead_letter
  where job_id = purge.id;
  return purged;
end;
$$;

comment on function :SCHEMA.purge(bigint) is 'Removes every trace of a job: live or finished, payload, result, errors, progress and log. Of dead letters that tell of it, too. A running attempt goes on and its end is refused as stale. Returns whether there was such a job.';
--! EndIncluded control/purge.sql
--! Included watch/job_draft.sql
create type :SCHEMA.job_draft as (
  payload jsonb,
  queue text,
  priority smallint,
  delay interval,
  unique_key text,
  coalesce_key text,
  concurrency_key text
);

comment on type :SCHEMA.job_draft is 'What a changed row or a message says of its jobs, before it is known which tasks get one. Null: as the task says.';
comment on column :SCHEMA.job_draft.payload is 'Input of the task.';
comment on column :SCHEMA.job_draft.queue is 'Queue to wait in.';
comment on column :SCHEMA.job_draft.priority is 'A higher number runs first.';
comment on column :SCHEMA.job_draft.delay is 'Time until it is due.';
comment on column :SCHEMA.job_draft.unique_key is 'Key of which the task has one live job at most.';
comment on column :SCHEMA.job_draft.coalesce_key is 'Key of which the task has one waiting job at most.';
comment on column :SCHEMA.job_draft.concurrency_key is 'Key of which one job runs at a time, or as many as its limit says.';
--! EndIncluded watch/job_draft.sql
--! Included watch/targets.sql
create function :SCHEMA.targets(tasks text[], topic text, headers jsonb)
  returns table (task text, queue text, priority smallint, delay interval, headers jsonb, expires_in interval, deadline interval, concurrency_key text, limited text[])
  language sql
  stable
  rows 1
begin atomic
  select distinct on (d.name)
    d.name,
    d.queue,
    d.priority,
    d.delay,
    case
      when a.topic is null then targets.headers
      else jsonb_build_object('topic', a.topic) || coalesce(targets.headers, '{}')
    end,
    d.expires_in,
    d.deadline,
    d.concurrency_key,
    d.limited
  from (
    select t.name, null::text as topic
    from unnest(tasks) as t (name)
    union all
    select s.task, s.topic
    from :SCHEMA.subscription as s
    where s.topic = targets.topic
  ) as a
  cross join lateral :SCHEMA.task_defaults(a.name, tell => false) as d
  order by d.name, a.topic nulls first;
end;

comment on function :SCHEMA.targets(text[], text, jsonb) is 'The tasks that get a job: those named, and those subscribed to the topic; each once, with its defaults and the headers of its jobs.';
--! EndIncluded watch/targets.sql
--! Included watch/all_drafts.sql
create function :SCHEMA.all_drafts(drafts :SCHEMA.job_draft[], more refcursor, most integer default null)
  returns setof :SCHEMA.job_draft
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  draft :SCHEMA.job_draft;
begin
  return query
  select *
  from unnest(drafts);

  while more is not null and coalesce(most, 1) > 0 loop
    fetch more into draft;
    exit when not found;
    return next draft;
    most := most - 1;
  end loop;
end;
$$;

comment on function :SCHEMA.all_drafts(:SCHEMA.job_draft[], refcursor, integer) is 'These drafts, and up to that many that an open cursor still has; null: all of them.';
--! EndIncluded watch/all_drafts.sql
--! Included watch/tell_listeners.sql
create function :SCHEMA.tell_listeners(topic text, payloads jsonb[])
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  message_id bigint := (select nextval(s.tableoid::regclass) from :SCHEMA.broadcast_id as s);
begin
  insert into :SCHEMA.broadcast (id, n, topic, payload)
  select message_id, p.n, tell_listeners.topic, p.payload
  from unnest(payloads) with ordinality as p (payload, n);
  perform pg_notify(:SCHEMA.channel(), json_build_object('topic', topic, 'id', message_id)::text);
end;
$$;

comment on function :SCHEMA.tell_listeners(text, jsonb[]) is 'Live broadcast: puts messages where listening processes fetch them, and notifies these at the commit.';
--! EndIncluded watch/tell_listeners.sql
--! Included watch/insert_drafts.sql
-- Drafts with keys come in the order of their keys, so that two transactions that share some wait for each other, and
-- never in a circle.
create function :SCHEMA.insert_drafts(
  drafts :SCHEMA.job_draft[],
  more refcursor,
  tasks text[],
  topic text,
  headers jsonb,
  key text
)
  returns bigint
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  as_of timestamptz := clock_timestamp();
  added bigint := 0;
  waiting record;
begin
  if key = 'coalesce_key' then
    -- A job that was there gets the new payload and keeps its place. No insert wakes a worker for it, and one may
    -- have passed it by while this transaction held it.
    for waiting in
      with merged as (
        insert into :SCHEMA.job (task, payload, queue, priority, state, run_at, created_at, coalesce_key, headers, expires_at, deadline_at, concurrency_key, lane)
        select
          t.task,
          d.payload,
          coalesce(d.queue, t.queue),
          coalesce(d.priority, t.priority),
          case when coalesce(d.delay, t.delay) > interval '0' then 'scheduled' when l.lane is not null then 'blocked' else 'ready' end,
          as_of + coalesce(d.delay, t.delay),
          as_of,
          d.coalesce_key,
          t.headers,
          as_of + coalesce(d.delay, t.delay) + t.expires_in,
          as_of + coalesce(d.delay, t.delay) + t.deadline,
          l.key,
          case when coalesce(d.delay, t.delay) <= interval '0' then l.lane end
        from :SCHEMA.all_drafts(drafts, more) as d
        cross join :SCHEMA.targets(tasks, topic, insert_drafts.headers) as t
        cross join lateral :SCHEMA.line_of(d.concurrency_key, t.concurrency_key, d.payload, t.task, coalesce(d.queue, t.queue), t.limited) as l
        on conflict (task, coalesce_key) where coalesce_key is not null and state <> 'running'
        do update
        set
          payload = excluded.payload,
          headers = excluded.headers
        returning queue, state, lane
      )
      select queue, count(*) as jobs, bool_or(state = 'ready' or lane is not null) as ready
      from merged
      group by queue
    loop
      added := added + waiting.jobs;
      if waiting.ready then
        perform :SCHEMA.wake_queue(waiting.queue);
      end if;
    end loop;
    return added;
  end if;

  if key = 'unique_key' then
    insert into :SCHEMA.job (task, payload, queue, priority, state, run_at, created_at, unique_key, headers, expires_at, deadline_at, concurrency_key, lane)
    select
      t.task,
      d.payload,
      coalesce(d.queue, t.queue),
      coalesce(d.priority, t.priority),
      case when coalesce(d.delay, t.delay) > interval '0' then 'scheduled' when l.lane is not null then 'blocked' else 'ready' end,
      as_of + coalesce(d.delay, t.delay),
      as_of,
      d.unique_key,
      t.headers,
      as_of + coalesce(d.delay, t.delay) + t.expires_in,
      as_of + coalesce(d.delay, t.delay) + t.deadline,
      l.key,
      case when coalesce(d.delay, t.delay) <= interval '0' then l.lane end
    from :SCHEMA.all_drafts(drafts, more) as d
    cross join :SCHEMA.targets(tasks, topic, insert_drafts.headers) as t
    cross join lateral :SCHEMA.line_of(d.concurrency_key, t.concurrency_key, d.payload, t.task, coalesce(d.queue, t.queue), t.limited) as l
    on conflict (task, unique_key) where unique_key is not null and unique_scope is null
    do nothing;
  else
    insert into :SCHEMA.job (task, payload, queue, priority, state, run_at, created_at, headers, expires_at, deadline_at, concurrency_key, lane)
    select
      t.task,
      d.payload,
      coalesce(d.queue, t.queue),
      coalesce(d.priority, t.priority),
      case when coalesce(d.delay, t.delay) > interval '0' then 'scheduled' when l.lane is not null then 'blocked' else 'ready' end,
      as_of + coalesce(d.delay, t.delay),
      as_of,
      t.headers,
      as_of + coalesce(d.delay, t.delay) + t.expires_in,
      as_of + coalesce(d.delay, t.delay) + t.deadline,
      l.key,
      case when coalesce(d.delay, t.delay) <= interval '0' then l.lane end
    from :SCHEMA.all_drafts(drafts, more) as d
    cross join :SCHEMA.targets(tasks, topic, insert_drafts.headers) as t
    cross join lateral :SCHEMA.line_of(d.concurrency_key, t.concurrency_key, d.payload, t.task, coalesce(d.queue, t.queue), t.limited) as l;
  end if;
  get diagnostics added = row_count;
  return added;
end;
$$;

comment on function :SCHEMA.insert_drafts(:SCHEMA.job_draft[], refcursor, text[], text, jsonb, text) is 'Makes the jobs of drafts, those given and those that a cursor still has, in one statement; returns how many. key: unique_key, coalesce_key or null, what kind of key the drafts have.';
--! EndIncluded watch/insert_drafts.sql
--! Included watch/enqueue_drafts.sql
-- One statement for all drafts, however many. Where listeners of a topic are told too it is a thousand at a time,
-- because each draft is then used twice, and all of them may be too many to hold.
--
-- The trigger functions that watch() made call it, so its signature stays: a new one would be a new function.
create function :SCHEMA.enqueue_drafts(
  drafts :SCHEMA.job_draft[],
  more refcursor,
  tasks text[],
  topic text,
  headers jsonb,
  key text default null
)
  returns bigint
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  part :SCHEMA.job_draft[];
  added bigint := 0;
begin
  if topic is null then
    return :SCHEMA.insert_drafts(drafts, more, tasks, null, headers, key);
  end if;

  part := array(select d from :SCHEMA.all_drafts(drafts, more, 1000 - cardinality(drafts)) as d);
  while cardinality(part) > 0 loop
    perform :SCHEMA.tell_listeners(topic, array(select d.payload from unnest(part) as d));
    added := added + :SCHEMA.insert_drafts(part, null, tasks, topic, headers, key);
    part := array(select d from :SCHEMA.all_drafts('{}', more, 1000) as d);
  end loop;
  return added;
end;
$$;

comment on function :SCHEMA.enqueue_drafts(:SCHEMA.job_draft[], refcursor, text[], text, jsonb, text) is 'What a changed row or a message leads to: jobs for the tasks named and for those subscribed to the topic, and its live broadcast. Returns the number of jobs.';
--! EndIncluded watch/enqueue_drafts.sql
--! Included watch/publish.sql
create function :SCHEMA.publish(topic text, payload jsonb default '{}', headers jsonb default null)
  returns bigint
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  message :SCHEMA.job_draft;
begin
  perform :SCHEMA.check_name('topic', topic);
  perform :SCHEMA.check_headers(headers);
  perform :SCHEMA.check_payload(publish.payload, s.payload_limit)
  from :SCHEMA.setting as s;
  message.payload := coalesce(publish.payload, '{}');
  return :SCHEMA.enqueue_drafts(array[message], null, '{}', topic, headers);
end;
$$;

comment on function :SCHEMA.publish(text, jsonb, jsonb) is
'Publishes a message: a job for each task subscribed to the topic, and a live broadcast to every process that listens now. Both only after the commit.
  topic     any name; it needs no declaration
  payload   the message, any JSON value, at most payload_limit bytes (table setting)
  headers   context that travels with the jobs, a JSON object; they also get {"topic": name}
Returns how many jobs there are. A topic that nobody has subscribed to gives 0 and is no error.';
--! EndIncluded watch/publish.sql
--! Included watch/subscribe.sql
create function :SCHEMA.subscribe(topic text, task text)
  returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  perform :SCHEMA.check_name('topic', topic);
  perform :SCHEMA.task_defaults(task);
  insert into :SCHEMA.subscription (topic, task)
  values (subscribe.topic, subscribe.task)
  on conflict do nothing;
  if found then
    return true;
  end if;

  -- Asked for by hand, it stays when the code no longer asks for it.
  update :SCHEMA.subscription as s
  set declared = false
  where s.topic = subscribe.topic
    and s.task = subscribe.task
    and s.declared;
  return false;
end;
$$;

comment on function :SCHEMA.subscribe(text, text) is
'From its commit on the task gets a job for whatever is published to the topic. Returns false where it was subscribed already.
Code subscribes with defineTask({ topics: […] }); processes that want to hear a topic live listen instead.';
--! EndIncluded watch/subscribe.sql
--! Included watch/unsubscribe.sql
create function :SCHEMA.unsubscribe(topic text, task text)
  returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  delete from :SCHEMA.subscription as s
  where s.topic = unsubscribe.topic
    and s.task = unsubscribe.task;
  return found;
end;
$$;

comment on function :SCHEMA.unsubscribe(text, text) is 'Ends a subscription; jobs that exist stay. Returns false where there was none. One that code declares comes back when a worker with that code starts.';
--! EndIncluded watch/unsubscribe.sql
--! Included watch/declare_topics_v1.sql
create function :SCHEMA.declare_topics_v1(declarations jsonb)
  returns integer
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  added integer;
  removed integer;
begin
  insert into :SCHEMA.subscription (topic, task, declared)
  select distinct
    :SCHEMA.check_name('topic', t.topic), :SCHEMA.check_task(d.key), true
  from jsonb_each(declarations) as d
  cross join lateral jsonb_array_elements_text(d.value) as t (topic)
  order by 1, 2
  on conflict do nothing;
  get diagnostics added = row_count;

  delete from :SCHEMA.subscription as s
  where s.declared
    and declarations ? s.task
    and not declarations -> s.task ? s.topic;
  get diagnostics removed = row_count;
  return added + removed;
end;
$$;

comment on function :SCHEMA.declare_topics_v1(jsonb) is 'Worker protocol: the topics that the code of tasks names, an object such as {"send_mail": ["user.created"], "bill": []}. Subscriptions declared earlier and no longer named are removed, for the tasks in the object; those made with subscribe() stay. Returns how many changed.';
--! EndIncluded watch/declare_topics_v1.sql
--! Included watch/broadcasts_v1.sql
create function :SCHEMA.broadcasts_v1(ids bigint[])
  returns table (id bigint, topic text, payload jsonb, published_at timestamptz)
  language sql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
begin atomic
  select b.id, b.topic, b.payload, b.published_at
  from :SCHEMA.broadcast as b
  where b.id = any (ids)
  order by b.id, b.n;
end;

comment on function :SCHEMA.broadcasts_v1(bigint[]) is 'Listener protocol: the live messages that notifications named as {"topic": name, "id": number}, several for an id where one statement published several. They are kept for at least ten minutes.';
--! EndIncluded watch/broadcasts_v1.sql
--! Included watch/broadcast_mark_v1.sql
create function :SCHEMA.broadcast_mark_v1()
  returns bigint
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  mark bigint;
begin
  insert into :SCHEMA.broadcast_mark (snapshot)
  values (pg_current_snapshot())
  returning id
  into mark;
  perform pg_notify(:SCHEMA.channel(), json_build_object('mark', mark)::text);
  return mark;
end;
$$;

comment on function :SCHEMA.broadcast_mark_v1() is 'Listener protocol: marks a place in the stream of live messages and notifies {"mark": number}. Who has heard of a mark has heard of all that was committed before it; broadcasts_since_v1() gives the rest. A call is a transaction of its own. Each process that listens calls it when it has heard of no mark for 30 seconds, and if it then hears of none its connection is dead.';
--! EndIncluded watch/broadcast_mark_v1.sql
--! Included watch/broadcasts_since_v1.sql
create function :SCHEMA.broadcasts_since_v1(topics text[], mark bigint)
  returns table (id bigint, topic text, payload jsonb, published_at timestamptz)
  language plpgsql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  seen pg_snapshot;
begin
  -- A minute less than messages are kept for, so that none is removed meanwhile.
  select m.snapshot
  into seen
  from :SCHEMA.broadcast_mark as m
  where m.id = mark
    and m.made_at > clock_timestamp() - interval '9 minutes';
  if not found then
    raise exception using
      errcode = 'object_not_in_prerequisite_state',
      message = format('what was published since mark %s may be gone', coalesce(mark::text, 'null')),
      hint = 'Messages are kept for ten minutes, and lost where the server crashes or fails over. Make a new mark and take the state of things from where it is kept.';
  end if;
  return query
  select b.id, b.topic, b.payload, b.published_at
  from :SCHEMA.broadcast as b
  where b.topic = any (topics)
    and not pg_visible_in_snapshot(b.xact, seen)
  order by b.id, b.n;
end;
$$;

comment on function :SCHEMA.broadcasts_since_v1(text[], bigint) is 'Listener protocol: the live messages of these topics that were committed after a mark, for who has lost its connection since; an error (55000) where some may be gone.';
--! EndIncluded watch/broadcasts_since_v1.sql
--! Included watch/is_row_expression.sql
create function :SCHEMA.is_row_expression(value text)
  returns boolean
  language sql
  immutable
  parallel safe
return value ~* '\m(new|old)"?\s*[.,)]|\mtg_op\M';

comment on function :SCHEMA.is_row_expression(text) is 'Whether an argument of watch() is SQL over the row: it reads new, old or tg_op. Otherwise it is a fixed value.';
--! EndIncluded watch/is_row_expression.sql
--! Included watch/check_watch_expression.sql
-- The expression is planned, not run, over rows of the table's type that hold nothing: no right on the table is needed,
-- and no function of the user's is called. Standing in WHERE it can hold neither aggregates nor sets.
create function :SCHEMA.check_watch_expression(relation regclass, argument text, expression text, type text)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  plan refcursor;
  message text;
  hint text;
begin
  open plan for execute format(
    'explain select
     from (select (r.r).* from (select null::%1$s as r offset 0) as r) as new
     cross join (select (r.r).* from (select null::%1$s as r offset 0) as r) as old
     cross join (select null::text as tg_op offset 0) as tg
     where %2$s',
    relation,
    case type
      when 'boolean' then format(E'(\n%s\n)', expression)
      when 'jsonb' then format(E'to_jsonb((\n%s\n)) is not null', expression)
      else format(E'(\n%s\n)::%s is not null', expression, type)
    end
  );
  close plan;
exception
  when syntax_error_or_access_rule_violation or data_exception or feature_not_supported
    or cardinality_violation or raise_exception then
    get stacked diagnostics
      message = message_text,
      hint = pg_exception_hint;
    raise exception using
      errcode = sqlstate,
      message = format('%s %s: %s', argument, quote_literal(:SCHEMA.shorten(expression, 200)), message),
      hint = coalesce(nullif(hint, '') || ' ', '')
        || 'It is SQL over new and old, the row after and before; what is not part of PostgreSQL itself is named with its schema.';
end;
$$;

comment on function :SCHEMA.check_watch_expression(regclass, text, text, text) is 'Refuses SQL over new and old that would not work, naming the argument it was given for.';
--! EndIncluded watch/check_watch_expression.sql
--! Included watch/check_watch_value.sql
create function :SCHEMA.check_watch_value(relation regclass, argument text, value text)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  message text;
begin
  if :SCHEMA.is_row_expression(value) then
    perform :SCHEMA.check_watch_expression(
      relation,
      argument,
      value,
      case argument
        when 'priority' then 'integer'
        when 'delay' then 'interval'
        when 'payload' then 'jsonb'
        else 'text'
      end
    );
    return;
  end if;

  case argument
    when 'queue' then
      perform :SCHEMA.check_given_name(argument, value, 200);
    when 'priority' then
      perform :SCHEMA.check_priority(value::integer);
    when 'delay' then
      perform :SCHEMA.check_delay(value::interval);
    when 'payload' then
      perform value::jsonb;
    else
      perform :SCHEMA.check_given_name(argument, value, 400);
  end case;
exception
  when invalid_text_representation or invalid_datetime_format or datetime_field_overflow
    or interval_field_overflow or numeric_value_out_of_range then
    get stacked diagnostics message = message_text;
    raise exception using
      errcode = sqlstate,
      message = format('%s %s: %s', argument, quote_literal(:SCHEMA.shorten(value, 200)), message),
      hint = case argument
        when 'payload' then 'Give key, row, change or changed; or a JSON value; or SQL over the row, such as jsonb_build_object(''id'', new.id).'
        when 'priority' then 'Give a number from -100 to 100; or SQL over the row, such as case when new.total > 1000 then 10 end.'
        when 'delay' then 'Give a time, such as 5 minutes; or SQL over the row, such as new.send_at - now().'
      end;
end;
$$;

comment on function :SCHEMA.check_watch_value(regclass, text, text) is 'Refuses a fixed value or an expression given to watch() that would not work, naming its argument.';
--! EndIncluded watch/check_watch_value.sql
--! Included watch/watchable.sql
-- Statement-level triggers see a whole statement at once, but they fire only for the table that the statement names:
-- a write to a partition does not fire those of the partitioned table, nor the other way round, and foreign tables
-- have no transition tables. Row-level triggers are the ones that PostgreSQL carries over to partitions.
create function :SCHEMA.watchable(relation regclass, level text default null)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  its record;
begin
  select
    c.oid,
    c.relkind,
    c.relpersistence,
    c.relnamespace,
    n.nspname,
    exists (select from pg_inherits as i where i.inhrelid = c.oid) as has_parent
  into its
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = relation;

  if its.oid is null then
    perform :SCHEMA.refuse(
      coalesce('relation ' || relation || ' does not exist', 'relation is null'),
      'Name the table to watch, such as ''public.orders''.'
    );
  end if;
  if its.relkind in ('v', 'm') then
    perform :SCHEMA.refuse(
      format('%s is a %s', relation, case its.relkind when 'v' then 'view' else 'materialized view' end),
      'Watch the tables that it reads: a write through a view is a write to them.'
    );
  end if;
  if its.relkind not in ('r', 'p', 'f') then
    perform :SCHEMA.refuse(format('%s is not a table', relation), 'Name the table to watch, such as ''public.orders''.');
  end if;
  if its.relpersistence = 't' then
    perform :SCHEMA.refuse(
      format('%s is a temporary table', relation),
      'Only its own session could write to it; let that session call enqueue().'
    );
  end if;
  if its.nspname in ('pg_catalog', 'information_schema', 'pg_toast') then
    perform :SCHEMA.refuse(format('%s is a system catalog', relation), 'PostgreSQL allows no triggers on it.');
  end if;
  if its.relnamespace = :SCHEMA.installation() then
    perform :SCHEMA.refuse(
      format('%s belongs to the queue itself', relation),
      'A job about a job would never end. Watch a table of the application.'
    );
  end if;
  if not has_table_privilege(relation, 'trigger') then
    raise exception using
      errcode = 'insufficient_privilege',
      message = format('role %s, which owns the queue, may not create triggers on %s', quote_ident(current_user), relation),
      hint = format('Let the owner of the table run: grant trigger on %s to %s', relation, quote_ident(current_user));
  end if;
  if level not in ('statement', 'row') then
    perform :SCHEMA.refuse(
      format('level %s is unknown', quote_literal(:SCHEMA.shorten(level))),
      'It is statement or row; leave it out for the one that sees every write.'
    );
  end if;
  if level = 'statement' and (
    its.relkind = 'f'
    or exists (
      select
      from pg_partition_tree(relation) as p
      join pg_class as c on c.oid = p.relid
      where c.relkind = 'f'
    )
  ) then
    perform :SCHEMA.refuse(
      format('level statement is not possible for %s: it is a foreign table or has foreign partitions', relation),
      'Leave level out.'
    );
  end if;
  return coalesce(level, case when its.relkind in ('p', 'f') or its.has_parent then 'row' else 'statement' end);
end;
$$;

comment on function :SCHEMA.watchable(regclass, text) is 'The level of the triggers for a table: the one asked for, or the one that sees every write: statement, or row for partitioned and foreign tables and for partitions. Refuses what cannot be watched.';
--! EndIncluded watch/watchable.sql
--! Included watch/watch_columns.sql
create function :SCHEMA.watch_columns(relation regclass, argument text, columns text[])
  returns text[]
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  existing text[] := array(
    select a.attname
    from pg_attribute as a
    where a.attrelid = relation
      and a.attnum > 0
      and not a.attisdropped
    order by a.attnum
  );
  missing text;
begin
  if cardinality(columns) = 0 then
    perform :SCHEMA.refuse(argument || ' is empty', 'Name columns, or leave it out.');
  end if;
  select c.name
  into missing
  from unnest(columns) as c (name)
  where coalesce(c.name, '') <> all (existing)
  limit 1;
  if found then
    perform :SCHEMA.refuse(
      format(
        '%s: %s has no column %s%s',
        argument,
        relation,
        quote_nullable(:SCHEMA.shorten(missing)),
        coalesce('; did you mean ''' || :SCHEMA.nearest_name(missing, existing) || '''?', '')
      ),
      'Columns are ' || :SCHEMA.shorten(array_to_string(existing, ', '), 500) || '. Spell them as they are stored, without quotes.'
    );
  end if;
  return columns;
end;
$$;

comment on function :SCHEMA.watch_columns(regclass, text, text[]) is 'The columns themselves, or an error that names one that the table does not have.';
--! EndIncluded watch/watch_columns.sql
--! Included watch/watch_key.sql
create function :SCHEMA.watch_key(relation regclass)
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(
    (
      select array_agg(a.attname::text order by k.n)
      from (
        select i.indkey[0 : i.indnkeyatts - 1] as columns
        from pg_index as i
        where i.indrelid = relation
          and i.indisunique
          and i.indisvalid
          and i.indpred is null
          and i.indexprs is null
          and not exists (
            select
            from pg_attribute as a
            where a.attrelid = relation
              and a.attnum = any (i.indkey[0 : i.indnkeyatts - 1])
              and not a.attnotnull
          )
        order by i.indisprimary desc, i.indisreplident desc, i.indexrelid
        limit 1
      ) as i
      cross join unnest(i.columns) with ordinality as k (attnum, n)
      join pg_attribute as a on a.attrelid = relation and a.attnum = k.attnum
    ),
    '{}'
  );
end;

comment on function :SCHEMA.watch_key(regclass) is 'Columns that identify a row: those of the primary key, or else of a unique index without nulls; empty where there is none.';
--! EndIncluded watch/watch_key.sql
--! Included watch/watch_row_key.sql
create function :SCHEMA.watch_row_key(key text[], alias text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
begin atomic
  select case cardinality(key)
    when 1 then format('%s.%I::text', alias, key[1])
    else format('jsonb_build_array(%s)::text', string_agg(format('%s.%I', alias, k.name), ', ' order by k.n))
  end
  from unnest(key) with ordinality as k (name, n);
end;

comment on function :SCHEMA.watch_row_key(text[], text) is 'SQL for the key of a row as a text: the value of its column, or a JSON array of them.';
--! EndIncluded watch/watch_row_key.sql
--! Included watch/watch_rows.sql
-- In transition tables, and in NEW and OLD, virtual generated columns are null. The generation expression names plain
-- columns, so it means the same over the rows themselves.
create function :SCHEMA.watch_rows(relation regclass, level text, alias text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  rows_of text := case level
    when 'statement' then alias || '_rows'
    else format('(select %s.*)', alias)
  end;
  columns text;
begin
  select string_agg(
    case a.attgenerated
      when 'v' then format('(%s) as %I', pg_get_expr(d.adbin, d.adrelid), a.attname)
      else quote_ident(a.attname)
    end,
    ', '
    order by a.attnum
  )
  into columns
  from pg_attribute as a
  left join pg_attrdef as d
    on d.adrelid = a.attrelid
   and d.adnum = a.attnum
  where a.attrelid = relation
    and a.attnum > 0
    and not a.attisdropped
  having bool_or(a.attgenerated = 'v');
  if columns is null then
    return rows_of;
  end if;
  return format('(select %s from %s as "the row")', columns, rows_of);
end;
$$;

comment on function :SCHEMA.watch_rows(regclass, text, text) is 'SQL that gives the rows a trigger function sees as new or old, with virtual generated columns computed.';
--! EndIncluded watch/watch_rows.sql
--! Included watch/watch_reads_both.sql
create function :SCHEMA.watch_reads_both(w :SCHEMA.watch, event text)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
begin atomic
  select event = 'update' and (w.columns is not null or w.payload in ('change', 'changed'))
    or coalesce(bool_or(e.expression ~* format('\m%s\M', case event when 'delete' then 'new' else 'old' end)), false)
  from (
    select w.condition
    union all
    select v.value
    from unnest(array[w.payload, w.queue, w.priority, w.delay, w.unique_key, w.coalesce_key, w.concurrency_key]) as v (value)
    where :SCHEMA.is_row_expression(v.value)
  ) as e (expression);
end;

comment on function :SCHEMA.watch_reads_both(:SCHEMA.watch, text) is 'Whether a watch looks at both new and old when there is such an event.';
--! EndIncluded watch/watch_reads_both.sql
--! Included watch/watch_from.sql
-- The rows before and after an update are told apart by nothing but their order: a key may be what was updated, and two
-- rows may even have swapped theirs. PostgreSQL adds each pair to both transition tables in one step, so the n-th row of
-- one belongs to the n-th of the other; test/watch/pairs.test.ts holds this against row-level triggers.
--
-- Only where rows move between partitions can one be missing, and then nothing is guessed.
--
-- A full join, because it cannot be a nested loop: the plan is made once for a session, perhaps when the tables held one
-- row, and kept when they hold a million. A statement of one row, the usual one, needs no join: one row each.
create function :SCHEMA.watch_from(w :SCHEMA.watch, relation regclass, event text, one_row boolean)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  this text := case event when 'delete' then 'old' else 'new' end;
  other text := case event when 'delete' then 'new' else 'old' end;
  these text := :SCHEMA.watch_rows(relation, w.level, this);
begin
  if not :SCHEMA.watch_reads_both(w, event) then
    return format(E'      from %s as %s\n', these, this);
  end if;
  if event <> 'update' then
    return format(
      E'      from %s as %s\n'
      '      left join %s as %s on false\n',
      these, this, these, other
    );
  end if;
  if one_row then
    return format(
      E'      from %s as new\n'
      '      cross join %s as old\n',
      these, :SCHEMA.watch_rows(relation, w.level, 'old')
    );
  end if;
  return format(
    E'      from (\n'
    '        select o.before, n.after\n'
    '        from (select row_number() over () as n, "a row".*::record as before from %s as "a row") as o\n'
    '        full join (select row_number() over () as n, "a row".*::record as after from %s as "a row") as n using (n)\n'
    '        where case when o.n is null or n.n is null then %s.refuse(%L, %L) is null else true end\n'
    '        offset 0\n'
    '      ) as pair\n'
    '      cross join lateral (select (pair.before).*) as old\n'
    '      cross join lateral (select (pair.after).*) as new\n',
    :SCHEMA.watch_rows(relation, w.level, 'old'),
    these,
    :SCHEMA.installation()::regnamespace,
    'the rows before and after this update cannot be told apart',
    'A trigger keeps rows from moving to another partition. Watch this table with level => ''row''.'
  );
end;
$$;

comment on function :SCHEMA.watch_from(:SCHEMA.watch, regclass, text, boolean) is 'The FROM clause in which a watch finds new and old for an event.';
--! EndIncluded watch/watch_from.sql
--! Included watch/watch_option.sql
create function :SCHEMA.watch_option(argument text, value text, key text[], alias text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  schema_name text := :SCHEMA.installation()::regnamespace::text;
  type text := case argument when 'priority' then 'smallint' when 'delay' then 'interval' else 'text' end;
begin
  if value is null then
    return 'null::' || type;
  end if;
  if argument in ('unique_key', 'coalesce_key', 'concurrency_key') and value = 'key' then
    return format('%s.check_given_name(%L, %s, 400)', schema_name, argument, :SCHEMA.watch_row_key(key, alias));
  end if;
  if not :SCHEMA.is_row_expression(value) then
    return format('%L::%s', value, type);
  end if;
  return case argument
    when 'priority' then format(E'%s.check_priority((\n%s\n)::integer)', schema_name, value)
    when 'delay' then format(E'%s.check_delay((\n%s\n)::interval)', schema_name, value)
    else format(
      E'%s.check_given_name(%L, (\n%s\n)::text, %s)',
      schema_name, argument, value, case argument when 'queue' then 200 else 400 end
    )
  end;
end;
$$;

comment on function :SCHEMA.watch_option(text, text, text[], text) is 'SQL for an option of the jobs of a watch: the fixed value, or the expression with a check of what it gives.';
--! EndIncluded watch/watch_option.sql
--! Included watch/watch_payload.sql
create function :SCHEMA.watch_payload(payload text, key text[], event text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  alias text := case event when 'delete' then 'old' else 'new' end;
  key_object text := (
    select format('jsonb_build_object(%s)', string_agg(format('%L, %s.%I', k.name, alias, k.name), ', ' order by k.n))
    from unnest(key) with ordinality as k (name, n)
  );
  old_row text := case event when 'insert' then 'null' else 'to_jsonb(old.*)' end;
  new_row text := case event when 'delete' then 'null' else 'to_jsonb(new.*)' end;
begin
  if payload = 'changed' and event = 'update' then
    return format(
      E'(\n'
      '          select jsonb_build_object(\n'
      '            %L, %L, %L, %s,\n'
      '            %L, coalesce(jsonb_object_agg(c.name, c.before), %L),\n'
      '            %L, coalesce(jsonb_object_agg(c.name, c.after), %L)\n'
      '          )\n'
      '          from (\n'
      '            select n.key as name, o.value as before, n.value as after\n'
      '            from jsonb_each(to_jsonb(new.*)) as n\n'
      '            join jsonb_each(to_jsonb(old.*)) as o on o.key = n.key and o.value <> n.value\n'
      '          ) as c\n'
      '        )',
      'event', event, 'key', key_object, 'old', '{}', 'new', '{}'
    );
  end if;
  return case payload
    when 'key' then key_object
    when 'row' then format('to_jsonb(%s.*)', alias)
    when 'change' then format('jsonb_build_object(%L, %L, %L, %s, %L, %s)', 'event', event, 'old', old_row, 'new', new_row)
    when 'changed' then format(
      'jsonb_build_object(%L, %L, %L, %s, %L, %s, %L, %s)',
      'event', event, 'key', key_object, 'old', old_row, 'new', new_row
    )
    else case
      when :SCHEMA.is_row_expression(payload) then format(E'coalesce(to_jsonb((\n%s\n)), %L)', payload, 'null')
      else format('%L::jsonb', payload)
    end
  end;
end;
$$;

comment on function :SCHEMA.watch_payload(text, text[], text) is 'SQL for the payload that a changed row makes.';
--! EndIncluded watch/watch_payload.sql
--! Included watch/watch_filter.sql
-- Values are compared as they are stored: that knows every type, json and point included, needs no operator from a
-- schema that the fixed search_path leaves out, and tells 1.0 from 1.00.
create function :SCHEMA.watch_filter(w :SCHEMA.watch, event text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  conditions text[] := array[]::text[];
begin
  if event = 'update' and w.columns is not null then
    conditions := array[(
      select format(
        'row(%s)::record *<> row(%s)::record',
        string_agg(format('old.%I', c.name), ', ' order by c.n),
        string_agg(format('new.%I', c.name), ', ' order by c.n)
      )
      from unnest(w.columns) with ordinality as c (name, n)
    )];
  elsif event = 'update' and w.payload = 'changed' then
    conditions := array['(old.*) *<> (new.*)'];
  end if;
  if w.condition is not null then
    conditions := conditions || format(E'(\n%s\n)', w.condition);
  end if;
  return coalesce(E'      where ' || nullif(array_to_string(conditions, E'\n        and '), '') || E'\n', '');
end;
$$;

comment on function :SCHEMA.watch_filter(:SCHEMA.watch, text) is 'The WHERE clause of a watch for an event: columns that changed, and the condition; empty where there is neither.';
--! EndIncluded watch/watch_filter.sql
--! Included watch/watch_query.sql
create function :SCHEMA.watch_query(w :SCHEMA.watch, relation regclass, event text, one_row boolean)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  alias text := case event when 'delete' then 'old' else 'new' end;
  drafts text;
begin
  if event = 'truncate' then
    return format(
      E'      select %L::jsonb, null::text, null::smallint, null::interval, null::text, null::text, null::text\n',
      '{"event": "truncate"}'
    );
  end if;

  drafts := format(
    E'      select\n'
    '        %s as payload,\n'
    '        %s as queue,\n'
    '        %s as priority,\n'
    '        %s as delay,\n'
    '        %s as unique_key,\n'
    '        %s as coalesce_key,\n'
    '        %s as concurrency_key\n'
    '%s%s',
    :SCHEMA.watch_payload(w.payload, w.key, event),
    :SCHEMA.watch_option('queue', w.queue, w.key, alias),
    :SCHEMA.watch_option('priority', w.priority, w.key, alias),
    :SCHEMA.watch_option('delay', w.delay, w.key, alias),
    :SCHEMA.watch_option('unique_key', w.unique_key, w.key, alias),
    :SCHEMA.watch_option('coalesce_key', w.coalesce_key, w.key, alias),
    :SCHEMA.watch_option('concurrency_key', w.concurrency_key, w.key, alias),
    :SCHEMA.watch_from(w, relation, event, one_row),
    :SCHEMA.watch_filter(w, event)
  );

  if w.batch is not null then
    -- A job holds as many rows as it may, and at most some 64 MB of them: jsonb ends at 256 MB.
    return format(
      E'      select\n'
      '        jsonb_agg(c.payload order by c.n), c.queue, c.priority, c.delay, c.unique_key, c.coalesce_key, c.concurrency_key\n'
      '      from (\n'
      '        select\n'
      '          b.*,\n'
      '          (row_number() over same_options - 1) / %s as part,\n'
      '          sum(pg_column_size(b.payload)) over same_options / 67108864 as volume\n'
      '        from (\n'
      '          select a.*, row_number() over () as n\n'
      '          from (\n%s'
      '          ) as a\n'
      '        ) as b\n'
      '        window same_options as (\n'
      '          partition by b.queue, b.priority, b.delay, b.unique_key, b.concurrency_key\n'
      '          order by b.n\n'
      '          rows unbounded preceding\n'
      '        )\n'
      '      ) as c\n'
      '      group by c.queue, c.priority, c.delay, c.unique_key, c.coalesce_key, c.concurrency_key, c.part, c.volume\n'
      '      order by c.unique_key, min(c.n)\n',
      w.batch, drafts
    );
  elsif one_row then
    return drafts;
  elsif w.unique_key is not null then
    return drafts || E'      order by 5\n';
  elsif w.coalesce_key is not null then
    -- A statement may not meet a job twice: of rows with one key the last one counts.
    return format(
      E'      select distinct on (b.coalesce_key, b.alone)\n'
      '        b.payload, b.queue, b.priority, b.delay, b.unique_key, b.coalesce_key, b.concurrency_key\n'
      '      from (\n'
      '        select\n'
      '          a.*,\n'
      '          row_number() over () as n,\n'
      '          case when a.coalesce_key is null then row_number() over () end as alone\n'
      '        from (\n%s'
      '        ) as a\n'
      '      ) as b\n'
      '      order by b.coalesce_key, b.alone, b.n desc\n',
      drafts
    );
  end if;
  return drafts;
end;
$$;

comment on function :SCHEMA.watch_query(:SCHEMA.watch, regclass, text, boolean) is 'The query by which a watch makes drafts of jobs from the rows of a statement. one_row: for a statement that changed one row.';
--! EndIncluded watch/watch_query.sql
--! Included watch/watch_body.sql
-- The usual statement changes one row, and often one that the watch has no interest in: that is found out first, and costs
-- some 10 microseconds.
--
-- Expressions are evaluated before anything is written, in a block of their own: an error among them is caught without
-- a subtransaction that writes, whose number a long transaction of many small statements would have to carry along.
-- From more than ten rows on, evaluating and writing is one statement in one such block.
create function :SCHEMA.watch_body(w :SCHEMA.watch, relation regclass)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  schema_name text := :SCHEMA.installation()::regnamespace::text;
  branches text := '';
  event text;
  drafts text;
  draft_of_one text;
  filter text;
  rows_of text;
  guard text;
  enqueue text;
  headers text;
begin
  foreach event in array w.events loop
    drafts := :SCHEMA.watch_query(w, relation, event, w.level = 'row');
    draft_of_one := :SCHEMA.watch_query(w, relation, event, true);
    filter := :SCHEMA.watch_filter(w, event);
    rows_of := case event when 'delete' then 'old_rows' else 'new_rows' end;
    branches := branches || format(E'    elsif tg_op = %L then\n', upper(event));
    if event <> 'truncate' and filter <> '' then
      branches := branches || format(
        E'      if %snot exists (\n'
        '      select\n%s%s'
        '      ) then\n'
        '        return null;\n'
        '      end if;\n',
        case w.level when 'statement' then format('not exists (select from %s offset 1) and ', rows_of) end,
        :SCHEMA.watch_from(w, relation, event, true),
        filter
      );
    end if;
    branches := branches || case
      when draft_of_one <> drafts then format(
        E'      if exists (select from %s offset 1) then\n'
        '      open changes for\n%s      ;\n'
        '      else\n'
        '      open changes for\n%s      ;\n'
        '      end if;\n',
        rows_of, drafts, draft_of_one
      )
      else format(E'      open changes for\n%s      ;\n', drafts)
    end;
  end loop;

  guard := format(
    E'exception\n'
    '  when data_exception or syntax_error_or_access_rule_violation or cardinality_violation\n'
    '    or integrity_constraint_violation or program_limit_exceeded or raise_exception then\n'
    '    perform %s.watch_failed(%s, tg_op, sqlstate, sqlerrm, %L);\n'
    '    return null;\n'
    'end;',
    schema_name, w.id, w.on_error
  );
  headers := (
    select format(
      'nullif(jsonb_strip_nulls(jsonb_build_object(%s)), %L)',
      string_agg(format('%L, nullif(current_setting(%L, true), %L)', c.name, c.name, ''), ', ' order by c.n),
      '{}'
    )
    from unnest(w.context) with ordinality as c (name, n)
    having count(*) > 0
  );
  enqueue := format(
    'perform %s.enqueue_drafts(few, changes, %L::text[], %L, %s, %L);',
    schema_name, w.tasks, w.topic, coalesce(headers, 'null'),
    case when w.unique_key is not null then 'unique_key' when w.coalesce_key is not null then 'coalesce_key' end
  );

  return format(
    E'\n'
    '#variable_conflict use_column\n'
    '-- Made by watch() for the watch %s. To change it call watch() again.\n'
    'declare\n'
    '  changes refcursor;\n'
    '  change %s.job_draft;\n'
    '  few %s.job_draft[] := array[]::%s.job_draft[];\n'
    'begin\n'
    '  begin\n'
    '    %s'
    '    end if;\n'
    '    loop\n'
    '      fetch changes into change;\n'
    '      exit when not found;\n'
    '      few := few || change;\n'
    '      exit when cardinality(few) > 10;\n'
    '    end loop;\n'
    '  %s\n'
    '\n'
    '  if cardinality(few) > 10 then\n'
    '    begin\n'
    '      %s\n'
    '    %s\n'
    '  elsif cardinality(few) > 0 then\n'
    '    %s\n'
    '  end if;\n'
    '  close changes;\n'
    '  return null;\n'
    'end;\n',
    quote_ident(regexp_replace(w.name, '[[:cntrl:]]', ' ', 'g')), schema_name, schema_name, schema_name,
    substr(branches, 8), replace(guard, E'\n', E'\n  '), enqueue, replace(replace(guard, 'return', E'close changes;\n    return'), E'\n', E'\n    '), enqueue
  );
end;
$$;

comment on function :SCHEMA.watch_body(:SCHEMA.watch, regclass) is 'Text of the trigger function of a watch.';
--! EndIncluded watch/watch_body.sql
--! Included watch/watch_triggers.sql
create function :SCHEMA.watch_triggers(w :SCHEMA.watch, relation regclass)
  returns text[]
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  schema_name name := (select n.nspname from pg_namespace as n where n.oid = :SCHEMA.installation());
  prefix text := case when octet_length(schema_name) <= 30 then schema_name else 'rouse_' || :SCHEMA.installation() end;
  triggers text[] := array[]::text[];
  event text;
begin
  foreach event in array w.events loop
    triggers := triggers || format(
      'CREATE TRIGGER %I AFTER %s ON %s%s FOR EACH %s EXECUTE FUNCTION %I.%I()',
      concat_ws('_', prefix, 'watch', w.id, event),
      upper(event),
      relation,
      case
        when w.level = 'row' or event = 'truncate' then ''
        when event = 'insert' then ' REFERENCING NEW TABLE AS new_rows'
        when event = 'delete' then ' REFERENCING OLD TABLE AS old_rows'
        when :SCHEMA.watch_query(w, relation, event, false) ~ '\mold_rows\M'
          then ' REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'
        else ' REFERENCING NEW TABLE AS new_rows'
      end,
      case when event = 'truncate' then 'STATEMENT' else upper(w.level) end,
      schema_name, 'watch_' || w.id
    );
  end loop;
  return triggers;
end;
$$;

comment on function :SCHEMA.watch_triggers(:SCHEMA.watch, regclass) is 'The triggers of a watch, spelled as pg_get_triggerdef() does.';
--! EndIncluded watch/watch_triggers.sql
--! Included watch/watch_function.sql
-- Found by its name: an oid would not survive a dump, nor a stored trigger name the renaming of its table.
create function :SCHEMA.watch_function(watch integer)
  returns oid
  language sql
  stable
  set search_path = pg_catalog, pg_temp
begin atomic
  select p.oid
  from pg_proc as p
  where p.pronamespace = :SCHEMA.installation()
    and p.proname = 'watch_' || watch
    and p.pronargs = 0;
end;

comment on function :SCHEMA.watch_function(integer) is 'The trigger function of a watch; null where it is gone.';
--! EndIncluded watch/watch_function.sql
--! Included watch/watch_failed.sql
create function :SCHEMA.watch_failed(watch integer, event text, code text, message text, on_error text)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  watch_name text := (select w.name from :SCHEMA.watch as w where w.id = watch_failed.watch);
begin
  if on_error = 'raise' then
    raise exception using
      errcode = code,
      message = format('watch "%s": %s', watch_name, message),
      hint = 'The watch was made with on_error => ''raise''. Repair it by calling watch() again, or remove it with unwatch().';
  end if;

  if exists (
    select
    from :SCHEMA.watch_error as e
    where e.watch_id = watch_failed.watch
      and e.failed_at > clock_timestamp() - interval '10 seconds'
      and e.code = watch_failed.code
  ) then
    return;
  end if;
  insert into :SCHEMA.watch_error (watch_id, event, code, message)
  values (watch_failed.watch, lower(watch_failed.event), watch_failed.code, watch_failed.message);
  raise warning using
    errcode = code,
    message = format('watch "%s" made no job of this %s: %s', watch_name, lower(event), message),
    hint = 'The write itself goes on. Repair the watch by calling watch() again; see the view watches.';
end;
$$;

comment on function :SCHEMA.watch_failed(integer, text, text, text, text) is 'Called by the trigger function of a watch when an expression fails: keeps the error and warns, or raises it, as the watch was told.';
--! EndIncluded watch/watch_failed.sql
--! Included watch/check_watch.sql
create function :SCHEMA.check_watch(w :SCHEMA.watch, relation regclass)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  known_events constant text[] := array['insert', 'update', 'delete', 'truncate'];
  bad text;
begin
  if cardinality(w.tasks) = 0 and w.topic is null then
    perform :SCHEMA.refuse('neither task nor topic was given', 'Say which task gets the jobs, or which topic is published to.');
  end if;
  perform :SCHEMA.task_defaults(t.name)
  from unnest(w.tasks) as t (name);
  perform :SCHEMA.check_given_name('topic', w.topic, 200);
  perform :SCHEMA.check_name('name', w.name);

  select e.name
  into bad
  from unnest(w.events) as e (name)
  where coalesce(e.name, '') <> all (known_events)
  limit 1;
  if found or cardinality(w.events) = 0 then
    perform :SCHEMA.refuse(
      case
        when cardinality(w.events) = 0 then 'events is empty'
        else format('events: there is no event %s', quote_nullable(:SCHEMA.shorten(bad)))
      end,
      'Events are insert, update, delete and truncate.'
    );
  end if;
  if w.columns is not null and 'update' <> all (w.events) then
    perform :SCHEMA.refuse('columns was given without the event update', 'Only an update changes columns. Use condition to choose rows.');
  end if;
  if w.payload in ('key', 'changed') or 'key' in (w.unique_key, w.coalesce_key, w.concurrency_key) then
    if cardinality(w.key) = 0 and w.events <> array['truncate'] then
      perform :SCHEMA.refuse(
        format('%s has no primary key', relation),
        'Give key => the columns that identify a row, such as ''{id}''; or do without payload, unique_key, coalesce_key or concurrency_key => ''key''.'
      );
    end if;
  end if;
  if w.batch < 1 then
    perform :SCHEMA.refuse(format('batch %s is not positive', w.batch), 'Give the number of rows that a job may hold.');
  end if;
  if w.batch is not null and w.coalesce_key is not null then
    perform :SCHEMA.refuse('both batch and coalesce_key were given', 'Coalescing keeps the last change of a row, a batch keeps all.');
  end if;
  if w.unique_key is not null and w.coalesce_key is not null then
    perform :SCHEMA.refuse(
      'both unique_key and coalesce_key were given',
      'unique_key ignores changes while a job is live, coalesce_key gives the last one to the job that waits.'
    );
  end if;
  if w.on_error not in ('report', 'raise') then
    perform :SCHEMA.refuse(
      format('on_error %s is unknown', quote_literal(:SCHEMA.shorten(w.on_error))),
      'It is report (the write goes on) or raise (the write fails).'
    );
  end if;

  select c.name
  into bad
  from unnest(w.context) as c (name)
  where c.name !~ '^[[:alpha:]_][\w$]*(\.[[:alpha:]_][\w$]*)*$' is distinct from false
  limit 1;
  if found then
    perform :SCHEMA.refuse(
      format('context: %s is not the name of a setting', quote_nullable(:SCHEMA.shorten(bad))),
      'Name settings as in set app.tenant = …, for example ''{app.tenant, app.trace_id}''.'
    );
  end if;

  perform :SCHEMA.check_watch_expression(relation, 'condition', w.condition, 'boolean')
  where w.condition is not null;
  perform :SCHEMA.check_watch_value(relation, v.argument, v.value)
  from (
    values
      ('payload', w.payload),
      ('queue', w.queue),
      ('priority', w.priority),
      ('delay', w.delay),
      ('unique_key', w.unique_key),
      ('coalesce_key', w.coalesce_key),
      ('concurrency_key', w.concurrency_key)
  ) as v (argument, value)
  where v.value is not null
    and not (v.argument = 'payload' and v.value in ('key', 'row', 'change', 'changed'));
end;
$$;

comment on function :SCHEMA.check_watch(:SCHEMA.watch, regclass) is 'Refuses what a watch could not do, naming the argument.';
--! EndIncluded watch/check_watch.sql
--! Included watch/lock_watches.sql
create function :SCHEMA.lock_watches(patience interval)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  give_up timestamptz := clock_timestamp() + coalesce(patience, interval '5 seconds');
begin
  while not pg_try_advisory_xact_lock(:SCHEMA.installation()::integer, -2) loop
    if clock_timestamp() >= give_up then
      raise exception using
        errcode = 'lock_not_available',
        message = format('another transaction is changing watches and has not ended within %s', patience),
        hint = 'Try again when it has committed, or give a longer lock_wait.';
    end if;
    perform pg_sleep(0.05);
  end loop;
end;
$$;

comment on function :SCHEMA.lock_watches(interval) is 'Lets one transaction at a time change watches.';
--! EndIncluded watch/lock_watches.sql
--! Included watch/patiently.sql
-- A lock that is waited for makes everybody wait who comes after it. So the wait for it is short, and repeated.
create function :SCHEMA.patiently(command text, relation text, patience interval)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '200ms'
  set client_min_messages = 'warning'
as $$
declare
  give_up timestamptz := clock_timestamp() + coalesce(patience, interval '5 seconds');
begin
  loop
    begin
      execute command;
      return;
    exception
      when lock_not_available then
        if clock_timestamp() >= give_up then
          raise exception using
            errcode = 'lock_not_available',
            message = format('%s is in use: no lock on it could be had within %s', relation, patience),
            detail = (
              select 'Locks on it are held by process ' || string_agg(distinct l.pid::text, ', ') || '.'
              from pg_locks as l
              where l.relation = to_regclass(patiently.relation)
                and l.granted
                and l.pid <> pg_backend_pid()
            ),
            hint = 'Creating a trigger waits for open transactions that wrote to the table. End them (see pg_stat_activity), try again at a quieter time, or give a longer lock_wait.';
        end if;
    end;
    perform pg_sleep(0.1);
  end loop;
end;
$$;

comment on function :SCHEMA.patiently(text, text, interval) is 'Runs DDL that needs a lock on a table: tries for that long, holding up others for 200 ms at a time.';
--! EndIncluded watch/patiently.sql
--! Included watch/put_watch.sql
-- Nothing is locked where nothing changes, so that programs may call watch() whenever they start, and not the table where
-- only the function does. Triggers that must go are dropped with the function: that takes no ownership of the table.
create function :SCHEMA.put_watch(w :SCHEMA.watch, relation regclass, patience interval)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  known :SCHEMA.watch;
  own_name text;
  body text;
  wanted text[];
  present text[];
  commands text[];
begin
  for locked in 0 .. 1 loop
    select k.*
    into known
    from :SCHEMA.watch as k
    where k.name = w.name;
    if found or locked = 1 then
      w.id := coalesce(known.id, (select nextval(s.tableoid::regclass) from :SCHEMA.watch_id as s));
      w.source := known.source;
      body := :SCHEMA.watch_body(w, relation);
      wanted := :SCHEMA.watch_triggers(w, relation);
      present := array(
        select pg_get_triggerdef(t.oid)
        from pg_trigger as t
        where t.tgfoid = :SCHEMA.watch_function(w.id)
          and t.tgparentid = 0
      );
      if wanted <@ present
        and present <@ wanted
        and body = (select p.prosrc from pg_proc as p where p.oid = :SCHEMA.watch_function(w.id))
        and to_jsonb(w) - '{changed_at,changed_by}'::text[] = to_jsonb(known) - '{changed_at,changed_by}'::text[]
      then
        return;
      end if;
    end if;
    if locked = 0 then
      perform :SCHEMA.lock_watches(patience);
    end if;
  end loop;

  delete from :SCHEMA.watch as k
  where k.id = w.id;
  insert into :SCHEMA.watch
  select (w).*;
  delete from :SCHEMA.watch_error as e
  where e.watch_id = w.id;

  own_name := format('%s.watch_%s()', :SCHEMA.installation()::regnamespace, w.id);
  commands := array[
    format(
      'create or replace function %s returns trigger language plpgsql security definer '
      'set search_path = pg_catalog, pg_temp set jit = off as %L',
      own_name, body
    ),
    format('revoke all on function %s from public', own_name),
    format('comment on function %s is %L', own_name, 'Trigger: the watch ' || quote_ident(w.name) || ' on ' || relation || '.')
  ];
  if wanted <@ present and present <@ wanted then
    perform :SCHEMA.patiently(array_to_string(commands, ';'), relation::text, patience);
    return;
  end if;

  if exists (
    select
    from pg_trigger as t
    where t.tgfoid = :SCHEMA.watch_function(w.id)
      and t.tgparentid = 0
      and not exists (
        select
        from unnest(wanted) as d (definition)
        where starts_with(d.definition, split_part(pg_get_triggerdef(t.oid), ' AFTER ', 1) || ' ')
          and t.tgrelid = relation
      )
  ) then
    commands := format('drop function %s cascade', own_name) || commands;
    present := '{}';
  end if;
  commands := commands || array(
    select replace(d.definition, 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER')
    from unnest(wanted) as d (definition)
    where d.definition <> all (present)
  );
  perform :SCHEMA.patiently(array_to_string(commands, ';'), relation::text, patience);
end;
$$;

comment on function :SCHEMA.put_watch(:SCHEMA.watch, regclass, interval) is 'Brings the row, the function and the triggers of a watch to what is wanted.';
--! EndIncluded watch/put_watch.sql
--! Included watch/watch.sql
create function :SCHEMA.watch(
  relation regclass,
  task text default null,
  events text[] default '{insert,update,delete}',
  columns text[] default null,
  condition text default null,
  payload text default 'change',
  name text default null,
  tasks text[] default null,
  topic text default null,
  key text[] default null,
  batch integer default null,
  queue text default null,
  priority text default null,
  delay text default null,
  unique_key text default null,
  coalesce_key text default null,
  context text[] default null,
  on_error text default 'report',
  level text default null,
  lock_wait interval default '5 seconds',
  concurrency_key text default null
)
  returns text
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  w :SCHEMA.watch;
begin
  w.relation := relation;
  w.level := :SCHEMA.watchable(relation, level);
  w.tasks := array(
    select distinct t.name
    from unnest(task || tasks) as t (name)
    where t.name is not null
    order by t.name
  );
  w.topic := topic;
  w.name := coalesce(name, concat_ws('.', relation, concat_ws('+', nullif(array_to_string(w.tasks, '+'), ''), topic)));
  w.events := array(
    select lower(e.name)
    from unnest(coalesce(events, '{insert,update,delete}')) as e (name)
    group by lower(e.name)
    order by array_position('{insert,update,delete,truncate}', lower(e.name))
  );
  w.columns := :SCHEMA.watch_columns(relation, 'columns', columns);
  w.condition := nullif(trim(condition), '');
  w.payload := coalesce(payload, 'change');
  w.key := coalesce(:SCHEMA.watch_columns(relation, 'key', key), :SCHEMA.watch_key(relation));
  w.batch := batch;
  w.queue := queue;
  w.priority := priority;
  w.delay := delay;
  w.unique_key := unique_key;
  w.coalesce_key := coalesce_key;
  w.concurrency_key := concurrency_key;
  w.context := coalesce(context, '{}');
  w.on_error := coalesce(on_error, 'report');
  w.changed_at := clock_timestamp();
  w.changed_by := session_user;
  perform :SCHEMA.check_watch(w, relation);
  perform :SCHEMA.put_watch(w, relation, lock_wait);
  return w.name;
end;
$$;

comment on function :SCHEMA.watch(regclass, text, text[], text[], text, text, text, text[], text, text[], integer, text, text, text, text, text, text[], text, text, interval, text) is
'Makes the changes of a table''s rows start a task, wherever they come from. Returns the name of the watch; calling it again with that name replaces it in one step, or does nothing where nothing changed.
  relation      the table
  task, tasks   who gets a job; or
  topic         is published to: a job for each subscribed task, and a live broadcast
  events        of insert, update, delete, truncate
  columns       an update counts only where one of these really changed
  condition     SQL over new and old (the row after and before), such as new.status = ''paid''; unmet rows make no job
  payload       change: {"event", "old", "new"}; row: the new row, or the deleted one; key: its key columns;
                changed: {"event", "key", "old", "new"} with the columns that changed; or SQL over new and old; or fixed JSON
  name          left out: table.task
  key           columns that identify a row; left out: the primary key
  batch         one job for so many rows of a statement, its payload an array; left out: a job for each row
  queue, priority, delay   a value such as ''mail'', ''10'', ''5 minutes''; or SQL over new and old, such as new.region
  unique_key    while a job of the task with this key is live, a change makes none; ''key'' is the key of the row
  coalesce_key  while a job with this key waits, a change gives it its payload instead; ''key'' is the key of the row
  context       settings to copy into the headers of the jobs, such as {app.tenant}
  on_error      report: an error in an expression is kept (see the view watches) and the write goes on; raise: it fails
  level         row: triggers for each row; statement: for each statement. Left out: statement, but row for partitioned
                and foreign tables and for partitions, where statement sees only writes that name the very same table
  lock_wait     how long to try for the lock that making a trigger needs
  concurrency_key   of the jobs with this key one runs at a time, in order; ''key'' is the key of the row
The SQL runs with the rights of the owner of the queue and without a search_path: only the owner may call this, or an admin, which is the same.
After TRUNCATE there are no rows to look at: one job with {"event": "truncate"}, whatever condition and keys say.';
--! EndIncluded watch/watch.sql
--! Included watch/unwatch.sql
create function :SCHEMA.unwatch(name text, lock_wait interval default '5 seconds')
  returns boolean
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  w :SCHEMA.watch;
  nearest text;
begin
  perform :SCHEMA.lock_watches(lock_wait);
  delete from :SCHEMA.watch as k
  where k.name = unwatch.name
  returning *
  into w;
  if not found then
    nearest := :SCHEMA.nearest_name(unwatch.name, array(select k.name from :SCHEMA.watch as k));
    raise notice using message = format('there is no watch "%s"', :SCHEMA.shorten(unwatch.name))
      || coalesce('; did you mean "' || nearest || '"?', '');
    return false;
  end if;

  delete from :SCHEMA.watch_error as e
  where e.watch_id = w.id;
  perform :SCHEMA.patiently(
    format('drop function if exists %s.watch_%s() cascade', :SCHEMA.installation()::regnamespace, w.id),
    w.relation,
    lock_wait
  );
  return true;
end;
$$;

comment on function :SCHEMA.unwatch(text, interval) is
'Ends a watch: removes its triggers. Jobs that exist stay.
  lock_wait   how long to try for the lock on the table that removing a trigger needs
Returns false, with a NOTICE, where there is no such watch. A watch whose table is gone is removed like any other.';
--! EndIncluded watch/unwatch.sql
--! Included watch/check_watches.sql
create function :SCHEMA.check_watches()
  returns table (watch text, problem text)
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  set client_min_messages = 'warning'
as $$
declare
  w :SCHEMA.watch;
  watched regclass;
begin
  for w in
    select *
    from :SCHEMA.watch as k
    order by k.name
  loop
    watch := w.name;
    select t.tgrelid
    into watched
    from pg_trigger as t
    where t.tgfoid = :SCHEMA.watch_function(w.id)
      and t.tgparentid = 0
    limit 1;
    begin
      if watched is null then
        problem := format('its triggers are gone, with the table %s or without it', w.relation);
        return next;
        continue;
      end if;
      perform :SCHEMA.watch_columns(watched, 'columns', w.columns);
      perform :SCHEMA.watch_columns(watched, 'key', nullif(w.key, '{}'));
      perform :SCHEMA.check_watch(w, watched);
    exception
      when syntax_error_or_access_rule_violation or data_exception or feature_not_supported
        or cardinality_violation or raise_exception then
        problem := sqlerrm;
        return next;
    end;
  end loop;
end;
$$;

comment on function :SCHEMA.check_watches() is 'Plans every watch anew and returns those that would fail now, and why: a column was dropped or renamed, a function is gone. Errors that happened are in the view watches.';
--! EndIncluded watch/check_watches.sql
--! Included watch/declare_watch.sql
-- One watch a call, so that each has its own transaction: the lock that a trigger needs is then not held while another
-- table's is waited for. It is no part of the worker protocol, since a watch is SQL that runs with the owner's rights.
create function :SCHEMA.declare_watch(source text, relation regclass, declaration jsonb)
  returns text
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  -- A task that is not known yet is declared by the code that declares the watch; doctor() finds one that nobody declares.
  set client_min_messages = 'warning'
as $$
#variable_conflict use_variable
declare
  declared record;
  before :SCHEMA.watch;
  after :SCHEMA.watch;
begin
  perform :SCHEMA.check_name('source', source);
  perform :SCHEMA.check_objects(jsonb_build_array(declaration), 'watch', 'name', array[
    'name', 'tasks', 'topic', 'events', 'columns', 'condition', 'payload', 'key', 'row_columns', 'batch', 'queue',
    'priority', 'delay', 'unique_key', 'coalesce_key', 'concurrency_key', 'context', 'on_error', 'level', 'lock_wait'
  ]);
  select d.*
  into declared
  from jsonb_to_record(declaration) as d (
    name text, tasks text[], topic text, events text[], columns text[], condition text, payload text, key text[],
    row_columns text[], batch integer, queue text, priority text, delay text, unique_key text, coalesce_key text,
    concurrency_key text, context text[], on_error text, level text, lock_wait interval
  );
  select k.*
  into before
  from :SCHEMA.watch as k
  where k.name = declared.name;

  perform :SCHEMA.watch_columns(relation, 'row', nullif(declared.row_columns, '{}'));
  perform :SCHEMA.watch(
    relation,
    events => declared.events,
    columns => declared.columns,
    condition => declared.condition,
    payload => declared.payload,
    name => declared.name,
    tasks => declared.tasks,
    topic => declared.topic,
    key => declared.key,
    batch => declared.batch,
    queue => declared.queue,
    priority => declared.priority,
    delay => declared.delay,
    unique_key => declared.unique_key,
    coalesce_key => declared.coalesce_key,
    context => declared.context,
    on_error => declared.on_error,
    level => declared.level,
    lock_wait => declared.lock_wait,
    concurrency_key => declared.concurrency_key
  );

  -- One that was made by hand is changed, and stays when the code no longer names it.
  if before.id is null then
    update :SCHEMA.watch as k
    set source = declare_watch.source
    where k.name = declared.name
      and k.source is null;
    return 'added';
  end if;
  select k.*
  into after
  from :SCHEMA.watch as k
  where k.id = before.id;
  return case when after.changed_at = before.changed_at then 'same' else 'changed' end;
end;
$$;

comment on function :SCHEMA.declare_watch(text, regclass, jsonb) is 'Makes a watch of a source (an application''s code) as it declares it: an object with the arguments of watch() as keys, and row_columns, columns that the code takes the table to have. Tells whether it was added, changed or the same. What the source no longer declares is told by undeclared_watches_v1().';
--! EndIncluded watch/declare_watch.sql
--! Included watch/undeclared_watches_v1.sql
create function :SCHEMA.undeclared_watches_v1(source text, names text[])
  returns setof text
  language sql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
begin atomic
  select w.name
  from :SCHEMA.watch as w
  where w.source = undeclared_watches_v1.source
    and w.name <> all (names)
  order by w.name;
end;

comment on function :SCHEMA.undeclared_watches_v1(text, text[]) is 'Worker protocol: the watches that a source declared before and that are not among these names, to be removed with unwatch().';
--! EndIncluded watch/undeclared_watches_v1.sql
--! Included inspect/short.sql
create function :SCHEMA.short(duration interval)
  returns text
  language sql
  immutable
  parallel safe
return (
  select case
    when duration is null then null
    when s.seconds < 0 then '-' || t.text
    else t.text
  end
  from (select extract(epoch from duration)) as s (seconds)
  cross join lateral (select abs(s.seconds)) as a (seconds)
  cross join lateral (
    select case
      when a.seconds < 1 then round(a.seconds * 1000) || ' ms'
      when a.seconds < 10 then round(a.seconds, 1) || ' s'
      when a.seconds < 120 then round(a.seconds) || ' s'
      when a.seconds < 7200 then round(a.seconds / 60) || ' min'
      when a.seconds < 172800 then round(a.seconds / 3600) || ' h'
      else round(a.seconds / 86400) || ' d'
    end
  ) as t (text)
);

comment on function :SCHEMA.short(interval) is 'A duration in one unit, as the views show it.';
--! EndIncluded inspect/short.sql
--! Included inspect/jobs.sql
-- A query that asks for few columns must not pay for the others, for a long archive is behind this. So what is joined is
-- one row at most by a unique key, the error is a subquery in its column, and the time is the statement's: columns with a
-- volatile function such as clock_timestamp() are worked out even where nobody asked for them (300,000 finished jobs, the
-- newest 20 ids: 10 s with it, 0.3 s without).
create view :SCHEMA.jobs as
select
  j.id,
  j.task,
  j.state,
  j.queue,
  j.priority,
  case
    when j.state = 'scheduled' then 'in ' || :SCHEMA.short(j.run_at - statement_timestamp())
    when j.state = 'running' then 'for ' || :SCHEMA.short(statement_timestamp() - j.started_at)
    when j.state = 'blocked' then 'waits for ' || overlay(j.lane placing ' ' from strpos(j.lane, ':') for 1)
    when j.state = 'ready' then 'waits ' || :SCHEMA.short(statement_timestamp() - j.run_at)
  end as "when",
  :SCHEMA.short(statement_timestamp() - j.created_at) as age,
  j.attempt || '/' || coalesce(j.max_attempts, t.max_attempts, 10) as attempt,
  w.name as worker,
  case
    when j.state = 'running' then (
      select concat_ws(' ', round(p.progress * 100) || ' %', p.message)
      from :SCHEMA.progress as p
      where p.job_id = j.id
        and p.lease = j.lease
    )
  end as progress,
  case
    when j.attempt > 0 then (
      select r.message
      from :SCHEMA.attempt_error as r
      where r.job_id = j.id
      order by r.failed_at desc
      limit 1
    )
  end as last_error,
  j.payload,
  null::jsonb as result,
  j.unique_key,
  j.concurrency_key,
  j.tags,
  j.headers,
  j.created_at,
  j.run_at,
  j.started_at,
  null::timestamptz as finished_at,
  least(j.expires_at, j.deadline_at) as expires_at
from :SCHEMA.job as j
left join :SCHEMA.task as t on t.name = j.task
left join :SCHEMA.worker as w on w.id = j.worker_id
union all
select
  a.id,
  a.task,
  a.state,
  a.queue,
  a.priority,
  'took ' || :SCHEMA.short(a.finished_at - a.started_at),
  :SCHEMA.short(statement_timestamp() - a.created_at),
  a.attempt || '/' || coalesce(a.max_attempts, t.max_attempts, 10),
  w.name,
  null,
  case
    when a.state <> 'succeeded' then (
      select r.message
      from :SCHEMA.attempt_error as r
      where r.job_id = a.id
      order by r.failed_at desc
      limit 1
    )
  end,
  a.payload,
  a.result,
  a.unique_key,
  a.concurrency_key,
  a.tags,
  a.headers,
  a.created_at,
  a.run_at,
  a.started_at,
  a.finished_at,
  null
from :SCHEMA.archive as a
left join :SCHEMA.task as t on t.name = a.task
left join :SCHEMA.worker as w on w.id = a.worker_id;

comment on view :SCHEMA.jobs is 'All jobs, live and finished.';
comment on column :SCHEMA.jobs.id is 'Identity of the job.';
comment on column :SCHEMA.jobs.task is 'Task that handles it.';
comment on column :SCHEMA.jobs.state is 'scheduled, ready, running, blocked, waiting; succeeded, failed, cancelled, expired.';
comment on column :SCHEMA.jobs.queue is 'Queue it waits in.';
comment on column :SCHEMA.jobs.priority is 'A higher number runs first.';
comment on column :SCHEMA.jobs."when" is 'Time until it is due, since it is ready, since it runs, what it is blocked by, or that its last attempt took.';
comment on column :SCHEMA.jobs.age is 'Time since it was enqueued.';
comment on column :SCHEMA.jobs.attempt is 'Attempts started of those allowed.';
comment on column :SCHEMA.jobs.worker is 'Worker that runs or last ran it.';
comment on column :SCHEMA.jobs.progress is 'How far it is, if its handler says so while it runs.';
comment on column :SCHEMA.jobs.last_error is 'Why the last attempt failed.';
comment on column :SCHEMA.jobs.payload is 'Input of the task.';
comment on column :SCHEMA.jobs.result is 'What the task returned.';
comment on column :SCHEMA.jobs.unique_key is 'Key of which a task has one live job at most.';
comment on column :SCHEMA.jobs.concurrency_key is 'Key of whose jobs only so many run at a time.';
comment on column :SCHEMA.jobs.tags is 'Labels for people.';
comment on column :SCHEMA.jobs.headers is 'Context that travels with the job.';
comment on column :SCHEMA.jobs.created_at is 'When it was enqueued.';
comment on column :SCHEMA.jobs.run_at is 'When it is, or was, due.';
comment on column :SCHEMA.jobs.started_at is 'When the last attempt started.';
comment on column :SCHEMA.jobs.finished_at is 'When it finished.';
comment on column :SCHEMA.jobs.expires_at is 'From then on it does not start.';
--! EndIncluded inspect/jobs.sql
--! Included inspect/failures.sql
create view :SCHEMA.failures as
select
  f.id,
  f.task,
  f.state,
  f.attempt,
  :SCHEMA.short(clock_timestamp() - e.failed_at) || ' ago' as failed,
  e.message as error,
  case when f.state = 'scheduled' then 'in ' || :SCHEMA.short(f.run_at - clock_timestamp()) end as next,
  f.payload,
  e.detail,
  e.failed_at
from (
  select j.id, j.task, j.state, j.attempt, j.run_at, j.payload
  from :SCHEMA.job as j
  where j.attempt > 0
  union all
  select a.id, a.task, a.state, a.attempt, a.run_at, a.payload
  from :SCHEMA.archive as a
  where a.state = 'failed'
) as f
cross join lateral (
  select r.message, r.detail, r.failed_at
  from :SCHEMA.attempt_error as r
  where r.job_id = f.id
  order by r.failed_at desc
  limit 1
) as e;

comment on view :SCHEMA.failures is 'Jobs that ended failed, and live jobs whose last attempt failed, with that error. All errors of a job are in attempt_error.';
comment on column :SCHEMA.failures.id is 'Identity of the job: select rouse.retry(id) from rouse.failures where ….';
comment on column :SCHEMA.failures.task is 'Task that handles it.';
comment on column :SCHEMA.failures.state is 'failed: no attempt is left; otherwise the state it is in now.';
comment on column :SCHEMA.failures.attempt is 'Attempts started so far.';
comment on column :SCHEMA.failures.failed is 'How long ago it last failed.';
comment on column :SCHEMA.failures.error is 'Why, in one line.';
comment on column :SCHEMA.failures.next is 'Time until the next attempt.';
comment on column :SCHEMA.failures.payload is 'Input of the task.';
comment on column :SCHEMA.failures.detail is 'What else is known: name, code, stack.';
comment on column :SCHEMA.failures.failed_at is 'When it last failed.';
--! EndIncluded inspect/failures.sql
--! Included inspect/queues.sql
create view :SCHEMA.queues as
select
  coalesce(q.name, j.queue) as queue,
  case when q.paused_at is not null then 'paused ' || :SCHEMA.short(clock_timestamp() - q.paused_at) else 'open' end as status,
  coalesce(j.ready, 0) as ready,
  coalesce(j.running, 0) as running,
  coalesce(j.scheduled, 0) as scheduled,
  coalesce(j.blocked, 0) as blocked,
  :SCHEMA.short(clock_timestamp() - j.oldest) as oldest,
  'in ' || :SCHEMA.short(j.next - clock_timestamp()) as next,
  (
    select count(*)
    from :SCHEMA.worker as w
    where w.stopping_at is null
      and (w.queues is null or coalesce(q.name, j.queue) = any (w.queues))
  ) as workers
from :SCHEMA.queue as q
full join (
  select
    queue,
    count(*) filter (where state = 'ready') as ready,
    count(*) filter (where state = 'running') as running,
    count(*) filter (where state = 'scheduled') as scheduled,
    count(*) filter (where state in ('blocked', 'waiting')) as blocked,
    min(run_at) filter (where state = 'ready') as oldest,
    min(run_at) filter (where state = 'scheduled') as next
  from :SCHEMA.job
  group by queue
) as j on j.queue = q.name
order by 1;

comment on view :SCHEMA.queues is 'Queues that have live jobs or settings, with what waits in each.';
comment on column :SCHEMA.queues.queue is 'Name of the queue.';
comment on column :SCHEMA.queues.status is 'open, or paused and since when.';
comment on column :SCHEMA.queues.ready is 'Jobs that could run now.';
comment on column :SCHEMA.queues.running is 'Jobs that run.';
comment on column :SCHEMA.queues.scheduled is 'Jobs that are due later, those between two attempts included.';
comment on column :SCHEMA.queues.blocked is 'Jobs that wait for a key or for other jobs.';
comment on column :SCHEMA.queues.oldest is 'How long the ready job that is due longest has waited.';
comment on column :SCHEMA.queues.next is 'Time until the next job is due.';
comment on column :SCHEMA.queues.workers is 'Workers that serve the queue.';
--! EndIncluded inspect/queues.sql
--! Included inspect/limits.sql
create view :SCHEMA.limits as
select
  coalesce(l.kind, split_part(u.lane, ':', 1)) as kind,
  coalesce(l.name, substr(u.lane, strpos(u.lane, ':') + 1)) as name,
  coalesce('paused ' || :SCHEMA.short(clock_timestamp() - coalesce(l.paused_at, q.paused_at)), 'open') as status,
  l.concurrency,
  l.rate || ' in ' || :SCHEMA.short(l.period) as rate,
  case when l.rate is not null then l.burst end as burst,
  coalesce(u.held, 0) as held,
  coalesce(u.blocked, 0) as blocked,
  :SCHEMA.short(clock_timestamp() - u.oldest) as oldest,
  'in ' || :SCHEMA.short(m.next_at - clock_timestamp()) as next
from :SCHEMA.job_limit as l
full join (
  select
    coalesce(h.lane, b.lane) as lane,
    h.held,
    b.blocked,
    b.oldest
  from (
    select lane, count(*) as held
    from :SCHEMA.holder
    group by lane
  ) as h
  full join (
    select lane, count(*) as blocked, min(run_at) as oldest
    from :SCHEMA.job
    where state = 'blocked'
      and lane is not null
    group by lane
  ) as b on b.lane = h.lane
) as u on u.lane = l.lane
left join :SCHEMA.queue as q on 'queue:' || q.name = coalesce(l.lane, u.lane)
left join :SCHEMA.meter as m on m.lane = coalesce(l.lane, u.lane)
order by 1, 2;

comment on view :SCHEMA.limits is 'Limits that were set, and keys, tasks and queues whose jobs hold a slot or stand in line.';
comment on column :SCHEMA.limits.kind is 'task, queue or key: of all its jobs together; task_keys, queue_keys: of each key of its jobs.';
comment on column :SCHEMA.limits.name is 'Name of the task, the queue or the key.';
comment on column :SCHEMA.limits.status is 'open, or paused and since when.';
comment on column :SCHEMA.limits.concurrency is 'Jobs that run at a time; null: as its task or queue says of each key, or any number.';
comment on column :SCHEMA.limits.rate is 'Jobs that start in a time.';
comment on column :SCHEMA.limits.burst is 'Most that start at once after a pause.';
comment on column :SCHEMA.limits.held is 'Slots that are taken.';
comment on column :SCHEMA.limits.blocked is 'Jobs that stand in line here.';
comment on column :SCHEMA.limits.oldest is 'How long the first of them has been due.';
comment on column :SCHEMA.limits.next is 'Time until the rate lets the next one start.';
--! EndIncluded inspect/limits.sql
--! Included inspect/workers.sql
create view :SCHEMA.workers as
select
  w.id,
  w.name as worker,
  case
    when w.beat_at < clock_timestamp() - s.lease then 'silent'
    when w.stopping_at is not null then 'stopping'
    when w.polls_since is not null then 'polling'
    else 'running'
  end as status,
  (
    select count(*)
    from :SCHEMA.job as j
    where j.state = 'running'
      and j.worker_id = w.id
  ) || '/' || coalesce(w.concurrency::text, '?') as jobs,
  w.stuck,
  :SCHEMA.short(clock_timestamp() - w.beat_at) || ' ago' as last_beat,
  :SCHEMA.short(clock_timestamp() - w.started_at) as up,
  coalesce(array_to_string(w.queues, ', '), 'all') as queues,
  coalesce(cardinality(w.tasks)::text, 'all') as tasks,
  w.host,
  w.pid,
  w.version
from :SCHEMA.worker as w
cross join :SCHEMA.setting as s
order by w.id;

comment on view :SCHEMA.workers is 'Worker processes.';
comment on column :SCHEMA.workers.id is 'Identity of the worker.';
comment on column :SCHEMA.workers.worker is 'Its name.';
comment on column :SCHEMA.workers.status is 'running; polling: it hears no notification and looks every second; stopping: takes no new jobs; silent: gave no sign of life for a lease.';
comment on column :SCHEMA.workers.jobs is 'Jobs it runs, of those it may run at a time.';
comment on column :SCHEMA.workers.stuck is 'Slots it cannot use: their handlers ignore that their attempt has ended.';
comment on column :SCHEMA.workers.last_beat is 'When it last gave a sign of life.';
comment on column :SCHEMA.workers.up is 'How long it has been running.';
comment on column :SCHEMA.workers.queues is 'Queues it serves.';
comment on column :SCHEMA.workers.tasks is 'Number of tasks it knows.';
comment on column :SCHEMA.workers.host is 'Host it runs on.';
comment on column :SCHEMA.workers.pid is 'Its process id there.';
comment on column :SCHEMA.workers.version is 'Version of Rouse it runs.';
--! EndIncluded inspect/workers.sql
--! Included inspect/watches.sql
create view :SCHEMA.watches as
select
  w.name as watch,
  coalesce(t.relation::text, w.relation) as relation,
  array_to_string(w.events, ', ') as events,
  array_to_string(w.tasks, ', ') as tasks,
  w.topic,
  case
    when t.relation is null then 'table gone'
    when t.disabled then 'disabled'
    when t.triggers < cardinality(w.events) then 'triggers missing'
    when e.failed_at > clock_timestamp() - interval '1 day' then 'failing'
    else 'active'
  end as status,
  case when e.failed_at is not null then :SCHEMA.short(clock_timestamp() - e.failed_at) || ' ago' end as failed,
  e.message as error,
  array_to_string(w.columns, ', ') as columns,
  w.condition,
  w.payload,
  case when w.batch is not null then 'up to ' || w.batch || ' rows' else 'one row' end as job_for,
  concat_ws(
    ', ',
    'queue ' || w.queue,
    'priority ' || w.priority,
    'delay ' || w.delay,
    'unique_key ' || w.unique_key,
    'coalesce_key ' || w.coalesce_key,
    'concurrency_key ' || w.concurrency_key,
    'context ' || nullif(array_to_string(w.context, ' '), '')
  ) as options,
  w.on_error,
  w.level,
  w.changed_at,
  w.changed_by
from :SCHEMA.watch as w
left join lateral (
  select
    min(g.tgrelid)::regclass as relation,
    count(*) as triggers,
    bool_or(g.tgenabled = 'D') as disabled
  from pg_catalog.pg_proc as p
  join pg_catalog.pg_trigger as g
    on g.tgfoid = p.oid
   and g.tgparentid = 0
  where p.pronamespace = :SCHEMA.installation()
    and p.proname = 'watch_' || w.id
) as t on true
left join lateral (
  select r.failed_at, r.message
  from :SCHEMA.watch_error as r
  where r.watch_id = w.id
  order by r.failed_at desc
  limit 1
) as e on true
order by w.relation, w.name;

comment on view :SCHEMA.watches is 'Which changes of which tables make jobs, and whether that works.';
comment on column :SCHEMA.watches.watch is 'Its name, for watch() and unwatch().';
comment on column :SCHEMA.watches.relation is 'The table it watches.';
comment on column :SCHEMA.watches.events is 'What it takes notice of.';
comment on column :SCHEMA.watches.tasks is 'Tasks that get a job.';
comment on column :SCHEMA.watches.topic is 'Topic that is published to.';
comment on column :SCHEMA.watches.status is 'active; failing: an error in the last day, its changes made no jobs; disabled: with alter table … disable trigger; triggers missing; table gone: unwatch() it, or watch() anew.';
comment on column :SCHEMA.watches.failed is 'When it last failed.';
comment on column :SCHEMA.watches.error is 'Why. All errors are in watch_error.';
comment on column :SCHEMA.watches.columns is 'An update counts where one of these changed.';
comment on column :SCHEMA.watches.condition is 'What a row must meet.';
comment on column :SCHEMA.watches.payload is 'What the jobs get.';
comment on column :SCHEMA.watches.job_for is 'Rows in a job.';
comment on column :SCHEMA.watches.options is 'Other arguments it was given.';
comment on column :SCHEMA.watches.on_error is 'report: the write goes on when an expression fails; raise: it fails.';
comment on column :SCHEMA.watches.level is 'statement or row: what its triggers fire for.';
comment on column :SCHEMA.watches.changed_at is 'When it was made or changed.';
comment on column :SCHEMA.watches.changed_by is 'By which role.';
--! EndIncluded inspect/watches.sql
--! Included inspect/schedules.sql
create view :SCHEMA.schedules as
select
  s.id,
  s.name as schedule,
  s.spec,
  s.timezone,
  coalesce(s.task, 'SQL: ' || :SCHEMA.shorten(s.command, 40)) as runs,
  case
    when not s.enabled then 'paused'
    when s.next_run_at is null then 'ended'
    when s.next_run_at < clock_timestamp() then 'due ' || :SCHEMA.short(clock_timestamp() - s.next_run_at) || ' ago'
    else 'in ' || :SCHEMA.short(s.next_run_at - clock_timestamp())
  end as next,
  to_char(s.next_run_at at time zone s.timezone, 'Dy YYYY-MM-DD HH24:MI:SS') as next_local,
  :SCHEMA.short(clock_timestamp() - s.last_run_at) || ' ago' as last,
  coalesce(l.state, a.state, case when s.last_job_id is not null then 'done' end) as last_state,
  s.runs as count,
  s.overlap,
  s.catch_up,
  coalesce(s.source, 'by hand') as source,
  s.last_error
from :SCHEMA.schedule as s
left join :SCHEMA.job as l on l.id = s.last_job_id
left join lateral (
  select r.state
  from :SCHEMA.archive as r
  where r.id = s.last_job_id
  limit 1
) as a on l.id is null
order by s.name;

comment on view :SCHEMA.schedules is 'Schedules, when each runs next and how its last run went.';
comment on column :SCHEMA.schedules.id is 'Identity of the schedule.';
comment on column :SCHEMA.schedules.schedule is 'Its name.';
comment on column :SCHEMA.schedules.spec is 'When it runs.';
comment on column :SCHEMA.schedules.timezone is 'Zone in which the spec is read.';
comment on column :SCHEMA.schedules.runs is 'Task or SQL that it runs.';
comment on column :SCHEMA.schedules.next is 'Time to its next slot; due: it waits for a worker; paused; ended: none follows.';
comment on column :SCHEMA.schedules.next_local is 'Its next slot on the clock of its zone.';
comment on column :SCHEMA.schedules.last is 'How long ago its last slot was.';
comment on column :SCHEMA.schedules.last_state is 'State of the job of its last slot that ran; done: finished, and no longer kept.';
comment on column :SCHEMA.schedules.count is 'Slots that have run.';
comment on column :SCHEMA.schedules.overlap is 'What happens to a slot while the job before is live.';
comment on column :SCHEMA.schedules.catch_up is 'What happens to missed slots.';
comment on column :SCHEMA.schedules.source is 'Who declared it.';
comment on column :SCHEMA.schedules.last_error is 'Why its last slot could not be enqueued.';
--! EndIncluded inspect/schedules.sql
--! Included inspect/finding.sql
create type :SCHEMA.finding as (
  severity text,
  subject text,
  finding text,
  why text,
  remedy text
);

comment on type :SCHEMA.finding is 'Something that doctor() found.';
comment on column :SCHEMA.finding.severity is 'error: jobs do not run, or soon will not; warning: something is lost (speed, room, a safeguard); info: worth knowing.';
comment on column :SCHEMA.finding.subject is 'What it is about.';
comment on column :SCHEMA.finding.finding is 'What is wrong.';
comment on column :SCHEMA.finding.why is 'Why it matters.';
comment on column :SCHEMA.finding.remedy is 'What to do.';
--! EndIncluded inspect/finding.sql
--! Included inspect/living_workers.sql
create function :SCHEMA.living_workers(as_of timestamptz)
  returns setof :SCHEMA.worker
  language sql
  stable
  rows 10
  set search_path = pg_catalog, pg_temp
begin atomic
  select w.*
  from :SCHEMA.worker as w
  cross join :SCHEMA.setting as s
  where w.stopping_at is null
    and w.beat_at >= as_of - s.lease;
end;

comment on function :SCHEMA.living_workers(timestamptz) is 'Workers that take jobs and gave a sign of life within the lease.';
--! EndIncluded inspect/living_workers.sql
--! Included inspect/doctor_copy.sql
create function :SCHEMA.doctor_copy(as_of timestamptz)
  returns setof :SCHEMA.finding
  language sql
  stable
  rows 1
  set search_path = pg_catalog, pg_temp
begin atomic
  select
    'error',
    format('database "%s"', current_database()),
    'it is a copy: it was restored, or made from a template, after Rouse was installed in the original',
    'No worker starts on it, so that a copy sends no mail and charges nobody twice.',
    'If its jobs and schedules are to run here, call confirm_copy(), or rouse doctor --confirm-copy. Look first at what they are.'
  where :SCHEMA.is_copy();
end;

comment on function :SCHEMA.doctor_copy(timestamptz) is 'Part of doctor(): whether this database is a copy.';
--! EndIncluded inspect/doctor_copy.sql
--! Included inspect/doctor_workers.sql
create function :SCHEMA.doctor_workers(as_of timestamptz)
  returns setof :SCHEMA.finding
  language sql
  stable
  rows 5
  set search_path = pg_catalog, pg_temp
begin atomic
  select
    'error',
    'workers',
    format('no worker runs, and %s jobs are due, the first since %s', count(*), :SCHEMA.short(as_of - min(j.run_at))),
    'Jobs and schedules run when a worker does.',
    'Start one: rouse worker.'
  from :SCHEMA.job as j
  where (j.state = 'ready' or j.state = 'scheduled' and j.run_at <= as_of)
    and not exists (select from :SCHEMA.queue as q where q.name = j.queue and q.paused_at is not null)
    and not exists (select from :SCHEMA.living_workers(as_of))
  having count(*) > 0
  union all
  select
    case when r.jobs > 0 then 'error' else 'warning' end,
    format('worker "%s"', w.name),
    format('it gave no sign of life for %s, and %s jobs run in its name', :SCHEMA.short(as_of - w.beat_at), r.jobs),
    'The next worker that beats hands its jobs to others; while none does, they stay where they are.',
    'Start a worker. Where one runs and this stays, its log says why it cannot sweep.'
  from :SCHEMA.worker as w
  cross join :SCHEMA.setting as s
  cross join lateral (
    select count(*) as jobs
    from :SCHEMA.job as j
    where j.state = 'running'
      and j.worker_id = w.id
  ) as r
  where w.beat_at < as_of - s.lease
  union all
  select
    'warning',
    format('worker "%s"', w.name),
    format('it has heard no notification since %s and looks for jobs every second', :SCHEMA.short(as_of - w.polls_since)),
    format(
      'A pooler in transaction mode passes none on: jobs start up to a second late, and its death would be noticed after %s instead of 5 s.',
      :SCHEMA.short(s.lease)
    ),
    'Give it the address of the server itself too: directConnectionString, or ROUSE_DIRECT_URL.'
  from :SCHEMA.living_workers(as_of) as w
  cross join :SCHEMA.setting as s
  where w.polls_since is not null
  union all
  select
    'warning',
    format('worker "%s"', w.name),
    format('%s of its %s slots are held by handlers whose attempts have ended', w.stuck, w.concurrency),
    'A handler that ignores its signal keeps its slot until it returns; the job itself has gone on without it.',
    'Let the task pass its signal on to what it waits for. Restart the worker to free the slots.'
  from :SCHEMA.living_workers(as_of) as w
  where w.stuck > 0
  union all
  select
    'warning',
    'workers',
    format('they are of different versions: %s', string_agg(format('%s (%s)', v.version, v.workers), ', ' order by v.version)),
    'That is fine while an upgrade goes on. If it does not, some process was forgotten.',
    'The view workers shows host and process of each: restart those of the old version.'
  from (
    select w.version, count(*) as workers
    from :SCHEMA.living_workers(as_of) as w
    where w.version is not null
    group by w.version
  ) as v
  having count(*) > 1
  union all
  select
    'warning',
    format('worker "%s"', w.name),
    format('its version %s is older than %s, which migrated this schema last', w.version, m.rouse_version),
    'Workers of the version before run on the next schema; those of older ones may not.',
    'Upgrade it.'
  from :SCHEMA.living_workers(as_of) as w
  cross join (
    select n.rouse_version
    from :SCHEMA.migration as n
    order by n.number desc
    limit 1
  ) as m
  where w.version ~ '^\d+(\.\d+)*'
    and m.rouse_version ~ '^\d+(\.\d+)*'
    and string_to_array(substring(w.version from '^\d+(?:\.\d+)*'), '.')::integer[]
      < string_to_array(substring(m.rouse_version from '^\d+(?:\.\d+)*'), '.')::integer[];
end;

comment on function :SCHEMA.doctor_workers(timestamptz) is 'Part of doctor(): workers that are missing, silent, deaf, stuck or of the wrong version.';
--! EndIncluded inspect/doctor_workers.sql
--! Included inspect/doctor_jobs.sql
create function :SCHEMA.doctor_jobs(as_of timestamptz)
  returns setof :SCHEMA.finding
  language sql
  stable
  rows 5
  set search_path = pg_catalog, pg_temp
begin atomic
  with
    waiting as (
      select j.task, j.queue, count(*) as jobs, min(j.run_at) as since
      from :SCHEMA.job as j
      where (j.state = 'ready' or j.state = 'scheduled' and j.run_at <= as_of)
        and exists (select from :SCHEMA.living_workers(as_of))
      group by j.task, j.queue
    ),
    known as (
      select array_agg(distinct t.name) as tasks, coalesce(bool_or(w.tasks is null), false) as all_tasks
      from :SCHEMA.living_workers(as_of) as w
      left join lateral unnest(w.tasks) as t (name) on true
    )
  (
    select
      'warning',
      format('task "%s"', u.task),
      format('%s jobs wait, the first since %s, and no running worker knows the task', sum(u.jobs), :SCHEMA.short(as_of - min(u.since)))
        || coalesce('; did you mean "' || :SCHEMA.nearest_name(u.task, array_remove(k.tasks, null)) || '"?', ''),
      'They wait until a worker that knows it starts, and keep nobody else waiting.',
      'Start a worker with this task; or give the task that replaced it the old name as an alias; or purge() the jobs.'
    from waiting as u
    cross join known as k
    where not k.all_tasks
      and u.task <> all (array_remove(k.tasks, null))
    group by u.task, k.tasks
    order by sum(u.jobs) desc
    limit 20
  )
  union all
  (
    select
      'warning',
      format('queue "%s"', u.queue),
      format('%s jobs wait, the first since %s, and no running worker serves the queue', sum(u.jobs), :SCHEMA.short(as_of - min(u.since))),
      'They wait until a worker that serves it starts.',
      'Start a worker for this queue (rouse worker --queues), or one for all.'
    from waiting as u
    where not exists (
        select
        from :SCHEMA.living_workers(as_of) as w
        where w.queues is null
          or u.queue = any (w.queues)
      )
      and not exists (
        select
        from :SCHEMA.queue as q
        where q.name = u.queue
          and q.paused_at is not null
      )
    group by u.queue
    order by sum(u.jobs) desc
    limit 20
  );
end;

comment on function :SCHEMA.doctor_jobs(timestamptz) is 'Part of doctor(): due jobs that no running worker will take.';
--! EndIncluded inspect/doctor_jobs.sql
--! Included inspect/doctor_limits.sql
create function :SCHEMA.doctor_limits(as_of timestamptz)
  returns setof :SCHEMA.finding
  language sql
  stable
  rows 5
  set search_path = pg_catalog, pg_temp
begin atomic
  with
    lines as (
      select j.lane, count(*) as jobs, min(j.run_at) as since
      from :SCHEMA.job as j
      where j.state = 'blocked'
      group by j.lane
      having min(j.run_at) < as_of - interval '1 minute'
      order by min(j.run_at)
      limit 1000
    ),
    held as (
      select
        u.lane,
        count(*) filter (where j.state = 'running') as running,
        (array_agg(j.id order by j.run_at) filter (where j.state <> 'running'))[1] as idle,
        (array_agg(j.task order by j.run_at) filter (where j.state <> 'running'))[1] as idle_task
      from lines as u
      join :SCHEMA.holder as h on h.lane = u.lane
      join :SCHEMA.job as j on j.id = h.job_id
      group by u.lane
    )
  select
    'warning',
    case
      when u.lane is null then 'blocked jobs'
      else format('%s "%s"', split_part(u.lane, ':', 1), :SCHEMA.shorten(substr(u.lane, strpos(u.lane, ':') + 1)))
    end,
    format('%s jobs stand in line, the first since %s, and ', u.jobs, :SCHEMA.short(as_of - u.since))
      || case
        when u.lane is null then 'no limit is about them'
        when p.since is not null then 'it is paused since ' || :SCHEMA.short(as_of - p.since)
        when h.idle is not null then format('its slot is held by job %s of "%s", which does not run', h.idle, h.idle_task)
        else 'none of its jobs runs'
      end,
    'They wait, and those that come after them.',
    case
      when u.lane is null then 'They were inserted as blocked: set their run_at again, which files them anew, or purge() them.'
      when p.since is not null then 'resume() it, or cancel() the jobs.'
      when h.idle is not null then 'Start a worker for that job, cancel() it, or give the limit more concurrency.'
      else 'Look whether workers run: their beats repair a line that was forgotten within seconds.'
    end
  from lines as u
  left join held as h on h.lane = u.lane
  left join :SCHEMA.job_limit as l on l.lane = u.lane
  left join :SCHEMA.queue as q on 'queue:' || q.name = u.lane
  left join :SCHEMA.meter as m on m.lane = u.lane
  cross join lateral (select coalesce(l.paused_at, q.paused_at) as since) as p
  where p.since is not null
     or coalesce(h.running, 0) = 0 and m.next_at is null
  order by u.since
  limit 20;
end;

comment on function :SCHEMA.doctor_limits(timestamptz) is 'Part of doctor(): keys, tasks and queues at which jobs stand in line and nothing moves.';
--! EndIncluded inspect/doctor_limits.sql
--! Included inspect/doctor_schedules.sql
create function :SCHEMA.doctor_schedules(as_of timestamptz)
  returns setof :SCHEMA.finding
  language sql
  stable
  rows 5
  set search_path = pg_catalog, pg_temp
begin atomic
  select
    'error',
    format('schedule "%s"', s.name),
    format('its slot of %s is %s late', s.next_run_at, :SCHEMA.short(as_of - s.next_run_at))
      || case when s.last_run_at is null then ', and it has never run' else '' end,
    'Slots are fired by workers, at every beat at the latest. Late ones then run after the catch-up rule of the schedule.',
    'Start a worker. Where one runs, its log says why it cannot; tick() fires what is due at once.'
  from :SCHEMA.schedule as s
  where s.enabled
    and s.next_run_at < as_of - interval '1 minute'
  union all
  select
    'warning',
    format('schedule "%s"', s.name),
    'it will never run: no time follows that its spec, its start and its end allow',
    'It was enabled for something.',
    'cron_upcoming() shows the times of a spec. Change it, or unschedule() it.'
  from :SCHEMA.schedule as s
  where s.enabled
    and s.next_run_at is null
    and s.last_run_at is null
  union all
  select
    'warning',
    format('schedule "%s"', s.name),
    format('its last slot could not be enqueued: %s', s.last_error),
    'That slot did not run.',
    'Repair what the message names; run_now() makes up for the slot.'
  from :SCHEMA.schedule as s
  where s.last_error is not null
  union all
  select
    'warning',
    format('schedule "%s"', s.name),
    format('its last slot, of %s, lies %s ahead', s.last_run_at, :SCHEMA.short(s.last_run_at - as_of)),
    'The clock of the server has gone back. No slot runs again, so it rests until the clock gets there.',
    'Check the clock of the server. run_now() runs it meanwhile.'
  from :SCHEMA.schedule as s
  where s.enabled
    and s.last_run_at > as_of + interval '10 seconds';
end;

comment on function :SCHEMA.doctor_schedules(timestamptz) is 'Part of doctor(): schedules that are late, failed, or never run.';
--! EndIncluded inspect/doctor_schedules.sql
--! Included inspect/doctor_watches.sql
create function :SCHEMA.doctor_watches(as_of timestamptz)
  returns setof :SCHEMA.finding
  language sql
  stable
  rows 5
  set search_path = pg_catalog, pg_temp
begin atomic
  select
    'error',
    format('watch "%s"', c.watch),
    c.problem,
    case w.on_error
      when 'raise' then 'Writes to its table fail, because it was made with on_error => ''raise''.'
      else 'Writes to its table go on, and make no jobs.'
    end,
    'Repair it by calling watch() with its name again, or remove it with unwatch().'
  from :SCHEMA.check_watches() as c
  join :SCHEMA.watch as w on w.name = c.watch
  union all
  select
    'error',
    format('watch "%s"', w.watch),
    format('triggers of it on %s are %s', w.relation, case w.status when 'disabled' then 'disabled' else 'missing' end),
    'Changes of the table make no jobs.',
    case w.status
      when 'disabled' then format('alter table %s enable trigger user; or remove the watch with unwatch().', w.relation)
      else 'Make them again by calling watch() with its name, or remove it with unwatch().'
    end
  from :SCHEMA.watches as w
  where w.status in ('disabled', 'triggers missing')
  union all
  select
    'warning',
    format('watch "%s"', w.name),
    format(
      'it has failed, the last time %s ago with an %s: %s',
      :SCHEMA.short(as_of - e.failed_at), e.event, :SCHEMA.shorten(e.message)
    ),
    'These changes made no jobs, while the writes went on.',
    'All errors are in watch_error. Change its expressions by calling watch() with its name again; what was missed comes with no later change.'
  from :SCHEMA.watch as w
  cross join lateral (
    select r.failed_at, r.event, r.message
    from :SCHEMA.watch_error as r
    where r.watch_id = w.id
      and r.failed_at > as_of - interval '1 day'
    order by r.failed_at desc
    limit 1
  ) as e
  union all
  select
    'warning',
    format('%s "%s"', u.kind, u.name),
    format('nobody has declared its task "%s"', u.task),
    'Its jobs wait until a worker knows the task.',
    'Start a worker that has the task, correct the name, or ' || u.remedy || '.'
  from (
    select 'watch' as kind, w.name, t.name as task, 'remove the watch with unwatch()' as remedy
    from :SCHEMA.watch as w
    cross join lateral unnest(w.tasks) as t (name)
    union all
    select 'topic', s.topic, s.task, 'end its subscription with unsubscribe()'
    from :SCHEMA.subscription as s
  ) as u
  where not exists (
    select
    from :SCHEMA.task as t
    where t.name = u.task
       or u.task = any (t.aliases)
  );
end;

comment on function :SCHEMA.doctor_watches(timestamptz) is 'Part of doctor(): watches that fail or would, whose triggers are gone, and tasks that get jobs and that nobody has declared.';
--! EndIncluded inspect/doctor_watches.sql
--! Included inspect/doctor_vacuum.sql
-- Vacuum removes nothing that the oldest snapshot may still see. Times of other roles' sessions are hidden from a role
-- without pg_read_all_stats; their snapshots are not, so those count by their age in transactions.
create function :SCHEMA.doctor_vacuum(as_of timestamptz, most_xids integer default 100000)
  returns setof :SCHEMA.finding
  language sql
  stable
  rows 5
  set search_path = pg_catalog, pg_temp
begin atomic
  select
    'warning',
    h.subject,
    h.finding,
    'Vacuum can remove no row that has died since: the table job grows (' || d.dead || ' dead rows now), and claims and enqueues walk past them.',
    h.remedy
  from (
    select coalesce(t.n_dead_tup, 0) as dead
    from pg_stat_all_tables as t
    where t.relid = (select c.oid from pg_class as c where c.relnamespace = :SCHEMA.installation() and c.relname = 'job')
  ) as d
  cross join (
    (
      select
        format('session %s', a.pid) as subject,
        format(
          'a transaction of role %s (%s) has kept its snapshot for %s',
          coalesce(a.usename, 'unknown'),
          concat_ws(', ', nullif(a.application_name, ''), a.state),
          coalesce(:SCHEMA.short(as_of - a.xact_start), x.age || ' transactions')
        ) as finding,
        format(
          'End that transaction, if need be by pg_terminate_backend(%s); idle_in_transaction_session_timeout ends forgotten ones.',
          a.pid
        ) as remedy
      from pg_stat_activity as a
      cross join lateral (select greatest(age(a.backend_xid), age(a.backend_xmin)) as age) as x
      where x.age is not null
        and a.pid <> pg_backend_pid()
        and (a.datid is null or a.datid = (select b.oid from pg_database as b where b.datname = current_database()))
        and not exists (select from pg_stat_replication as r where r.pid = a.pid)
        and (a.xact_start < as_of - interval '5 minutes' or a.xact_start is null and x.age > most_xids)
      order by a.xact_start
      limit 5
    )
    union all
    select
      format('prepared transaction "%s"', p.gid),
      format('it was prepared %s ago and neither committed nor rolled back', :SCHEMA.short(as_of - p.prepared)),
      format('commit prepared %L; or rollback prepared %L;', p.gid, p.gid)
    from pg_prepared_xacts as p
    where p.database = current_database()
      and p.prepared < as_of - interval '5 minutes'
    union all
    select
      format('replication slot "%s"', s.slot_name),
      format(
        'it keeps a snapshot that is %s transactions old, and %s',
        age(s.xmin),
        case when s.active then 'its standby asks for that (hot_standby_feedback)' else 'nobody uses it' end
      ),
      case when s.active
        then 'End the long query on the standby.'
        else format('If its standby will not come back: select pg_drop_replication_slot(%L);', s.slot_name)
      end
    from pg_replication_slots as s
    where age(s.xmin) > most_xids
    union all
    select
      format('standby %s', coalesce(nullif(a.application_name, ''), a.pid::text)),
      format('it keeps a snapshot that is %s transactions old (hot_standby_feedback)', age(a.backend_xmin)),
      'End the long query on the standby, or turn hot_standby_feedback off there.'
    from pg_stat_activity as a
    join pg_stat_replication as r on r.pid = a.pid
    where age(a.backend_xmin) > most_xids
  ) as h;
end;

comment on function :SCHEMA.doctor_vacuum(timestamptz, integer) is 'Part of doctor(): whatever has kept vacuum from its work for more than 5 minutes, or for that many transactions where times are hidden or unknown.';
--! EndIncluded inspect/doctor_vacuum.sql
--! Included inspect/doctor_server.sql
create function :SCHEMA.doctor_server(as_of timestamptz, queue_usage double precision default pg_notification_queue_usage())
  returns setof :SCHEMA.finding
  language sql
  stable
  rows 1
  set search_path = pg_catalog, pg_temp
begin atomic
  select
    case when queue_usage > 0.5 then 'error' else 'warning' end,
    'notification queue',
    format('%s %% of it are used', round(queue_usage * 100)),
    'When it is full every transaction that notifies fails, and each enqueue that wakes a worker does.',
    'A session that listens has been in one transaction for long: the log of the server names it, and so may pg_stat_activity. End that transaction.'
  where queue_usage > 0.05
  union all
  select
    'warning',
    'autovacuum',
    'it is off',
    'Every job leaves dead rows behind, and nothing removes them.',
    'Set autovacuum and track_counts to on.'
  where current_setting('autovacuum') = 'off'
    or current_setting('track_counts') = 'off'
  union all
  select
    'warning',
    format('table %s', c.relname),
    'autovacuum is off for it',
    'Every job leaves dead rows behind, and nothing removes them.',
    format('alter table %s reset (autovacuum_enabled);', c.oid::regclass)
  from pg_class as c
  where c.relnamespace = :SCHEMA.installation()
    and 'autovacuum_enabled=false' = any (c.reloptions);
end;

comment on function :SCHEMA.doctor_server(timestamptz, double precision) is 'Part of doctor(): the notification queue (the share of it that is used), and settings without which tables grow.';
--! EndIncluded inspect/doctor_server.sql
--! Included inspect/doctor_tables.sql
create function :SCHEMA.doctor_tables(as_of timestamptz)
  returns setof :SCHEMA.finding
  language plpgsql
  stable
  rows 5
  set search_path = pg_catalog, pg_temp
as $$
declare
  today constant date := (as_of at time zone 'UTC')::date;
  fallback record;
  caught bigint;
begin
  return query
  select
    'warning',
    format('table %s', w.parent),
    format('%s partitions for what finishes until tomorrow are missing: %s', count(*), string_agg(w.partition, ', ' order by w.day)),
    'Their rows go into the default partition, from which they have to be moved.',
    'maintain() makes them; workers call it every ten minutes. Where one runs, its log says what keeps it from it.'
  from :SCHEMA.wanted_partitions(as_of, 1) as w
  group by w.parent;

  return query
  select
    'warning',
    format('table %s', p.relname),
    format('%s partitions should have been dropped: %s', count(*), string_agg(c.relname, ', ' order by c.relname)),
    'They take room, and hold data longer than its retention says.',
    'maintain() drops them, unless somebody reads the table all the time: pg_stat_activity shows who does.'
  from pg_class as p
  join pg_inherits as i on i.inhparent = p.oid
  join pg_class as c on c.oid = i.inhrelid
  where p.relnamespace = :SCHEMA.installation()
    and p.relkind = 'p'
    and c.relname ~ '_[0-9]{8}$'
    and right(c.relname, 8)::date < today - 1
  group by p.relname;

  for fallback in
    select n.nspname as house, c.relname as name
    from pg_class as p
    join pg_namespace as n on n.oid = p.relnamespace
    join pg_inherits as i on i.inhparent = p.oid
    join pg_class as c on c.oid = i.inhrelid
    where p.relnamespace = :SCHEMA.installation()
      and p.relkind = 'p'
      and c.relname = p.relname || '_default'
    order by c.relname
  loop
    execute format('select count(*) from (select from %I.%I limit 100000) as r', fallback.house, fallback.name)
    into caught;
    return query
    select
      'warning',
      format('table %s', fallback.name),
      format('it holds %s rows', case when caught = 100000 then '100000 or more' else caught::text end),
      'It catches rows whose partition is missing; here they are deleted one by one when their time has come.',
      'maintain() makes the partition and moves them. Where they stay, no task has the retention that they were kept for.'
    where caught > 0;
  end loop;

  return query
  select
    'warning',
    'table job',
    format('%s dead rows beside %s live ones', t.n_dead_tup, t.n_live_tup),
    'Claims and enqueues read past them.',
    'Something keeps vacuum from removing them (see other findings), or it does not keep up: vacuum the table now, and give autovacuum more room.'
  from pg_stat_all_tables as t
  where t.relid = (
      select c.oid
      from pg_class as c
      where c.relnamespace = :SCHEMA.installation()
        and c.relname = 'job'
    )
    and t.n_dead_tup > greatest(100000, 5 * t.n_live_tup);
end;
$$;

comment on function :SCHEMA.doctor_tables(timestamptz) is 'Part of doctor(): partitions that are missing or could not be dropped, rows that found none, and dead rows in the table job.';
--! EndIncluded inspect/doctor_tables.sql
--! Included inspect/doctor.sql
-- A check that fails is a finding like another: on some server something may be hidden that the others can do without.
create function :SCHEMA.doctor(as_of timestamptz default clock_timestamp())
  returns setof :SCHEMA.finding
  language plpgsql
  stable
  security definer
  rows 10
  set search_path = pg_catalog, pg_temp
as $$
declare
  house constant name := (select n.nspname from pg_namespace as n where n.oid = :SCHEMA.installation());
  part name;
  found_here :SCHEMA.finding[];
  found_all :SCHEMA.finding[] := cast(array[] as :SCHEMA.finding[]);
begin
  for part in
    select p.proname
    from pg_proc as p
    where p.pronamespace = :SCHEMA.installation()
      and p.proname ~ '^doctor_'
    order by p.proname
  loop
    begin
      execute format('select array(select f from %I.%I($1) as f)', house, part)
      into found_here
      using as_of;
    exception
      when others then
        found_here := array[
          cast(
            row(
              'info',
              part,
              'this check could not run: ' || sqlerrm,
              'What it looks for may be there all the same.',
              'Call it as the owner of the schema to see the whole error.'
            ) as :SCHEMA.finding
          )
        ];
    end;
    found_all := found_all || found_here;
  end loop;

  return query
  select f.*
  from unnest(found_all) as f
  order by array_position(array['error', 'warning', 'info'], f.severity), f.subject, f.finding;
end;
$$;

comment on function :SCHEMA.doctor(timestamptz) is 'What is wrong with this installation, why it matters and what to do, the worst first; no row: nothing that it looks for. It reads and changes nothing, on a standby too.';
--! EndIncluded inspect/doctor.sql
--! Included access/access_rights.sql
-- What a level may do, told by names, so that each migration finds what it made: a new function of the worker
-- protocol belongs to work, a new table or view to view, and everything to admin. Whatever else is new is nobody's.
--
-- Views are read with their owner's rights but call functions with the reader's: therefore view has short() and its
-- like. An immutable function reads and changes nothing, so it has them all.
create function :SCHEMA.access_rights(level text)
  returns table (privileges text, object text)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
begin atomic
  select 'usage', format('schema %I', n.nspname)
  from pg_namespace as n
  where n.oid = :SCHEMA.installation()
  union all
  select
    case when level = 'admin' and c.relkind <> 'v' and c.relname not in ('migration', 'access')
      then 'select, insert, update, delete'
      else 'select'
    end,
    format('table %s', c.oid::regclass)
  from pg_class as c
  where c.relnamespace = :SCHEMA.installation()
    and c.relkind in ('r', 'p', 'v')
    and not c.relispartition
    and c.relowner = quote_ident(current_user)::regrole
    and (level in ('view', 'admin') or c.relname = 'migration')
  union all
  select
    format('insert (%s)', string_agg(quote_ident(a.attname), ', ' order by a.attnum)),
    format('table %s', c.oid::regclass)
  from pg_class as c
  join pg_attribute as a on a.attrelid = c.oid
  where c.oid = (select r.oid from pg_class as r where r.relnamespace = :SCHEMA.installation() and r.relname = 'job')
    and a.attname in (
      'task', 'payload', 'queue', 'priority', 'run_at', 'max_attempts', 'unique_key', 'coalesce_key',
      'concurrency_key', 'expires_at', 'deadline_at', 'timeout', 'tags', 'headers'
    )
    and level in ('enqueue', 'work')
  group by c.oid
  union all
  select 'execute', format('routine %s', p.oid::regprocedure)
  from pg_proc as p
  where p.pronamespace = :SCHEMA.installation()
    and p.proowner = quote_ident(current_user)::regrole
    and p.prorettype <> 'trigger'::regtype
    and case level
      when 'enqueue' then p.proname in ('enqueue', 'enqueue_many', 'publish')
      when 'work' then p.proname in ('enqueue', 'enqueue_many', 'publish', 'channel', 'installation', 'tick', 'maintain')
        or p.proname ~ '_v[0-9]+$'
      when 'view' then p.proname in ('channel', 'installation', 'doctor', 'result', 'await_v1') or p.proname ~ '^cron_' or p.provolatile = 'i'
      else level = 'admin'
    end;
end;

comment on function :SCHEMA.access_rights(text) is 'What a level of access consists of, as grant and revoke read it.';
--! EndIncluded access/access_rights.sql
--! Included access/granted_objects.sql
create function :SCHEMA.granted_objects(grantee oid)
  returns setof text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
begin atomic
  with
    own as (
      select
        format('schema %I', n.nspname) as object,
        coalesce(n.nspacl, acldefault('n', n.nspowner)) as rights
      from pg_namespace as n
      where n.oid = :SCHEMA.installation()
        and n.nspowner = quote_ident(current_user)::regrole
      union all
      select
        format('routine %s', p.oid::regprocedure),
        coalesce(p.proacl, acldefault('f', p.proowner))
      from pg_proc as p
      where p.pronamespace = :SCHEMA.installation()
        and p.proowner = quote_ident(current_user)::regrole
      union all
      select
        format('%s %s', case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass),
        coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))
          || coalesce(
            (
              select array_agg(r.item)
              from pg_attribute as a
              cross join lateral unnest(a.attacl) as r (item)
              where a.attrelid = c.oid
            ),
            '{}'
          )
      from pg_class as c
      where c.relnamespace = :SCHEMA.installation()
        and c.relkind in ('r', 'p', 'v', 'm', 'S')
        and c.relowner = quote_ident(current_user)::regrole
      union all
      -- The types of tables and views are among them; an array has the rights of its elements.
      select
        format('type %s', t.oid::regtype),
        coalesce(t.typacl, acldefault('T', t.typowner))
      from pg_type as t
      where t.typnamespace = :SCHEMA.installation()
        and t.typtype in ('c', 'd', 'e', 'r')
        and t.typowner = quote_ident(current_user)::regrole
    )
  select o.object
  from own as o
  where exists (
    select
    from aclexplode(o.rights) as r
    where r.grantee = granted_objects.grantee
  );
end;

comment on function :SCHEMA.granted_objects(oid) is 'This schema and the objects in it, as far as the owner''s, on which a role has been granted something, as grant and revoke name them; 0 stands for PUBLIC.';
--! EndIncluded access/granted_objects.sql
--! Included access/apply_access.sql
-- PostgreSQL lets everybody execute a new function and use a new type. Rights that a level has lost are taken by the
-- migration that takes them: what people granted by hand beside a level stays.
create function :SCHEMA.apply_access()
  returns void
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  object text;
  granted record;
begin
  -- Two sessions that change the rights of one object at once would fail.
  perform pg_advisory_xact_lock(:SCHEMA.installation()::integer, -3);

  for object in
    select o.name
    from :SCHEMA.granted_objects(0) as o (name)
  loop
    execute format('revoke all on %s from public', object);
  end loop;

  delete from :SCHEMA.access as a
  where not exists (
    select
    from pg_roles as r
    where r.oid = a.role
  );
  for granted in
    select a.role, r.privileges, r.object
    from :SCHEMA.access as a
    cross join lateral :SCHEMA.access_rights(a.level) as r
  loop
    execute format('grant %s on %s to %s', granted.privileges, granted.object, granted.role);
  end loop;
end;
$$;

comment on function :SCHEMA.apply_access() is 'Takes everything from PUBLIC and gives each role that grant_access() named what its levels consist of. Every migration ends with it; run again it changes nothing.';
--! EndIncluded access/apply_access.sql
--! Included access/find_role.sql
create function :SCHEMA.find_role(role text)
  returns regrole
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  found_role oid := (select r.oid from pg_roles as r where r.rolname = find_role.role);
  nearest text;
begin
  if found_role is null then
    nearest := :SCHEMA.nearest_name(role, array(select r.rolname::text from pg_roles as r order by r.rolname limit 500));
    raise exception using
      errcode = 'undefined_object',
      message = 'role ' || coalesce('"' || :SCHEMA.shorten(role) || '"', 'null') || ' does not exist'
        || coalesce('; did you mean "' || nearest || '"?', ''),
      hint = case lower(role)
        when 'public' then 'Rouse grants nothing to PUBLIC. Grant to a role that others are members of.'
        else 'Give the name of a role as it is stored, without quotes; create role makes one.'
      end;
  end if;
  if found_role = (
    select c.relowner
    from pg_class as c
    where c.relnamespace = :SCHEMA.installation()
      and c.relname = 'job'
  ) then
    perform :SCHEMA.refuse(
      format('role "%s" owns this installation', role),
      'The owner has every right already, and none of them can be taken from it. Name another role.'
    );
  end if;
  return found_role;
end;
$$;

comment on function :SCHEMA.find_role(text) is 'The role of that name, to be granted something; or an error that says what is wrong with it.';
--! EndIncluded access/find_role.sql
--! Included access/grant_access.sql
create function :SCHEMA.grant_access(role text, level text)
  returns void
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  levels constant text[] := array['enqueue', 'work', 'view', 'admin'];
  grantee constant regrole := :SCHEMA.find_role(grant_access.role);
begin
  if grant_access.level is null or grant_access.level <> all (levels) then
    perform :SCHEMA.refuse(
      format('access level %s is not known', coalesce('"' || :SCHEMA.shorten(grant_access.level) || '"', 'null'))
        || coalesce('; did you mean "' || :SCHEMA.nearest_name(grant_access.level, levels) || '"?', ''),
      'Levels are enqueue, work, view and admin.'
    );
  end if;
  perform pg_advisory_xact_lock(:SCHEMA.installation()::integer, -3);
  insert into :SCHEMA.access (role, level)
  values (grantee, grant_access.level)
  on conflict do nothing;
  perform :SCHEMA.apply_access();

  -- Where the schema belongs to somebody else, PostgreSQL only warns that nothing was granted.
  if not has_schema_privilege(grantee, :SCHEMA.installation(), 'usage') then
    raise exception using
      errcode = 'insufficient_privilege',
      message = format(
        'role "%s" cannot be given access: the schema "%s" belongs to role "%s"',
        grant_access.role,
        (select n.nspname from pg_namespace as n where n.oid = :SCHEMA.installation()),
        (select pg_get_userbyid(n.nspowner) from pg_namespace as n where n.oid = :SCHEMA.installation())
      ),
      hint = format(
        'Its owner has to do this first: grant usage on schema %I to %I;',
        (select n.nspname from pg_namespace as n where n.oid = :SCHEMA.installation()),
        grant_access.role
      );
  end if;
end;
$$;

comment on function :SCHEMA.grant_access(text, text) is
'Gives an existing role a level of access to this installation, for it and its members, now and after every upgrade. A role may have several.
  enqueue  adds jobs, and cannot read them: enqueue, enqueue_many, publish, INSERT and COPY into job
  work     what a worker needs: the worker protocol, and enqueue
  view     reads every table and view, waits for results, and changes nothing
  admin    everything that the owner may do here. It may store SQL that runs with the rights of the owner and of
           workers, so give it only to whom you would give those.
revoke_access() takes it back.';
--! EndIncluded access/grant_access.sql
--! Included access/revoke_access.sql
create function :SCHEMA.revoke_access(role text)
  returns void
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  grantee constant regrole := :SCHEMA.find_role(revoke_access.role);
  object text;
begin
  perform pg_advisory_xact_lock(:SCHEMA.installation()::integer, -3);
  delete from :SCHEMA.access as a
  where a.role = grantee;
  for object in
    select o.name
    from :SCHEMA.granted_objects(grantee) as o (name)
  loop
    execute format('revoke all on %s from %s cascade', object, grantee);
  end loop;
end;
$$;

comment on function :SCHEMA.revoke_access(text) is 'Takes every right in this schema from a role, also those that were granted by hand. What it has as a member of other roles stays.';
--! EndIncluded access/revoke_access.sql
--! Included access/revoke_public.sql
-- The last include of every migration, so that it sees all that the migration made.
select :SCHEMA.apply_access();
--! EndIncluded access/revoke_public.sql
