# What becomes of a job that fails: locks, time-outs, deadlocks, resources, too many; and of migrations that are held,
# finalized, or share a table. With background workers and real errors.
use strict;
use warnings;

use BbmTest qw(:DEFAULT open_session say answer ask close_session);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Attempts of one job are about a second apart: what takes many of them is started first, and looked at in the end.
# The files of a statement are limited, so that a resource runs out that is real and costs nothing.
my $node = new_node('failures', conf => <<'CONF');
max_worker_processes = 40
max_connections = 60
autovacuum = off
bbm.max_workers = 20
bbm.max_running_migrations = 20
bbm.lock_timeout = 200ms
bbm.sub_batch_timeout = 1s
temp_file_limit = 1MB
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm');
# Where nothing ends by a time-out.
$node->safe_psql('postgres', 'CREATE DATABASE embrace');
$node->safe_psql('embrace', "CREATE EXTENSION bbm; ALTER DATABASE embrace SET bbm.lock_timeout = '1h'; ALTER DATABASE embrace SET bbm.sub_batch_timeout = '1h'");
$node->safe_psql('postgres', <<'SQL');
CREATE VIEW failure AS SELECT migration_id, id, sqlstate, format('%s-%s', min_key[1], max_key[1]) AS keys, attempts FROM bbm.failures;
-- Jobs whose times overlap although those of one table never should.
CREATE FUNCTION overlaps(ids bigint[]) RETURNS bigint LANGUAGE sql AS $$
SELECT count(*) FROM bbm.jobs AS a JOIN bbm.jobs AS b ON a.migration_id < b.migration_id
WHERE a.migration_id = ANY (ids) AND b.migration_id = ANY (ids)
  AND tstzrange(a.started_at, a.finished_at) && tstzrange(b.started_at, b.finished_at) $$;
SQL

sub one
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub status_is
{
	my ($id, $status, $what) = @_;
	return poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id", $status, $what);
}

# The first failures of a migration: "SQLSTATE keys", in the order they happened.
sub failures_of
{
	my ($id, $count) = @_;
	return one("SELECT string_agg(sqlstate || ' ' || keys, ', ' ORDER BY id) FROM"
		  . " (SELECT * FROM failure WHERE migration_id = $id ORDER BY id LIMIT $count) AS f");
}

# ---- started here, looked at below: a row that somebody holds, a row that takes too long, bounds that take too long
add_counted_table($node, 'postgres', 'locked', 128);
my $holder = open_session($node, 'postgres');
ask($holder, 'BEGIN; SELECT FROM locked WHERE id = 65 FOR UPDATE;');
my $locked = queue_add_one($node, 'postgres', 'locked', 'batch_size => 64, sub_batch_size => 64');

add_counted_table($node, 'postgres', 'sleepy', 9);
hold_rows($node, 'postgres', 'sleepy', 5);
my $sleepy = queue_add_one($node, 'postgres', 'sleepy', 'batch_size => 3, sub_batch_size => 3');

add_counted_table($node, 'postgres', 'sieved', 300);
one("CREATE FUNCTION slowly(id bigint) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN id % 2 = 0; END'");
my $sieved = queue_add_one($node, 'postgres', 'sieved', "scope_to => 'slowly(id)', batch_size => 1000, sub_batch_size => 20");

# ---- a deadlock, whose victim is always the worker
{
	add_counted_table($node, 'embrace', 'embraced', 10);
	# Row 1 is locked, and goes on when the other session waits for it. The second time nobody does.
	$node->safe_psql('embrace', <<'SQL');
CREATE TABLE met ();
CREATE SEQUENCE visits;
CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF nextval('visits') = 1 THEN
		FOR i IN 1 .. 2000 LOOP
			EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)));
			PERFORM pg_sleep(0.01);
		END LOOP;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER meet BEFORE UPDATE ON embraced FOR EACH ROW WHEN (NEW.id = 1 AND OLD.note IS NULL AND NEW.note IS NULL) EXECUTE FUNCTION meet();
SQL
	my $other = open_session($node, 'embrace');
	ask($other, "SET deadlock_timeout = '1h'; BEGIN; UPDATE embraced SET note = 'other' WHERE id = 2;");
	my $id = queue_add_one($node, 'embrace', 'embraced');
	poll($node, 'embrace', 'SELECT last_value FROM visits WHERE is_called', '1', 'the worker has locked its first row');
	is(ask($other, "UPDATE embraced SET note = 'other' WHERE id = 1; COMMIT;"), '', 'the other session is spared');
	close_session($other);
	poll($node, 'embrace', "SELECT status FROM bbm.migrations WHERE id = $id", 'finished', 'after a deadlock it is tried again');
	is($node->safe_psql('embrace', "SELECT string_agg(sqlstate, ',') FROM bbm.failures WHERE migration_id = $id"), '40P01', 'which was met once');
	is($node->safe_psql('embrace', "SELECT string_agg(batch_size || ' ' || attempts, ',') FROM bbm.jobs WHERE migration_id = $id"),
		'10000 2', 'by a job that is not made smaller for it');
	is(tally($node, 'embrace', 'embraced'), '10|0|0', 'every row was handled once');
	is($node->safe_psql('embrace', "SELECT count(*) FROM embraced WHERE note = 'other'"), '2', 'and both changes stand');
}

# ---- resources: the migration is on hold, with the reason, until somebody mends it
{
	add_counted_table($node, 'postgres', 'hungry', 40);
	one(<<'SQL');
CREATE FUNCTION devour() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM FROM (SELECT count(*) OVER () FROM generate_series(1, 300000)) AS s; RETURN NULL; END $$;
CREATE TRIGGER devour AFTER UPDATE ON hungry FOR EACH ROW WHEN (NEW.id = 15) EXECUTE FUNCTION devour();
SQL
	my $id = queue_add_one($node, 'postgres', 'hungry', 'batch_size => 10');
	poll($node, 'postgres', "SELECT on_hold_until > now() FROM bbm.migrations WHERE id = $id", 't', 'a resource that runs out holds the migration');
	is(one("SELECT status, hold_reason ~ 'temp_file_limit', on_hold_until - now() BETWEEN '1 min' AND '10 min' FROM bbm.migrations WHERE id = $id"),
		'active|t|t', 'for minutes, with the reason');
	is(one("SELECT event, from_status, to_status, sqlstate FROM bbm.events WHERE migration_id = $id ORDER BY id DESC LIMIT 1"),
		'hold|active|active|53400', 'which is an event');
	is(failures_of($id, 5), '53400 11-20', 'one failure: no row is looked for');
	is(one('SELECT count(*), max(id) FROM hungry_hits'), '10|10', 'nothing else is tried meanwhile');
	poll($node, 'postgres', "SELECT count(*) FROM bbm.workers WHERE migration_id = $id", '0', 'and no worker stays for it');
	one('DROP TRIGGER devour ON hungry');
	is(one("SELECT bbm.resume($id)"), 't', 'resume ends the hold');
	status_is($id, 'finished', 'and the job is tried again');
	is(tally($node, 'postgres', 'hungry'), '40|0|0', 'every row was handled once');
}

# ---- more than half of fifty jobs
{
	one('CREATE TABLE hopeless (id int PRIMARY KEY, n int NOT NULL CHECK (n < 0)); INSERT INTO hopeless SELECT g, -1 FROM generate_series(1, 200) AS g');
	my $id = queue_add_one($node, 'postgres', 'hopeless', 'batch_size => 1');
	status_is($id, 'failed', 'too many failed jobs end a migration');
	is(one("SELECT status_reason, jobs_succeeded, jobs_failed, frontier FROM bbm.migrations WHERE id = $id"),
		'50 of the last 50 jobs failed|0|50|{50}', 'at the fiftieth');
	one('ALTER TABLE hopeless DROP CONSTRAINT hopeless_n_check');
	is(one("SELECT bbm.retry($id)"), '50', 'mended and retried');
	status_is($id, 'finished', 'it ends');
	is(one('SELECT n, count(*) FROM hopeless GROUP BY n'), '0|200', 'with every row done once');
}

# ---- one bad row
{
	add_counted_table($node, 'postgres', 'spotted', 1000);
	one('ALTER TABLE spotted ADD CONSTRAINT spot CHECK (id <> 777 OR n = 0)');
	my $id = queue_add_one($node, 'postgres', 'spotted', 'batch_size => 400');
	status_is($id, 'failed', 'a row that fails is found');
	is(failures_of($id, 5), '23514 777-777', 'alone');
	is(tally($node, 'postgres', 'spotted'), '1000|1|0', 'all others are done, once');
	one('ALTER TABLE spotted DROP CONSTRAINT spot');
	one("SELECT bbm.retry($id)");
	status_is($id, 'finished', 'mended and retried it ends');
	is(tally($node, 'postgres', 'spotted'), '1000|0|0', 'every row was handled once');

	one('ALTER TABLE spotted ADD CONSTRAINT spot CHECK (id NOT IN (1, 500, 1000) OR n < 2)');
	$id = queue_add_one($node, 'postgres', 'aside', "batch_size => 400, on_data_error => 'quarantine'", table => 'spotted');
	status_is($id, 'finished', 'with a quarantine it goes on to its end');
	is(one("SELECT string_agg(min_key[1], ',' ORDER BY min_key[1]::int) FROM bbm.failures WHERE migration_id = $id AND quarantined"),
		'1,500,1000', 'and says what it left alone');
	is(one('SELECT n, count(*) FROM spotted GROUP BY n ORDER BY n'), "1|3\n2|997", 'which is nothing else');
}

# ---- finalize waits for no interval, no pause and no hold
{
	add_counted_table($node, 'postgres', 'impatient', 60);
	my $id = queue_add_one($node, 'postgres', 'impatient', "batch_size => 20, sub_batch_size => 5, job_interval => '1 hour', pause => '1 hour'");
	poll($node, 'postgres', 'SELECT count(*) > 0 FROM impatient_hits', 't', 'the first sub-batch is done');
	one("SELECT bbm.hold($id, '1 hour', 'until the morning')");
	is(one("SELECT status, hold_reason FROM bbm.migrations WHERE id = $id"), 'active|until the morning', 'interval, pause and hold are in the way');
	is(error_of($node, 'postgres', "SET statement_timeout = '20s'; SELECT bbm.finalize($id)"), '', 'finalize minds none of them');
	is(one("SELECT status, on_hold_until, hold_reason FROM bbm.migrations WHERE id = $id"), 'finished||', 'it is finished, and nothing is held any more');
	is(tally($node, 'postgres', 'impatient'), '60|0|0', 'every row was handled once');
	is(error_of($node, 'postgres', "SELECT bbm.hold($id, '1 s')"), '55000', 'what is finished cannot be held');

	# Nor while it works.
	add_counted_table($node, 'embrace', 'busy', 20);
	hold_rows($node, 'embrace', 'busy', 10);
	$id = queue_add_one($node, 'embrace', 'busy', 'start => false');
	my $session = open_session($node, 'embrace', '-v', 'VERBOSITY=sqlstate');
	say($session, "SELECT bbm.finalize($id);");
	wait_holding($node, 'embrace', 1, 'finalize works');
	is(error_of($node, 'embrace', "SELECT bbm.hold($id, '1 s')"), '55000', 'what is finalized cannot be held');
	# The last resort, on a migration that runs: its statement is cut, and nothing of it is kept.
	is($node->safe_psql('embrace', "SELECT bbm.mark_finished($id, 'it sleeps for ever')"), 't', 'mark_finished of a running migration');
	unlike(answer($session), qr/ERROR/, 'whoever waits for it sees it finished');
	close_session($session);
	poll($node, 'embrace', "SELECT count(*) FROM bbm.workers WHERE migration_id = $id", '0', 'its worker leaves');
	is($node->safe_psql('embrace', "SELECT status, status_reason, jobs_unfinished, rows_affected FROM bbm.migrations WHERE id = $id"),
		'finished|it sleeps for ever|0|0', 'it is finished, with the reason');
	is($node->safe_psql('embrace', 'SELECT count(*) FROM busy WHERE n <> 0'), '0', 'and nothing was done for it');
}

# ---- a hold takes effect within a sub-batch, and ends by itself
{
	add_counted_table($node, 'postgres', 'steady', 400);
	my $id = queue_add_one($node, 'postgres', 'steady', "sub_batch_size => 1, batch_size => 200, pause => '10ms'");
	poll($node, 'postgres', 'SELECT count(*) > 0 FROM steady_hits', 't', 'work has begun');
	one("SELECT bbm.hold($id, '1 hour')");
	poll($node, 'postgres', "SELECT count(*) FROM bbm.workers WHERE migration_id = $id", '0', 'a held migration stops in the middle of a job');
	is(one("SELECT status, (SELECT string_agg(DISTINCT status, ',') FROM bbm.jobs WHERE migration_id = $id) FROM bbm.migrations WHERE id = $id"),
		'active|pending', 'and gives the job back');
	cmp_ok(one('SELECT count(*) FROM steady_hits'), '<', 400, 'before its end');
	one("SELECT bbm.hold($id, '100 ms')");
	status_is($id, 'finished', 'when the time is over it goes on by itself');
	is(tally($node, 'postgres', 'steady'), '400|0|0', 'every row was handled once');
}

# ---- a CALL that waits for the end of a hold sees it
{
	$node->safe_psql('embrace', 'ALTER DATABASE embrace SET bbm.max_workers = 0');
	add_counted_table($node, 'embrace', 'patient', 20);
	my $id = queue_add_one($node, 'embrace', 'patient', '', session => 'SET client_min_messages = warning;');
	for my $end ("bbm.resume('patient')", "bbm.hold('patient', '0')", "bbm.hold('patient', '10 ms')")
	{
		$node->safe_psql('embrace', "SELECT bbm.hold($id, '1 hour'); UPDATE patient SET n = 0; DELETE FROM patient_hits");
		my $session = open_session($node, 'embrace');
		say($session, "CALL bbm.run($id);");
		poll($node, 'embrace', "SELECT wait_event_type FROM pg_stat_activity WHERE query LIKE 'CALL bbm.run%' AND state = 'active'", 'Extension', 'CALL bbm.run waits for a hold');
		$node->safe_psql('embrace', "SELECT $end");
		is($node->safe_psql('embrace', "SELECT bbm.wait($id, '10s')"), 't', "and goes on after $end");
		$node->safe_psql('embrace', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL bbm.run%' AND state = 'active' AND wait_event_type = 'Extension'");
		like(answer($session), qr/on hold: held by a person/, 'it has said why it waits');
		close_session($session);
		is(tally($node, 'embrace', 'patient'), '20|0|0', 'every row was handled once');
		$id = $node->safe_psql('embrace', "SET client_min_messages = warning; SELECT bbm.requeue($id)");
	}
	$node->safe_psql('embrace', "SELECT bbm.delete($id)");
}

# ---- partitions of one table are one table
{
	one(<<'SQL');
CREATE TABLE parted (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0) PARTITION BY RANGE (id);
CREATE TABLE part_one PARTITION OF parted FOR VALUES FROM (1) TO (101);
CREATE TABLE part_two PARTITION OF parted FOR VALUES FROM (101) TO (201);
CREATE TABLE part_three (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO parted SELECT g FROM generate_series(1, 200) AS g;
INSERT INTO part_three SELECT g FROM generate_series(201, 300) AS g;
SQL
	my $pace = "batch_size => 20, sub_batch_size => 5, pause => '10ms'";
	my @ids = map { queue_add_one($node, 'postgres', $_, "$pace, start => false") } qw(part_one part_two part_three);
	# It was a table of its own when it was queued.
	one('ALTER TABLE parted ATTACH PARTITION part_three FOR VALUES FROM (201) TO (301)');
	my $list = join ',', @ids;
	one("SELECT bbm.resume(id) FROM unnest('{$list}'::bigint[]) AS id");
	status_is($_, 'finished', "migration $_ on a partition ends") for @ids;
	is(one("SELECT overlaps('{$list}')"), '0', 'two of them never run at once');
	is(one('SELECT n, count(*) FROM parted GROUP BY n'), '1|300', 'every row was handled once');
}

# ---- the bounds of a job that take too long: halved, and then looked for without the filter
status_is($sieved, 'finished', 'bounds that cannot be found in time do not stop a migration');
is(one("SELECT count(*), string_agg(DISTINCT event || ' ' || sqlstate, ',') FROM bbm.events WHERE migration_id = $sieved AND sqlstate IS NOT NULL"),
	'3|bounds 57014', 'they were counted three times');
is(one("SELECT count(*), sum(rows_affected) FROM bbm.jobs WHERE migration_id = $sieved"), '1|150', 'then the filter was left to the command');
is(one('SELECT n, id % 2, count(*) FROM sieved GROUP BY 1, 2 ORDER BY 2'), "1|0|150\n0|1|150", 'which does what it should, once');

# ---- the row that takes too long
status_is($sleepy, 'failed', 'a row that always takes too long ends the migration');
is(failures_of($sleepy, 4), '57014 4-6, 57014 4-5, 57014 4-5, 57014 5-6', 'sub-batches were made smaller, then the job was split');
is(one("SELECT min_cursor, max_cursor, batch_size, attempts FROM bbm.jobs WHERE migration_id = $sleepy AND status = 'failed'"), '{5}|{5}|1|3',
	'down to that row');
is(one("SELECT DISTINCT sqlstate FROM failure WHERE migration_id = $sleepy"), '57014', 'for nothing but time-outs');
is(tally($node, 'postgres', 'sleepy'), '9|1|0', 'all others are done, once');
release_rows($node, 'postgres', 'sleepy');
one("SELECT bbm.retry($sleepy)");
status_is($sleepy, 'finished', 'mended and retried it ends');
is(tally($node, 'postgres', 'sleepy'), '9|0|0', 'every row was handled once');

# ---- the row that somebody holds: a sixteenth of the job is small enough
poll($node, 'postgres', "SELECT min_cursor, max_cursor, batch_size FROM bbm.jobs WHERE migration_id = $locked AND status <> 'succeeded'",
	'{65}|{68}|4', 'a job that meets a lock is split');
is(failures_of($locked, 4), '55P03 65-128, 55P03 65-112, 55P03 65-100, 55P03 65-96', 'after smaller and smaller sub-batches');
is(one("SELECT count(*) FILTER (WHERE reason LIKE 'split from%'), count(*) FILTER (WHERE reason LIKE 'split: %') FROM bbm.job_transitions WHERE migration_id = $locked"),
	'4|4', 'both sides of each split are on record');
is(tally($node, 'postgres', 'locked'), '128|4|0', 'all other rows are done meanwhile');
is(one("SELECT status FROM bbm.migrations WHERE id = $locked"), 'active', 'it waits for the lock, however long');
poll($node, 'postgres', "SELECT attempts > 3 FROM bbm.jobs WHERE migration_id = $locked AND status <> 'succeeded'", 't', 'longer than three attempts');
ask($holder, 'COMMIT;');
close_session($holder);
status_is($locked, 'finished', 'and is done when the lock goes');
is(one("SELECT DISTINCT sqlstate FROM failure WHERE migration_id = $locked"), '55P03', 'with nothing but locks in its way');
is(tally($node, 'postgres', 'locked'), '128|0|0', 'every row was handled once');

no_process_but($node, 'bbm launcher', 'all but the launcher leave');
$node->stop;

done_testing();
