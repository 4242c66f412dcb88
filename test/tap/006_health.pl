# The health indicators of real servers, each seen as stop and as clear again; and migrations that are held by them.
use strict;
use warnings;

use BbmTest;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Small segments, so that 42 of them are soon written. While the file is there nothing can be archived.
my $broken = PostgreSQL::Test::Utils::tempdir() . '/archive-is-broken';
my $node = new_node('health',
	init => { allows_streaming => 1, extra => ['--wal-segsize=1'] },
	conf => "autovacuum = off\narchive_mode = on\narchive_command = 'test ! -e \"$broken\"'\nmax_wal_size = 1GB\nwal_keep_size = 200MB\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm');

sub setting
{
	my ($name, $value) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET $name = '$value'");
	$node->reload;
	return poll($node, 'postgres', "SHOW $name", $value, "$name = $value is read");
}

sub verdict_is
{
	my ($indicator, $verdict, $what, $table) = @_;
	my $of = $table ? "AND table_name = '$table'" : '';
	return poll($node, 'postgres', "SELECT verdict FROM bbm.health WHERE indicator = '$indicator' $of", $verdict, $what);
}

# Looks again and again in one session: what has to be seen twice is seen by it.
sub watched_verdict_is
{
	my ($indicator, $verdict, $what) = @_;
	my $seen = $node->safe_psql('postgres', <<"SQL");
CREATE TEMP TABLE seen (verdict text, reason text);
DO \$\$
BEGIN
	FOR i IN 1 .. 600 LOOP
		DELETE FROM seen;
		INSERT INTO seen SELECT h.verdict, h.reason FROM bbm.health AS h WHERE h.indicator = '$indicator';
		EXIT WHEN (SELECT s.verdict FROM seen AS s) = '$verdict';
		PERFORM pg_sleep(0.05);
		COMMIT;
	END LOOP;
END \$\$;
SELECT verdict || ': ' || reason FROM seen;
SQL
	return like($seen, qr/^$verdict: /, "$what ($seen)");
}

sub reason_of
{
	my ($indicator, $table) = @_;
	my $of = $table ? "AND table_name = '$table'" : '';
	return $node->safe_psql('postgres', "SELECT reason FROM bbm.health WHERE indicator = '$indicator' $of");
}

# A hold is no status: it is active all the time.
sub on_hold
{
	my ($id, $reason, $what) = @_;
	my $note = length $reason < 15 ? "hold: $reason" : "hold:$reason";
	return poll($node, 'postgres', "SELECT status || ', ' || note FROM bbm.status WHERE id = $id", "active, $note", $what);
}

# "event: reason" of each hold and release
sub holds_of
{
	my ($id) = @_;
	return $node->safe_psql('postgres',
		"SELECT event || ': ' || reason FROM bbm.events WHERE migration_id = $id AND event IN ('hold', 'release') ORDER BY id");
}

sub ends_with_each_row_once
{
	my ($id, $name, $rows, $what) = @_;
	poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id", 'finished', "$what: it goes on to its end");
	return is(tally($node, 'postgres', $name), "$rows|0|0", "$what: every row was handled once");
}

sub hits_of { return $node->safe_psql('postgres', "SELECT count(*) FROM $_[0]_hits"); }

# A session that vacuums, a tenth of a second for each page, until it is cancelled.
sub start_slow_vacuum
{
	my ($table) = @_;
	my @statements = map { ('-c', $_) } "SET vacuum_cost_delay = '100ms'", 'SET vacuum_cost_limit = 1', "VACUUM $table";
	return IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), @statements ], '<', \undef, '>', \my $out, '2>&1', IPC::Run::timeout(60));
}

# ---- archiving
{
	add_counted_table($node, 'postgres', 'archived', 400);
	add_counted_table($node, 'postgres', 'urgent', 300);
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
	verdict_is('wal_archive', 'normal', 'what is archived is no backlog');
	like(reason_of('wal_archive'), qr/^WAL archive backlog is \d segments?$/, 'and says so');

	append_to_file($broken, '');
	$node->safe_psql('postgres', <<'SQL');
DO $$
BEGIN
	FOR i IN 1 .. 45 LOOP
		PERFORM pg_logical_emit_message(false, 'bbm', 'something in each segment');
		PERFORM pg_switch_wal();
	END LOOP;
END $$
SQL
	verdict_is('wal_archive', 'stop', 'segments of 1 MB pile up');
	my ($backlog) = reason_of('wal_archive') =~ /^WAL archive backlog is (\d+) segments$/;
	my $waiting = $node->safe_psql('postgres', "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'");
	is($backlog, $waiting + 1, 'as many as are marked as ready, and the one that is written');

	my $id = queue_add_one($node, 'postgres', 'archived', 'sub_batch_size => 10');
	on_hold($id, 'wal_archive', 'a migration is on hold before its first row');
	is(hits_of('archived'), '0', 'no row is touched');
	like(holds_of($id), qr/^hold: WAL archive backlog is \d+ segments$/, 'the event says why');

	# Whoever finalizes does not wait for the signal: neither from the beginning nor out of a hold.
	my $urgent = queue_add_one($node, 'postgres', 'urgent', 'sub_batch_size => 10, start => false');
	$node->safe_psql('postgres', "SELECT bbm.finalize($urgent)");
	ends_with_each_row_once($urgent, 'urgent', 300, 'finalizing');
	is(holds_of($urgent), '', 'it was never held');
	is(reason_of('wal_archive') =~ /(\d+)/ && $1 > 42, 1, 'though the backlog is still there');

	unlink $broken;
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()'); # wakes an archiver that has given up for a minute
	verdict_is('wal_archive', 'normal', 'the archiver works again');
	ends_with_each_row_once($id, 'archived', 400, 'the backlog is gone');
	like(holds_of($id), qr/^hold: .*\nrelease: the signal is clear$/, 'it was held once and released by the signal');
}

# ---- out of a hold by finalize
{
	add_counted_table($node, 'postgres', 'pressed', 300);
	append_to_file($broken, '');
	$node->safe_psql('postgres', q(DO $$ BEGIN FOR i IN 1 .. 45 LOOP PERFORM pg_logical_emit_message(false, 'bbm', 'x'); PERFORM pg_switch_wal(); END LOOP; END $$));
	verdict_is('wal_archive', 'stop', 'segments pile up again');
	my $id = queue_add_one($node, 'postgres', 'pressed', 'sub_batch_size => 10');
	on_hold($id, 'wal_archive', 'a migration is on hold');
	$node->safe_psql('postgres', "SELECT bbm.finalize($id)");
	ends_with_each_row_once($id, 'pressed', 300, 'finalized out of a hold');
	verdict_is('wal_archive', 'stop', 'the signal has not changed');
	unlink $broken;
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
	verdict_is('wal_archive', 'normal', 'the archiver works again');
}

# ---- a vacuum at work, in the middle of a run
{
	my $cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_progress_vacuum";
	add_counted_table($node, 'postgres', 'vacuumed', 4000);
	add_counted_table($node, 'postgres', 'other', 10);
	$node->safe_psql('postgres', "UPDATE vacuumed SET note = repeat('x', 300)"); # 4000 rows in some 200 pages, half of them dead

	my $id = queue_add_one($node, 'postgres', 'vacuumed', "sub_batch_size => 10, pause => '5ms'");
	my $rest = queue_add_one($node, 'postgres', 'other', "job_interval => '1h', batch_size => 1");
	poll($node, 'postgres', 'SELECT count(*) > 0 FROM vacuumed_hits', 't', 'it has begun');
	verdict_is('autovacuum', 'normal', 'no vacuum is there', 'public.vacuumed');
	my $vacuum = start_slow_vacuum('vacuumed');
	verdict_is('autovacuum', 'stop', 'a vacuum is at work', 'public.vacuumed');
	like(reason_of('autovacuum', 'public.vacuumed'), qr/^vacuum is at work on table public\.vacuumed since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/, 'and says since when');
	verdict_is('autovacuum', 'normal', 'other tables are not concerned', 'public.other');
	on_hold($id, 'autovacuum', 'the migration gives way in mid-run');
	my $hits = hits_of('vacuumed');
	cmp_ok($hits, '<', 4000, 'it is not at its end');
	is(hits_of('vacuumed'), $hits, 'and touches no row');
	$node->safe_psql('postgres', $cancel);
	$vacuum->finish;
	ends_with_each_row_once($id, 'vacuumed', 4000, 'the vacuum is gone');
	like(holds_of($id), qr/^hold: vacuum is at work on table public\.vacuumed since [^\n]*\nrelease: the signal is clear$/, 'it was held once');

	# The TOAST table is a part of the table.
	$node->safe_psql('postgres', <<'SQL');
ALTER TABLE other ALTER note SET STORAGE EXTERNAL;
INSERT INTO other (note) SELECT repeat('x', 100000) FROM generate_series(1, 20);
SQL
	my $toast = $node->safe_psql('postgres', "SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'other'::regclass");
	$vacuum = start_slow_vacuum($toast);
	verdict_is('autovacuum', 'stop', 'a vacuum of the TOAST table counts', 'public.other');
	$node->safe_psql('postgres', $cancel);
	$vacuum->finish;
	verdict_is('autovacuum', 'normal', 'it is gone', 'public.other');
	$node->safe_psql('postgres', "SELECT bbm.delete($rest)");
}

# ---- replay lag
{
	add_counted_table($node, 'postgres', 'replayed', 400);
	setting('bbm.max_replica_lag', '500ms');
	verdict_is('replica_lag', 'normal', 'without a standby there is no lag');
	is(reason_of('replica_lag'), 'no standby is connected', 'and it says so');

	my $resting = queue_add_one($node, 'postgres', 'other', "job_interval => '1h', batch_size => 1");
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('health_standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	$node->wait_for_catchup($standby);
	verdict_is('replica_lag', 'normal', 'a standby that has replayed everything has no lag');
	is($standby->safe_psql('postgres', "SELECT string_agg(verdict || ', ' || reason, '; ') FROM bbm.health WHERE table_name IS NULL"),
		join('; ', ('not available, the server is a standby') x 3), 'the standby itself has nothing to say');

	is($standby->safe_psql('postgres', 'SELECT indicator, verdict FROM bbm.health WHERE table_name IS NOT NULL'), 'autovacuum|normal', 'but can be looked at');
	$node->safe_psql('postgres', "SELECT bbm.delete($resting)");

	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	poll($standby, 'postgres', 'SELECT pg_get_wal_replay_pause_state()', 'paused', 'replay stands still');
	$node->safe_psql('postgres', 'CREATE TABLE something_to_replay ()');
	watched_verdict_is('replica_lag', 'stop', 'a replay that stands still is a lag');

	my $id = queue_add_one($node, 'postgres', 'replayed', "sub_batch_size => 10, pause => '50ms'");
	on_hold($id, 'replica_lag', 'the migration waits for the standby');
	cmp_ok(hits_of('replayed'), '<', 400, 'it is not at its end');
	like(holds_of($id), qr/^hold: replay lag is \d+\.\d s$/, 'the event says how much');
	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
	watched_verdict_is('replica_lag', 'normal', 'what is replayed is no lag');
	ends_with_each_row_once($id, 'replayed', 400, 'the standby goes on');
	$standby->stop;

	# Who only keeps WAL is no standby, once it has said so; who says nothing may be one.
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $receivers = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
	my $receive = sub {
		my @receiver = ('pg_receivewal', '-D', $dir, '-d', $node->connstr('postgres'), '--no-sync', @_);
		return IPC::Run::start(\@receiver, '<', \undef, '>', \my $out, '2>', \my $err);
	};
	poll($node, 'postgres', 'SELECT count(*) FROM pg_stat_replication', '0', 'the standby is gone');
	my $receiver = $receive->('--status-interval=1');
	poll($node, 'postgres', $receivers, '1', 'a receiver of WAL is connected');
	verdict_is('replica_lag', 'normal', 'it is no standby');
	is(reason_of('replica_lag'), 'no standby is connected', 'and not taken for one');
	$receiver->signal('TERM');
	$receiver->finish;
	poll($node, 'postgres', $receivers, '0', 'it is gone');
	$receiver = $receive->('--status-interval=0');
	poll($node, 'postgres', $receivers, '1', 'one that says nothing is connected');
	verdict_is('replica_lag', 'stop', 'a lag that cannot be read is one');
	is(reason_of('replica_lag'), 'replay lag cannot be read: a standby has not said what it has replayed', 'and it says so');
	$receiver->kill_kill;
	verdict_is('replica_lag', 'normal', 'it is gone');
	setting('bbm.max_replica_lag', '0');
}

# ---- WAL rate: the migration's own WAL is a part of it, and it gets to its end all the same
{
	add_counted_table($node, 'postgres', 'written', 600);
	setting('bbm.max_wal_rate', '10kB');
	my $id = queue_add_one($node, 'postgres', 'written', "sub_batch_size => 50, pause => '200ms'");
	ends_with_each_row_once($id, 'written', 600, 'in short runs');
	like(holds_of($id), qr/^hold: WAL is written at \d+ kB\/s\nrelease: the signal is clear/, 'it was held by the rate');
	setting('bbm.max_wal_rate', '0');
}

# ---- a function of the user's, called as the owner of the migration
{
	$node->safe_psql('postgres', <<'SQL');
CREATE ROLE carla LOGIN;
GRANT USAGE ON SCHEMA bbm TO carla;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO carla;
CREATE SCHEMA ops;
GRANT USAGE ON SCHEMA ops TO carla;
CREATE TABLE ops.gauge (value float8);
INSERT INTO ops.gauge VALUES (2);
CREATE TABLE ops.calls (caller text, table_name regclass);
GRANT SELECT ON ops.gauge TO carla;
GRANT INSERT ON ops.calls TO carla;
CREATE FUNCTION ops.load(regclass) RETURNS float8 LANGUAGE sql AS 'INSERT INTO ops.calls VALUES (current_user, $1); SELECT value FROM ops.gauge';
CREATE FUNCTION ops.hangs(regclass) RETURNS float8 LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(600); -- # lint: allow: until it is cancelled
	RETURN 2;
END $$;
SQL
	add_counted_table($node, 'postgres', 'gauged', 300);
	$node->safe_psql('postgres', 'ALTER TABLE gauged OWNER TO carla; GRANT ALL ON gauged_hits, gauged_held TO carla');
	setting('bbm.health_function', 'ops.load');
	my $id = queue_add_one($node, 'postgres', 'gauged', 'sub_batch_size => 10', user => 'carla');
	on_hold($id, 'health_function', 'the function says that it is too much');
	is(hits_of('gauged'), '0', 'no row is touched');
	is($node->safe_psql('postgres', 'SELECT DISTINCT caller, table_name FROM ops.calls'), 'carla|gauged', 'it is called as the owner, with the table');
	like(holds_of($id), qr/^hold: ops\.load returned 2\.00$/, 'the event says what it returned');
	$node->safe_psql('postgres', 'UPDATE ops.gauge SET value = 0.5');
	ends_with_each_row_once($id, 'gauged', 300, 'the function is content');

	# One that hangs is cancelled and holds nothing.
	add_counted_table($node, 'postgres', 'unhindered', 300);
	setting('bbm.health_function', 'ops.hangs');
	my $offset = log_size($node);
	$id = queue_add_one($node, 'postgres', 'unhindered', 'sub_batch_size => 10');
	ends_with_each_row_once($id, 'unhindered', 300, 'a function that hangs');
	is(holds_of($id), '', 'it was never held');
	is(count_matches(log_since($node, $offset), qr/bbm\.health_function holds nothing: canceling statement/), 1, 'the log says it, once');
	setting('bbm.health_function', '');
}

no_process_but($node, 'bbm launcher', 'all but the launcher leave');
$node->stop;

done_testing();
