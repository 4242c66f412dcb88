# Which processes there are, when they come and when they go.
use strict;
use warnings;

use BbmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $running = "SELECT count(DISTINCT migration_id) FROM bbm.workers";

sub status_is
{
	my ($node, $db, $id, $status, $what) = @_;
	return poll($node, $db, "SELECT status FROM bbm.migrations WHERE id = $id", $status, $what);
}

# Pairs of jobs of the given migrations that ran at the same time, though they should not have.
sub overlaps
{
	my ($node, $db, @ids) = @_;
	my $list = join ',', @ids;
	return $node->safe_psql($db, <<"SQL");
SELECT count(*) FROM bbm.jobs AS a JOIN bbm.jobs AS b ON a.migration_id < b.migration_id
WHERE a.migration_id IN ($list) AND b.migration_id IN ($list)
  AND tstzrange(a.started_at, a.finished_at) && tstzrange(b.started_at, b.finished_at)
SQL
}

my $slow = "sub_batch_size => 10, batch_size => 100, pause => '20ms'";

my $node = new_node('main', conf => "max_prepared_transactions = 2\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm');
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION bbm');

# ---- coming and going
{
	no_process_but($node, 'bbm launcher', 'idle: nothing but the launcher');
	add_counted_table($node, 'postgres', 'first', 2000);
	my $id = queue_add_one($node, 'postgres', 'first', $slow);
	poll($node, 'postgres', 'SELECT count(*) > 0 FROM first_hits', 't', 'queue: first rows are handled without a further call');
	is(processes($node, 'postgres'), 'bbm scheduler,bbm worker', 'one scheduler and one worker while there is work');
	is(processes($node, 'second'), '', 'no process in a database without work');
	is($node->safe_psql('postgres', "SELECT bbm.wait($id, '60s')"), 't', 'the migration ends');
	is(tally($node, 'postgres', 'first'), '2000|0|0', 'every row was handled once');
	no_process_but($node, 'bbm launcher', 'scheduler and worker leave after the end');
	# Whoever says COMMIT PREPARED, perhaps another session, would start nothing.
	is(error_of($node, 'postgres', "BEGIN; SELECT bbm.queue('two_phases', 'first', command => 'UPDATE first SET n = n + 1'); PREPARE TRANSACTION 'x'"),
		'0A000', 'queue cannot be part of a prepared transaction');
}

# ---- rests between jobs: the worker leaves before a rest, the scheduler before a long one
{
	add_counted_table($node, 'postgres', 'rests', 30);
	add_counted_table($node, 'second', 'rests', 20);
	my $id = queue_add_one($node, 'postgres', 'rests', "batch_size => 10, max_batch_size => 10, job_interval => '3s'");
	my $long = queue_add_one($node, 'second', 'rests', "batch_size => 10, job_interval => '7s'");
	poll($node, 'second', 'SELECT count(*) FROM rests_hits', '10', 'the first job is done');
	poll($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'bbm %' AND datname = 'second'",
		'0', 'worker and scheduler leave for a long rest');
	is($node->safe_psql('second', "SELECT status FROM bbm.migrations WHERE id = $long"), 'active', 'the migration is still active');
	poll($node, 'postgres', "SELECT count(*) = 0 AND (SELECT count(*) BETWEEN 10 AND 20 FROM rests_hits) FROM pg_stat_activity"
		  . " WHERE backend_type = 'bbm worker' AND datname = 'postgres'", 't', 'a worker leaves between jobs');
	status_is($node, 'postgres', $id, 'finished', 'with rests it comes to its end');
	status_is($node, 'second', $long, 'finished', 'the launcher brings the scheduler back');
	is($node->safe_psql('postgres', "SELECT count(*), min(at - before) >= '3s' FROM"
			  . " (SELECT started_at AS at, lag(started_at) OVER (ORDER BY id) AS before FROM bbm.jobs WHERE migration_id = $id) AS j"),
		'3|t', 'three jobs, the interval apart');
	is(tally($node, 'postgres', 'rests') . ' ' . tally($node, 'second', 'rests'), '30|0|0 20|0|0', 'every row was handled once');
}

# ---- at once on two tables, never on one
{
	add_counted_table($node, 'postgres', $_, 1500) for qw(left_one right_one);
	my @ids = map { queue_add_one($node, 'postgres', $_, $slow) } qw(left_one right_one);
	poll($node, 'postgres', $running, '2', 'two migrations on two tables run at once');
	status_is($node, 'postgres', $_, 'finished', "migration $_ ends") for @ids;
	isnt(overlaps($node, 'postgres', @ids), '0', 'their jobs overlap');
	is(tally($node, 'postgres', $_), '1500|0|0', "$_: every row once") for qw(left_one right_one);

	add_counted_table($node, 'postgres', 'shared', 300);
	@ids = map { queue_add_one($node, 'postgres', $_, $slow, table => 'shared') } qw(one_of_two two_of_two);
	status_is($node, 'postgres', $_, 'finished', "migration $_ on the shared table ends") for @ids;
	is(overlaps($node, 'postgres', @ids), '0', 'two migrations on one table never run at once');
	is($node->safe_psql('postgres', 'SELECT min(n), max(n), min(hits), max(hits) FROM shared JOIN shared_hits USING (id)'),
		'2|2|2|2', 'both handled every row once');
}

# ---- bbm.max_running_migrations
{
	$node->safe_psql('postgres', 'ALTER SYSTEM SET bbm.max_running_migrations = 1');
	$node->reload;
	poll($node, 'postgres', 'SHOW bbm.max_running_migrations', '1', 'the setting is read');
	add_counted_table($node, 'postgres', $_, 300) for qw(limit_a limit_b limit_c);
	my @ids = map { queue_add_one($node, 'postgres', $_, $slow) } qw(limit_a limit_b);
	status_is($node, 'postgres', $_, 'finished', "migration $_ of the limited ends") for @ids;
	is(overlaps($node, 'postgres', @ids), '0', 'no more than bbm.max_running_migrations at once');

	$node->safe_psql('postgres', 'ALTER SYSTEM SET bbm.max_running_migrations = 3');
	$node->reload;
	@ids = map { queue_add_one($node, 'postgres', "again_$_", "sub_batch_size => 1, pause => '50ms'", table => $_) } qw(limit_a limit_b limit_c);
	poll($node, 'postgres', $running, '3', 'a greater limit is used');
	$node->safe_psql('postgres', "SELECT bbm.delete($_)") for @ids;
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET bbm.max_running_migrations');
	$node->reload;
	no_process_but($node, 'bbm launcher', 'workers of deleted migrations leave');
}

# ---- A session that has not read yet that workers were switched on: it asks the launcher.
{
	add_counted_table($node, 'postgres', 'stale', 100);
	my $id = $node->safe_psql('postgres', <<'SQL');
SET bbm.max_workers = 0;
SELECT bbm.queue('stale', 'stale', command => 'UPDATE stale SET n = n + 1');
SQL
	status_is($node, 'postgres', $id, 'finished', 'what a session queues that takes workers for switched off is done');
	no_process_but($node, 'bbm launcher', 'all leave');
}

# ---- pause
{
	add_counted_table($node, 'postgres', 'paused', 1000);
	my $id = queue_add_one($node, 'postgres', 'paused', $slow);
	poll($node, 'postgres', 'SELECT count(*) > 0 FROM paused_hits', 't', 'work has begun');
	$node->safe_psql('postgres', "SELECT bbm.pause($id)");
	no_process_but($node, 'bbm launcher', 'pause: the worker leaves');
	my $done = $node->safe_psql('postgres', 'SELECT count(*) FROM paused_hits');
	cmp_ok($done, '<', 1000, 'not everything was done before');
	$node->safe_psql('postgres', "SELECT bbm.resume($id)");
	status_is($node, 'postgres', $id, 'finished', 'resume brings it to its end');
	is(tally($node, 'postgres', 'paused'), '1000|0|0', 'every row was handled once');

	add_counted_table($node, 'postgres', 'cancelled', 500);
	hold_rows($node, 'postgres', 'cancelled', 250);
	$id = queue_add_one($node, 'postgres', 'cancelled', 'sub_batch_size => 50, batch_size => 500');
	wait_holding($node, 'postgres');
	$node->safe_psql('postgres', "SELECT bbm.pause($id, immediate => true)");
	no_process_but($node, 'bbm launcher', 'pause immediate: a statement of ten minutes ends now');
	is($node->safe_psql('postgres', "SELECT status FROM bbm.migrations WHERE id = $id"), 'paused', 'the migration is paused, not failed');
	is($node->safe_psql('postgres', "SELECT count(*) FROM bbm.failures WHERE migration_id = $id"), '0', 'a cancelled statement is no failure');
	release_rows($node, 'postgres', 'cancelled');
	$node->safe_psql('postgres', "SELECT bbm.resume($id)");
	status_is($node, 'postgres', $id, 'finished', 'it goes on after resume');
	is(tally($node, 'postgres', 'cancelled'), '500|0|0', 'nothing was lost or done twice');
}

# ---- owners
{
	$node->safe_psql('postgres', <<'SQL');
CREATE ROLE app LOGIN;
CREATE ROLE locked_out LOGIN;
CREATE ROLE gone LOGIN;
CREATE ROLE gone_in_mid_run LOGIN;
GRANT USAGE ON SCHEMA bbm TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bbm TO PUBLIC;
CREATE TABLE who (session_name text, current_name text);
GRANT ALL ON who TO PUBLIC;
CREATE FUNCTION say_who() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.who VALUES (session_user, current_user); RETURN NULL; END $$;
SQL
	my %rows = (app => 500, locked_out => 50, gone => 50, gone_in_mid_run => 2000);
	my %id;
	for my $role (sort keys %rows)
	{
		add_counted_table($node, 'postgres', "of_$role", $rows{$role});
		$node->safe_psql('postgres', "GRANT ALL ON of_$role, of_${role}_hits, of_${role}_held TO $role");
	}
	$node->safe_psql('postgres', 'CREATE TRIGGER who AFTER UPDATE ON of_app FOR EACH STATEMENT EXECUTE FUNCTION say_who()');
	$id{$_} = queue_add_one($node, 'postgres', "of_$_", 'start => false', user => $_) for qw(locked_out gone);
	$node->safe_psql('postgres', 'ALTER ROLE locked_out NOLOGIN; DROP OWNED BY gone; DROP ROLE gone');
	$node->safe_psql('postgres', "SELECT bbm.resume($id{$_})") for qw(locked_out gone);
	$id{app} = queue_add_one($node, 'postgres', 'of_app', $slow, user => 'app');
	status_is($node, 'postgres', $id{$_}, 'failed', "migration whose owner is $_ fails") for qw(locked_out gone);
	is(events_of($node, 'postgres', $id{$_}), 'failed|28000', "$_: the reason is recorded") for qw(locked_out gone);
	status_is($node, 'postgres', $id{app}, 'finished', 'other migrations go on');
	is(tally($node, 'postgres', 'of_app'), '500|0|0', 'and handle every row once');
	is($node->safe_psql('postgres', 'SELECT DISTINCT session_name, current_name FROM who'), 'app|app', 'the session of a worker is its owner\'s');

	$id{gone_in_mid_run} = queue_add_one($node, 'postgres', 'of_gone_in_mid_run', $slow, user => 'gone_in_mid_run');
	poll($node, 'postgres', 'SELECT count(*) > 0 FROM of_gone_in_mid_run_hits', 't', 'work of a role has begun');
	my $offset = log_size($node);
	$node->safe_psql('postgres', 'DROP OWNED BY gone_in_mid_run; DROP ROLE gone_in_mid_run');
	status_is($node, 'postgres', $id{gone_in_mid_run}, 'failed', 'a role dropped in mid-run fails its migration');
	no_process_but($node, 'bbm launcher', 'its worker leaves');
	cmp_ok(count_matches(log_since($node, $offset), qr/(?:ERROR|FATAL|WARNING):/), '<=', 5, 'with few words in the log');
}

# ---- fast shutdown
{
	add_counted_table($node, 'postgres', 'stopped', 500);
	hold_rows($node, 'postgres', 'stopped', 250);
	my $id = queue_add_one($node, 'postgres', 'stopped', 'sub_batch_size => 50, batch_size => 500');
	wait_holding($node, 'postgres');
	release_rows($node, 'postgres', 'stopped');
	my $offset = log_size($node);
	$node->stop('fast');
	unlike(log_since($node, $offset), qr/PANIC|was terminated by signal|exited with exit code [2-9]/, 'fast shutdown is clean during a statement of ten minutes');
	$node->start;
	status_is($node, 'postgres', $id, 'finished', 'the migration goes on after the start by itself');
	is(tally($node, 'postgres', 'stopped'), '500|0|0', 'every row was handled once');
}

# ---- whatever an administrator terminates comes back
{
	add_counted_table($node, 'postgres', 'harassed', 1500);
	my $id = queue_add_one($node, 'postgres', 'harassed', $slow);
	for my $type ('bbm worker', 'bbm scheduler', 'bbm launcher', 'bbm worker')
	{
		my $pid = deadline_loop(30, sub { $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' LIMIT 1") })
		  // 0;
		my $done = $node->safe_psql('postgres', 'SELECT count(*) FROM harassed_hits');
		is($node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 20000)"), 't', "a $type ends when it is told to");
		poll($node, 'postgres', "SELECT count(*) > $done FROM harassed_hits", 't', 'and work goes on');
	}
	poll($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'bbm launcher'", '1', 'the launcher is back');
	my $crowd = $node->basedir . '/crowd.sql';
	append_to_file($crowd, "SELECT bbm.ensure_running();\n");
	command_ok([ 'pgbench', '-n', '-c', '10', '-t', '5', '-f', $crowd, $node->connstr('postgres') ], 'fifty calls of bbm.ensure_running() at once');
	poll($node, 'postgres', "SELECT string_agg(backend_type, ',' ORDER BY backend_type) FROM pg_stat_activity"
		  . " WHERE backend_type IN ('bbm scheduler', 'bbm worker')", 'bbm scheduler,bbm worker', 'leave one scheduler and one worker');
	status_is($node, 'postgres', $id, 'finished', 'the migration ends');
	is(tally($node, 'postgres', 'harassed'), '1500|0|0', 'every row was handled once');
	is($node->safe_psql('postgres', "SELECT count(*) FROM bbm.failures WHERE migration_id = $id"), '0', 'to be terminated is no failure');
}

# ---- copies of a database run nothing
{
	$node->safe_psql('postgres', 'CREATE DATABASE source');
	$node->safe_psql('source', 'CREATE EXTENSION bbm');
	add_counted_table($node, 'source', 'copied', 40);
	my $id = queue_add_one($node, 'source', 'copied', "batch_size => 10, job_interval => '1 day'");
	poll($node, 'source', 'SELECT count(*) FROM copied_hits', '10', 'the first job is done');
	my $aside = $node->safe_psql('source', <<'SQL');
CREATE TABLE odd (id int PRIMARY KEY, n int);
INSERT INTO odd VALUES (1, 1), (2, 0);
SELECT bbm.queue('aside', 'odd', command => 'UPDATE odd SET n = 1 / n', on_data_error => 'quarantine');
SQL
	status_is($node, 'source', $aside, 'finished', 'another one sets a row aside');
	no_process_but($node, 'bbm launcher', 'the rest is long');
	is(error_of($node, 'postgres', 'CREATE DATABASE clone TEMPLATE source'), '', 'CREATE DATABASE ... TEMPLATE works');

	my $dump = $node->basedir . '/source.sql';
	command_ok([ 'pg_dump', '-f', $dump, $node->connstr('source') ], 'pg_dump works');
	$node->safe_psql('postgres', 'CREATE DATABASE restored');
	my ($out, $err) = ('', '');
	my $rc = $node->psql('restored', undef, stdout => \$out, stderr => \$err, on_error_stop => 1, extra_params => [ '-f', $dump ]);
	is($rc, 0, 'the dump is restored');
	unlike($err, qr/ERROR|WARNING/, 'without a complaint');

	for my $db (qw(clone restored))
	{
		is($node->safe_psql($db, "SELECT status, (SELECT count(*) FROM bbm.jobs WHERE migration_id = $id), (SELECT count(*) > 0 FROM bbm.events) FROM bbm.migration WHERE id = $id"),
			'active|1|t', "$db: migration, jobs and events are there");
		is($node->safe_psql($db, "SELECT min_key, sqlstate, id = (SELECT last_value FROM bbm.quarantine_id_seq) FROM bbm.failures WHERE migration_id = $aside AND quarantined"),
			'{2}|22012|t', "$db: so is the row in quarantine, and the next one gets a number of its own");
		is($node->safe_psql($db, 'SELECT bbm.ensure_running()'), 'f', "$db: there is nothing to run");
	}
	# Due everywhere now; the launcher looks into every database after a start.
	$node->safe_psql($_, 'UPDATE bbm.migration SET next_job_at = now(); UPDATE bbm.migration SET job_interval = \'0\'') for qw(clone restored source);
	$node->restart;
	status_is($node, 'source', $id, 'finished', 'the source goes on');
	no_process_but($node, 'bbm launcher', 'and all processes leave');
	is($node->safe_psql($_, 'SELECT count(*), sum(n) FROM copied'), '40|10', "$_: nothing ran") for qw(clone restored);
	is(tally($node, 'source', 'copied'), '40|0|0', 'source: every row was handled once');
	# With its parts, or nothing would be left to do there, or all of it.
	for my $db (qw(clone restored))
	{
		is($node->safe_psql($db, "SELECT bbm.adopt($id)"), 't', "$db: it is adopted");
		status_is($node, $db, $id, 'finished', "$db: and goes on");
		is(tally($node, $db, 'copied'), '40|0|0', "$db: every row was handled once");
	}
}
$node->stop;

# ---- without preloading
{
	my $bare = new_node('bare', preload => 0);
	$bare->start;
	$bare->safe_psql('postgres', 'CREATE EXTENSION bbm');
	add_counted_table($bare, 'postgres', 'bare', 2000);
	my ($out, $err) = ('', '');
	$bare->psql('postgres', "SELECT bbm.queue('bare', 'bare', command => 'UPDATE bare SET n = n + 1', $slow)", stdout => \$out, stderr => \$err);
	like($err, qr/bbm is not loaded via "shared_preload_libraries"/, 'without preloading a NOTICE says what that means');
	like($err, qr/bbm\.ensure_running\(\)/, 'and what to do');
	poll($bare, 'postgres', 'SELECT count(*) > 0 FROM bare_hits', 't', 'it works without preloading');
	is(processes($bare), 'bbm scheduler,bbm worker', 'there is no launcher');
	$bare->restart;
	my $before = $bare->safe_psql('postgres', 'SELECT count(*) FROM bare_hits');
	cmp_ok($before, '<', 2000, 'the restart came in mid-run');
	my $seen = '';
	$seen .= processes($bare) for 1 .. 20;
	is($seen, '', 'nothing starts by itself after a restart');
	is($bare->safe_psql('postgres', 'SELECT count(*) FROM bare_hits'), $before, 'nothing runs');
	is($bare->safe_psql('postgres', 'SELECT bbm.ensure_running()'), 't', 'bbm.ensure_running() starts it');
	status_is($bare, 'postgres', $out, 'finished', 'the migration ends');
	is(tally($bare, 'postgres', 'bare'), '2000|0|0', 'every row was handled once');
	no_process_but($bare, '', 'everybody leaves');
	$bare->stop;
}

# ---- no slot for a background worker: launcher, scheduler and worker of one database take all three
{
	my $small = new_node('small', conf => "max_worker_processes = 3\nmax_logical_replication_workers = 0\n");
	$small->start;
	$small->safe_psql('postgres', 'CREATE EXTENSION bbm');
	$small->safe_psql('postgres', 'CREATE DATABASE second');
	$small->safe_psql('second', 'CREATE EXTENSION bbm');
	no_process_but($small, 'bbm launcher', 'two slots are free');
	add_counted_table($small, 'postgres', 'greedy', 3000);
	add_counted_table($small, 'second', 'starved', 300);
	my $greedy = queue_add_one($small, 'postgres', 'greedy', $slow);
	poll($small, 'postgres', 'SELECT count(*) > 0 FROM greedy_hits', 't', 'one migration takes all slots');
	my $offset = log_size($small);
	my $starved = queue_add_one($small, 'second', 'starved', $slow);
	is(processes($small, 'second'), '', 'the other one waits');
	poll($small, 'postgres', 'SELECT count(*) > 600 FROM greedy_hits', 't', 'for some time');
	is($small->safe_psql('second', 'SELECT count(*) FROM starved_hits'), '0', 'it has no slot');
	cmp_ok(count_matches(log_since($small, $offset), qr/(?:WARNING|ERROR|FATAL|LOG):/), '<=', 5, 'the log is not flooded');
	$small->safe_psql('postgres', "SELECT bbm.pause($greedy)");
	status_is($small, 'second', $starved, 'finished', 'it starts when a slot is free');
	is(tally($small, 'second', 'starved'), '300|0|0', 'and handles every row once');

	my $done = $small->safe_psql('postgres', "SELECT bbm.resume($greedy); SELECT count(*) FROM greedy_hits");
	$done =~ s/^t\n//;
	poll($small, 'postgres', "SELECT count(*) > $done FROM greedy_hits", 't', 'the first one goes on');
	$small->stop('smart');
	pass('smart shutdown does not wait for the end of a migration');
	$small->start;
	status_is($small, 'postgres', $greedy, 'finished', 'which comes after the start');
	is(tally($small, 'postgres', 'greedy'), '3000|0|0', 'with every row handled once');
	$small->stop;
}

done_testing();
