# Tables of random shapes: keys of one to four columns of any type, direction and collation, gaps, filters, sizes. While
# several workers walk them, rows come, change and go, migrations are paused, workers die, and the number of passes over a
# window changes. Every row that was there and still is was handled exactly once; a row that came meanwhile at most once.
# Bad rows, where there are some, are all in quarantine.
#   SHAPES=300          how many
#   SEED=n FIRST=m      the same ones again, from the m-th; what happens when is chance
use strict;
use warnings;

use BbmShapes;
use BbmTest;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $shapes = $ENV{SHAPES} || 300;
my $seed = $ENV{SEED} || (time() * 1000 + $$) % 2**31;
my $first = $ENV{FIRST} || 1;
note "SEED=$seed SHAPES=$shapes FIRST=$first";

# So many tables at a time.
my $together = 25;
# Kills of the whole run: each makes the server start anew. A job that was claimed three times without a commit is given
# up, so workers must not be ended more often than that while the same tables last.
my $most_crashes = 3;
my $most_terminations = 2;
my $stuck_after = 60;
my $most_rows = 300;

my $node = new_node('shapes', conf => <<'CONF');
fsync = off
autovacuum = off
jit = off
max_connections = 40
max_worker_processes = 24
log_min_messages = fatal
client_min_messages = warning
bbm.max_workers = 8
bbm.max_running_migrations = 8
bbm.naptime = 1s
CONF
$node->start;
prepare_shapes($node);
$node->safe_psql('postgres', <<'SQL');
-- insert: adds the row number $1; is_new: by somebody else while the migration runs. bad: rows that the command fails for.
CREATE TABLE shape (number int PRIMARY KEY, name text NOT NULL, insert text NOT NULL, condition text NOT NULL, bad text NOT NULL, is_done boolean NOT NULL DEFAULT false);
CREATE TABLE deed (what text PRIMARY KEY, times bigint NOT NULL DEFAULT 0);
INSERT INTO deed VALUES ('insert'), ('update'), ('delete'), ('pause'), ('quarantine'), ('walk in passes');
-- Each change in a transaction of its own: together they could wait for a worker that waits for them.
CREATE PROCEDURE disturb() LANGUAGE plpgsql AS $$
DECLARE
	one public.shape;
	chosen text;
	rows bigint;
BEGIN
	FOR one IN SELECT * FROM public.shape WHERE NOT is_done ORDER BY random() LIMIT 12 LOOP
		chosen := (ARRAY['insert', 'insert', 'update', 'delete'])[1 + floor(random() * 4)];
		IF chosen = 'insert' THEN
			EXECUTE one.insert USING 1000 + floor(random() * 100000)::int, true;
		ELSIF chosen = 'update' THEN
			EXECUTE format('UPDATE %s SET note = note || ''.'' WHERE ctid = ANY (ARRAY(SELECT ctid FROM %1$s ORDER BY random() LIMIT 5))', one.name);
		ELSE
			EXECUTE format('DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %1$s ORDER BY random() LIMIT 5))', one.name);
		END IF;
		GET DIAGNOSTICS rows = ROW_COUNT;
		UPDATE public.deed SET times = times + rows WHERE what = chosen;
		COMMIT;
	END LOOP;
END $$;
SQL

# A table with its rows and its migration, as one transaction; what it is like, for the message when something is wrong.
sub random_shape
{
	my ($number) = @_;
	seed_shape($seed, $number);
	my $name = one_of("s$number", qq("Odd one"."s $number"), qq("It's ""$number"" {a}"));
	my @names = column_names();
	my @columns = map { { %{ random_column() }, name => shift @names } } 1 .. one_of(1, 1, 1, 2, 2, 2, 3, 4);
	my $is_plain = !grep { $_->{order} } @columns;
	my $index = join ', ', map { "$_->{name}$_->{order}" } @columns;
	my $list = join ', ', map { $_->{name} } @columns;
	my $values = join ', ', map { value_of($_) } @columns;
	my $rows = one_of(0, 1, 2, int rand 30, (int rand $most_rows) x 4, ($most_rows) x 2);
	my $include = chance(0.3) ? ' INCLUDE (note)' : '';
	my $key = $is_plain && chance(0.5) ? "ALTER TABLE $name ADD PRIMARY KEY ($list)$include" : "CREATE UNIQUE INDEX ON $name ($index)$include";
	my $insert = "INSERT INTO $name ($list, m, is_new) SELECT $values, \$1 % 100, \$2 ON CONFLICT DO NOTHING";

	my $condition = chance(0.4) ? sprintf('m >= %d', rand 110) : 'true';
	my $command = "UPDATE $name SET n = n + 1";
	my $more = '';
	if ($condition ne 'true' && chance(0.5)) { $command .= " WHERE $condition"; }
	elsif ($condition ne 'true') { $more .= ", scope_to => '$condition'"; }
	elsif ($is_plain && chance(0.3))
	{
		my $first = join ', ', map { "\$$_" } 1 .. @columns;
		my $last = join ', ', map { '$' . ($_ + @columns) } 1 .. @columns;
		$command .= " WHERE ($list) >= ($first) AND ($list) <= ($last)";
	}
	if (chance(0.8))
	{
		my $batch = 1 + int rand one_of(5, 50, 200);
		$more .= ", batch_size => $batch, sub_batch_size => " . (1 + int rand $batch);
	}
	$more .= ", pause => '10 ms'" if chance(0.5);
	my $bad = chance(0.25) ? sprintf 'm %% %d = 3', one_of(5, 17, 50) : 'false';
	my $check = $bad eq 'false' ? '' : "ALTER TABLE $name ADD CHECK (n = 0 OR NOT $bad);";
	$more .= ", on_data_error => 'quarantine'" if $check;
	my $array = join ', ', map { '$q$' . unquoted($_->{name}) . '$q$' } @columns;
	my $settings = random_settings();
	my $about = join ', ', map { "$_->{type}$_->{order} x $_->{many}" } @columns;
	return { about => "$name ($about), $rows rows: $command$more", columns => scalar @columns, sql => <<"SQL" };
BEGIN;
CREATE TABLE $name (${\ join ', ', map { "$_->{name} $_->{type} NOT NULL" } @columns }, m int, n int NOT NULL DEFAULT 0, note text NOT NULL DEFAULT '', is_new boolean NOT NULL);
$key;
PREPARE fill (int, boolean) AS $insert;
DO \$do\$ BEGIN FOR g IN 1 .. $rows LOOP EXECUTE format('EXECUTE fill (%s, false)', g); END LOOP; END \$do\$;
DEALLOCATE fill;
$check
${\ (chance(0.5) ? "ANALYZE $name;" : '') }
$settings;
SELECT bbm.queue('shape $number', \$q\$$name\$q\$, cursor_columns => ARRAY[$array], command => \$q\$$command\$q\$, start => false$more);
INSERT INTO shape SELECT $number, \$q\$$name\$q\$, \$q\$$insert\$q\$, '$condition', '$bad';
COMMIT;
SQL
}

my (@about, %columns);
my ($wrong, $stuck, $crashes, $terminations, $rows, $handled) = (0) x 6;

# What happens while they run; ends when all have ended, true then.
sub disturb_until_done
{
	my ($kills, $ends) = @_;
	return deadline_loop($stuck_after, sub {
		if ($kills && chance(0.3)) { my $killed = kill_a_worker($node); $crashes += $killed; $kills -= $killed; }
		if ($ends && chance(0.4))
		{
			my $ended = end_a_worker($node);
			$terminations += $ended;
			$ends -= $ended;
		}
		my $passes = chance(0.3) ? change_passes() : '';
		my $done = ask_server($node, $passes . <<'SQL');
CALL disturb();
WITH paused AS (SELECT bbm.pause(id, immediate => random() < 0.5) FROM bbm.migrations WHERE status = 'active' AND random() < 0.1)
UPDATE deed SET times = times + (SELECT count(*) FROM paused) WHERE what = 'pause';
SELECT 'all done' FROM bbm.migrations HAVING count(*) FILTER (WHERE status NOT IN ('finished', 'failed')) = 0;
CALL disturb();
SELECT bbm.resume(id) FROM bbm.migrations WHERE status = 'paused';
SQL
		return defined $done && $done =~ /all done/;
	});
}

sub judge
{
	for (split /\n/, $node->safe_psql('postgres', "SELECT substr(job_class_name, 7), status, status_reason FROM bbm.migrations WHERE status <> 'finished'"))
	{
		my ($number, $how) = /^(\d+)\|(.*)/;
		++$stuck;
		diag "$how: $about[$number]";
	}
	my $found = $node->safe_psql('postgres', look_for_passes() . <<'SQL');
CREATE FUNCTION pg_temp.tally(one public.shape, OUT rows bigint, OUT handled bigint, OUT lost bigint, OUT doubled bigint, OUT beyond bigint, OUT missing bigint) LANGUAGE plpgsql AS $$
DECLARE
	expected bigint;
	kept bigint;
	distinct_keys bigint;
BEGIN
	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE n > 0), count(*) FILTER (WHERE n = 0 AND NOT is_new AND %2$s AND NOT %3$s), count(*) FILTER (WHERE n > 1),
		count(*) FILTER (WHERE n > 0 AND NOT %2$s), count(*) FILTER (WHERE NOT is_new AND %2$s AND %3$s) FROM %1$s', one.name, one.condition, one.bad)
		INTO rows, handled, lost, doubled, beyond, expected;
	SELECT count(*), count(DISTINCT min_key) INTO kept, distinct_keys FROM bbm.failures WHERE quarantined AND job_class_name = 'shape ' || one.number;
	UPDATE public.deed SET times = times + kept WHERE what = 'quarantine';
	missing := greatest(expected - kept, 0);
	doubled := doubled + kept - distinct_keys;
	EXECUTE format('DROP TABLE %s', one.name);
	UPDATE public.shape SET is_done = true WHERE number = one.number;
END $$;
SELECT s.number, t.* FROM shape AS s, pg_temp.tally(s) AS t WHERE NOT is_done ORDER BY number;
SQL
	for (split /\n/, $found)
	{
		my ($number, $here, $with, $lost, $doubled, $beyond, $missing) = split /\|/;
		$rows += $here;
		$handled += $with;
		next if !($lost || $doubled || $beyond || $missing);
		++$wrong;
		diag "$lost lost, $doubled doubled, $beyond beyond the filter, $missing not in quarantine: $about[$number]";
	}
	$node->safe_psql('postgres', 'SELECT bbm.delete(id) FROM bbm.migrations');
	return;
}

my $waves = POSIX::ceil($shapes / $together);
my $made = $first - 1;
my $last = $made + $shapes;
for my $wave (1 .. $waves)
{
	my $sql = '';
	while ($made < $last && $made < $first - 1 + $wave * $together)
	{
		my $shape = random_shape(++$made);
		$about[$made] = $shape->{about};
		++$columns{ $shape->{columns} };
		$sql .= $shape->{sql};
	}
	srand;
	$node->safe_psql('postgres', $_) for split /(?<=;) /, change_passes();
	$node->safe_psql('postgres', $sql);
	# Together, so that they are all at work when something happens.
	$node->safe_psql('postgres', "SELECT bbm.resume(id) FROM bbm.migrations WHERE status = 'paused'");
	my $kills = $crashes < $most_crashes && chance($most_crashes / $waves) ? 1 : 0;
	disturb_until_done($kills, $most_terminations) or ++$stuck;
	judge();
}

is($wrong, 0, "of $shapes shapes all rows were handled as often as they should");
is($stuck, 0, 'and every migration came to its end');
cmp_ok($handled, '>', 10 * $shapes, 'a walk that handles nothing proves nothing');
cmp_ok(scalar grep({ $columns{$_} } 1 .. 4), '==', 4, 'keys of one to four columns were among them') if $shapes >= 50;
my $deeds = $node->safe_psql('postgres', 'SELECT what, times FROM deed ORDER BY what');
note join ', ', "$rows rows", "$handled handled", "$crashes crashes", "$terminations terminations", map { s/\|/ /r } split /\n/, $deeds;
unlike($deeds, qr/\|0$/m, 'rows came, changed and went meanwhile, migrations were paused, and windows walked in passes');

$node->stop;
done_testing();
