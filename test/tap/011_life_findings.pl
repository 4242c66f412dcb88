# What a review of the life of migrations has found, each in the smallest form that showed it; what plain SQL shows stands in
# sql/life_findings.sql.
use strict;
use warnings;

use BbmTest qw(:DEFAULT open_session say answer ask close_session);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What needs settings of its own, or time, has a database of its own: it is started first and looked at in the end.
my $node = new_node('life_findings', conf => <<'CONF');
max_worker_processes = 60
max_connections = 60
autovacuum = off
bbm.max_workers = 40
bbm.lock_timeout = 30s
CONF
$node->start;

sub database
{
	my ($name, %settings) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name") if $name ne 'postgres';
	$node->safe_psql('postgres', "ALTER DATABASE $name SET $_ = '$settings{$_}'") for sort keys %settings;
	$node->safe_psql($name, 'CREATE EXTENSION bbm');
	return;
}

# With a health function that says what a table says.
sub gauged_database
{
	my ($name, %settings) = @_;
	database($name, 'bbm.health_function' => 'public.busy', %settings);
	$node->safe_psql($name, <<'SQL');
CREATE TABLE gauge (value float8);
INSERT INTO gauge VALUES (2);
CREATE FUNCTION busy(regclass) RETURNS float8 LANGUAGE sql AS 'SELECT value FROM public.gauge';
SQL
	return;
}

sub status_is
{
	my ($db, $id, $status, $what) = @_;
	return poll($node, $db, "SELECT status FROM bbm.migrations WHERE id = $id", $status, $what);
}

sub held_by
{
	my ($db, $id, $reason, $what) = @_;
	return poll($node, $db, "SELECT hold_reason FROM bbm.migrations WHERE id = $id AND on_hold_until > now()", $reason, $what);
}

# Sub-batches that wait for a lock of the test's.
sub waiting_are
{
	my ($count, $what) = @_;
	return poll($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'bbm worker' AND wait_event = 'advisory'", $count, $what);
}

sub at_gate { return "CREATE TRIGGER gate AFTER UPDATE ON $_[0] FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION gate('$_[1]');" }

# ---- started here, looked at below

database('postgres');
$node->safe_psql('postgres', <<'SQL');
-- Waits for a lock of the test's; with a second argument it then raises that.
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint);
	IF TG_NARGS > 1 THEN RAISE EXCEPTION 'raised at the gate' USING ERRCODE = TG_ARGV[1]; END IF;
	RETURN NULL;
END $$;
CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(TG_ARGV[0]::float8); RETURN NULL; END $$;
SQL

# A transaction that holds every row of a table, for as long as it takes.
database('locked', 'bbm.lock_timeout' => '10ms');
add_counted_table($node, 'locked', 'held', 160);
my $holder = open_session($node, 'locked');
ask($holder, 'BEGIN; UPDATE held SET note = note;');
my $held = queue_add_one($node, 'locked', 'held', 'batch_size => 32');

# Bounds that are not found in time: the keys are too many; and no key is left in front of a mass of dead ones.
database('bounds', 'bbm.sub_batch_timeout' => '10ms');
$node->safe_psql('bounds', 'CREATE TABLE wide (id int PRIMARY KEY, n int); INSERT INTO wide SELECT i, 0 FROM generate_series(1, 300000) AS i;'
	  . ' CREATE TABLE dead (id int PRIMARY KEY, n int); INSERT INTO dead SELECT i, 0 FROM generate_series(1, 300000) AS i;');
my $witness = open_session($node, 'bounds'); # to whom the dead live
ask($witness, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
$node->safe_psql('bounds', 'DELETE FROM dead WHERE id < 300000');
my $wide = queue_add_one($node, 'bounds', 'wide', 'batch_size => 300000, sub_batch_size => 1');
my $dead = queue_add_one($node, 'bounds', 'dead', 'batch_size => 1000, sub_batch_size => 1, batch_min_value => 1');
$node->safe_psql('bounds', "UPDATE bbm.migration SET bounds_attempts = 38 WHERE id = $dead"); # of 40, a second each

# Thousands of rows for the quarantine.
database('memory', 'bbm.max_quarantined_rows' => 1000000);
$node->safe_psql('memory', "CREATE TABLE bad (id int PRIMARY KEY, n int, note text); INSERT INTO bad SELECT i, 0, repeat('x', 200) FROM generate_series(1, 50000) AS i;"
	  . ' ALTER TABLE bad ADD CONSTRAINT never CHECK (false) NOT VALID;');
my $bad = queue_add_one($node, 'memory', 'bad', "batch_size => 50000, sub_batch_size => 8, on_data_error => 'quarantine'");

# A worker that dies while it watches a hold, beside a client that waits for it.
gauged_database('watched');
add_counted_table($node, 'watched', 'watched', 200);
my $watched = queue_add_one($node, 'watched', 'watched', 'sub_batch_size => 10');
held_by('watched', $watched, 'health_function', 'a worker watches a hold');
my $beside = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('watched'), '-c', 'SET client_min_messages = warning', '-c', "CALL bbm.run($watched)" ],
	'<', \undef, '>', \my $beside_said, '2>&1', IPC::Run::timeout(120));
poll($node, 'watched', "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL bbm.run%' AND wait_event_type = 'Extension'", '1', 'and a client waits for it');
is($node->safe_psql('watched', "SELECT pg_terminate_backend(pid, 20000) FROM bbm.workers WHERE migration_id = $watched"), 't', 'it is killed');
$node->safe_psql('watched', 'CREATE TABLE cleared AS SELECT clock_timestamp() AS at; UPDATE gauge SET value = 0');

# More migrations than may run at once, all of them held.
gauged_database('crowded', 'bbm.max_running_migrations' => 2, 'bbm.naptime' => '1s');
for my $i (1 .. 5)
{
	add_counted_table($node, 'crowded', "crowd$i", 50);
	queue_add_one($node, 'crowded', "crowd$i", 'sub_batch_size => 10');
}
my $on_hold = "SELECT count(*) FROM bbm.migrations WHERE on_hold_until > now() AND hold_reason = 'health_function'";
poll($node, 'crowded', $on_hold, '2', 'as many as may run are on hold');

# An indicator that changes its mind every second.
database('flapping', 'bbm.health_function' => 'public.flaps');
$node->safe_psql('flapping', q{CREATE SEQUENCE looks; CREATE FUNCTION flaps(regclass) RETURNS float8 LANGUAGE sql AS 'SELECT nextval(''public.looks'') % 2 * 2'});
add_counted_table($node, 'flapping', 'flapping', 200);
my $flapping = queue_add_one($node, 'flapping', 'flapping', "sub_batch_size => 5, pause => '100ms'");

# Jobs that take some half of their interval: 20 rows, 0.02 s each.
$node->safe_psql('postgres', 'CREATE TABLE paced (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO paced SELECT generate_series(1, 90);'
	  . " CREATE TRIGGER nap AFTER UPDATE ON paced FOR EACH ROW EXECUTE FUNCTION nap('0.02')");
my $paced = queue_add_one($node, 'postgres', 'paced', "batch_size => 20, job_interval => '1s'");

# What a worker uses, by its own word.
sub memory_after
{
	my ($rows) = @_;
	poll($node, 'memory', "SELECT count(*) >= $rows FROM bbm.failures WHERE migration_id = $bad AND quarantined", 't', "$rows rows are in quarantine");
	my $offset = log_size($node);
	$node->safe_psql('memory', "SELECT pg_log_backend_memory_contexts(pid) FROM pg_stat_activity WHERE backend_type = 'bbm worker' AND datname = current_database()");
	my $bytes = deadline_loop(20, sub { log_since($node, $offset) =~ /Grand total: (\d+) bytes/ ? $1 : 0 });
	cmp_ok($bytes // 0, '>', 0, 'the worker says how much it uses');
	return $bytes // 0;
}
my $memory = memory_after(300);
my $rows_then = $node->safe_psql('memory', 'SELECT count(*) FROM bbm.quarantine');

# ---- a full disk does not shorten the hold of a person
{
	$node->safe_psql('postgres', 'CREATE TABLE full_disk (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO full_disk SELECT generate_series(1, 10);'
		  . " CREATE TRIGGER gate AFTER UPDATE ON full_disk FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION gate('1', '53100')");
	my $gate = open_session($node, 'postgres');
	ask($gate, 'SELECT pg_advisory_lock(1);');
	my $id = queue_add_one($node, 'postgres', 'full_disk');
	waiting_are(1, 'a sub-batch is at work');
	is($node->safe_psql('postgres', "SELECT bbm.hold($id, '10 days', 'audit')"), 't', 'somebody holds the migration');
	ask($gate, 'SELECT pg_advisory_unlock(1);');
	close_session($gate);
	poll($node, 'postgres', "SELECT string_agg(sqlstate, ',') FROM bbm.failures WHERE migration_id = $id", '53100', 'then its disk is full');
	is($node->safe_psql('postgres', "SELECT status, on_hold_until > now() + '9 days', hold_reason FROM bbm.migrations WHERE id = $id"), 'active|t|audit', 'the hold is what it was');
	$node->safe_psql('postgres', "DROP TRIGGER gate ON full_disk; SELECT bbm.resume($id)");
	status_is('postgres', $id, 'finished', 'and resume ends it');
	is($node->safe_psql('postgres', 'SELECT n, count(*) FROM full_disk GROUP BY n'), '1|10', 'every row was handled once');
}

# ---- clearing up beside a retry
{
	$node->safe_psql('postgres', 'CREATE TABLE tidy (id int PRIMARY KEY, n int NOT NULL DEFAULT 0 CHECK (n < 1)); INSERT INTO tidy VALUES (1)');
	my $id = queue_add_one($node, 'postgres', 'tidy');
	status_is('postgres', $id, 'failed', 'a migration fails');
	my @sessions = map { open_session($node, 'postgres', '-v', 'VERBOSITY=sqlstate') } 1 .. 2;
	is(ask($sessions[0], "BEGIN; SELECT bbm.retry($id);"), "1\n", 'it is retried');
	say($sessions[1], "SELECT bbm.cleanup('tidy');");
	poll($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT bbm.cleanup%' AND wait_event_type = 'Lock'", '1', 'meanwhile somebody clears up');
	ask($sessions[0], 'COMMIT;');
	like(answer($sessions[1]), qr/ERROR:  55000/, 'and finds that it has not ended');
	is($node->safe_psql('postgres', "SELECT count(*) FROM bbm.events WHERE migration_id = $id AND event = 'delete'"), '0', 'nothing is deleted');
	status_is('postgres', $id, 'failed', 'it is tried again');
	is(ask($sessions[1], "SELECT bbm.cleanup('tidy');"), "1\n", 'and removed after its end');
	close_session($_) for @sessions;
}

# ---- a table that becomes part of another one in the middle of a run
{
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE attach_root (id int NOT NULL, n int NOT NULL DEFAULT 0) PARTITION BY RANGE (id);
CREATE TABLE attach (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE inherit_root (id int, n int NOT NULL DEFAULT 0);
CREATE TABLE inherit (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO attach SELECT generate_series(1, 300);
INSERT INTO inherit SELECT generate_series(1, 300);
SQL
	my %change = (
		attach => 'ALTER TABLE attach_root ATTACH PARTITION attach FOR VALUES FROM (1) TO (1000)',
		inherit => 'ALTER TABLE inherit INHERIT inherit_root');
	my (%first, %second);
	for my $name (sort keys %change)
	{
		$first{$name} = queue_add_one($node, 'postgres', $name, "batch_size => 100, sub_batch_size => 10, pause => '60ms'");
		poll($node, 'postgres', "SELECT count(*) > 0 FROM $name WHERE n > 0", 't', "$name: work has begun");
		$second{$name} = queue_add_one($node, 'postgres', "$name too", "sub_batch_size => 100", table => $name, session => "$change{$name};");
		is($node->safe_psql('postgres', "SELECT status FROM bbm.migrations WHERE id = $first{$name}"), 'active', "$name: a second one is queued in the midst of it");
	}
	for my $name (sort keys %change)
	{
		status_is('postgres', $_, 'finished', "$name: migration $_ ends") for $first{$name}, $second{$name};
		is($node->safe_psql('postgres', "SELECT (SELECT max(finished_at) FROM bbm.jobs WHERE migration_id = $first{$name}) <= min(started_at) FROM bbm.jobs WHERE migration_id = $second{$name}"),
			't', "$name: the second has waited for the first");
		is($node->safe_psql('postgres', "SELECT count(DISTINCT table_root), min(table_root::regclass::text) FROM bbm.migrations WHERE id IN ($first{$name}, $second{$name})"),
			"1|${name}_root", "$name: both know where they belong");
		is($node->safe_psql('postgres', "SELECT n, count(*) FROM $name GROUP BY n"), '2|300', "$name: every row was handled once by each");
	}
}

# ---- a table that is rewritten under a running migration: rows have new numbers, which no older snapshot sees
{
	my %rewrite = (
		note => 'ALTER TABLE %s ALTER n TYPE bigint',
		key => 'ALTER TABLE %s ALTER id TYPE bigint',
		paused => 'ALTER TABLE %s ALTER n TYPE bigint'); # with the migration paused for it, by the book
	for my $name (sort keys %rewrite)
	{
		my $table = "rewritten_$name";
		$node->safe_psql('postgres', "CREATE TABLE $table (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO $table SELECT generate_series(1, 600)");
		my $waits = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'bbm worker' AND wait_event_type = 'Lock'";
		my $session = open_session($node, 'postgres');
		my $pace = $name eq 'paused' ? "batch_size => 20, job_interval => '1500 ms'" : "sub_batch_size => 5, pause => '10ms'";
		my $id = queue_add_one($node, 'postgres', $table, $pace);
		poll($node, 'postgres', "SELECT count(*) > 0 FROM $table WHERE n > 0", 't', "$name: work has begun");
		if ($name eq 'paused')
		{
			poll($node, 'postgres', "SELECT string_agg(DISTINCT status, ',') FROM bbm.jobs WHERE migration_id = $id", 'succeeded', "$name: the worker rests");
			ask($session, "BEGIN; SELECT bbm.pause($id);");
			poll($node, 'postgres', $waits, '1', "$name: a claim waits");
			ask($session, sprintf("$rewrite{$name};", $table));
			ask($session, "SELECT bbm.resume($id), bbm.alter($id, job_interval => '0');");
		}
		else
		{
			ask($session, sprintf("BEGIN; $rewrite{$name};", $table));
			poll($node, 'postgres', $waits, '1', "$name: a sub-batch waits");
		}
		cmp_ok(ask($session, "SELECT count(*) FROM $table WHERE n > 0; COMMIT;"), '<', 600, "$name: in the midst of the work");
		close_session($session);
		status_is('postgres', $id, 'finished', "$name: it is finished");
		is($node->safe_psql('postgres', "SELECT n, count(*) FROM $table GROUP BY n"), '1|600', "$name: every row was handled once");
		is($node->safe_psql('postgres', "SELECT rows_affected FROM bbm.migrations WHERE id = $id"), '600', "$name: and counted once");
	}
}

# ---- the last sub-batch of a migration that was paused, and the next migration of its table
{
	$node->safe_psql('postgres', 'CREATE TABLE shared (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO shared SELECT generate_series(1, 20);' . at_gate('shared', 2));
	my $gate = open_session($node, 'postgres');
	ask($gate, 'SELECT pg_advisory_lock(2);');
	my $first = queue_add_one($node, 'postgres', 'shared', 'sub_batch_size => 10');
	waiting_are(1, 'a sub-batch is at work');
	is($node->safe_psql('postgres', "SELECT bbm.pause($first)"), 't', 'its migration is paused');
	my $second = queue_add_one($node, 'postgres', 'shared too', '', table => 'shared');
	# It tries ten times a second.
	is(error_of($node, 'postgres', "SET lock_timeout = '5s'; CALL bbm.run($second, '500 ms')"), '', 'the next one is tried');
	waiting_are(1, 'nobody else is at work');
	is($node->safe_psql('postgres', "SELECT status, started_at FROM bbm.migrations WHERE id = $second"), 'active|', 'it waits');
	ask($gate, 'SELECT pg_advisory_unlock(2);');
	close_session($gate);
	status_is('postgres', $second, 'finished', 'and goes on by itself');
	is($node->safe_psql('postgres', "SELECT (SELECT max(occurred_at) FROM bbm.job_transitions WHERE migration_id = $first) < started_at FROM bbm.migrations WHERE id = $second"),
		't', 'after the last sub-batch of the other');
	is($node->safe_psql('postgres', 'SELECT n, count(*) FROM shared GROUP BY n ORDER BY n'), "1|10\n2|10", 'which was committed');
	is($node->safe_psql('postgres', "SELECT status FROM bbm.migrations WHERE id = $first"), 'paused', 'and was the last one');
	$node->safe_psql('postgres', "SELECT bbm.delete($first)");
}

# ---- a migration on hold is in nobody's way
{
	add_counted_table($node, 'postgres', 'common', 200);
	my $id = queue_add_one($node, 'postgres', 'common', "priority => 2147483647, sub_batch_size => 10, pause => '20ms'");
	poll($node, 'postgres', 'SELECT count(*) > 0 FROM common_hits', 't', 'a migration works');
	$node->safe_psql('postgres', "SELECT bbm.hold($id, '90 years', 'for the grandchildren')");
	my $other = $node->safe_psql('postgres', "SELECT bbm.queue('another', 'common', command => 'UPDATE common SET note = ''x''')");
	status_is('postgres', $other, 'finished', 'while it is held, another one of its table is done');
	cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM common_hits'), '<', 200, 'it has not ended itself');
	held_by('postgres', $id, 'for the grandchildren', 'it is on hold');
	$node->safe_psql('postgres', "SELECT bbm.resume($id)");
	status_is('postgres', $id, 'finished', 'resumed it ends');
	is(tally($node, 'postgres', 'common'), '200|0|0', 'every row was handled once');
}

# ---- the extension is dropped under a worker that watches a hold
{
	gauged_database('dropped');
	add_counted_table($node, 'dropped', 'dropped', 50);
	my $id = queue_add_one($node, 'dropped', 'dropped');
	held_by('dropped', $id, 'health_function', 'a worker watches a hold');
	my $pids = join '|', split /\n/, $node->safe_psql('dropped', "SELECT pid FROM pg_stat_activity WHERE datname = 'dropped' AND backend_type LIKE 'bbm %'");
	my $offset = log_size($node);
	$node->safe_psql('dropped', 'DROP EXTENSION bbm');
	poll($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'dropped' AND backend_type LIKE 'bbm %'", '0', 'without the extension everybody leaves');
	my $log = log_since($node, $offset);
	is(count_matches($log, qr/\[(?:$pids)\] .*(?:ERROR|FATAL|WARNING): /), 0, 'without an error');
	is(count_matches($log, qr/\(PID (?:$pids)\) exited with exit code [^0]/), 0, 'and with a good end');
}

# ---- a transaction that holds every row, and goes
poll($node, 'locked', "SELECT count(*) FROM bbm.jobs WHERE migration_id = $held", '80', 'five jobs that meet a lock become sixteen parts each');
poll($node, 'locked', "SELECT count(*) > 50 FROM bbm.jobs WHERE migration_id = $held AND status = 'failed' AND batch_size = 2 AND retry_at IS NOT NULL", 't',
	'more than half of fifty wait for their turn');
is($node->safe_psql('locked', "SELECT status FROM bbm.migrations WHERE id = $held"), 'active', 'the migration waits with them');
ask($holder, 'COMMIT;');
close_session($holder);

# ---- time-outs that are hopeless
status_is('bounds', $dead, 'failed', 'bounds that are never found end a migration');
is(events_of($node, 'bounds', $dead), 'failed|57014', 'with the reason');
close_session($witness);
poll($node, 'bounds', "SELECT count(*) > 0 FROM bbm.jobs WHERE migration_id = $wide", 't', 'smaller and smaller bounds are found');
is($node->safe_psql('bounds', "SELECT min(batch_size) < 300000 FROM bbm.jobs WHERE migration_id = $wide"), 't', 'for a smaller job');
is($node->safe_psql('bounds', <<'SQL'), 't|t|t', 'one attempt a second is on record');
SELECT count(*) > 3, max(per_migration) < 25, min(occurred_at - before) > '0.9 s'
FROM (SELECT occurred_at, lag(occurred_at) OVER m AS before, count(*) OVER m AS per_migration FROM bbm.events WHERE event = 'bounds' WINDOW m AS (PARTITION BY migration_id ORDER BY id)) AS e
SQL
$node->safe_psql('bounds', "SELECT bbm.delete(id) FROM bbm.migrations");

# ---- the size of jobs grows no faster than the interval allows
status_is('postgres', $paced, 'finished', 'a migration with an interval ends');
my $changes = "FROM (SELECT (data->>'old')::int AS old, (data->>'new')::int AS new, (data->>'efficiency')::float8 AS efficiency FROM bbm.events"
  . " WHERE migration_id = $paced AND event = 'optimize') AS e";
is($node->safe_psql('postgres', "SELECT count(*) > 0, bool_and(new <= old * greatest(1.2, 0.96 / efficiency) + 1) $changes"), 't|t',
	'its sizes are those of jobs that fit into it')
  or diag($node->safe_psql('postgres', "SELECT * $changes"));

# ---- an indicator that flaps
status_is('flapping', $flapping, 'finished', 'an indicator that flaps does not stop a migration');
cmp_ok($node->safe_psql('flapping', 'SELECT last_value FROM looks'), '>', 6, 'it has flapped');
is($node->safe_psql('flapping', "SELECT string_agg(from_status || '-' || to_status, ',' ORDER BY id) FROM bbm.job_transitions WHERE migration_id = $flapping"),
	'pending-running,running-succeeded', 'the job stayed in hand');
is($node->safe_psql('flapping', "SELECT string_agg(event, ',' ORDER BY id) FROM bbm.events WHERE migration_id = $flapping AND event IN ('hold', 'release')"), 'hold,release',
	'one pair of events tells it');
is(tally($node, 'flapping', 'flapping'), '200|0|0', 'every row was handled once');

# ---- more migrations than may run, all of them held
is($node->safe_psql('crowded', "$on_hold AND id IN (SELECT migration_id FROM bbm.workers)"), '2', 'as many as may run watch the hold');
is($node->safe_psql('crowded', 'SELECT count(*) FROM bbm.jobs'), '2', 'nobody else has begun a job');
$node->safe_psql('crowded', 'UPDATE gauge SET value = 0');
poll($node, 'crowded', "SELECT count(*) FROM bbm.migrations WHERE status = 'finished'", '5', 'when the signal is clear all come to their end');
is($node->safe_psql('crowded', "SELECT string_agg(from_status || '-' || to_status, ',' ORDER BY from_status) FROM bbm.job_transitions"),
	join(',', ('pending-running') x 5, ('running-succeeded') x 5), 'and none gives way to others');
is($node->safe_psql('crowded', "SELECT event, count(*) FROM bbm.events WHERE event IN ('hold', 'release') GROUP BY event ORDER BY event"), "hold|2\nrelease|2", 'two were held');

# ---- a worker that was killed while it watched a hold
status_is('watched', $watched, 'finished', 'others go on with the work of one that died on a hold') or $beside->kill_kill;
is($node->safe_psql('watched', "SELECT finished_at - at < '20 s' FROM bbm.migrations, cleared WHERE id = $watched"), 't', 'soon after the signal is clear');
$beside->finish;
is($beside_said, '', 'and the client sees the end of it');
is(tally($node, 'watched', 'watched'), '200|0|0', 'every row was handled once');

# ---- the transaction that held every row is gone; the delays of its victims are not waited for here
$node->safe_psql('locked', "UPDATE bbm.job SET retry_at = now() WHERE status = 'failed'; SELECT bbm.alter($held, priority => 1)");
status_is('locked', $held, 'finished', 'what waited for it is done');
is($node->safe_psql('locked', "SELECT count(*) FROM bbm.jobs WHERE migration_id = $held"), '80', 'in no more parts');
is($node->safe_psql('locked', "SELECT DISTINCT sqlstate FROM bbm.failures WHERE migration_id = $held"), '55P03', 'locks were all that was in the way');
is(tally($node, 'locked', 'held'), '160|0|0', 'every row was handled once');

# ---- rows in quarantine cost a worker no memory
my $rows = $rows_then + 2000;
my $growth = memory_after($rows) - $memory;
cmp_ok($growth, '<', 1_000_000, "after 2000 more rows a worker is as large as before ($growth bytes)");
$node->safe_psql('memory', "SELECT bbm.delete($bad)");

no_process_but($node, 'bbm launcher', 'all but the launcher leave');
$node->stop;

done_testing();
