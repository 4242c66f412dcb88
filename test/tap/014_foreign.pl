# Shards on another server: foreign tables and foreign partitions of postgres_fdw, two real servers on loopback. The remote
# commit and the local cursor are two commits. So a command that may run twice for a row is taken and one that may not
# is refused; and a worker that dies between the two commits, again and again, leaves every row with the effect once.
use strict;
use warnings;

use BbmTest qw(:DEFAULT open_session ask close_session);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $loopback = "listen_addresses = '127.0.0.1'\nmax_connections = 30\n";
# A gate is held longer than a second.
my $local = new_node('local', conf => "${loopback}bbm.naptime = 1s\nbbm.max_workers = 4\n");
my $remote = new_node('remote', preload => 0, conf => $loopback);
$_->start for $local, $remote;

my $shards = 3;
my $rows = 400;         # of each shard, and of the local partition
my $gate = 4711;        # the advisory lock a commit on the remote server waits for

# Every change of a row is counted where it happens; a commit that has touched a row of `gated` waits for the gate.
$remote->safe_psql('postgres', <<'SQL');
CREATE TABLE hits (shard text, id bigint, hits int NOT NULL, PRIMARY KEY (shard, id));
CREATE TABLE gated (shard text, id bigint);
CREATE FUNCTION count_hit() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
	INSERT INTO hits AS h VALUES (TG_TABLE_NAME, NEW.id, 1) ON CONFLICT (shard, id) DO UPDATE SET hits = h.hits + 1;
	RETURN NULL;
END $$;
CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
	IF EXISTS (SELECT FROM gated AS g WHERE g.shard = TG_TABLE_NAME AND g.id = NEW.id) THEN
		PERFORM pg_advisory_xact_lock_shared(4711);
	END IF;
	RETURN NULL;
END $$;
SQL

my ($host, $port) = ('127.0.0.1', $remote->port);
$local->safe_psql('postgres', <<"SQL");
CREATE EXTENSION bbm;
CREATE EXTENSION postgres_fdw;
CREATE SERVER shards FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER shards;
SQL

my $columns = 'id bigint NOT NULL, old int NOT NULL, new int, n int NOT NULL DEFAULT 0, done boolean NOT NULL DEFAULT false';

# A table of that name on the remote server with rows FIRST .. LAST
sub add_shard
{
	my ($name, $first, $last) = @_;
	$remote->safe_psql('postgres', <<"SQL");
CREATE TABLE $name ($columns, PRIMARY KEY (id));
INSERT INTO $name SELECT i, i % 1000 FROM generate_series($first, $last) AS i;
CREATE TRIGGER count_hit AFTER UPDATE ON $name FOR EACH ROW EXECUTE FUNCTION count_hit();
CREATE CONSTRAINT TRIGGER wait_at_gate AFTER UPDATE ON $name DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_gate();
ANALYZE $name;
SQL
	return;
}

# A partitioned table: partition 0 is local, the others are shards.
sub add_tree
{
	my ($name) = @_;
	my $sql = "CREATE TABLE $name ($columns) PARTITION BY RANGE (id);"
	  . "CREATE TABLE ${name}_0 PARTITION OF $name (PRIMARY KEY (id)) FOR VALUES FROM (1) TO (${\ ($rows + 1)});"
	  . "INSERT INTO $name SELECT i, i % 1000 FROM generate_series(1, $rows) AS i;";
	for my $shard (1 .. $shards)
	{
		my ($first, $last) = ($shard * $rows + 1, ($shard + 1) * $rows);
		add_shard("${name}_$shard", $first, $last);
		$sql .= "CREATE FOREIGN TABLE ${name}_$shard PARTITION OF $name FOR VALUES FROM ($first) TO (${\ ($last + 1)}) SERVER shards;";
	}
	$local->safe_psql('postgres', $sql);
	return;
}

sub add_foreign
{
	my ($name) = @_;
	add_shard($name, 1, $rows);
	$local->safe_psql('postgres', "CREATE FOREIGN TABLE $name ($columns) SERVER shards");
	return;
}

sub value { return $local->safe_psql('postgres', $_[0]); }
sub remote_value { return $remote->safe_psql('postgres', $_[0]); }

my $names = 0;

# SQL that queues COMMAND for a table; {t} is its name.
sub queue_sql
{
	my ($table, $command, $more) = @_;
	$command =~ s/\{t\}/$table/g;
	$more = defined $more ? ", $more" : '';
	return "SELECT bbm.queue('m${\ ++$names}', '$table', column_name => 'id', command => \$q\$$command\$q\$$more)";
}

sub is_refused
{
	my ($table, $command, $what, $more) = @_;
	my ($out, $err) = ('', '');
	my $rc = $local->psql('postgres', "\\set VERBOSITY verbose\n" . queue_sql($table, $command, $more), stdout => \$out, stderr => \$err, on_error_stop => 1);
	return subtest "refused: $what" => sub {
		isnt($rc, 0, 'it is');
		like($err, qr/ERROR: +(0A000|22023|55000|42P17|42809): .*(foreign|remote|server)/, 'the reason');
		like($err, qr/HINT:.*(shard|server|idempotent|done)/i, 'the way out');
		is(value("SELECT count(*) FROM bbm.migrations WHERE job_class_name = 'm$names'"), 0, 'nothing is stored');
	};
}

# Queued migrations come to their end.
sub ends_well
{
	my ($id, $what) = @_;
	my $status = deadline_loop(60, sub {
		my $out = '';
		return if $local->psql('postgres', "SELECT status, status_reason FROM bbm.migrations WHERE id = $id", stdout => \$out) != 0;
		return $out =~ /^(?:finished|failed)/ ? $out : undef;
	});
	$status //= 'stuck: ' . value('SELECT * FROM bbm.status') . value("SELECT sqlstate, message FROM bbm.failures WHERE migration_id = $id");
	return is($status, 'finished|', "$what: finished");
}

add_tree('tree');
add_foreign('plain');

for my $table (qw(tree plain))
{
	is_refused($table, 'UPDATE {t} SET n = n + 1', "$table: an UPDATE that adds");
	is_refused($table, 'UPDATE {t} SET old = old * 2', "$table: one that reads what it writes");
	is_refused($table, 'UPDATE {t} SET new = (random() * 100)::int', "$table: one with a volatile function");
	is_refused($table, 'UPDATE {t} SET n = new, new = old', "$table: one column takes what another had");
	is_refused($table, 'UPDATE {t} SET n = n + 1, done = false WHERE NOT done', "$table: a condition that holds afterwards, too");
	is_refused($table, 'UPDATE {t} SET n = n + 1, done = true WHERE NOT done OR n < 3', "$table: a condition that another one opens");
}
value('CREATE TABLE home (LIKE tree INCLUDING ALL, PRIMARY KEY (id)); INSERT INTO home SELECT i, i % 1000 FROM generate_series(100001, 100100) AS i');
is_refused('home', 'INSERT INTO plain SELECT * FROM {t}', 'rows of a local table that are inserted into a foreign one');
is_refused('home', 'WITH moved AS (DELETE FROM {t} RETURNING *) INSERT INTO plain SELECT * FROM moved', 'rows that move to another server');
is_refused('plain', 'WITH moved AS (DELETE FROM {t} RETURNING *) INSERT INTO home SELECT * FROM moved', 'rows that come from another server and would be gone there before they are here');
is(value('SELECT count(*) FROM bbm.migrations'), 0, 'no migration of those is there');

# What may run twice runs.
my $all = ($shards + 1) * $rows;
my $paced = 'batch_size => 120, sub_batch_size => 50';
for my $table (qw(tree plain))
{
	my $expected = $table eq 'tree' ? $all : $rows;
	ends_well(value(queue_sql($table, 'UPDATE {t} SET new = old * 2', $paced)), "$table: a column made of another");
	is(value("SELECT count(*), count(*) FILTER (WHERE new = old * 2) FROM $table"), "$expected|$expected", 'every row has the effect');
	ends_well(value(queue_sql($table, 'UPDATE {t} SET n = n + 1, done = true WHERE NOT done', "$paced, workers => 3")), "$table: a condition that marks what is done");
	is(value("SELECT count(*), count(*) FILTER (WHERE n = 1 AND done) FROM $table"), "$expected|$expected", 'every row has the effect once');
}
is(remote_value('SELECT min(hits), max(hits), count(*) FROM hits'), "2|2|$all", 'and each was touched once by each of the two');
is(value("SELECT string_agg(rows_affected::text, ',' ORDER BY id) FROM bbm.migrations"), "$all,$all,$rows,$rows", 'the rows are counted');
ends_well(value(queue_sql('plain', 'DELETE FROM {t} WHERE id % 4 = 0', $paced)), 'plain: DELETE');
is(value('SELECT count(*), count(*) FILTER (WHERE id % 4 = 0) FROM plain'), $rows * 3 / 4 . '|0', 'the right rows are gone');

# Nobody here knows whether a column of another server is unique. Texts must sort by bytes there.
$remote->safe_psql('postgres', <<'SQL');
CREATE TABLE odd_keys (id text COLLATE "C", n int NOT NULL DEFAULT 0, done boolean NOT NULL DEFAULT false);
INSERT INTO odd_keys SELECT (ARRAY['a', 'B', 'c', 'D', 'é', 'Z', '_'])[i % 7 + 1] || i / 14 FROM generate_series(0, 299) AS i;
CREATE TABLE no_keys (id bigint, n int NOT NULL DEFAULT 0, done boolean NOT NULL DEFAULT false);
INSERT INTO no_keys SELECT nullif(i % 50, 0) FROM generate_series(1, 300) AS i;
SQL
value('CREATE FOREIGN TABLE odd_keys (id text COLLATE "C" NOT NULL, n int, done boolean) SERVER shards');
ends_well(value(queue_sql('odd_keys', 'UPDATE {t} SET n = n + 1, done = true WHERE NOT done', 'batch_size => 20, sub_batch_size => 7, workers => 2')),
	'duplicates');
is(value('SELECT count(*), min(n), max(n) FROM odd_keys'), '300|1|1', 'every row has the effect once');
value('CREATE FOREIGN TABLE no_keys (id bigint, n int, done boolean) SERVER shards');
my $error = error_of($local, 'postgres', queue_sql('no_keys', 'UPDATE {t} SET n = n + 1, done = true WHERE NOT done', 'batch_size => 20'));
ends_well(value("SELECT id FROM bbm.migrations WHERE job_class_name = 'm$names'"), 'a column that may be NULL') if $error eq '';
like($error . value('SELECT count(*), min(n), max(n) FROM no_keys'), qr/^(42P16|0A000|22023|55000)300\|0\|0$|^300\|1\|1$/, 'rows without a key are handled or the migration is refused');

# A shard that comes while a command runs which it would not have been queued for
value('CREATE TABLE grows (LIKE tree INCLUDING ALL) PARTITION BY RANGE (id); CREATE TABLE grows_0 PARTITION OF grows (PRIMARY KEY (id)) FOR VALUES FROM (1) TO (101)');
value('INSERT INTO grows SELECT i, i FROM generate_series(1, 100) AS i');
my $grows = value(queue_sql('grows', 'UPDATE {t} SET n = n + 1', 'start => false, batch_size => 20'));
add_shard('grows_1', 101, 200);
value('CREATE FOREIGN TABLE grows_1 PARTITION OF grows FOR VALUES FROM (101) TO (201) SERVER shards');
value("SELECT bbm.resume($grows)");
deadline_loop(30, sub { return value("SELECT status FROM bbm.migrations WHERE id = $grows") =~ /finished|failed/; });
is(value('SELECT min(n), max(n) FROM grows_1'), '0|0', 'a shard that is attached later is not touched by what adds');
is(value('SELECT min(n), max(n) FROM grows_0'), '1|1', 'and the local partition is done');

# A foreign table is read and a local one is written: one commit, exactly once, whatever dies.
add_foreign('source');
value('CREATE TABLE copied (id bigint, old int)');
my $copy = value(queue_sql('source', 'INSERT INTO copied SELECT id, old FROM {t}', "batch_size => 40, sub_batch_size => 10, pause => '5ms', workers => 2"));

sub kill_a_worker
{
	my $pid = '';
	$local->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'bbm worker' ORDER BY random() LIMIT 1", stdout => \$pid);
	return if !$pid || !kill 9, $pid;
	# psql may be gone before it has read what it is to ask, and whoever writes that dies.
	deadline_loop(60, sub { return eval { $local->psql('postgres', 'SELECT 1') == 0 }; }) or die 'the server does not come back';
	return 1;
}

my $killed = 0;
for my $share (1 .. 3)
{
	my $some = $share * $rows / 5;
	deadline_loop(20, sub { my $out = 0; $local->psql('postgres', "SELECT count(*) >= $some FROM copied", stdout => \$out); return $out eq 't'; });
	$killed += kill_a_worker() // 0;
}
ends_well($copy, "rows of a foreign table that are copied, with $killed kills");
is(value('SELECT count(*), count(DISTINCT id), sum(old) FROM copied'), remote_value('SELECT count(*), count(DISTINCT id), sum(old) FROM source'),
	'each is copied exactly once');
cmp_ok($killed, '>', 0, 'workers died meanwhile');

# The window: the remote server is in its COMMIT, which waits for the gate, when the local one dies. The remote goes on by
# itself and commits what the local one has no record of.
sub die_between_commits
{
	my ($table, $shard, $id, $command, $how) = @_;
	remote_value("DELETE FROM hits; DELETE FROM gated; INSERT INTO gated VALUES ('$shard', $id)");
	my $keeper = open_session($remote, 'postgres');
	ask($keeper, "SELECT pg_advisory_lock($gate);");
	my $migration = value(queue_sql($table, $command, 'batch_size => 100, sub_batch_size => 25'));
	my $waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE 'COMMIT%'";
	ok($remote->poll_query_until('postgres', $waiting, '1'), "$how: the remote server commits, the local one waits for it");
	my $before = value("SELECT coalesce(sum(rows_affected), 0) FROM bbm.jobs WHERE migration_id = $migration");
	if ($how eq 'kill -9 of the worker') { ok(kill_a_worker(), "$how: it is dead"); }
	else { $local->stop('immediate'); $local->start; }
	# It goes only now: the next attempt has to wait for the rows until then.
	remote_value('DELETE FROM gated');
	ask($keeper, "SELECT pg_advisory_unlock($gate);");
	close_session($keeper);
	ends_well($migration, $how);
	return ($migration, $before);
}

for my $how ('kill -9 of the worker', 'kill -9 of the server')
{
	for my $table (qw(tree plain))
	{
		my $fresh = $table . ($how =~ /server/ ? '_s' : '_w');
		$table eq 'tree' ? add_tree($fresh) : add_foreign($fresh);
		my $shard = $table eq 'tree' ? "${fresh}_2" : $fresh;
		my $expected = $table eq 'tree' ? $all : $rows;
		# A row in the middle of the shard
		my $gated = ($table eq 'tree' ? 2 * $rows : 0) + int($rows / 2);

		die_between_commits($fresh, $shard, $gated, 'UPDATE {t} SET new = old * 2', $how);
		is(value("SELECT count(*), count(*) FILTER (WHERE new = old * 2) FROM $fresh"), "$expected|$expected", "$how, $table, idempotent: every row has the effect");
		cmp_ok(remote_value("SELECT hits FROM hits WHERE shard = '$shard' AND id = $gated"), '==', 2, 'the row at the gate was touched twice: the window was hit');

		my ($id) = die_between_commits($fresh, $shard, $gated + 60, 'UPDATE {t} SET n = n + 1, done = true WHERE NOT done', $how);
		is(value("SELECT count(*), min(n), max(n), bool_and(done) FROM $fresh"), "$expected|1|1|t", "$how, $table, done-predicate: every row has the effect once");
		is(remote_value('SELECT max(hits) FROM hits'), 1, 'no row was touched twice');
		cmp_ok(value("SELECT rows_affected FROM bbm.migrations WHERE id = $id"), '<', $expected,
			'rows whose remote commit has no local one are counted by nobody: the window was hit');
	}
}

is(value("SELECT job_class_name, sqlstate, message FROM bbm.failures WHERE migration_id <> $grows AND sqlstate NOT LIKE '08%' AND sqlstate NOT IN ('40001', '55P03')"), '',
	'no failure but those of connections');
unlike(slurp_file($local->logfile), qr/PANIC|signal 11|signal 6/, 'no process died by itself');
$_->stop for $local, $remote;
done_testing();
