# Every table of PostgreSQL's own regression database: what can be migrated is, and the rest is refused with its reason.
# The oracle is the server itself: one statement over the whole table, rolled back, tells how many rows there are to
# change, or which error the data raise. A migration of the same statement comes to the same end.
use strict;
use warnings;

use BbmTest;
use File::Copy qw(copy);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $regress = "$ENV{TESTDIR}/regress";
plan skip_all => 'no regression tests of this server: ' . ((grep { /\S/ } split /\n/, slurp_file("$ENV{TESTDIR}/regress.missing"))[-1] // 'unknown')
  if !-d $regress;

# They take their time and leave no table behind.
my @left_out = qw(brin_bloom brin_multi compression_pglz join_hash oidjoins opr_sanity prepared_xacts random select_parallel stats subscription tuplesort type_sanity);

my $node = new_node('regression', conf => <<'CONF');
fsync = off
jit = off
shared_buffers = 64MB
max_connections = 40
max_worker_processes = 16
max_prepared_transactions = 0
log_min_messages = fatal
autovacuum = off
bbm.max_workers = 0
bbm.naptime = 1s
CONF
$node->start;

# Only what the scripts create counts, not what they print.
sub create_database
{
	my $left_out = join '|', @left_out;
	my $schedule = slurp_file("$regress/parallel_schedule") =~ s/\b(?:$left_out)\b//gr =~ s/^(?:test|ignore):\s*$//mgr;
	append_to_file("$regress/schedule", $schedule);
	my $log = "$regress/pg_regress.log";
	IPC::Run::run([ $ENV{PG_REGRESS}, "--inputdir=$regress", "--outputdir=$regress", "--dlpath=$regress", '--bindir=',
			'--host=' . $node->host, '--port=' . $node->port, '--max-concurrent-tests=20', "--schedule=$regress/schedule" ],
		'>', $log, '2>&1', IPC::Run::timeout(120));
	my $said = slurp_file($log);
	note "PostgreSQL's own scripts: " . ($said =~ /^ *((?:\d+ of|All) \d+ tests [^\n]*?) *$/m ? $1 : $said);
	return;
}

my $start = time();
create_database();
note sprintf 'created after %.0f s', time() - $start;

$node->safe_psql('regression', 'CREATE EXTENSION bbm');
$node->safe_psql('regression', <<'SQL');
-- Names are written with their schemas then.
SET search_path = pg_catalog;
CREATE SCHEMA probe;
CREATE TABLE probe.found (
	number int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, round text NOT NULL, oid oid, name text, kind "char", command text, rows bigint, own_error text,
	id bigint, how text, refusals text[] NOT NULL DEFAULT '{}', status text, reason text, affected bigint, failure text, jobs int);

-- A column that may be assigned and is of no unique index and of no partition key.
CREATE FUNCTION probe.free_column(t oid) RETURNS name STABLE LANGUAGE sql RETURN (
	SELECT attname FROM pg_attribute AS a WHERE attrelid = t AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a'
		AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = t AND indisunique AND a.attnum = ANY (indkey))
		AND NOT EXISTS (SELECT FROM pg_partition_tree(t) AS p, pg_partitioned_table AS d WHERE d.partrelid = p.relid AND a.attname IN
			(SELECT k.attname FROM pg_attribute AS k WHERE k.attrelid = d.partrelid AND (k.attnum = ANY (d.partattrs) OR 0 = ANY (d.partattrs))))
		-- A child may be stricter than its parent.
		AND NOT EXISTS (SELECT FROM pg_inherits JOIN pg_attribute AS k ON k.attrelid = inhrelid WHERE inhparent = t AND k.attname = a.attname AND k.attidentity = 'a')
		-- What is walked by its values is not to change them.
		AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = t AND indkey[0] = a.attnum AND NOT EXISTS (SELECT FROM pg_index AS u WHERE u.indrelid = t AND u.indisunique))
	ORDER BY attnum LIMIT 1);

-- The columns of an index on them alone that fits: unique, or not.
CREATE FUNCTION probe.index_columns(t oid, is_unique boolean) RETURNS text[] STABLE LANGUAGE sql RETURN (
	SELECT ARRAY(SELECT attname::text FROM unnest(indkey[0:indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, n) JOIN pg_attribute AS a USING (attnum) WHERE attrelid = t ORDER BY n)
	FROM pg_index JOIN pg_class AS i ON i.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
	WHERE indrelid = t AND amname = 'btree' AND indisvalid AND indpred IS NULL AND indexprs IS NULL
		AND CASE WHEN is_unique THEN indisunique AND indimmediate AND NOT EXISTS (SELECT FROM pg_attribute
			WHERE attrelid = t AND attnum = ANY (indkey[0:indnkeyatts - 1]) AND NOT attnotnull) ELSE indnkeyatts = 1 END
	ORDER BY indexrelid LIMIT 1);

-- What one statement would do.
CREATE PROCEDURE probe.ask_server(this int) LANGUAGE plpgsql AS $$
DECLARE
	changed bigint;
	state text;
BEGIN
	BEGIN
		EXECUTE (SELECT command FROM probe.found WHERE number = this);
		GET DIAGNOSTICS changed = ROW_COUNT;
		SET CONSTRAINTS ALL IMMEDIATE;
		RAISE SQLSTATE 'BBM00';
	EXCEPTION WHEN OTHERS THEN
		state := nullif(SQLSTATE, 'BBM00');
	END;
	UPDATE probe.found SET rows = changed, own_error = state WHERE number = this;
END $$;

-- A command that marks what it has done, which a walk by ctid asks for. Not every table takes a new column.
CREATE FUNCTION probe.marking_command(one probe.found) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS probe_done boolean', one.name);
	RETURN format('UPDATE %s SET probe_done = true WHERE probe_done IS NOT TRUE', one.name);
END $$;

-- The first way of walking that is not refused. Small batches: most tables of these tests are.
CREATE PROCEDURE probe.queue(this int) LANGUAGE plpgsql AS $$
DECLARE
	one probe.found;
	ways text[];
	way text;
	value text;
	batch int;
BEGIN
	SELECT * INTO one FROM probe.found WHERE number = this;
	EXECUTE format('SELECT count(*) / 3 + 1 FROM (SELECT FROM %s LIMIT 6000) AS s', one.name) INTO batch;
	ways := ARRAY['primary_key'];
	IF one.round = 'with a key' THEN ways := ARRAY['probe_id'];
	ELSE
		IF probe.index_columns(one.oid, true) IS NOT NULL THEN ways := ways || text 'cursor_columns'; END IF;
		IF probe.index_columns(one.oid, false) IS NOT NULL THEN ways := ways || text 'loose_index_scan'; END IF;
		ways := ways || ARRAY['ctid', 'ctid, finding nothing'];
	END IF;
	FOREACH way IN ARRAY ways LOOP
		BEGIN
			value := (probe.index_columns(one.oid, false))[1];
			one.command := CASE way WHEN 'ctid' THEN probe.marking_command(one) WHEN 'ctid, finding nothing' THEN format('DELETE FROM %s WHERE false', one.name)
				ELSE one.command END;
			-- Rows without a value are left out.
			IF way = 'loose_index_scan' AND one.command LIKE 'UPDATE%' THEN one.command := format('%s WHERE %I IS NOT NULL', one.command, value); END IF;
			one.id := bbm.queue('probe ' || this, one.oid, start => false, batch_size => batch, sub_batch_size => batch / 2 + 1, workers => 1 + this % 3,
				command => one.command, batching_strategy => CASE WHEN way LIKE 'ctid%' THEN 'ctid' WHEN way = 'loose_index_scan' THEN way ELSE 'primary_key' END,
				column_name => CASE way WHEN 'loose_index_scan' THEN value END,
				cursor_columns => CASE way WHEN 'cursor_columns' THEN probe.index_columns(one.oid, true) WHEN 'probe_id' THEN ARRAY['probe_id'] END);
			UPDATE probe.found SET id = one.id, how = way, command = one.command WHERE number = this;
			RETURN;
		EXCEPTION WHEN OTHERS THEN
			UPDATE probe.found SET refusals = refusals || format('%s: %s %s', way, SQLSTATE, SQLERRM) WHERE number = this;
		END;
	END LOOP;
END $$;

-- A key for a table without one and for all that inherits from it, as an application would add it.
CREATE FUNCTION probe.add_key(one probe.found) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	leaf regclass;
BEGIN
	EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS probe_id bigint NOT NULL DEFAULT nextval(''probe.ids'')', one.name);
	-- Without a leaf there is nothing to make a key for.
	IF (SELECT relkind = 'p' AND NOT EXISTS (SELECT FROM pg_partition_tree(oid) WHERE isleaf AND relid <> one.oid) FROM pg_class WHERE oid = one.oid) THEN RETURN false; END IF;
	FOR leaf IN WITH RECURSIVE tree (relid) AS (SELECT one.oid UNION SELECT inhrelid FROM pg_inherits, tree WHERE inhparent = relid)
		SELECT relid FROM tree JOIN pg_class AS c ON c.oid = relid WHERE relkind = 'r'
			AND NOT EXISTS (SELECT FROM pg_index JOIN pg_attribute AS a ON attrelid = indrelid AND attnum = indkey[0] WHERE indrelid = relid AND attname = 'probe_id') LOOP
		EXECUTE format('CREATE UNIQUE INDEX ON %s (probe_id)', leaf);
	END LOOP;
	RETURN true;
EXCEPTION WHEN OTHERS THEN
	RETURN false;
END $$;
CREATE SEQUENCE probe.ids;

CREATE PROCEDURE probe.look(this int) LANGUAGE sql AS $$
	UPDATE probe.found AS f SET status = m.status, reason = m.status_reason, affected = m.rows_affected,
		failure = (SELECT max(sqlstate) FROM bbm.failures WHERE migration_id = f.id),
		jobs = (SELECT count(*) FROM bbm.jobs WHERE migration_id = f.id)
	FROM bbm.migrations AS m WHERE m.id = f.id AND number = this;
$$;

INSERT INTO probe.found (round, oid, name, kind, command)
SELECT 'as it is', c.oid, c.oid::regclass, relkind,
	CASE WHEN free IS NULL THEN format('DELETE FROM %s WHERE false', c.oid::regclass) ELSE format('UPDATE %s SET %I = %2$I', c.oid::regclass, free) END
FROM pg_class AS c, probe.free_column(c.oid) AS free WHERE relkind IN ('r', 'p', 'f') AND relpersistence <> 't'
	AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'bbm', 'probe')
ORDER BY c.oid;
SQL

# One after the other: triggers of one table change others.
sub run_round
{
	my ($round) = @_;
	my ($out, $err) = ('', '');
	$node->psql('regression', <<"SQL", stdout => \$out, stderr => \$err, timeout => 100, on_error_stop => 0);
SET client_min_messages = error;
SELECT format('CALL probe.queue(%s)', number), format('CALL probe.ask_server(%s)', number),
	format(\$\$SELECT bbm.resume(id) FROM probe.found JOIN bbm.migrations AS m USING (id) WHERE number = %s AND m.status = 'paused'\$\$, number),
	\$\$CALL bbm.run(max_time => '20 s')\$\$, format('CALL probe.look(%s)', number)
FROM probe.found WHERE round = '$round' ORDER BY number \\gexec
SQL
	# Triggers of these tables print.
	return is(join("\n", grep { /(ERROR|WARNING|FATAL|PANIC):/ } split /\n/, $err), '', "$round: no call of bbm.run raised an error");
}

sub rows_of
{
	my ($query) = @_;
	return $node->safe_psql('regression', $query);
}

sub judge_round
{
	my ($round) = @_;
	is(rows_of(<<"SQL"), '', "$round: every table that was accepted was migrated, with the rows that one statement would have changed");
SELECT name, kind, how, status, affected, rows, failure, own_error, reason, command FROM probe.found
WHERE round = '$round' AND id IS NOT NULL AND own_error IS NULL AND NOT coalesce(status = 'finished' AND affected = rows AND failure IS NULL, false)
SQL
	is(rows_of(<<"SQL"), '', "$round: where the data raise an error, the migration ends with the same one");
SELECT name, kind, how, status, affected, rows, failure, own_error, reason, command FROM probe.found
WHERE round = '$round' AND id IS NOT NULL AND own_error IS NOT NULL AND NOT coalesce(status = 'failed' AND failure = own_error, false)
SQL
	note "$round: " . rows_of(<<"SQL");
SELECT format('%s tables (%s partitioned, %s foreign), %s migrated by %s jobs, %s rows; %s end as the one statement does, with an error of the data; %s refused', count(*),
	count(*) FILTER (WHERE kind = 'p'), count(*) FILTER (WHERE kind = 'f'), count(*) FILTER (WHERE status = 'finished'), sum(jobs), sum(affected),
	count(*) FILTER (WHERE own_error IS NOT NULL AND status = 'failed'), count(*) FILTER (WHERE id IS NULL)) FROM probe.found WHERE round = '$round'
SQL
	note "$round, walked by: " . rows_of(<<"SQL");
SELECT string_agg(format('%s %s', how, n), ', ' ORDER BY n DESC) FROM (SELECT how, count(*) AS n FROM probe.found WHERE round = '$round' AND how IS NOT NULL GROUP BY 1) AS s
SQL
	note "$round, refused: $_" for split /\n/, rows_of(<<"SQL");
SELECT format('%s x %s (%s)', count(*), regexp_replace(refusal, '"[^"]*"', '"..."', 'g'), min(name)) FROM probe.found, unnest(refusals) AS refusal WHERE round = '$round'
GROUP BY regexp_replace(refusal, '"[^"]*"', '"..."', 'g') ORDER BY count(*) DESC
SQL
	# Documented: no key that fits, and commands that mean something else when they are cut. Or the server says so itself.
	is(rows_of(<<"SQL"), '', "$round: whatever is refused is refused with one of the documented reasons");
SELECT name, refusal FROM probe.found, unnest(refusals) AS refusal WHERE round = '$round' AND refusal !~ '^(\\w+): (42P16|0A000|55000) ' AND refusal NOT LIKE '%: ' || own_error || ' %'
SQL
	return is(rows_of(<<"SQL"), '', "$round: and in every way only for rules, for triggers that fire once a statement, or by the server itself");
SELECT name, kind, command, refusals FROM probe.found WHERE round = '$round' AND id IS NULL AND own_error IS NULL
	AND NOT EXISTS (SELECT FROM pg_rules WHERE format('%I.%I', schemaname, tablename) = name)
	AND NOT (kind = 'p' AND refusals[cardinality(refusals)] LIKE '%0A000 the table cannot be walked as a whole')
SQL
}

for my $round ('as it is', 'with a key')
{
	$start = time();
	rows_of(<<'SQL') if $round eq 'with a key';
SET search_path = pg_catalog;
INSERT INTO probe.found (round, oid, name, kind, command)
SELECT 'with a key', f.oid, f.name, kind, format('UPDATE %s SET %I = %2$I', f.name, free)
FROM probe.found AS f, probe.free_column(f.oid) AS free
WHERE free IS NOT NULL AND (how IS NULL OR how NOT IN ('primary_key', 'cursor_columns')) AND probe.add_key(f) ORDER BY number;
SQL
	run_round($round);
	note sprintf '%s: %.0f s', $round, time() - $start;
	judge_round($round);
}

# Once more, all at once and in background workers. Triggers of other tables' migrations may change rows meanwhile, so
# only tables without any tell how many there are.
$start = time();
my $again = rows_of(<<'SQL');
ALTER SYSTEM SET bbm.max_workers = 8;
ALTER SYSTEM SET bbm.max_running_migrations = 6;
SELECT pg_reload_conf();
CREATE TABLE probe.again AS SELECT number, bbm.requeue(id) AS id FROM probe.found WHERE status = 'finished' AND round = 'with a key';
SELECT count(*) FROM probe.again;
SQL
deadline_loop(60, sub { return rows_of("SELECT count(*) FROM bbm.migrations WHERE status NOT IN ('finished', 'failed')") eq '0'; });
note sprintf 'in the background: %.0f s', time() - $start;
is(rows_of("SELECT f.name, m.status, m.status_reason FROM probe.again AS a JOIN probe.found AS f USING (number) JOIN bbm.migrations AS m ON m.id = a.id WHERE m.status <> 'finished'"), '',
	'in the background: every table is migrated again');
is(rows_of(<<'SQL'), '', 'in the background: with as many rows as before');
SELECT f.name, m.rows_affected, f.rows FROM probe.again AS a JOIN probe.found AS f USING (number) JOIN bbm.migrations AS m ON m.id = a.id
WHERE m.rows_affected <> f.rows AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = f.oid)
SQL
cmp_ok(rows_of('SELECT count(*) FROM probe.again'), '>', 250, 'most tables are among them');

cmp_ok(rows_of('SELECT count(*) FROM probe.found'), '>', 400, 'the regression database is there');
$node->stop;
done_testing();
