-- A worker in psql: it greets until nothing is left to greet. psql -f worker.sql
do $$
declare
  worker integer := rouse.register_v1('psql', tasks => '{greet}');
  job record;
begin
  loop
    perform rouse.beat_v1(worker);
    for job in select * from rouse.claim_v1(worker, tasks => '{greet}', most => 10) loop
      begin
        if job.payload ->> 'name' is null then raise 'nobody to greet'; end if;
        perform rouse.complete_v1(job.id, job.lease, to_jsonb('Hello, ' || (job.payload ->> 'name')));
      exception when others then
        perform rouse.fail_v1(job.id, job.lease, to_jsonb(sqlerrm), retry => false);
      end;
    end loop;
    exit when not found;
    commit;
  end loop;
  perform rouse.deregister_v1(worker);
end $$;
