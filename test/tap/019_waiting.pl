# Waiting by CALL holds nothing: no transaction between two looks, so that dead rows can be removed meanwhile. It ends as
# waiting by SELECT does, and leaves a session that can be used.
use strict;
use warnings;

use BbmTest qw(:DEFAULT open_session say answer ask close_session);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('waiting', conf => "bbm.sub_batch_timeout = 120s\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm; CREATE TABLE dead (id int)');

# Of so many glances at the session that waits, how many find a transaction? One that falls into a look does.
sub glances
{
	my ($call) = @_;
	my $found = 0;
	for (1 .. 40)
	{
		$found += $node->safe_psql('postgres',
			"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '$call%' AND (backend_xmin IS NOT NULL OR xact_start IS NOT NULL)");
		usleep(15_000);
	}
	note "$call: $found of 40 glances found a transaction";
	return $found;
}

sub starts_to_wait
{
	my ($session, $call) = @_;
	say($session, "$call;");
	poll($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '$call%' AND wait_event_type = 'Extension'", '1', "$call: it waits");
	return;
}

# Dead rows that VACUUM has to leave, of a hundred.
sub dead_rows_left
{
	$node->safe_psql('postgres', 'INSERT INTO dead SELECT generate_series(1, 100)');
	$node->safe_psql('postgres', 'DELETE FROM dead');
	my ($out, $said);
	$node->psql('postgres', 'VACUUM (VERBOSE, INDEX_CLEANUP off) dead', stdout => \$out, stderr => \$said);
	return $said =~ /(\d+) (?:are dead but not yet removable|dead row versions cannot be removed)/ ? $1 : $said;
}

# The worker sleeps in row 50 until the migration is paused.
sub held_migration
{
	my ($name) = @_;
	add_counted_table($node, 'postgres', $name, 200);
	hold_rows($node, 'postgres', $name, 50);
	my $id = queue_add_one($node, 'postgres', $name, 'batch_size => 1000, sub_batch_size => 10');
	wait_holding($node, 'postgres', 1, "$name: the worker is in a long statement");
	release_rows($node, 'postgres', $name);
	return $id;
}

my $waiter = open_session($node, 'postgres');
add_counted_table($node, 'postgres', 'resting', 100);
my $resting = queue_add_one($node, 'postgres', 'resting', 'start => false');

# By SELECT: that it differs is what makes the next test worth something.
starts_to_wait($waiter, "SELECT bbm.wait($resting)");
is(glances('SELECT bbm.wait'), 40, 'a function keeps its transaction');
is(dead_rows_left(), 100, 'and dead rows of a table that it has nothing to do with');
$node->safe_psql('postgres', "SELECT bbm.resume($resting)");
my $said = answer($waiter);
like($said, qr/^t$/m, 'it ends with the migration');
like($said, qr/HINT:.*CALL bbm.await\($resting\);/, 'and has said how to wait without that') if $said =~ /NOTICE/;

add_counted_table($node, 'postgres', 'quiet', 100);
my $quiet = queue_add_one($node, 'postgres', 'quiet', 'start => false');
starts_to_wait($waiter, "CALL bbm.await($quiet)");
cmp_ok(glances('CALL bbm.await'), '<', 20, 'await is in no transaction between its looks');
is(dead_rows_left(), 0, 'and keeps no dead row');
$node->safe_psql('postgres', "SELECT bbm.resume($quiet)");
like(answer($waiter), qr/^t$/m, 'it ends with the migration');
is(tally($node, 'postgres', 'quiet'), '100|0|0', 'each row once');

# Whatever ends the wait, the session goes on.
sub ends_with
{
	my ($what, $call, $pattern, $code) = @_;
	starts_to_wait($waiter, $call);
	$code->();
	like(answer($waiter), $pattern, $what);
	is(ask($waiter, 'BEGIN; SELECT 1; COMMIT;'), "1\n", "$what: the session can be used");
	return;
}

sub cancel_waiter
{
	return $node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL bbm.%'");
}

my $gone = queue_add_one($node, 'postgres', 'gone', 'start => false', table => 'resting');
ends_with('a cancel request', "CALL bbm.await($gone)", qr/canceling statement due to user request/, \&cancel_waiter);
ends_with('a deleted migration', "CALL bbm.await($gone)", qr/migration "gone" was deleted/, sub { $node->safe_psql('postgres', "SELECT bbm.delete($gone)") });

# finish asks for the work itself, and the work goes on without whoever asked.
add_counted_table($node, 'postgres', 'hasty', 1000);
my $hasty = queue_add_one($node, 'postgres', 'hasty', "start => false, batch_size => 100, job_interval => '1 h', pause => '1 h'");
is($node->safe_psql('postgres', "CALL bbm.finish($hasty); SELECT status FROM bbm.migrations WHERE id = $hasty"), 'finished', 'finish brings it to its end');
is(tally($node, 'postgres', 'hasty'), '1000|0|0', 'each row once');
my $held = held_migration('held');
starts_to_wait($waiter, "CALL bbm.finish($held)");
cmp_ok(glances('CALL bbm.finish'), '<', 20, 'finish is in no transaction between its looks');
cancel_waiter();
like(answer($waiter), qr/canceling statement due to user request/, 'it can be cancelled');
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'bbm worker'");
is($node->safe_psql('postgres', "CALL bbm.await($held, '30 s')"), 't', 'the migration goes on to its end');
is(tally($node, 'postgres', 'held'), '200|0|0', 'each row once');
is($node->safe_psql('postgres', "SELECT count(*) FROM bbm.events WHERE migration_id = $held AND event = 'finalize'"), '1', 'in a hurry');

# Paused meanwhile: finish says so, await goes on waiting.
my $paused = held_migration('paused');
ends_with('a pause', "CALL bbm.finish($paused)", qr/was paused while it was finalized/, sub {
	poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $paused", 'finalizing', 'it is in a hurry');
	$node->safe_psql('postgres', "SELECT bbm.pause($paused, immediate => true)");
});
ends_with('the extension was dropped', "CALL bbm.await($paused)", qr/extension "bbm" was dropped/, sub { $node->safe_psql('postgres', 'DROP EXTENSION bbm') });

close_session($waiter);
$node->stop;
done_testing();
