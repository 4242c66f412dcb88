-- Prints every object of the extension that \d and \df would show without a word about it; prints nothing when all is said.
\set QUIET on
\pset tuples_only on
\pset format unaligned
SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_depend AS d
JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
WHERE e.extname = 'bbm' AND d.deptype = 'e'
  AND c.relkind IS DISTINCT FROM 'S' -- identity sequences belong to their column
  AND obj_description(d.objid, (SELECT k.relname FROM pg_class AS k WHERE k.oid = d.classid)) IS NULL
UNION ALL
SELECT 'extension bbm is not here' WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'bbm')
ORDER BY 1;
