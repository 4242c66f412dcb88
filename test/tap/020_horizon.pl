# Who holds back pruning: bbm.explain says it of a walk in passes.
use strict;
use warnings;

use BbmTest;
use BbmTest qw(open_session ask close_session);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('primary', init => { allows_streaming => 1 }, conf => <<'CONF');
max_prepared_transactions = 5
bbm.max_workers = 0
autovacuum = off
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION bbm;
CREATE TABLE t (id bigint PRIMARY KEY, n int);
INSERT INTO t SELECT i, i FROM generate_series(1, 50000) AS i;
ANALYZE t;
SELECT bbm.queue('t', 't', command => 'UPDATE t SET n = n + 1', start => false);
CREATE DATABASE other;
SQL

my $walk = q{SELECT line FROM bbm.explain('t') AS line WHERE line ~ '^Walk:'};
my $free = $node->safe_psql('postgres', $walk);
my $held = qr/^\Q$free\E; old snapshots hold back pruning/;
# The holder, without its time or age.
my $holder = qq{SELECT regexp_replace(substring(line FROM 'pruning .(.*).\$'), '[-0-9: ]+(transactions|\$)', '') FROM ($walk) AS w (line)};

sub held_by { return poll($node, 'postgres', $holder, $_[0], $_[1]); }
sub free { return poll($node, 'postgres', $walk, $free, $_[0]); }

like($free, qr/^Walk: in 10 passes over windows of \d+ keys: no index uses a written column$/, 'nobody is in the way');

# Long enough for everybody who looks for transactions that are open for a second.
sub wait_until_old
{
	return poll($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE xact_start < now() - interval '2 s' AND state = 'idle in transaction'",
		'1', 'it is open for a while');
}

{
	my $session = open_session($node, 'other');
	ask($session, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
	wait_until_old();
	is($node->safe_psql('postgres', $walk), $free, 'a session of another database is in nobody\'s way');
	close_session($session);
}
{
	my $session = open_session($node, 'postgres');
	ask($session, 'BEGIN; SELECT 1;');
	wait_until_old();
	is($node->safe_psql('postgres', $walk), $free, 'nor is one without a snapshot');
	ask($session, 'CREATE TABLE made (); SELECT 1;');
	held_by('a transaction is open since', 'one that has written is');
	ask($session, 'COMMIT; SELECT 1;');
	free('until its end');
	ask($session, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
	is($node->safe_psql('postgres', $walk), $free, 'young ones are not told of');
	held_by('a transaction is open since', 'one with a snapshot is');
	like($node->safe_psql('postgres', $walk), $held, 'it stands behind the walk');
	like($node->safe_psql('postgres', $walk), qr/ since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)$/, 'with its time');
	is($node->safe_psql('postgres', "SET bbm.passes = 1; $walk"), 'Walk: plain: bbm.passes is 1', 'a plain walk does not care');
	close_session($session);
	free('nobody again');
}

# ---- What is measured decides: with an old snapshot about, passes gain nothing, and end for a while.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE free (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 60)) WITH (autovacuum_enabled = off);
INSERT INTO free SELECT i FROM generate_series(1, 100000) AS i;
CREATE TABLE held (LIKE free INCLUDING ALL) WITH (autovacuum_enabled = off);
INSERT INTO held TABLE free;
ANALYZE free, held;
SQL

# Migrates the table; what its events say about the walk.
sub migrate
{
	my ($table) = @_;
	$node->safe_psql('postgres', "SELECT bbm.queue('$table', '$table', command => 'UPDATE $table SET n = n + 1'); CALL bbm.run('$table')");
	is($node->safe_psql('postgres', "SELECT n, count(*) FROM $table GROUP BY n"), '1|100000', "$table: every row once");
	return $node->safe_psql('postgres', "SELECT reason FROM bbm.events WHERE job_class_name = '$table' AND event = 'walk' ORDER BY id");
}

# The part of its updates that stayed in their page; counters come a moment later.
sub hot_share
{
	my ($table) = @_;
	poll($node, 'postgres', "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = '$table'", '100000', "$table: updates are counted");
	return $node->safe_psql('postgres', "SELECT round(n_tup_hot_upd::numeric / n_tup_upd, 2) FROM pg_stat_user_tables WHERE relname = '$table'");
}

{
	like(migrate('free'), qr/\Apublic\.free is walked in 10 passes over windows of \d+ keys: no index uses a written column\z/, 'free: in passes from end to end');
	cmp_ok(hot_share('free'), '>', 0.7, 'free: most updates stay in their page');
	cmp_ok($node->safe_psql('postgres', "SELECT pg_relation_size('free')::numeric / pg_relation_size('held')"), '<', 1.3, 'free: the table hardly grows');

	my $session = open_session($node, 'postgres');
	ask($session, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
	wait_until_old();
	like(migrate('held'), qr/public\.held is walked plainly for a while: only \d+ % of the updates are HOT: old snapshots hold back pruning \(a transaction is open since /,
		'held: passes end, and it is said why');
	cmp_ok(hot_share('held'), '<', 0.3, 'held: there was no room in the pages');
	close_session($session);
}
{
	$node->safe_psql('postgres', q{BEGIN; CREATE TABLE half (); PREPARE TRANSACTION 'half'});
	held_by('a transaction is prepared since', 'a prepared transaction');
	$node->safe_psql('postgres', q{ROLLBACK PREPARED 'half'});
	free('is rolled back');
}
{
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->append_conf('postgresql.conf', "wal_receiver_status_interval = 1\n");
	$standby->start;
	$node->wait_for_catchup($standby);
	is($node->safe_psql('postgres', $walk), $free, 'a standby that says nothing');
	$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\n");
	$standby->reload;
	held_by('a standby with hot_standby_feedback is behind', 'and one that sends feedback');
	$node->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('slot')});
	$standby->append_conf('postgresql.conf', "primary_slot_name = 'slot'\n");
	$standby->reload;
	held_by('a replication slot is behind', 'through a slot');
	$standby->stop;
	held_by('a replication slot is behind', 'which stays when the standby goes');
}

done_testing();
