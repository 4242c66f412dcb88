# What happens to a table between two passes of a window, while the process that has read the window rests: rows move, their
# places are taken by others, the table's end is cut off, it gets another file, its plans are made anew, the process is
# ended. Each row is handled once.
use strict;
use warnings;

use BbmTest qw(:DEFAULT open_session ask close_session);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rows = 600;
my $node = new_node('passes', conf => <<'CONF');
fsync = off
autovacuum = off
bbm.max_workers = 20
bbm.max_running_migrations = 20
max_worker_processes = 30
bbm.passes = 4
bbm.lock_timeout = '200 ms'
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm');
my $has_amcheck = $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'");
$node->safe_psql('postgres', 'CREATE EXTENSION amcheck') if $has_amcheck;

my %id;
my %worker;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub worker_of { return "SELECT w.pid FROM bbm.workers AS w WHERE w.migration_id = $id{$_[0]}"; }

# Migration NAME rests in the middle of a window; a page has ten rows.
sub begin_job
{
	my ($name, $more) = @_;
	add_counted_table($node, 'postgres', $name, 0);
	sql("INSERT INTO $name (note) SELECT repeat('x', 700) FROM generate_series(1, $rows); ANALYZE $name");
	$id{$name} = queue_add_one($node, 'postgres', $name, $more // "batch_size => 100000, sub_batch_size => 40, pause => '1 h'");
	poll($node, 'postgres', "SELECT window_max IS NOT NULL AND pass_cursor IS NOT NULL FROM bbm.job WHERE migration_id = $id{$name}", 't',
		"$name: in the middle of a window");
	$worker{$name} = sql(worker_of($name));
	return;
}

# Its worker is the one that has read the window, so it goes on with what it has read.
sub go_on
{
	my ($name) = @_;
	is(sql(worker_of($name)), $worker{$name}, "$name: the worker has rested meanwhile");
	sql("SELECT bbm.alter($id{$name}, pause => '0')");
	return;
}

# How many rows are left, when some were deleted
sub judge
{
	my ($name, $left) = @_;
	poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id{$name}", 'finished', "$name: finished");
	is(tally($node, 'postgres', $name), ($left // $rows) . '|0|0', "$name: each row was handled once");
	sql("SELECT bt_index_check('${name}_pkey', true)") if $has_amcheck;
	return;
}

# Until nothing holds back what is dead.
sub vacuum_until
{
	my ($name, $query, $what) = @_;
	ok(deadline_loop(30, sub { sql("VACUUM (DISABLE_PAGE_SKIPPING) $name"); return sql($query) eq 't'; }), "$name: $what");
	return;
}

# The front of the table becomes free, the rows at its end move there, and the end is cut off.
begin_job('cut_off');
my $size = sql("SELECT pg_relation_size('cut_off')");
sql('DELETE FROM cut_off WHERE id <= 300');
my $left = sql('SELECT count(*) FROM cut_off');
vacuum_until('cut_off', "SELECT count(*) = $left FROM cut_off WHERE ctid < '(1000,0)'", 'there is room in front');
sql("UPDATE cut_off SET note = repeat('y', 1500) WHERE ctid > '(47,0)'");
vacuum_until('cut_off', "SELECT pg_relation_size('cut_off') < $size - 10 * 8192", 'its end is cut off');
cmp_ok(sql("SELECT count(*) FROM cut_off WHERE id > 480 AND n = 0"), '>', 50, 'cut_off: rows that are not done have moved');
go_on('cut_off');
judge('cut_off', $left);

# The places of rows that are gone are taken by others, and by themselves in another order.
begin_job('replaced');
my $places = "SELECT array_agg(ctid ORDER BY ctid) FROM replaced WHERE id BETWEEN 401 AND 500 AND n = 0";
my $before = sql($places);
my $ids = sql("SELECT string_agg(id::text, ',' ORDER BY id DESC) FROM replaced WHERE id BETWEEN 401 AND 500 AND n = 0");
sql("DELETE FROM replaced WHERE id IN ($ids)");
# Nothing must take the room in between.
vacuum_until('replaced', "SELECT true", 'what was deleted has made room');
sql("INSERT INTO replaced (id, note) SELECT id, repeat('z', 700) FROM unnest(ARRAY[$ids]) WITH ORDINALITY AS i (id, number) ORDER BY number");
cmp_ok(sql("SELECT cardinality(ARRAY(SELECT unnest('$before'::tid[]) INTERSECT SELECT unnest(($places))))"), '>', 30,
	'replaced: others are in the same places');
go_on('replaced');
# They are new ones, that the window knows by their keys.
judge('replaced');

# Frozen, rows keep their transaction for whoever looks.
begin_job('frozen');
sql('VACUUM (FREEZE, DISABLE_PAGE_SKIPPING) frozen');
go_on('frozen');
judge('frozen');

# Updated again and again, within the page and out of it
begin_job('moved');
sql("UPDATE moved SET note = note || 'a' WHERE id % 3 = 0");
sql("UPDATE moved SET note = repeat('m', 2000) WHERE id % 5 = 0");
sql('VACUUM moved');
sql("UPDATE moved SET note = 'short' WHERE id % 7 = 0");
sql('VACUUM moved');
go_on('moved');
judge('moved');

# Plans are made anew: by other columns, indexes, triggers and statistics.
begin_job('changed');
sql('ALTER TABLE changed ADD extra int NOT NULL DEFAULT 7; CREATE INDEX ON changed (extra)');
sql('ANALYZE changed');
go_on('changed');
judge('changed');
begin_job('reindexed');
sql('REINDEX TABLE CONCURRENTLY reindexed');
sql('ALTER TABLE reindexed DROP COLUMN note');
go_on('reindexed');
judge('reindexed');

# Another file: the same process reads the window again.
begin_job('rewritten');
sql('VACUUM FULL rewritten');
go_on('rewritten');
judge('rewritten');

# Another name
begin_job('renamed');
sql('ALTER TABLE renamed RENAME TO called_otherwise');
go_on('renamed');
poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id{renamed}", 'finished', 'renamed: finished');
sql('ALTER TABLE called_otherwise RENAME TO renamed');
judge('renamed');

# Another process, that is told another number of passes, goes on with those of the window.
begin_job('taken_over');
$node->append_conf('postgresql.conf', 'bbm.passes = 16');
$node->reload;
sql("SELECT pg_terminate_backend($worker{taken_over})");
poll($node, 'postgres', "SELECT count(*) FROM bbm.workers WHERE migration_id = $id{taken_over} AND pid <> $worker{taken_over}", 1, 'taken_over: by another process');
poll($node, 'postgres', "SELECT sub_batches > 1 FROM bbm.job WHERE migration_id = $id{taken_over}", 't', 'taken_over: it has done something');
is(sql("SELECT passes FROM bbm.job WHERE migration_id = $id{taken_over}"), '4', 'taken_over: the window keeps its passes');
sql("SELECT bbm.alter($id{taken_over}, pause => '0')");
judge('taken_over');
$node->append_conf('postgresql.conf', 'bbm.passes = 4');
$node->reload;

# A name that stands for another column now: what was prepared would look for other rows.
begin_job('swapped');
sql('ALTER TABLE swapped ADD other bigint NOT NULL DEFAULT 0; UPDATE swapped SET other = 1000 + id; ALTER TABLE swapped ADD UNIQUE (other)');
sql('BEGIN; ALTER TABLE swapped RENAME id TO was; ALTER TABLE swapped RENAME other TO id; ALTER TABLE swapped RENAME was TO other; COMMIT');
sql("SELECT bbm.alter($id{swapped}, pause => '0')");
poll($node, 'postgres', "SELECT status || ': ' || status_reason FROM bbm.migrations WHERE id = $id{swapped}",
	'failed: the key of table public.swapped is not what it was', 'swapped: stopped');

# The index by which keys are unique is gone, and there are others with the same key.
begin_job('no_index');
sql('ALTER TABLE no_index DROP CONSTRAINT no_index_pkey; INSERT INTO no_index (id) SELECT id FROM no_index');
sql("SELECT bbm.alter($id{no_index}, pause => '0')");
poll($node, 'postgres', "SELECT status FROM bbm.migrations WHERE id = $id{no_index}", 'failed', 'no_index: stopped');
is(sql('SELECT max(n) FROM no_index'), '1', 'no_index: no row was handled twice');

# A key may be NULL all at once, in the next window of the same process.
sql('CREATE TABLE nullable (a int NOT NULL, b text NOT NULL, n int NOT NULL DEFAULT 0, UNIQUE (a, b))');
sql("INSERT INTO nullable SELECT i, 'x' || i FROM generate_series(1, 400) AS i");
sql("ANALYZE nullable");
$id{nullable} = sql("SELECT bbm.queue('nullable', 'nullable', cursor_columns => '{a,b}', command => 'UPDATE nullable SET n = n + 1',"
	  . " batch_size => 40, sub_batch_size => 40, pause => '300 ms')");
poll($node, 'postgres', 'SELECT count(*) > 40 FROM nullable WHERE n = 1', 't', 'nullable: in the second job');
sql('ALTER TABLE nullable ALTER b DROP NOT NULL; INSERT INTO nullable SELECT i, NULL FROM generate_series(1, 400, 7) AS i');
poll($node, 'postgres', "SELECT status || ': ' || status_reason FROM bbm.migrations WHERE id = $id{nullable}",
	'failed: the key of table public.nullable is not what it was', 'nullable: stopped');

# Somebody holds a row: the job fails in the middle of a window, is made smaller, and goes on there.
begin_job('locked');
my $client = open_session($node, 'postgres');
my $row = sql('SELECT max(id) FROM locked WHERE n = 0 AND id < 400');
ask($client, "BEGIN; SELECT id FROM locked WHERE id = $row FOR UPDATE;");
go_on('locked');
poll($node, 'postgres', "SELECT count(*) >= 2 FROM bbm.failures WHERE migration_id = $id{locked} AND sqlstate = '55P03'", 't', 'locked: the job has failed twice');
ask($client, 'COMMIT;');
close_session($client);
judge('locked');

# The server crashes.
begin_job('crashed');
$node->stop('immediate');
$node->start;
poll($node, 'postgres', "SELECT sub_batches > 1 FROM bbm.job WHERE migration_id = $id{crashed}", 't', 'crashed: it has done something since');
sql("SELECT bbm.alter($id{crashed}, pause => '0')");
judge('crashed');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'no process died by itself');
$node->stop;
done_testing();
