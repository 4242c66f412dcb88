-- Job classes: work with a name and arguments.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1

CREATE TABLE people (id int PRIMARY KEY, first text, last text, "full" text, note text, archived boolean, n int NOT NULL DEFAULT 0);
INSERT INTO people SELECT g, 'f' || g, 'l' || g, NULL, NULL, g % 4 = 0 FROM generate_series(1, 20) AS g;

-- What comes with the extension.
SELECT name, command, job_arguments, operation_name, owner_name FROM bbm.job_classes ORDER BY name;

-- {name} is a job argument as an identifier, {{name}} as a literal; {table} and {column} are the migration's own.
SELECT bbm.define('SetColumn', 'UPDATE {table} SET {target} = {{value}} WHERE {column} > {{least}}',
                  job_arguments => '{target,value,least}', scope_to => 'archived IS NOT TRUE', operation_name => 'set_column');
SELECT name, command, job_arguments, scope_to, operation_name, owner_name = current_user AS is_mine FROM bbm.job_classes WHERE name = 'SetColumn';
SELECT bbm.queue('SetColumn', 'people', 'id', $$["note", "it's {target} \\ \"quoted\"", 10]$$) AS id \gset
SELECT statement, scope_to, operation_name FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT note, count(*), min(id), max(id) FROM people GROUP BY note ORDER BY note;

-- The scope of the class and that of the migration hold both.
SELECT bbm.queue('SetColumn', 'people', 'id', '["note", "last", 0]', scope_to => 'id > 18 OR id = 1') AS id \gset
SELECT scope_to FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT array_agg(id ORDER BY id) FROM people WHERE note = 'last';

-- A list is written with commas; NULL and numbers are literals like any other.
SELECT bbm.define('Concat', 'UPDATE {table} SET {target} = concat_ws({{separator}}, {sources})', job_arguments => '{target,separator,sources}');
SELECT bbm.queue('Concat', 'people', 'id', '["full", " ", ["first", "last"]]') AS id \gset
SELECT statement FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT "full" FROM people WHERE id = 7;
SELECT bbm.define('Keep', 'UPDATE {table} SET n = n + 1 WHERE first IN ({{names}})', job_arguments => '{names}');
SELECT bbm.queue('Keep', 'people', 'id', '[["f1", "f2", null, 3, true, 1.50, "it''s"]]') AS id \gset
SELECT statement FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT array_agg(id ORDER BY id) FROM people WHERE n = 1;

-- Braces that are no argument stay as they are.
SELECT bbm.define('Braces', $$UPDATE {table} SET note = '{"a": 1}' || '{1,2}' || '{}' WHERE first ~ 'f{1,2}'$$);
SELECT bbm.queue('Braces', 'people') AS id \gset
SELECT statement FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT note, count(*) FROM people GROUP BY note;
-- So do they in a one-off command.
SELECT bbm.queue('one-off', 'people', command => $$UPDATE people SET note = '{table}'$$) AS id \gset
CALL bbm.run(:id);
SELECT note, count(*) FROM people GROUP BY note;

-- $1 and $2 in a class.
SELECT bbm.define('Explicit', 'UPDATE {table} SET n = 5 WHERE {column} BETWEEN $1 AND $2');
SELECT bbm.queue('Explicit', 'people', batch_size => 6) AS id \gset
CALL bbm.run(:id);
SELECT n, count(*) FROM people GROUP BY n;

-- Attempts to smuggle something in: an identifier is a name and a literal is a value, whatever stands in it.
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 'people', 'id', '["first", "note\" = 1; DROP TABLE people; --"]');
\echo SQLSTATE :SQLSTATE
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 'people', 'id', '["(SELECT 1)", "note"]');
\echo SQLSTATE :SQLSTATE
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 'people', 'id', '["first, last", "note"]');
\echo SQLSTATE :SQLSTATE
SELECT bbm.queue('SetColumn', 'people', 'id', $$["note", "'; DROP TABLE people; --", 0]$$) AS id \gset
SELECT statement FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT bbm.queue('SetColumn', 'people', 'id', $$["note", "\\'; DROP TABLE people; --", 0]$$) AS id \gset
CALL bbm.run(:id);
SELECT note, count(*) FROM people GROUP BY note ORDER BY note;
SET standard_conforming_strings = off;
SELECT bbm.queue('SetColumn', 'people', 'id', $$["note", "\\', note = (SELECT version()) --", 0]$$) AS id \gset
CALL bbm.run(:id);
RESET standard_conforming_strings;
SELECT note, count(*) FROM people GROUP BY note ORDER BY note;

-- Definitions that cannot be.
SELECT bbm.define('SetColumn', 'UPDATE {table} SET n = 1');
\echo SQLSTATE :SQLSTATE
SELECT bbm.define('CopyColumnUsingBackgroundMigrationJob', 'UPDATE {table} SET n = 1');
\echo SQLSTATE :SQLSTATE
SELECT bbm.define('', 'UPDATE {table} SET n = 1');
\echo SQLSTATE :SQLSTATE
SELECT bbm.define('x', NULL);
\echo SQLSTATE :SQLSTATE
SELECT bbm.define('x', 'UPDATE {table} SET n = 1', job_arguments => '{table}');
\echo SQLSTATE :SQLSTATE
SELECT bbm.define('Twice', 'UPDATE {table} SET {a} = {{b}}', job_arguments => '{a,b,a}');
\echo SQLSTATE :SQLSTATE
SELECT bbm.define('x', 'UPDATE {table} SET {a} = 1', job_arguments => '{a,NULL}');
\echo SQLSTATE :SQLSTATE
SELECT bbm.define('Mistyped', 'UPDATE {table} SET {mistyped} = 1', job_arguments => '{a}');
\echo SQLSTATE :SQLSTATE
SELECT bbm.queue('Mistyped', 'people', 'id', '["note"]');
\echo SQLSTATE :SQLSTATE

-- A queued migration keeps the definition it was queued with.
SELECT bbm.define('Step', 'UPDATE {table} SET n = n + 1');
SELECT bbm.queue('Step', 'people') AS id \gset
SELECT bbm.undefine('Step');
SELECT bbm.define('Step', 'UPDATE {table} SET n = n + 1000');
CALL bbm.run(:id);
SELECT n, count(*) FROM people GROUP BY n;
SELECT bbm.queue('Step', 'people');
\echo SQLSTATE :SQLSTATE

-- undefine says whether there was something.
RESET client_min_messages;
SELECT bbm.undefine('Step');
SELECT bbm.undefine('Step');
SELECT bbm.undefine('CopyColumnUsingBackgroundMigrationJob');
\echo SQLSTATE :SQLSTATE
SELECT bbm.undefine(NULL);
\echo SQLSTATE :SQLSTATE
SELECT name FROM bbm.job_classes ORDER BY name COLLATE "C";

DROP TABLE people;
