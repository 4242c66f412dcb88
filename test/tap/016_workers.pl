# Several workers on one table: disjoint jobs, as many as are wanted and as there is room for, all of them stopped by
# whatever stops the migration.
use strict;
use warnings;

use BbmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('workers', conf => <<'CONF');
bbm.max_workers = 6
bbm.sub_batch_timeout = 120s
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm');

sub status_is
{
	my ($id, $status, $what) = @_;
	return poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id", $status, $what);
}

sub note_is
{
	my ($id, $note, $what) = @_;
	return poll($node, 'postgres', "SELECT note FROM bbm.status WHERE id = $id", $note, $what);
}

sub all_once
{
	my ($name, $rows, $what) = @_;
	is(tally($node, 'postgres', $name), "$rows|0|0", "$what: each row once");
	is( $node->safe_psql('postgres',
			"SELECT count(*) FROM bbm.jobs AS a JOIN bbm.jobs AS b ON a.migration_id = b.migration_id AND a.id < b.id"
			  . " AND a.min_cursor[1]::int <= b.max_cursor[1]::int AND b.min_cursor[1]::int <= a.max_cursor[1]::int"
			  . " WHERE a.job_class_name = '$name'"),
		'0', "$what: no two jobs have a key in common");
	return;
}

# As many as were asked for, on ranges of their own; pausing stops all of them.
{
	add_counted_table($node, 'postgres', 'shared', 3000);
	hold_rows($node, 'postgres', 'shared', $_) for 50, 150, 250;
	my $id = queue_add_one($node, 'postgres', 'shared', 'workers => 3, batch_size => 100');
	wait_holding($node, 'postgres', 3, 'three workers are at work');
	note_is($id, '3 workers', 'status counts them');
	is( $node->safe_psql('postgres',
			"SELECT count(DISTINCT pid), count(DISTINCT job_id), string_agg(max_cursor[1], ',' ORDER BY job_id) FROM bbm.workers"),
		'3|3|100,200,300', 'on ranges of their own');
	release_rows($node, 'postgres', 'shared');
	$node->safe_psql('postgres', "SELECT bbm.pause($id, immediate => true)");
	poll($node, 'postgres', 'SELECT count(*) FROM bbm.workers', '0', 'a pause stops all of them');
	is($node->safe_psql('postgres', "SELECT count(*) FROM bbm.jobs WHERE migration_id = $id AND status = 'pending' AND attempts = 0"),
		'3', 'and costs no attempt');
	$node->safe_psql('postgres', "SELECT bbm.resume($id)");
	status_is($id, 'finished', 'they go on');
	all_once('shared', 3000, 'three workers');
}

# Changed while it runs.
{
	add_counted_table($node, 'postgres', 'altered', 3000);
	hold_rows($node, 'postgres', 'altered', 50);
	my $id = queue_add_one($node, 'postgres', 'altered', 'batch_size => 100');
	wait_holding($node, 'postgres', 1, 'one worker by default');
	hold_rows($node, 'postgres', 'altered', $_) for 150, 250, 350;
	$node->safe_psql('postgres', "SELECT bbm.alter($id, workers => 4)");
	wait_holding($node, 'postgres', 4, 'more of them while it runs');
	release_rows($node, 'postgres', 'altered');
	hold_rows($node, 'postgres', 'altered', $_) for 2050, 2150, 2250, 2350;
	$node->safe_psql('postgres', "SELECT bbm.alter($id, workers => 2)");
	$node->safe_psql('postgres', "SELECT bbm.pause($id, immediate => true)");
	poll($node, 'postgres', 'SELECT count(*) FROM bbm.workers', '0', 'they stop');
	$node->safe_psql('postgres', "SELECT bbm.resume($id)");
	wait_holding($node, 'postgres', 2, 'and fewer');
	note_is($id, '2 workers', 'status counts those that are left');
	release_rows($node, 'postgres', 'altered');
	$node->safe_psql('postgres', "SELECT bbm.pause($id, immediate => true)");
	poll($node, 'postgres', 'SELECT count(*) FROM bbm.workers', '0', 'they stop');
	$node->safe_psql('postgres', "SELECT bbm.resume($id)");
	status_is($id, 'finished', 'and go on');
	all_once('altered', 3000, 'a changed number of workers');
}

# No room for all of them: it says so.
{
	$node->safe_psql('postgres', 'ALTER SYSTEM SET bbm.max_workers = 2');
	$node->reload;
	poll($node, 'postgres', 'SHOW bbm.max_workers', '2', 'two workers at the most');
	add_counted_table($node, 'postgres', 'crowded', 2000);
	hold_rows($node, 'postgres', 'crowded', $_) for 50, 150;
	my $id = queue_add_one($node, 'postgres', 'crowded', 'workers => 4, batch_size => 100');
	wait_holding($node, 'postgres', 2, 'two of four found room');
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'bbm worker'"), '2', 'and no more');
	note_is($id, '2 of 4 workers', 'status says so');
	hold_rows($node, 'postgres', 'crowded', $_) for 250, 350;
	$node->safe_psql('postgres', 'ALTER SYSTEM SET bbm.max_workers = 6');
	$node->reload;
	wait_holding($node, 'postgres', 4, 'the others come when there is room');
	release_rows($node, 'postgres', 'crowded');

	# The machine that is killed with all of them at work.
	$node->stop('immediate');
	$node->start;
	status_is($id, 'finished', 'all jobs are taken over after a crash');
	all_once('crowded', 2000, 'a crash with four workers');
}

# One job kills its server again and again; the others are innocent.
{
	add_counted_table($node, 'postgres', 'deadly', 2000);
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE fuse (is_lit boolean);
INSERT INTO fuse VALUES (true);
CREATE FUNCTION explode() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id = 150 AND (SELECT is_lit FROM public.fuse) THEN
		EXECUTE 'COPY (SELECT) TO PROGRAM ''kill -9 $PPID''';
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER explode AFTER UPDATE ON deadly FOR EACH ROW EXECUTE FUNCTION explode();
SQL
	my $id = queue_add_one($node, 'postgres', 'deadly', "workers => 3, batch_size => 100, sub_batch_size => 20, pause => '10 ms'");
	ok(deadline_loop(90, sub {
		my $status = '';
		$node->psql('postgres', "SELECT status FROM bbm.migrations WHERE id = $id", stdout => \$status);
		return $status eq 'failed';
	}), 'a job that kills its server stops the migration');
	like($node->safe_psql('postgres', "SELECT status_reason FROM bbm.migrations WHERE id = $id"), qr/suspected crash/, 'with the reason');
	is($node->safe_psql('postgres', "SELECT min_cursor[1] FROM bbm.jobs WHERE migration_id = $id AND status = 'failed'"), '101',
		'which is that job and no other');
	$node->safe_psql('postgres', 'UPDATE fuse SET is_lit = false');
	$node->safe_psql('postgres', "SELECT bbm.retry($id)");
	status_is($id, 'finished', 'the rest is done when it is mended');
	all_once('deadly', 2000, 'a deadly job');
}

# Others are not kept waiting: one of several workers makes way for a migration that has none.
{
	$node->safe_psql('postgres', 'ALTER SYSTEM SET bbm.max_workers = 2');
	$node->reload;
	poll($node, 'postgres', 'SHOW bbm.max_workers', '2', 'two workers at the most, again');
	add_counted_table($node, 'postgres', 'greedy', 100_000);
	add_counted_table($node, 'postgres', 'modest', 100);
	my $greedy = queue_add_one($node, 'postgres', 'greedy', "workers => 4, batch_size => 100, sub_batch_size => 50, pause => '2 ms'");
	poll($node, 'postgres', "SELECT count(DISTINCT pid) FROM bbm.workers WHERE migration_id = $greedy", '2', 'it takes all places');
	my $modest = queue_add_one($node, 'postgres', 'modest');
	status_is($modest, 'finished', 'and gives one away');
	is($node->safe_psql('postgres', "SELECT status FROM bbm.migrations WHERE id = $greedy"), 'active', 'before it has come to its end');
	$node->safe_psql('postgres', "SELECT bbm.alter($greedy, batch_size => 100000, sub_batch_size => 5000, pause => '0')");
	status_is($greedy, 'finished', 'to which it comes');
	all_once('greedy', 100_000, 'a greedy migration');
}

# Little to do: nobody is started for nothing, again and again. The server says each start.
{
	$node->safe_psql('postgres', 'ALTER SYSTEM SET log_min_messages = debug1');
	$node->reload;
	poll($node, 'postgres', 'SHOW log_min_messages', 'debug1', 'the log tells more');
	add_counted_table($node, 'postgres', 'small', 50);
	hold_rows($node, 'postgres', 'small', 25);
	my $offset = log_size($node);
	my $id = queue_add_one($node, 'postgres', 'small', 'workers => 4');
	wait_holding($node, 'postgres', 1, 'a small table needs one of four');
	no_process_but($node, 'bbm launcher,bbm scheduler,bbm worker', 'the others leave');
	$node->safe_psql('postgres', "SELECT bbm.alter($id, priority => $_)") for 1 .. 5;
	no_process_but($node, 'bbm launcher,bbm scheduler,bbm worker', 'and do not come back at each look');
	release_rows($node, 'postgres', 'small');
	$node->safe_psql('postgres', "SELECT bbm.pause($id, immediate => true)");
	poll($node, 'postgres', 'SELECT count(*) FROM bbm.workers', '0', 'it stops');
	$node->safe_psql('postgres', "SELECT bbm.resume($id)");
	status_is($id, 'finished', 'and goes on to its end');
	all_once('small', 50, 'a small table');
	no_process_but($node, 'bbm launcher', 'nobody stays');
	my $starts = count_matches(log_since($node, $offset), qr/starting background worker process "bbm worker/);
	note "a small table: $starts starts";
	cmp_ok($starts, '<=', 3, 'both places are tried once, and one again after the pause');
	cmp_ok($starts, '>=', 2, 'which the log shows');
}
done_testing();
