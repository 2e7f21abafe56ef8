-- Everything that the schema $1 consists of, as one jsonb object: a key an object, such as "table job" or "column job.id", with
-- its definition, rights and comment, and without oids or positions, so that two databases can be compared. To be run with
-- search_path = pg_catalog, so that definitions name every schema.
with
  relation as (
    select
      c.oid,
      c.reltype,
      c.relname,
      c.relkind,
      c.relispartition,
      case
        when c.relkind in ('r', 'p') then 'table'
        when c.relkind in ('v', 'm') then 'view'
        when c.relkind in ('i', 'I') then 'index'
        when c.relkind = 'S' then 'sequence'
        when c.relkind = 'c' then 'type'
        else 'relation'
      end as kind,
      jsonb_build_object(
        'relkind', c.relkind,
        'persistence', c.relpersistence,
        'options', c.reloptions,
        'grants', c.relacl::text[],
        'row_security', array[c.relrowsecurity, c.relforcerowsecurity],
        'replica_identity', c.relreplident,
        'partition_key', case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end,
        'partition_of', (select i.inhparent::regclass::text from pg_inherits as i where i.inhrelid = c.oid),
        'partition_bound', pg_get_expr(c.relpartbound, c.oid),
        'view', case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
        'index', case when c.relkind in ('i', 'I') then pg_get_indexdef(c.oid) end,
        'valid', (select i.indisvalid from pg_index as i where i.indexrelid = c.oid),
        'sequence', (select to_jsonb(s) - 'seqrelid' from pg_sequence as s where s.seqrelid = c.oid)
      ) as definition
    from pg_class as c
    where c.relnamespace = (select n.oid from pg_namespace as n where n.nspname = $1)
  ),
  object as (
    select
      'schema' as kind,
      n.nspname::text as name,
      jsonb_build_object(
        'grants', n.nspacl::text[],
        'default_grants', (
          select jsonb_agg(jsonb_build_array(d.defaclobjtype, d.defaclacl::text[]) order by d.defaclobjtype)
          from pg_default_acl as d
          where d.defaclnamespace = n.oid
        )
      ) as definition,
      obj_description(n.oid, 'pg_namespace') as comment,
      true as wants_comment
    from pg_namespace as n
    where n.nspname = $1
    union all
    -- A partition is explained by its parent, an identity column's sequence by its column.
    select
      r.kind,
      r.relname,
      r.definition,
      case when r.kind = 'type' then obj_description(r.reltype, 'pg_type') else obj_description(r.oid, 'pg_class') end,
      r.kind in ('table', 'view', 'type')
        and not r.relispartition
        or r.kind = 'sequence'
        and not exists (select from pg_depend as d where d.objid = r.oid and d.classid = 'pg_class'::regclass and d.deptype = 'i')
    from relation as r
    union all
    select
      'column',
      r.relname || '.' || a.attname,
      jsonb_build_object(
        'type', format_type(a.atttypid, a.atttypmod),
        'not_null', a.attnotnull,
        'default', pg_get_expr(d.adbin, d.adrelid),
        'generated', a.attgenerated,
        'identity', a.attidentity,
        'collation', nullif(a.attcollation, t.typcollation)::regcollation::text,
        'storage', a.attstorage,
        'compression', a.attcompression,
        -- The minor releases of November 2026 note in each column where in the log it was made (seen in 15.20).
        'options', (select array_agg(o order by o) from unnest(a.attoptions) as o where o not like 'pg\_attver=%'),
        'grants', a.attacl::text[]
      ),
      col_description(r.oid, a.attnum),
      r.kind in ('table', 'view', 'type') and not r.relispartition
    from relation as r
    join pg_attribute as a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    join pg_type as t on t.oid = a.atttypid
    left join pg_attrdef as d on d.adrelid = r.oid and d.adnum = a.attnum
    where r.kind in ('table', 'view', 'type')
    union all
    select
      'constraint',
      coalesce(c.conrelid::regclass::text, c.contypid::regtype::text) || '.' || c.conname,
      jsonb_build_object('definition', pg_get_constraintdef(c.oid), 'valid', c.convalidated),
      obj_description(c.oid, 'pg_constraint'),
      false
    from pg_constraint as c
    where c.connamespace = (select n.oid from pg_namespace as n where n.nspname = $1)
    union all
    select
      'trigger',
      r.relname || '.' || t.tgname,
      jsonb_build_object('definition', pg_get_triggerdef(t.oid), 'enabled', t.tgenabled),
      obj_description(t.oid, 'pg_trigger'),
      not r.relispartition
    from relation as r
    join pg_trigger as t on t.tgrelid = r.oid and not t.tgisinternal
    union all
    select
      'function',
      p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
      jsonb_build_object(
        'definition', case when p.prokind <> 'a' then pg_get_functiondef(p.oid) end,
        'grants', p.proacl::text[]
      ),
      obj_description(p.oid, 'pg_proc'),
      true
    from pg_proc as p
    where p.pronamespace = (select n.oid from pg_namespace as n where n.nspname = $1)
    union all
    select
      'type',
      t.typname,
      jsonb_build_object(
        'kind', t.typtype,
        'base', case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end,
        'not_null', t.typnotnull,
        'default', t.typdefault,
        'labels', (select jsonb_agg(e.enumlabel order by e.enumsortorder) from pg_enum as e where e.enumtypid = t.oid),
        'grants', t.typacl::text[]
      ),
      obj_description(t.oid, 'pg_type'),
      true
    from pg_type as t
    where t.typnamespace = (select n.oid from pg_namespace as n where n.nspname = $1)
      and t.typtype in ('d', 'e', 'r')
    union all
    select
      'policy',
      r.relname || '.' || p.polname,
      jsonb_build_object(
        'command', p.polcmd,
        'permissive', p.polpermissive,
        'using', pg_get_expr(p.polqual, p.polrelid),
        'check', pg_get_expr(p.polwithcheck, p.polrelid)
      ),
      obj_description(p.oid, 'pg_policy'),
      false
    from relation as r
    join pg_policy as p on p.polrelid = r.oid
    union all
    select
      'statistics',
      s.stxname,
      jsonb_build_object('definition', pg_get_statisticsobjdef(s.oid)),
      obj_description(s.oid, 'pg_statistic_ext'),
      false
    from pg_statistic_ext as s
    where s.stxnamespace = (select n.oid from pg_namespace as n where n.nspname = $1)
  )
select coalesce(
  jsonb_object_agg(
    kind || ' ' || name,
    definition || jsonb_build_object('comment', comment, 'wants_comment', wants_comment)
  ),
  '{}'
) as catalog
from object
