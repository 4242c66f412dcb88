# What a crash leaves of sub-batches that were committed a moment before: cursor and data agree, and with
# bbm.synchronous_commit nothing is lost. The process that writes WAL in the background stands still meanwhile, so that
# nothing becomes durable but what somebody wants durable.
use strict;
use warnings;

use BbmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('commits', conf => <<'CONF');
restart_after_crash = off
autovacuum = off
fsync = on
wal_level = replica
max_wal_senders = 1
wal_buffers = 8MB
bbm.naptime = 1h
bbm.sub_batch_timeout = 120s
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm');

sub set_and_restart
{
	my ($line) = @_;
	$node->append_conf('postgresql.conf', "$line\n");
	$node->restart;
	return;
}

# The server dies by the death of one process and does not come back by itself.
sub kill_server
{
	my ($pid) = @_;
	kill 'KILL', $pid;
	ok(deadline_loop(30, sub { return !-e $node->data_dir . '/postmaster.pid'; }), 'the server has died');
	$node->_update_pid(0);
	return;
}

sub pid_of
{
	my ($type) = @_;
	return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'");
}

# Where it does nothing: stopped while it writes, it would stop everybody who commits.
sub stop_walwriter
{
	my $pid = pid_of('walwriter');
	ok(deadline_loop(30, sub {
		kill 'STOP', $pid;
		return 1 if $node->safe_psql('postgres', "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid") eq 'WalWriterMain';
		kill 'CONT', $pid;
		return 0;
	}), 'the WAL writer stands still');
	return $pid;
}

# Queues a job of sub-batches of ten that stands still in the one of row 95, then kills: CODE gets the walwriter, which
# is stopped. The cursors before and after.
sub crash_in_mid_job
{
	my ($name, $code) = @_;
	add_counted_table($node, 'postgres', $name, 1000);
	hold_rows($node, 'postgres', $name, 95);
	$node->safe_psql('postgres', 'CHECKPOINT');
	my $writer = stop_walwriter();
	my $id = queue_add_one($node, 'postgres', $name, 'batch_size => 500, sub_batch_size => 10');
	wait_holding($node, 'postgres', 1, "$name: nine sub-batches are done");
	my $before = cursor_of($id);
	$code->($writer);
	$node->append_conf('postgresql.conf', "bbm.enabled = off\n"); # nothing goes on before it was looked at
	$node->start;
	my $after = cursor_of($id);
	is( $node->safe_psql('postgres', "SELECT count(*), max(id) FROM $name WHERE n = 1"), "$after|$after", "$name: the cursor says which rows are done");
	is($node->safe_psql('postgres', "SELECT count(*), max(id) FROM ${name}_hits WHERE hits = 1"), "$after|$after", "$name: and so does what the command's trigger wrote");
	release_rows($node, 'postgres', $name);
	set_and_restart('bbm.enabled = on');
	poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id", 'finished', "$name: the rest is done");
	is(tally($node, 'postgres', $name), '1000|0|0', "$name: each row once");
	return ($before, $after);
}

sub cursor_of
{
	my ($id) = @_;
	return $node->safe_psql('postgres', "SELECT cursor[1] FROM bbm.jobs WHERE migration_id = $id ORDER BY id LIMIT 1");
}

sub set_standbys
{
	my ($names) = @_;
	$node->append_conf('postgresql.conf', "synchronous_standby_names = '$names'\n");
	$node->reload;
	poll($node, 'postgres', 'SHOW synchronous_standby_names', $names, "commits wait for: '$names'");
	return;
}

sub waits_for
{
	my ($type, $what) = @_;
	return poll($node, 'postgres', "SELECT wait_event_type FROM pg_stat_activity WHERE backend_type = 'bbm worker' AND wait_event_type = '$type'", $type, $what);
}

my $by_kill = sub { kill_server($_[0]); };
my $by_immediate = sub { kill 'CONT', $_[0]; $node->stop('immediate'); };
my $by_worker = sub { kill 'CONT', $_[0]; kill_server(pid_of('bbm worker')); };

# Off: what is lost is lost in both places.
my ($before, $after) = crash_in_mid_job('relaxed', $by_kill);
is($before, '90', 'nine sub-batches were committed');
cmp_ok($after, '<', $before, 'and some of them are lost with the server');
cmp_ok($after, '>=', 10, 'but never the first');
note "$after of $before rows were left";
crash_in_mid_job('relaxed_immediate', $by_immediate);
crash_in_mid_job('relaxed_worker', $by_worker);

# On: none is.
set_and_restart('bbm.synchronous_commit = on');
for ([ durable_kill => $by_kill ], [ durable_immediate => $by_immediate ])
{
	my ($name, $code) = @$_;
	($before, $after) = crash_in_mid_job($name, $code);
	is($before, '90', "$name: nine sub-batches were committed");
	is($after, '90', "$name: and all of them are there after the crash");
}

# On means what the server means by it: here each commit waits for a standby, which is not there.
for ([ 'off', '500', 'until the end of the job nobody waits' ], [ 'on', '90', 'the next sub-batch does' ])
{
	my ($setting, $cursor, $what) = @$_;
	my $name = "standby_$setting";
	set_and_restart("bbm.synchronous_commit = $setting\nbbm.lock_timeout = 1h\nsynchronous_commit = remote_apply");
	add_counted_table($node, 'postgres', $name, 1000);
	my $holder = BbmTest::open_session($node, 'postgres');
	BbmTest::ask($holder, "BEGIN; SELECT FROM $name WHERE id = 95 FOR UPDATE;");
	my $id = queue_add_one($node, 'postgres', $name, 'batch_size => 500, sub_batch_size => 10');
	waits_for('Lock', "$name: nine sub-batches are done");
	set_standbys('nobody');
	BbmTest::ask($holder, 'ROLLBACK;');
	waits_for('IPC', "$name: the worker waits for the standby");
	is(cursor_of($id), $cursor, "$name: $what");
	set_standbys('');
	BbmTest::close_session($holder);
	poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id", 'finished', "$name: the rest is done");
	is(tally($node, 'postgres', $name), '1000|0|0', "$name: each row once");
}

$node->stop;
done_testing();
