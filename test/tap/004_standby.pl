# A standby runs nothing and says so; promoted in mid-run, it goes on by itself.
use strict;
use warnings;

use BbmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# ---- promotion
my $primary = new_node('primary', init => { allows_streaming => 1 });
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION bbm');
add_counted_table($primary, 'postgres', 'moved', 3000);
add_counted_table($primary, 'postgres', 'resting', 100);
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $id = queue_add_one($primary, 'postgres', 'moved', "sub_batch_size => 10, batch_size => 100, pause => '20ms'");
my $paused = queue_add_one($primary, 'postgres', 'resting', 'start => false');
poll($standby, 'postgres', 'SELECT count(*) > 0 FROM moved_hits', 't', 'the standby follows a running migration');
is(processes($standby), '', 'the standby has no process of bbm');

my %calls = (
	queue => "bbm.queue('x', 'resting', command => 'UPDATE resting SET n = n + 1')",
	define => "bbm.define('x', 'UPDATE {table} SET n = n + 1')",
	pause => "bbm.pause($id)",
	'immediate pause' => "bbm.pause($id, immediate => true)",
	resume => "bbm.resume($paused)",
	retry => "bbm.retry($id)",
	alter => "bbm.alter($id, priority => 1)",
	delete => "bbm.delete($id)",
	finalize => "bbm.finalize($id)",
	ensure_finished => "bbm.ensure_finished($id)");
is(error_of($standby, 'postgres', "SELECT $calls{$_}"), '25006', "$_ is refused on a standby") for sort keys %calls;
is(error_of($standby, 'postgres', "CALL bbm.run($paused)"), '25006', 'run is refused on a standby');
is(error_of($standby, 'postgres', "CALL bbm.finish($paused)"), '25006', 'finish is refused on a standby');
is($standby->safe_psql('postgres', "CALL bbm.await($paused, '10ms')"), 'f', 'a standby can be waited on');
is($standby->safe_psql('postgres', 'SELECT bbm.ensure_running()'), 'f', 'ensure_running has nothing to start on a standby');
is($standby->safe_psql('postgres', "SELECT status FROM bbm.migrations WHERE id = $id"), 'active', 'the views can be read');
is(processes($standby), '', 'still there is no process');

# Promotion while the primary dies in the middle of its work: what was replayed is where the work goes on.
$primary->stop('immediate');
my $before = $standby->safe_psql('postgres', 'SELECT count(*) FROM moved_hits');
cmp_ok($before, '<', 3000, 'the promotion comes in mid-run');
my $promoted_at = $standby->safe_psql('postgres', 'SELECT clock_timestamp()');
$standby->promote;
poll($standby, 'postgres', "SELECT count(*) > 0 FROM moved_hits WHERE at > '$promoted_at'", 't', 'work goes on by itself after the promotion');
note 'standby: resumed ' . $standby->safe_psql('postgres', "SELECT min(at) - '$promoted_at' FROM moved_hits WHERE at > '$promoted_at'")
  . ' after the promotion was asked for';
poll($standby, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id", 'finished', 'the migration ends');
is(tally($standby, 'postgres', 'moved'), '3000|0|0', 'every row was handled once');

$standby->safe_psql('postgres', "SELECT bbm.resume($paused)");
poll($standby, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $paused", 'finished', 'the new primary takes orders');
is(tally($standby, 'postgres', 'resting'), '100|0|0', 'and carries them out once');
no_process_but($standby, 'bbm launcher', 'all but the launcher leave');

# ---- a synchronous standby that is not there: every commit that is to last waits for ever
{
	add_counted_table($standby, 'postgres', 'synchronous', 300);
	$standby->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
	$standby->reload;
	poll($standby, 'postgres', 'SHOW synchronous_standby_names', 'nobody', 'commits wait for a standby that is not there');
	my $waits = queue_add_one($standby, 'postgres', 'synchronous', 'sub_batch_size => 10', session => 'SET synchronous_commit = local;');
	poll($standby, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'bbm worker' AND wait_event = 'SyncRep'", '1', 'the worker waits for it');
	my $offset = log_size($standby);
	$standby->stop('fast');
	unlike(log_since($standby, $offset), qr/PANIC|terminated by signal/, 'fast shutdown is clean');
	$standby->append_conf('postgresql.auto.conf', "synchronous_standby_names = ''\n");
	$standby->start;
	poll($standby, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $waits", 'finished', 'without it the migration ends');
	is(tally($standby, 'postgres', 'synchronous'), '300|0|0', 'every row was handled once');
	no_process_but($standby, 'bbm launcher', 'all but the launcher leave');
}
$standby->stop;

done_testing();
