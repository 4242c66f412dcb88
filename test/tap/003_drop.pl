# What bbm works on is taken away in mid-run: tables, the extension, databases; and a migration that kills its server.
use strict;
use warnings;

use BbmTest;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $slow = "sub_batch_size => 10, batch_size => 100, pause => '20ms'";
# What a process may say before it leaves; more is a loop.
my $few = 5;
my $complaints = qr/(?:WARNING|ERROR|FATAL|PANIC):/;

my $node = new_node('drops');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm');

sub status_is
{
	my ($db, $id, $status, $what) = @_;
	return poll($node, $db, "SELECT status FROM bbm.migrations WHERE id = $id", $status, $what);
}

# Queues on a new table and returns when rows have been handled.
sub in_mid_run
{
	my ($db, $name, $rows) = @_;
	add_counted_table($node, $db, $name, $rows);
	my $id = queue_add_one($node, $db, $name, $slow);
	poll($node, $db, "SELECT count(*) > 0 FROM ${name}_hits", 't', "$name: work has begun");
	return $id;
}

sub quiet_since
{
	my ($offset, $what) = @_;
	my $log = log_since($node, $offset);
	cmp_ok(count_matches($log, $complaints), '<=', $few, "$what: few words in the log");
	return unlike($log, qr/PANIC|terminated by signal|exited with exit code|still waiting for backend/, "$what: no process died");
}

# ---- tables
{
	my $id = in_mid_run('postgres', 'dropped', 5000);
	my $offset = log_size($node);
	is(error_of($node, 'postgres', "SET lock_timeout = '20s'; DROP TABLE dropped"), '', 'DROP TABLE works in mid-run');
	status_is('postgres', $id, 'failed', 'the migration of a dropped table fails');
	is(events_of($node, 'postgres', $id), 'failed|42P01', 'with the reason');
	no_process_but($node, 'bbm launcher', 'and all processes leave');
	quiet_since($offset, 'DROP TABLE');

	# A statement of ten minutes does not keep the administrator from it.
	add_counted_table($node, 'postgres', 'busy', 500);
	hold_rows($node, 'postgres', 'busy', 250);
	$id = queue_add_one($node, 'postgres', 'busy', 'sub_batch_size => 50');
	wait_holding($node, 'postgres');
	$node->safe_psql('postgres', "SELECT bbm.pause($id, immediate => true)");
	is(error_of($node, 'postgres', "SET lock_timeout = '20s'; DROP TABLE busy"), '', 'DROP TABLE works after pause immediate');
	$node->safe_psql('postgres', "SELECT bbm.resume($id)");
	status_is('postgres', $id, 'failed', 'resume finds the table gone');

	$id = in_mid_run('postgres', 'emptied', 3000);
	$offset = log_size($node);
	is(error_of($node, 'postgres', "SET lock_timeout = '20s'; TRUNCATE emptied"), '', 'TRUNCATE works in mid-run');
	status_is('postgres', $id, 'failed', 'the migration of an emptied table stops: what is loaded now would not be handled');
	is(events_of($node, 'postgres', $id), 'failed|55000', 'with the reason');
	quiet_since($offset, 'TRUNCATE');

	$id = in_mid_run('postgres', 'renamed', 3000);
	$node->safe_psql('postgres', <<'SQL');
BEGIN;
ALTER TABLE renamed RENAME TO renamed_old;
CREATE TABLE renamed (LIKE renamed_old INCLUDING ALL);
INSERT INTO renamed (id, n) SELECT i, 0 FROM generate_series(1, 3000) AS i;
COMMIT;
SQL
	status_is('postgres', $id, 'finished', 'the migration of a renamed table goes on');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM renamed WHERE n <> 0'), '0', 'no row of the table that took the name is changed');
	is($node->safe_psql('postgres', 'SELECT n, hits, count(*) FROM renamed_old LEFT JOIN renamed_hits USING (id) GROUP BY 1, 2'),
		'1|1|3000', 'each row of the renamed table is handled once');
	is($node->safe_psql('postgres', "SELECT count(*) FROM bbm.failures WHERE migration_id = $id"), '0', 'without a failure');
	is($node->safe_psql('postgres', "SELECT max(attempts) FROM bbm.jobs WHERE migration_id = $id"), '1', 'and no job has lost an attempt');
	is($node->safe_psql('postgres', "SELECT reason FROM bbm.events WHERE migration_id = $id AND event = 'rename'"),
		'public.renamed -> public.renamed_old', 'an event tells of it');
}

# ---- the extension
{
	$node->safe_psql('postgres', 'CREATE DATABASE ext');
	$node->safe_psql('ext', 'CREATE EXTENSION bbm');
	my $id = in_mid_run('ext', 'kept', 2000);
	my $offset = log_size($node);
	my ($in, $out) = ("BEGIN; DROP EXTENSION bbm;\n", '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('ext'), '-f', '-' ], '<', \$in, '>', \$out, '2>&1');
	$session->pump while length $in;
	poll($node, 'ext', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'ext' AND state = 'idle in transaction' AND query LIKE '%DROP EXTENSION%'",
		'1', 'DROP EXTENSION in mid-run waits for a sub-batch at most');
	poll($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'bbm worker' AND datname = 'ext'"
		  . " AND wait_event_type IS DISTINCT FROM 'Lock'", '0', 'DROP EXTENSION that is not committed: nobody works');
	$in = "ROLLBACK;\n";
	$session->finish;
	is($out, '', 'and says nothing');
	status_is('ext', $id, 'finished', 'after ROLLBACK the migration goes on');
	is(tally($node, 'ext', 'kept'), '2000|0|0', 'and handles every row once');
	quiet_since($offset, 'DROP EXTENSION, ROLLBACK');

	in_mid_run('ext', 'orphaned', 5000);
	$offset = log_size($node);
	is(error_of($node, 'ext', 'DROP SCHEMA bbm CASCADE'), '2BP01', 'DROP SCHEMA bbm is refused');
	is(error_of($node, 'ext', "SET lock_timeout = '20s'; DROP EXTENSION bbm"), '', 'DROP EXTENSION works in mid-run');
	no_process_but($node, 'bbm launcher', 'scheduler and worker leave');
	my $done = $node->safe_psql('ext', 'SELECT count(*) FROM orphaned_hits');
	cmp_ok($done, '<', 5000, 'it came in mid-run');
	is($node->safe_psql('ext', 'SELECT count(*) FROM orphaned WHERE n <> 0'), $done, 'rows and their counters are of one mind');
	quiet_since($offset, 'DROP EXTENSION');

	$node->safe_psql('ext', 'CREATE EXTENSION bbm');
	add_counted_table($node, 'ext', 'reborn', 300);
	$id = queue_add_one($node, 'ext', 'reborn', $slow);
	status_is('ext', $id, 'finished', 'the extension can be created again and works');
	is(tally($node, 'ext', 'reborn'), '300|0|0', 'every row was handled once');
	no_process_but($node, 'bbm launcher', 'and all processes leave');
}

# ---- databases
{
	my $offset;
	my $closed = in_mid_run('ext', 'closed', 1000);
	$node->safe_psql('postgres', 'ALTER DATABASE ext ALLOW_CONNECTIONS false');
	$node->stop;
	$offset = log_size($node);
	$node->start;
	no_process_but($node, 'bbm launcher', 'nobody works in a database that takes no connections');
	quiet_since($offset, 'ALLOW_CONNECTIONS false');
	$node->safe_psql('postgres', 'ALTER DATABASE ext ALLOW_CONNECTIONS true');
	is($node->safe_psql('ext', "SELECT status, (SELECT count(*) < 1000 FROM closed_hits), bbm.ensure_running() FROM bbm.migrations WHERE id = $closed"),
		'active|t|t', 'it can be woken when the database is open again');
	status_is('ext', $closed, 'finished', 'and ends');
	is(tally($node, 'ext', 'closed'), '1000|0|0', 'with every row handled once');
	is($node->safe_psql('ext', 'SELECT count(*) FROM bbm.failures WHERE migration_id = ' . $closed), '0', 'and no failure');
	no_process_but($node, 'bbm launcher', 'all processes leave');

	$offset = log_size($node);
	is(error_of($node, 'postgres', 'DROP DATABASE ext'), '', 'DROP DATABASE works where bbm has nothing to do');

	$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(busy_db busy_too bystander);
	for my $db (qw(busy_db busy_too))
	{
		$node->safe_psql($db, 'CREATE EXTENSION bbm');
		add_counted_table($node, $db, 'busy', 500);
		hold_rows($node, $db, 'busy', 250);
		queue_add_one($node, $db, 'busy', 'sub_batch_size => 50');
		wait_holding($node, $db);
	}
	is(error_of($node, 'postgres', 'DROP DATABASE bystander'), '', 'DROP DATABASE of another database does not wait for a worker');
	my $error = error_of($node, 'postgres', 'DROP DATABASE busy_db');
	ok($error eq '55006' || $error eq '', 'DROP DATABASE with work going on does what it does with any session') or diag "SQLSTATE $error";
	quiet_since($offset, 'DROP DATABASE');

	$offset = log_size($node);
	is(error_of($node, 'postgres', "DROP DATABASE IF EXISTS $_ WITH (FORCE)"), '', "DROP DATABASE $_ WITH (FORCE) works") for qw(busy_db busy_too);
	no_process_but($node, 'bbm launcher', 'and all processes leave');
	# The launcher has a turn before this one ends.
	add_counted_table($node, 'postgres', 'after_drop', 300);
	my $id = queue_add_one($node, 'postgres', 'after_drop', $slow);
	status_is('postgres', $id, 'finished', 'bbm works in the databases that are left');
	no_process_but($node, 'bbm launcher', 'and rests');
	my $log = log_since($node, $offset);
	# Two workers and two schedulers were told to go.
	cmp_ok(count_matches($log, $complaints), '<=', 2 * $few, 'WITH (FORCE): few words in the log');
	unlike($log, qr/PANIC|terminated by signal|database ".*" does not exist/, 'nobody comes back for a dropped database');
}

# ---- a migration that kills its server
{
	add_counted_table($node, 'postgres', 'innocent', 2000);
	add_counted_table($node, 'postgres', 'deadly', 100);
	$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''kill -9 $PPID'''; PERFORM pg_sleep(600); RETURN NULL; END $$; -- # lint: allow
CREATE TRIGGER die AFTER UPDATE ON deadly FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION die();
SQL
	my $offset = log_size($node);
	my $innocent = queue_add_one($node, 'postgres', 'innocent', $slow);
	poll($node, 'postgres', 'SELECT count(*) > 0 FROM innocent_hits', 't', 'an innocent migration works');
	my $deadly = queue_add_one($node, 'postgres', 'deadly', $slow);
	status_is('postgres', $deadly, 'failed', 'a migration that kills its server is stopped');
	is(count_matches(log_since($node, $offset), qr/was terminated by signal 9/), 3, 'after three starts');
	like($node->safe_psql('postgres', "SELECT message FROM bbm.events WHERE migration_id = $deadly AND to_status = 'failed'"),
		qr/suspected crash.* 3 times/, 'with the reason');
	status_is('postgres', $innocent, 'finished', 'the innocent one goes on to its end');
	is(tally($node, 'postgres', 'innocent'), '2000|0|0', 'and handles every row once');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM deadly WHERE n <> 0'), '0', 'nothing of the other one was kept');

	$node->safe_psql('postgres', 'DROP TRIGGER die ON deadly');
	$node->safe_psql('postgres', "SELECT bbm.retry($deadly)");
	status_is('postgres', $deadly, 'finished', 'mended and retried it ends');
	is(tally($node, 'postgres', 'deadly'), '100|0|0', 'and handles every row once');
	is(count_matches(log_since($node, $offset), qr/was terminated by signal 9/), 3, 'without another crash');
	no_process_but($node, 'bbm launcher', 'all but the launcher leave');
}

# ---- the same when the innocent one needs longer for its first sub-batch than the other one for its crime
{
	add_counted_table($node, 'postgres', 'slow_innocent', 30);
	add_counted_table($node, 'postgres', 'deadly_again', 100);
	$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$; -- # lint: allow
CREATE TRIGGER slow AFTER UPDATE ON slow_innocent FOR EACH STATEMENT EXECUTE FUNCTION be_slow();
CREATE TRIGGER die AFTER UPDATE ON deadly_again FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION die();
SQL
	my $innocent = queue_add_one($node, 'postgres', 'slow_innocent', 'sub_batch_size => 10, start => false');
	my $deadly = queue_add_one($node, 'postgres', 'deadly_again', 'start => false');
	$node->safe_psql('postgres', "SELECT bbm.resume(id) FROM unnest('{$innocent,$deadly}'::bigint[]) AS id");
	status_is('postgres', $deadly, 'failed', 'the killer is found');
	poll($node, 'postgres', "SELECT status IN ('finished', 'failed') FROM bbm.migrations WHERE id = $innocent", 't', 'the slow innocent one ends');
	is($node->safe_psql('postgres', "SELECT status, status_reason FROM bbm.migrations WHERE id = $innocent"), 'finished|', 'it is not held for a killer');
	is(tally($node, 'postgres', 'slow_innocent'), '30|0|0', 'and handled every row once');
}
$node->stop;

done_testing();
