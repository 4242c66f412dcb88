# A table gets another file in the middle of a job. Rewritten, the walk goes on and handles each row once; emptied and
# loaded anew, it stops and says why: rows behind its cursor would never be handled.
use strict;
use warnings;

use BbmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rows = 600;
my $node = new_node('files', conf => <<'CONF');
fsync = off
autovacuum = off
allow_in_place_tablespaces = on
bbm.max_workers = 12
bbm.max_running_migrations = 12
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm');
$node->safe_psql('postgres', "CREATE TABLESPACE other LOCATION ''");

# The same rows again, as a load would bring them: with nothing done.
my $load = "INSERT INTO TABLE_NAME (id) SELECT generate_series(1, $rows);";
my %goes_on = (
	vacuum_full => 'VACUUM FULL TABLE_NAME',
	cluster => 'CLUSTER TABLE_NAME USING TABLE_NAME_pkey',
	tablespace => 'ALTER TABLE TABLE_NAME SET TABLESPACE other',
	add_column => 'ALTER TABLE TABLE_NAME ADD extra float8 DEFAULT random()',
	alter_type => 'BEGIN; ALTER TABLE TABLE_NAME ALTER note TYPE varchar(9); GRANT SELECT ON TABLE_NAME TO public; COMMIT',
	unlogged => 'ALTER TABLE TABLE_NAME SET UNLOGGED',
	at_rest => 'ALTER TABLE TABLE_NAME ALTER note TYPE varchar(9)');
my %stops = (
	truncate => [ 'TRUNCATE TABLE_NAME', qr/table public\.truncate was truncated/ ],
	load => [ "BEGIN; TRUNCATE TABLE_NAME; $load COMMIT", qr/table public\.load was truncated/ ],
	load_cluster => [ "BEGIN; TRUNCATE TABLE_NAME; $load CLUSTER TABLE_NAME USING TABLE_NAME_pkey; COMMIT",
		qr/table public\.load_cluster has another file/ ],
	load_at_rest => [ "TRUNCATE TABLE_NAME; $load", qr/table public\.load_at_rest was truncated/ ],
	alter_at_rest => [ "TRUNCATE TABLE_NAME; $load ALTER TABLE TABLE_NAME ALTER note TYPE varchar(9); SELECT pg_stat_force_next_flush()",
		qr/table public\.alter_at_rest has another file/ ]);

sub done { return "SELECT count(*) FROM $_[0] WHERE n > 0"; }

sub is_working { return "SELECT count(*) FROM bbm.workers AS w JOIN bbm.migrations AS m ON m.id = w.migration_id WHERE m.job_class_name = '$_[0]'"; }

# Migration NAME is in the middle of its only job.
sub begin_job
{
	my ($name) = @_;
	add_counted_table($node, 'postgres', $name, $rows);
	$node->poll_query_until('postgres', "SELECT pg_stat_get_tuples_inserted('$name'::regclass) = $rows")
		or die "nobody counts the rows of $name"; # a load that is counted later is one that came later
	my $id = queue_add_one($node, 'postgres', $name, "batch_size => 100000, sub_batch_size => 10, pause => '100 ms'");
	$node->poll_query_until('postgres', "SELECT count(*) >= 30 FROM $name WHERE n > 0") or die "$name does not begin";
	return $id;
}

sub change_file
{
	my ($id, $name, $sql) = @_;
	my $rests = $name =~ /at_rest/;
	if ($rests)
	{
		$node->safe_psql('postgres', "SELECT bbm.pause($id)");
		$node->poll_query_until('postgres', is_working($name), '0') or die "$name does not pause";
	}
	$sql =~ s/TABLE_NAME/$name/g;
	my $before = $node->safe_psql('postgres', "SELECT count(*) FROM bbm.jobs WHERE migration_id = $id AND status <> 'succeeded'");
	$node->safe_psql('postgres', $sql);
	is($before, 1, "$name: the file changed in the middle of the job");
	$node->safe_psql('postgres', "SELECT bbm.resume($id)") if $rests;
	return;
}

my (%id, $name);
for $name (sort keys %goes_on)
{
	$id{$name} = begin_job($name);
	change_file($id{$name}, $name, $goes_on{$name});
}
for $name (sort keys %stops)
{
	$id{$name} = begin_job($name);
	change_file($id{$name}, $name, $stops{$name}[0]);
}

for $name (sort keys %goes_on)
{
	$node->safe_psql('postgres', "SELECT bbm.alter($id{$name}, pause => '0')");
	poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id{$name}", 'finished', "$name: goes on");
	is(tally($node, 'postgres', $name), "$rows|0|0", "$name: each row once");
	is($node->safe_psql('postgres', "SELECT count(*), min(reason) FROM bbm.events WHERE migration_id = $id{$name} AND event = 'rewrite'"),
		"1|public.$name has another file", "$name: says so");
}

for $name (sort keys %stops)
{
	poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id{$name}", 'failed', "$name: stops");
	my $state = $node->safe_psql('postgres',
		"SELECT sqlstate, message FROM bbm.events WHERE migration_id = $id{$name} AND to_status = 'failed'");
	like($state, qr/^55000\|$stops{$name}[1]$/, "$name: with the reason");
	is($node->safe_psql('postgres', done($name)), 0, "$name: nothing was done behind it");
}

# The two ways on that the hint names.
$node->safe_psql('postgres', 'TRUNCATE load_hits');
my $again = $node->safe_psql('postgres', "SELECT bbm.requeue($id{load})");
poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $again", 'finished', 'requeue() begins anew');
is(tally($node, 'postgres', 'load'), "$rows|0|0", 'all rows');
my $handled = $node->safe_psql('postgres', 'SELECT count(*) FROM load_cluster_hits');
$node->safe_psql('postgres', "SELECT bbm.retry($id{load_cluster}), bbm.alter($id{load_cluster}, pause => '0')");
poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id{load_cluster}", 'finished', 'retry() goes on');
is($node->safe_psql('postgres', done('load_cluster')), $rows - $handled, 'behind the keys that were done');

$node->stop;
done_testing();
