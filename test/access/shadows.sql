-- Fills the schema evil with what an attacker would put there: a function for each one of pg_catalog that Rouse's sources
-- name, an operator for each of pg_catalog's on ordinary types, a type for each type and a table for each relation that
-- they name. Whichever is reached raises SHADW.
create schema evil;
grant usage on schema evil to public;

do $evil$
declare
  sources text := (
    select string_agg(s.text, ' ')
    from (
      select pg_get_functiondef(p.oid)
      from pg_proc as p
      where p.pronamespace = 'rouse'::regnamespace
      union all
      select pg_get_viewdef(c.oid)
      from pg_class as c
      where c.relnamespace = 'rouse'::regnamespace
        and c.relkind = 'v'
    ) as s (text)
  );
  words text[] := array(select distinct w[1] from regexp_matches(sources, '\m[a-z_0-9]+\M', 'g') as w);
  body constant text := 'language plpgsql as $$ begin raise exception ''a shadow was called'' using errcode = ''SHADW''; end $$';
  shadowed record;
  n integer := 0;
begin
  for shadowed in
    select p.proname as name, pg_get_function_arguments(p.oid) as arguments, pg_get_function_result(p.oid) as result
    from pg_proc as p
    where p.pronamespace = 'pg_catalog'::regnamespace
      and p.prokind = 'f'
      and p.proname = any (words)
  loop
    begin
      execute format('create function evil.%I(%s) returns %s %s', shadowed.name, shadowed.arguments, shadowed.result, body);
    exception
      -- Those that take what only C functions can.
      when others then
        null;
    end;
  end loop;

  for shadowed in
    select
      o.oprname as name,
      nullif(o.oprleft, 0)::regtype as "left",
      o.oprright::regtype as "right",
      o.oprresult::regtype as result
    from pg_operator as o
    where o.oprnamespace = 'pg_catalog'::regnamespace
  loop
    n := n + 1;
    begin
      execute format(
        'create function evil.operator_%s(%s) returns %s %s',
        n, concat_ws(', ', shadowed."left", shadowed."right"), shadowed.result, body
      );
      execute format(
        'create operator evil.%s (function = evil.operator_%s, %s rightarg = %s)',
        shadowed.name, n, 'leftarg = ' || shadowed."left" || ',', shadowed."right"
      );
    exception
      when others then
        null;
    end;
  end loop;

  for shadowed in
    select t.typname as name
    from pg_type as t
    where t.typnamespace = 'pg_catalog'::regnamespace
      and t.typname = any (words)
      and t.typtype = 'b'
  loop
    execute format('create domain evil.%I as pg_catalog.int4 check (false)', shadowed.name);
  end loop;

  for shadowed in
    select distinct c.relname as name
    from pg_class as c
    where c.relnamespace in ('pg_catalog'::regnamespace, 'rouse'::regnamespace)
      and c.relkind in ('r', 'v', 'p')
      and c.relname = any (words || array['inserted', 'changed'])
      and not exists (select from pg_type as t where t.typnamespace = 'evil'::regnamespace and t.typname = c.relname)
  loop
    execute format('create table evil.%I (evil integer)', shadowed.name);
  end loop;
end;
$evil$;

select
  (select count(*) from pg_proc where pronamespace = 'evil'::regnamespace and proname !~ '^operator_')::integer as functions,
  (select count(*) from pg_operator where oprnamespace = 'evil'::regnamespace)::integer as operators,
  (select count(*) from pg_type where typnamespace = 'evil'::regnamespace and typtype = 'd')::integer as types,
  (select count(*) from pg_class where relnamespace = 'evil'::regnamespace and relkind = 'r')::integer as tables;
