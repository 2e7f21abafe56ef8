-- What the role $1 may do with the objects of the schema rouse, one line a right. The schema's own objects only count
-- as far as the role can name them, so the right to use the schema comes first.
select line
from (
  select 'schema: ' || lower(p) as line
  from unnest(array['USAGE', 'CREATE']) as p
  where has_schema_privilege($1::name, 'rouse', p)
  union all
  select distinct 'function ' || f.proname
  from pg_proc as f
  where f.pronamespace = 'rouse'::regnamespace
    and has_function_privilege($1::name, f.oid, 'EXECUTE')
  union all
  select c.relname || ': ' || lower(p)
  from pg_class as c
  cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as p
  where c.relnamespace = 'rouse'::regnamespace
    and c.relkind in ('r', 'p', 'v', 'm')
    and has_table_privilege($1::name, c.oid, p)
  union all
  select c.relname || '.' || a.attname || ': ' || lower(p)
  from pg_class as c
  join pg_attribute as a on a.attrelid = c.oid and not a.attisdropped
  cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) as p
  where c.relnamespace = 'rouse'::regnamespace
    and c.relkind in ('r', 'p', 'v', 'm')
    and has_column_privilege($1::name, c.oid, a.attnum, p)
    and not has_table_privilege($1::name, c.oid, p)
  union all
  select 'sequence ' || c.relname || ': ' || lower(p)
  from pg_class as c
  cross join unnest(array['USAGE', 'SELECT', 'UPDATE']) as p
  where c.relnamespace = 'rouse'::regnamespace
    and c.relkind = 'S'
    and has_sequence_privilege($1::name, c.oid, p)
  union all
  select 'type ' || t.typname
  from pg_type as t
  where t.typnamespace = 'rouse'::regnamespace
    and t.typcategory <> 'A'
    and has_type_privilege($1::name, t.oid, 'USAGE')
) as rights (line)
order by line
