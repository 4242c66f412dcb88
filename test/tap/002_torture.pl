# The kill oracle: processes of a server die at random moments, KILLS times, and every row must be handled exactly once.
# The statement is not idempotent; a counter beside each row, written by a trigger, tells how often it was handled (walks by
# blocks allow no trigger). Tables are walked by keys and by blocks, plainly and in passes; whoever takes over a window may
# be told another number of passes. Meanwhile rows are changed, moved to other pages, added and deleted. Indexes are
# compared with their tables in the end.
# SEED makes the choices of a run (who dies, when) the same again.
use strict;
use warnings;

use BbmTest;
use IPC::Run;
use List::Util qw(first);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $kills = $ENV{KILLS} || 50;
my $seed = $ENV{SEED} || (time() * 1000 + $$) % 2**31;
srand $seed;
note "SEED=$seed KILLS=$kills";

# Work that has not come back after this is stuck.
my $stuck_after = 30;
my $longest_wait = 1.5;

# With pauses most are in the middle of their work when the next process dies; without, kills hit more statements. Where
# every so many rows are bad, they hit the search for them: such rows go to the quarantine, or are mended after the end.
my @paces = (
	{ rows => 20_000, key => 'a, id', more => "sub_batch_size => 100, batch_size => 5000, pause => '2ms', workers => 2" },
	{ rows => 20_000, blocks => 1, more => "sub_batch_size => 200, batch_size => 8000, pause => '2ms', batching_strategy => 'ctid'" },
	{ rows => 20_000, bad => 200, more => "sub_batch_size => 100, batch_size => 2000, on_data_error => 'quarantine'" },
	{ rows => 20_000, bad => 500, more => "sub_batch_size => 200, batch_size => 400, pause => '1ms'" },
	{ rows => 20_000, more => "sub_batch_size => 50, batch_size => 1000, pause => '5ms', workers => 3" },
	{ rows => 20_000, leaves => 4, more => "sub_batch_size => 20, batch_size => 500, pause => '3ms', workers => 2" },
	{ rows => 10_000, more => "sub_batch_size => 20, batch_size => 500, pause => '3ms'" },
	{ rows => 60_000, more => 'workers => 2' },
	{ rows => 60_000, blocks => 1, more => "workers => 3, batching_strategy => 'ctid'" },
	{ rows => 20_000, key => 'a DESC, id', bad => 300, more => "sub_batch_size => 50, batch_size => 6000, on_data_error => 'quarantine'" },
	{ rows => 6_000, more => "sub_batch_size => 5, batch_size => 20, job_interval => '0'" },
	{ rows => 60_000, more => "sub_batch_size => 500, batch_size => 20000, pause => '10ms'" },
	{ rows => 20_000, more => "sub_batch_size => 100, batch_size => 100" });

# What survives a crash depends on fsync and wal_level: both have to be what users have.
my $node = new_node('torture', init => { allows_streaming => 1 }, conf => <<'CONF');
fsync = on
recovery_init_sync_method = syncfs
shared_buffers = 8MB
max_wal_size = 128MB
max_connections = 30
log_min_messages = warning
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION bbm;
CREATE TABLE hits (id bigint, hits int NOT NULL, at timestamptz NOT NULL);
CREATE TABLE target (name text PRIMARY KEY, last bigint NOT NULL);
-- Owners of migrations: their workers begin with what is set for them at that time.
CREATE ROLE walker_0 LOGIN SUPERUSER;
CREATE ROLE walker_1 LOGIN SUPERUSER;
CREATE ROLE walker_2 LOGIN SUPERUSER;
CREATE ROLE walker_3 LOGIN SUPERUSER;
ALTER ROLE walker_0 SET bbm.passes = 8;
ALTER ROLE walker_1 SET bbm.passes = 16;
ALTER ROLE walker_2 SET bbm.passes = 2;
-- A user of the tables: updates rows that bbm handles too, adds rows behind them, and deletes some of those that may go.
CREATE FUNCTION scribble() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	one public.target;
BEGIN
	FOR one IN SELECT * FROM public.target LOOP
		-- Some grow beyond what their page has room for.
		EXECUTE format('UPDATE %I SET note = $1 WHERE id = $2', one.name)
			USING repeat('x', (random() * 400)::int), 1 + floor(random() * one.last)::bigint;
		EXECUTE format('DELETE FROM %I WHERE id = $1', one.name) USING 7 + 500 * floor(random() * one.last / 500)::bigint;
		-- As done, or a sweep would take them.
		EXECUTE format('INSERT INTO %I (note, done) VALUES ($1, true)', one.name) USING 'behind';
	END LOOP;
END $$;
SQL

my %live;       # name => { rows, id }
my $queued = 0;
my %sum = (lost => 0, doubled => 0, stuck => 0, beyond => 0, rows => 0, migrations => 0, indexes => 0);
my @resumes;
my %killed;
my $walkers = 4;
# What `scribble` deletes.
my $may_be_gone = 'id % 500 = 7';
my $has_amcheck = $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'");
$node->safe_psql('postgres', 'CREATE EXTENSION amcheck') if $has_amcheck;

# Of a table without leaves nothing.
sub leaves_of
{
	my ($name, $count) = @_;
	return map { "CREATE TABLE ${name}_$_ PARTITION OF $name FOR VALUES WITH (modulus $count, remainder $_);" } 0 .. ($count // 0) - 1;
}

# psql that may find the server gone: undef then.
sub ask
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');
	my $rc = $node->psql('postgres', $sql, stdout => \$out, stderr => \$err, on_error_stop => 1);
	return $rc == 0 ? $out : undef;
}

sub queue_next
{
	my $pace = $paces[ $queued % @paces ];
	my $name = sprintf 't%02d', ++$queued;
	my $is_parted = $pace->{leaves} ? 'PARTITION BY HASH (id)' : '';
	my $leaves = join "\n", leaves_of($name, $pace->{leaves});
	my $primary = $pace->{key} ? '' : ' PRIMARY KEY';
	my $index = $pace->{key} ? "CREATE UNIQUE INDEX ON $name ($pace->{key});" : '';
	my $behind = ($pace->{key} // '') =~ /DESC/ ? -1 : 7;
	$node->safe_psql('postgres', <<"SQL");
BEGIN;
CREATE TABLE $name (id bigint GENERATED BY DEFAULT AS IDENTITY$primary, a int NOT NULL DEFAULT $behind, n int NOT NULL DEFAULT 0,
	done boolean NOT NULL DEFAULT false, note text) $is_parted;
$index
$leaves
CREATE TABLE ${name}_hits (PRIMARY KEY (id)) INHERITS (hits);
INSERT INTO $name (a) SELECT g % 7 FROM generate_series(1, $pace->{rows}) AS g;
CREATE FUNCTION ${name}_count() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
	INSERT INTO public.${name}_hits AS h VALUES (NEW.id, 1, clock_timestamp())
		ON CONFLICT (id) DO UPDATE SET hits = h.hits + 1, at = clock_timestamp();
	RETURN NULL;
END \$\$;
${\ ($pace->{blocks} ? '--' : '')} CREATE TRIGGER count AFTER UPDATE ON $name FOR EACH ROW WHEN (OLD.n IS DISTINCT FROM NEW.n) EXECUTE FUNCTION ${name}_count();
COMMIT;
SQL
	$node->safe_psql('postgres', "ALTER TABLE $name ADD CONSTRAINT sound CHECK (n = 0 OR id % $pace->{bad} <> 0)") if $pace->{bad};
	my $walker = 'walker_' . $queued % $walkers;
	my $command = "UPDATE $name SET n = n + 1" . ($pace->{blocks} ? ', done = true WHERE NOT done' : '');
	my $columns = $pace->{key} ? ", cursor_columns => '{a,id}'" : '';
	my $id = $node->safe_psql('postgres', "SELECT bbm.queue('$name', '$name', command => '$command', $pace->{more}$columns)",
		extra_params => [ '-U', $walker ]);
	# From now on, so that whatever is inserted lies behind the range.
	$node->safe_psql('postgres', "INSERT INTO target VALUES ('$name', $pace->{rows})");
	$live{$name} = { %$pace, id => $id };
	return;
}

# Raises where an index and its table tell different stories.
sub check_indexes
{
	my ($name) = @_;
	$sum{indexes} += $node->safe_psql('postgres', <<"SQL");
SELECT count(bt_index_check(i.indexrelid, true)) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relkind = 'i' AND i.indrelid IN (SELECT '$name'::regclass UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = '$name'::regclass)
SQL
	return;
}

# Counts what became of a finished migration, and takes its table away.
sub judge
{
	my ($name) = @_;
	my $one = delete $live{$name};
	my $is_aside = "EXISTS (SELECT FROM bbm.failures AS f WHERE f.migration_id = $one->{id} AND f.quarantined AND f.min_key[cardinality(f.min_key)] = t.id::text)";
	my $is_bad = $one->{more} =~ /quarantine/ ? "id % $one->{bad} = 0" : 'false';
	# A table that is walked by blocks has no trigger that counts.
	my $is_not_counted = $one->{blocks} ? 'false' : 'h.hits IS NULL';
	my ($rows, $gone, $lost, $doubled, $beyond) = split /\|/, $node->safe_psql('postgres', <<"SQL");
SELECT count(*) FILTER (WHERE id <= $one->{rows}),
       (SELECT count(*) FROM generate_series(1, $one->{rows}) AS id WHERE NOT $may_be_gone AND NOT EXISTS (SELECT FROM $name AS e WHERE e.id = id.id)),
       count(*) FILTER (WHERE id <= $one->{rows} AND CASE WHEN $is_bad THEN NOT $is_aside ELSE n < 1 OR $is_not_counted END),
       count(*) FILTER (WHERE id <= $one->{rows} AND CASE WHEN $is_bad THEN n > 0 ELSE n > 1 OR h.hits > 1 END),
       count(*) FILTER (WHERE id > $one->{rows} AND (n <> 0 OR h.hits IS NOT NULL))
FROM $name AS t LEFT JOIN ${name}_hits AS h USING (id)
SQL
	diag "$name ($one->{more}): gone $gone, lost $lost, doubled $doubled, beyond $beyond" if $gone || $lost || $doubled || $beyond;
	$sum{lost} += $lost + $gone;
	$sum{doubled} += $doubled;
	$sum{beyond} += $beyond;
	$sum{rows} += $rows;
	++$sum{migrations};
	check_indexes($name) if $has_amcheck;
	$node->safe_psql('postgres', "DELETE FROM target WHERE name = '$name'; DROP TABLE $name, ${name}_hits");
	return;
}

# A migration that failed is stuck: nothing here gives it a reason to, but rows that are bad until it has failed for them.
sub judge_all
{
	my $states = ask("SELECT id, status, coalesce(status_reason, '') FROM bbm.migrations") // return;
	my %state = map { my @column = split /\|/; ($column[0] => \@column) } split /\n/, $states;
	for my $name (sort keys %live)
	{
		my ($id, $status, $reason) = @{ $state{ $live{$name}{id} } };
		judge($name) if $status eq 'finished';
		next if $status ne 'failed';
		if ($live{$name}{bad} && $reason =~ /check constraint "sound"/)
		{
			# The constraint goes once; what fails afterwards is stuck.
			$node->safe_psql('postgres', "ALTER TABLE $name DROP CONSTRAINT sound");
			delete $live{$name}{bad};
		}
		else
		{
			++$sum{stuck};
			diag "migration $id on $name failed: $reason";
		}
		$node->safe_psql('postgres', "SELECT bbm.retry($id)");
	}
	return;
}

sub queue_until_busy
{
	judge_all();
	queue_next() while keys %live < 4;
	return;
}

my %pids_of = (
	worker => "backend_type = 'bbm worker'",
	scheduler => "backend_type = 'bbm scheduler'",
	launcher => "backend_type = 'bbm launcher'",
	client => "backend_type = 'client backend' AND pid <> pg_backend_pid()");

# Sends SIGNAL to one process of the kind; false if there is none.
sub hit_one
{
	my ($signal, $kind) = @_;
	my $pids = ask("SELECT pid FROM pg_stat_activity WHERE $pids_of{$kind}") // '';
	my @pids = split /\n/, $pids;
	return 0 if !@pids;
	return kill($signal, $pids[ rand @pids ]);
}

# The server's own note of the moment it accepts connections again.
sub wait_ready
{
	my ($offset) = @_;
	return deadline_loop(60, sub {
		return log_since($node, $offset) =~ /^(\S+ \S+ \S+) .*database system is ready to accept connections/m ? $1 : undef;
	});
}

# Seconds from there to the first row that was handled since; '' when nothing was left to do; undef: stuck.
sub wait_resumed
{
	my ($ready) = @_;
	my $found = deadline_loop($stuck_after, sub {
		my $answer = ask("SELECT extract(epoch FROM min(at) - TIMESTAMPTZ '$ready'),"
			  . " EXISTS (SELECT FROM bbm.migrations WHERE status = 'active') FROM hits WHERE at > '$ready'") // return;
		return $answer =~ /^\||^[\d.]+\|/ && ($answer =~ /^[\d.]/ || $answer =~ /\|f/) ? $answer : undef;
	});
	return if !defined $found;
	return (split /\|/, $found)[0];
}

my $tmp = PostgreSQL::Test::Utils::tempdir();
my $script = "$tmp/scribble.sql";
append_to_file($script, "SELECT scribble();\n");
append_to_file("$tmp/go_on", '');
my $writer = IPC::Run::start(
	[ 'sh', '-c', 'while test -e "$1"; do pgbench -n -c 1 -T 3 --rate=40 -f "$2" "$3"; sleep 0.1; done', 'sh',
		"$tmp/go_on", $script, $node->connstr('postgres') ],
	'>', "$tmp/writer.log", '2>&1');

# Waits for work after SINCE; what does not come back is stuck.
sub expect_work
{
	my ($what, $since) = @_;
	my $resumed = wait_resumed($since);
	note sprintf '%s, work %s', $what, !defined $resumed ? 'never came back' : $resumed eq '' ? 'was done' : "after ${resumed}s";
	return $resumed if defined $resumed;
	++$sum{stuck};
	diag "$what: no work for $stuck_after s; processes: " . (processes($node) || 'none') . "\n"
	  . (ask('SELECT id, status, note FROM bbm.status') // 'no answer');
	return '';
}

# What an administrator does; no crash, so it comes on top of the kills.
sub terminate_one
{
	my ($kind) = @_;
	my $since = ask('SELECT clock_timestamp()');
	return 0 if !defined $since || !hit_one('TERM', $kind);
	expect_work("a $kind was terminated", $since);
	return 1;
}

# What a user and autovacuum do: other passes for workers to come, and room in pages given back.
sub meddle
{
	ask(sprintf 'ALTER ROLE walker_%d SET bbm.passes = %d', rand $walkers, (0, 1, 2, 4, 8, 8, 16)[ rand 7 ]) if rand() < 0.5;
	my @names = keys %live;
	ask("VACUUM $names[rand @names]") if rand() < 0.5;
	return;
}

# Kills one process of bbm or of a user, of the wanted kind if there is one, and returns the kind that it was. Between the
# ends of migrations, and while a terminated launcher rests before its restart, there may be nobody for a moment.
sub kill_one
{
	my ($wanted) = @_;
	return deadline_loop($stuck_after, sub {
		queue_until_busy();
		return first { hit_one('KILL', $_) } $wanted, 'worker', 'launcher';
	});
}

my @kinds = qw(worker worker worker scheduler launcher client immediate);
my $terminated = 0;
for my $round (1 .. $kills)
{
	queue_until_busy();
	meddle();
	my $wanted = $kinds[ rand @kinds ];
	my $pause = rand $longest_wait;
	my $harassed = rand(3) < 1 ? (qw(worker scheduler launcher))[ rand 3 ] : '';
	$terminated += terminate_one($harassed) if $harassed;
	usleep($pause * 1_000_000);
	my $offset = log_size($node);
	my $kind = 'immediate';
	if ($wanted ne 'immediate')
	{
		$kind = kill_one($wanted);
		BAIL_OUT("nobody to kill in round $round for $stuck_after s") if !defined $kind;
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
	++$killed{$kind};
	my $ready = wait_ready($offset);
	BAIL_OUT("the server does not come back after kill $round of a $kind") if !defined $ready;
	my $resumed = expect_work("kill $round ($kind)", $ready);
	push @resumes, $resumed if $resumed ne '';
}

# What is left comes to its end in peace.
deadline_loop(120, sub { judge_all(); return !%live; });
if (%live)
{
	$sum{stuck} += keys %live;
	diag 'not finished: ' . join(', ', sort keys %live) . "\n" . (ask('SELECT id, status, progress, note FROM bbm.status') // '');
}

unlink "$tmp/go_on";
$writer->finish;

@resumes = sort { $a <=> $b } @resumes;
my $p99 = @resumes ? $resumes[ int(0.99 * $#resumes + 0.5) ] : 0;
my $p50 = @resumes ? $resumes[ $#resumes / 2 ] : 0;
note join ', ', (map { "$_: $killed{$_}" } sort keys %killed), "and terminated: $terminated";
my $in_passes = ask("SELECT count(*) FROM bbm.events WHERE event = 'walk' AND reason LIKE '%passes%'");
note "$in_passes walks in passes, $sum{indexes} indexes checked";
note sprintf '%d migrations, %d rows, resume_p50=%.3fs over %d measured', $sum{migrations}, $sum{rows}, $p50, scalar @resumes;
my $out = Test::More->builder->output;
print {$out} sprintf "torture: kills=%d lost=%d doubled=%d stuck=%d resume_max=%.3fs resume_p99=%.3fs\n", $kills, $sum{lost}, $sum{doubled},
  $sum{stuck}, $resumes[-1] // 0, $p99;

is($sum{lost}, 0, 'no row was lost');
is($sum{doubled}, 0, 'no row was handled twice');
is($sum{beyond}, 0, 'no row behind the range was touched');
is($sum{stuck}, 0, 'work always came back');
cmp_ok(scalar @resumes, '>=', $kills / 2, 'kills hit running work');
cmp_ok($sum{rows}, '>', 0, 'rows were handled');
cmp_ok($in_passes, '>', 0, 'some of them in passes');
cmp_ok(ask("SELECT count(*) FROM bbm.failures WHERE sqlstate = '23514'"), '>', 0, 'bad rows were found');
unlike(slurp_file($node->logfile), qr/PANIC|signal 11|signal 6/, 'no process died by itself');
is(ask("SELECT count(*) FROM bbm.failures WHERE migration_id IN (SELECT id FROM bbm.migrations)"
	  . " AND NOT (sqlstate = '23514' AND min_key = max_key AND min_key[cardinality(min_key)]::bigint % 100 = 0)"), '0', 'no failure is recorded but those of bad rows');

$node->stop;
done_testing();
