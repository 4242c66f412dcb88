-- A key that is written in another way while its window is open is the same key: its row stays in its pass.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE SCHEMA equal_keys;
SET search_path = equal_keys, public;
SET bbm.passes = 4;
CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM bbm.pause(tg_argv[0]); RETURN NULL; END';

CREATE COLLATION "Case does not matter" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE cased (k text COLLATE "Case does not matter" PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO cased SELECT 'k' || g FROM generate_series(1, 300) AS g;
CREATE TRIGGER stop AFTER UPDATE OF n ON cased FOR EACH ROW WHEN (new.k = 'k150') EXECUTE FUNCTION stop('cased');
SELECT bbm.queue('cased', 'cased', command => 'UPDATE cased SET n = n + 1', sub_batch_size => 7) AS id \gset
CALL bbm.run(:id);
UPDATE cased SET k = upper(k);
SELECT count(window_max) AS windows FROM bbm.job WHERE migration_id = :id;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM cased GROUP BY n ORDER BY n;
-- Nobody has touched a key here.
CREATE TABLE scaled (k numeric(9,2) PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO scaled SELECT g / 4.0 FROM generate_series(1, 300) AS g;
CREATE TRIGGER stop AFTER UPDATE OF n ON scaled FOR EACH ROW WHEN (new.k = 30) EXECUTE FUNCTION stop('scaled');
SELECT bbm.queue('scaled', 'scaled', command => 'UPDATE scaled SET n = n + 1', sub_batch_size => 7) AS id \gset
CALL bbm.run(:id);
DROP TRIGGER stop ON scaled;
ALTER TABLE scaled ALTER k TYPE numeric(12,4);
SELECT count(window_max) AS windows FROM bbm.job WHERE migration_id = :id;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM scaled GROUP BY n ORDER BY n;
-- Zero with and without a sign
CREATE TABLE signed (k float8, g int, n int NOT NULL DEFAULT 0, PRIMARY KEY (k, g));
INSERT INTO signed SELECT '-0'::float8, g FROM generate_series(1, 300) AS g;
CREATE TRIGGER stop AFTER UPDATE OF n ON signed FOR EACH ROW WHEN (new.g = 150) EXECUTE FUNCTION stop('signed');
SELECT bbm.queue('signed', 'signed', command => 'UPDATE signed SET n = n + 1', sub_batch_size => 7) AS id \gset
CALL bbm.run(:id);
UPDATE signed SET k = abs(k);
SELECT count(window_max) AS windows FROM bbm.job WHERE migration_id = :id;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM signed GROUP BY n ORDER BY n;
-- One whose equality is not that of its bytes and that has no hash
CREATE TABLE paid (k money[], g int, n int NOT NULL DEFAULT 0, PRIMARY KEY (k, g));
INSERT INTO paid SELECT ARRAY[g % 3]::money[], g FROM generate_series(1, 300) AS g;
CREATE TRIGGER stop AFTER UPDATE OF n ON paid FOR EACH ROW WHEN (new.g = 150) EXECUTE FUNCTION stop('paid');
SELECT bbm.queue('paid', 'paid', command => 'UPDATE paid SET n = n + 1', sub_batch_size => 7) AS id \gset
CALL bbm.run(:id);
SELECT count(window_max) AS windows FROM bbm.job WHERE migration_id = :id;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM paid GROUP BY n ORDER BY n;
-- An index that takes for equal what the type's own hash tells apart
CREATE FUNCTION lt(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT lower($1) < lower($2) COLLATE "C"';
CREATE FUNCTION le(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT lower($1) <= lower($2) COLLATE "C"';
CREATE FUNCTION eq(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT lower($1) = lower($2) COLLATE "C"';
CREATE FUNCTION ge(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT lower($1) >= lower($2) COLLATE "C"';
CREATE FUNCTION gt(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT lower($1) > lower($2) COLLATE "C"';
CREATE FUNCTION order_of(text, text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT gt($1, $2)::int - lt($1, $2)::int';
CREATE OPERATOR <# (function = lt, leftarg = text, rightarg = text);
CREATE OPERATOR <=# (function = le, leftarg = text, rightarg = text);
CREATE OPERATOR =# (function = eq, leftarg = text, rightarg = text);
CREATE OPERATOR >=# (function = ge, leftarg = text, rightarg = text);
CREATE OPERATOR ># (function = gt, leftarg = text, rightarg = text);
CREATE OPERATOR CLASS by_letter FOR TYPE text USING btree AS OPERATOR 1 <#, OPERATOR 2 <=#, OPERATOR 3 =#, OPERATOR 4 >=#,
    OPERATOR 5 >#, FUNCTION 1 order_of(text, text);
CREATE TABLE lettered (k text COLLATE "C" NOT NULL, n int NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX ON lettered (k by_letter);
INSERT INTO lettered SELECT 'k' || g FROM generate_series(1, 300) AS g;
CREATE TRIGGER stop AFTER UPDATE OF n ON lettered FOR EACH ROW WHEN (new.k = 'k150') EXECUTE FUNCTION stop('lettered');
SELECT bbm.queue('lettered', 'lettered', 'k', command => 'UPDATE lettered SET n = n + 1', sub_batch_size => 7) AS id \gset
CALL bbm.run(:id);
UPDATE lettered SET k = upper(k);
SELECT count(window_max) AS windows FROM bbm.job WHERE migration_id = :id;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM lettered GROUP BY n ORDER BY n;

RESET bbm.passes;
DROP SCHEMA equal_keys CASCADE;
