# Tables of random structure: plain, partitioned in one or two levels, inherited; leaves with other orders of columns;
# walked by unique keys, by the values of a column with duplicates and NULLs, or by ctid; with filters that let few, many or
# no rows pass, by one to four workers. Meanwhile rows come, change and go, leaves are attached and detached,
# migrations are paused, workers die, and the number of passes over a window changes. What is handled is counted for each
# row, and no command is idempotent.
#   SHAPES=300          how many
#   SEED=n FIRST=m      the same ones again, from the m-th; what happens when is chance
use strict;
use warnings;

use BbmShapes;
use BbmTest;
use List::Util qw(max min shuffle);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $shapes = $ENV{SHAPES} || 300;
my $seed = $ENV{SEED} || (time() * 1000 + $$) % 2**31;
my $first = $ENV{FIRST} || 1;
note "SEED=$seed SHAPES=$shapes FIRST=$first";

# So many tables at a time, and kills of the whole run: see 012_shapes.pl.
my $together = 20;
my $most_crashes = 3;
my $most_terminations = 2;
my $stuck_after = 60;
my $most_rows = 400;
# p is a number below it where the rows of a shape are; leaves beyond are for those that are attached later.
my $places = 8;

my $node = new_node('shapes_more', conf => <<'CONF');
fsync = off
autovacuum = off
jit = off
max_connections = 40
max_worker_processes = 40
max_locks_per_transaction = 1000
log_min_messages = fatal
client_min_messages = warning
bbm.max_workers = 16
bbm.max_running_migrations = 6
bbm.naptime = 1s
CONF
$node->start;
prepare_shapes($node);
$node->safe_psql('postgres', <<'SQL');
-- targets: where rows of others come; insert: adds the row number $1 there; is_new: while the migration runs. counted: how
-- often a row t was handled. untouched: rows that the command leaves alone. leaf: one that may go, added: one that may come.
CREATE TABLE shape (number int PRIMARY KEY, name text NOT NULL, about text NOT NULL, condition text NOT NULL, counted text NOT NULL, targets text[] NOT NULL,
	insert text NOT NULL, deletes boolean NOT NULL, untouched bigint, leaf text, detach text, attach text, gone text[] NOT NULL DEFAULT '{}',
	refused text, is_done boolean NOT NULL DEFAULT false);
CREATE TABLE log (shape int NOT NULL, rid bigint NOT NULL);
CREATE INDEX ON log (shape, rid);
CREATE SEQUENCE rid;
CREATE TABLE deed (what text PRIMARY KEY, times bigint NOT NULL DEFAULT 0);
INSERT INTO deed VALUES ('insert'), ('update'), ('delete'), ('pause'), ('detach'), ('attach'), ('alter'), ('retry'), ('walk in passes');

CREATE FUNCTION queue_shape(this int, sql text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	why text;
BEGIN
	EXECUTE sql;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS why = PG_EXCEPTION_DETAIL;
	UPDATE public.shape SET refused = SQLERRM || ' ' || why, is_done = true WHERE number = this;
END $$;

-- Each change in a transaction of its own: together they could wait for a worker that waits for them. What cannot have its
-- lock at once, or has no leaf to go to, is left.
CREATE PROCEDURE disturb() LANGUAGE plpgsql AS $$
DECLARE
	one public.shape;
	chosen text;
	rows bigint;
	target text;
BEGIN
	SET lock_timeout = '300ms';
	FOR one IN SELECT * FROM public.shape WHERE NOT is_done ORDER BY random() LIMIT 12 LOOP
		chosen := (ARRAY['insert', 'insert', 'update', 'delete', 'detach', 'attach'])[1 + floor(random() * 6)];
		rows := 0;
		target := one.targets[1 + floor(random() * cardinality(one.targets))];
		BEGIN
			IF chosen = 'insert' THEN
				EXECUTE replace(one.insert, '<table>', target) USING 1000 + floor(random() * 100000)::int, true;
				GET DIAGNOSTICS rows = ROW_COUNT;
			ELSIF chosen = 'update' THEN
				-- Long enough to need another place, some of them
				EXECUTE format('UPDATE %s SET note = note || repeat(''.'', (random() * 300)::int) WHERE rid = ANY (ARRAY(SELECT rid FROM %1$s ORDER BY random() LIMIT 20))', one.name);
				GET DIAGNOSTICS rows = ROW_COUNT;
			ELSIF chosen = 'delete' AND NOT one.deletes THEN
				EXECUTE format('DELETE FROM %s WHERE rid = ANY (ARRAY(SELECT rid FROM %1$s ORDER BY random() LIMIT 5))', one.name);
				GET DIAGNOSTICS rows = ROW_COUNT;
			ELSIF chosen = 'detach' AND one.detach IS NOT NULL THEN
				EXECUTE one.detach;
				UPDATE public.shape SET detach = NULL, gone = gone || leaf, targets = array_remove(targets, leaf) WHERE number = one.number;
				rows := 1;
			ELSIF chosen = 'attach' AND one.attach IS NOT NULL THEN
				EXECUTE one.attach;
				UPDATE public.shape SET attach = NULL WHERE number = one.number;
				rows := 1;
			END IF;
			UPDATE public.deed SET times = times + rows WHERE what = chosen;
		EXCEPTION WHEN lock_not_available OR deadlock_detected OR check_violation THEN
		END;
		COMMIT;
	END LOOP;
	RESET lock_timeout;
END $$;
SQL

my @marks = (
	[ 'done boolean NOT NULL DEFAULT false', 'done = true', 'NOT done' ],
	[ 'done boolean NOT NULL DEFAULT false', 'done = true', 'done = false' ],
	[ 'done boolean', 'done = true', 'done IS NOT TRUE' ],
	[ 'done text', "done = 'yes'", 'done IS NULL' ]);

sub definition { return join ', ', @_; }

# SQL that says <table>
sub for_table { return $_[0] =~ s/<table>/$_[1]/gr; }

# The leaves of a tree below NAME: SQL that makes them, in a hash with what else a shape has to know of them.
sub partitions
{
	my ($number, $columns, $indexes, $on) = @_;
	my @sql;
	my $leaves = 0;
	my $leaf_of = sub {
		my ($parent, $bounds, $by) = @_;
		my $leaf = one_of("l${number}_${\ ++$leaves}", qq("Odd one"."L $number.${\ ++$leaves}"));
		my $below = $by ? " PARTITION BY $by" : '';
		if (chance(0.5)) { push @sql, "CREATE TABLE $leaf PARTITION OF $parent $bounds$below"; return $leaf; }
		# One that was a table of its own, with another order of columns and one that was dropped.
		push @sql, "CREATE TABLE $leaf (gone int, ${\ definition(shuffle @$columns)})$below", "ALTER TABLE $leaf DROP gone",
		  "ALTER TABLE $parent ATTACH PARTITION $leaf $bounds";
		return $leaf;
	};
	my $way = one_of('range', 'range', 'list', 'list', 'hash');
	my (@bounds, %tree);
	if ($way eq 'range')
	{
		my @cuts = (0, (sort { $a <=> $b } (shuffle 1 .. $places - 1)[ 0 .. int rand 4 ]), $places);
		@bounds = map { "FOR VALUES FROM ($cuts[$_]) TO ($cuts[$_ + 1])" } 0 .. $#cuts - 1;
		$tree{free} = 'FOR VALUES FROM (100) TO (200)';
	}
	elsif ($way eq 'list')
	{
		my @in;
		push @{ $in[ rand 4 ] }, $_ for 0 .. $places - 1;
		@bounds = map { 'FOR VALUES IN (' . join(', ', @$_) . ')' } grep { $_ } @in;
		$tree{free} = 'FOR VALUES IN (100, 101)';
	}
	else
	{
		my $modulus = 1 + int rand 4;
		@bounds = map { "FOR VALUES WITH (MODULUS $modulus, REMAINDER $_)" } 0 .. $modulus - 1;
	}
	if ($way ne 'hash' && chance(0.5))
	{
		pop @bounds if @bounds > 1 && chance(0.5);
		push @bounds, 'DEFAULT';
	}
	$tree{by} = "$way (p)";
	my $name = $tree{name} = one_of("s$number", qq("Odd one"."s $number"), qq("It's ""$number"" {a}"));
	# Those that may go by themselves; all that hold rows
	my (@leaves, @ends);
	for my $bounds (shuffle @bounds)
	{
		if (chance(0.25))
		{
			# A second level
			my $modulus = 1 + int rand 3;
			my $middle = $leaf_of->($name, $bounds, 'HASH (q)');
			push @ends, map { $leaf_of->($middle, "FOR VALUES WITH (MODULUS $modulus, REMAINDER $_)") } 0 .. $modulus - 1;
		}
		else { push @leaves, $leaf_of->($name, $bounds); }
	}
	push @ends, @leaves;
	# The index before or after: it is made with each leaf, or one leaf after the other. Or only the leaves have one.
	my @index = map { my $index = $_; map { for_table($index, $_) } $on eq 'leaves' ? @ends : $name } @$indexes;
	@sql = $on eq 'before' ? (@index, @sql) : (@sql, @index);
	unshift @sql, "CREATE TABLE $name (${\ definition(@$columns)}) PARTITION BY $tree{by}";
	if (@leaves && $way ne 'hash')
	{
		$tree{leaf} = one_of(@leaves);
		$tree{detach} = "ALTER TABLE $name DETACH PARTITION $tree{leaf}";
	}
	if ($tree{free})
	{
		my $added = "added$number";
		push @sql, "CREATE TABLE $added (${\ definition(shuffle @$columns)})", map { for_table($_, $added) } @$indexes;
		$tree{attach} = "ALTER TABLE $name ATTACH PARTITION $added $tree{free}";
		$tree{added} = $added;
	}
	return { %tree, sql => \@sql, targets => [$name], kind => "partitions by $tree{by}, index $on" };
}

# A parent and its children, each with rows and indexes of its own. The same key may be in several of them.
sub children
{
	my ($number, $columns, $indexes) = @_;
	my $name = one_of("s$number", qq("Odd one"."s $number"));
	my @tables = ($name);
	my @sql = ("CREATE TABLE $name (${\ definition(@$columns)})");
	for my $child (1 .. 1 + int rand 4)
	{
		my $parent = one_of(@tables);
		my $table = one_of("c${number}_$child", qq("Odd one"."C $number.$child"));
		push @sql, chance(0.5)
		  ? "CREATE TABLE $table (extra int) INHERITS ($parent)"
		  : ("CREATE TABLE $table (extra int, ${\ definition(shuffle @$columns)})", "ALTER TABLE $table INHERIT $parent");
		push @tables, $table;
	}
	my $added = "added$number";
	push @sql, "CREATE TABLE $added (${\ definition(shuffle @$columns)})";
	for my $table (@tables, $added) { push @sql, map { for_table($_, $table) } @$indexes; }
	my $leaf = $tables[1];
	# One from which nothing inherits may go by itself.
	my $of = $sql[1] =~ /INHERITS \((.*)\)/ ? $1 : $name;
	my $is_last = !grep { /INHERITS? \(?\Q$leaf\E\)?$/ } @sql;
	return { name => $name, sql => \@sql, targets => \@tables, leaf => $is_last ? $leaf : undef, detach => $is_last ? "ALTER TABLE $leaf NO INHERIT $name" : undef,
		added => $added, attach => "ALTER TABLE $added INHERIT $name", kind => 'inheritance' };
}

sub plain
{
	my ($number, $columns, $indexes) = @_;
	my $name = one_of("s$number", qq("Odd one"."s $number"), qq("It's ""$number"" {a}"));
	return { name => $name, sql => [ "CREATE TABLE $name (${\ definition(@$columns)})", map { for_table($_, $name) } @$indexes ], targets => [$name], kind => 'plain' };
}

# The command, and how often it has handled a row t.
sub random_command
{
	my ($number, $name, $strategy, $condition, $mark) = @_;
	my $way = $strategy eq 'ctid' ? one_of('mark', 'mark', 'delete') : one_of(('update') x 5, 'delete', 'insert', 'insert');
	my @where = ($condition eq 'true' ? () : "($condition)");
	my $more = '';
	# As a part of the command or beside it
	if (@where && chance(0.5)) { @where = (); $more = ", scope_to => '$condition'"; }
	my $set = 'n = n + 1';
	if ($way eq 'mark') { $set .= ", $mark->[1]"; push @where, $mark->[2]; }
	my $rest = @where ? ' WHERE ' . join(' AND ', shuffle @where) : '';
	return { way => $way, more => $more, counted => 'n', text => "UPDATE $name SET $set$rest" } if $way =~ /update|mark/;
	return { way => $way, more => $more, counted => '0', text => "DELETE FROM $name$rest" } if $way eq 'delete';
	return { way => $way, more => $more, counted => "(SELECT count(*) FROM log AS l WHERE l.shape = $number AND l.rid = t.rid)",
		text => "INSERT INTO log SELECT $number, rid FROM $name$rest" };
}

# A column with duplicates and NULLs, and an index that others made
sub random_values
{
	my ($name) = @_;
	my %column = (%{ random_column() }, name => $name, many => one_of(2, 10, 60, 1000));
	# Values with several fields have to be NOT NULL: which of them are NULL is a matter of opinion.
	return random_values($name) if $column{type} eq 'pair';
	$column{nulls} = one_of(0, 3, 10);
	$column{made} = value_of(\%column);
	$column{made} = "CASE WHEN pick(\$1, $column{salt} + 1, $column{nulls}) = 0 THEN NULL ELSE $column{made} END" if $column{nulls};
	return \%column;
}

my %made;

sub random_shape
{
	my ($number) = @_;
	seed_shape($seed, $number);
	my $structure = one_of(qw(plain partitions partitions partitions children children));
	my $strategy = one_of(qw(primary_key primary_key primary_key loose_index_scan ctid));
	my @names = column_names();
	my @key = $strategy eq 'primary_key' ? map { { %{ random_column() }, name => shift @names } } 1 .. one_of(1, 1, 2, 3) : ();
	my $value = $strategy eq 'loose_index_scan' ? random_values(shift @names) : undef;
	my $mark = one_of(@marks);
	my $is_tree = $structure eq 'partitions';

	# Partitions are told apart by p and q, which a unique key of all of them has to hold.
	my $on = one_of('before', 'after', 'leaves');
	my @places = map { { name => $_, order => '' } } ($is_tree && ($on ne 'leaves' || chance(0.5)) ? qw(p q) : ());
	my @order = shuffle @key, @places;
	my @indexes;
	if (@key)
	{
		my $is_plain = !grep { $_->{order} } @order;
		my $include = chance(0.2) ? ' INCLUDE (note)' : '';
		push @indexes, $is_plain && chance(0.5)
		  ? 'ALTER TABLE <table> ADD PRIMARY KEY (' . join(', ', map { $_->{name} } @order) . ")$include"
		  : 'CREATE UNIQUE INDEX ON <table> (' . join(', ', map { "$_->{name}$_->{order}" } @order) . ")$include";
	}
	push @indexes, "CREATE INDEX ON <table> ($value->{name}$value->{order})" if $value;
	# Rows without a value are walked by the primary key.
	my $with_nulls = $value && chance(0.5);
	push @indexes, 'ALTER TABLE <table> ADD PRIMARY KEY (' . join(', ', 'rid', map { $_->{name} } @places) . ')' if $with_nulls;
	my @columns = (
		(map { "$_->{name} $_->{type} NOT NULL" } @key), ($value ? "$value->{name} $value->{type}" : ()),
		'p int NOT NULL DEFAULT 0', 'q int NOT NULL DEFAULT 0', 'm int', 'n int NOT NULL DEFAULT 0', "note text NOT NULL DEFAULT ''", $mark->[0],
		'is_new boolean NOT NULL', "rid bigint NOT NULL DEFAULT nextval('rid')");
	my $tree = $structure eq 'plain' ? plain($number, \@columns, \@indexes)
	  : $is_tree ? partitions($number, \@columns, \@indexes, $on) : children($number, \@columns, \@indexes);

	# m is below 1000: one row in a thousand, in ten, in two, all, none
	my $condition = chance(0.5) ? 'm < ' . one_of(1, 10, 100, 100, 500, 500, 999, 1000, 0) : 'true';
	my $command = random_command($number, $tree->{name}, $strategy, $condition, $mark);
	$condition .= " AND $value->{name} IS NOT NULL" if $value && !$with_nulls;

	my $list = join ', ', (map { $_->{name} } @key), ($value ? $value->{name} : ()), qw(p q m note is_new);
	my $salt = int rand 2**31;
	my $made = join ', ', (map { value_of($_) } @key), ($value ? $value->{made} : ()), "pick(\$1, $salt, $places)", "pick(\$1, $salt + 1, 5)", "pick(\$1, $salt + 2, 1000)", "repeat('x', ${\ one_of(0, 100, 500)})", '$2';
	my $insert = "INSERT INTO <table> ($list) SELECT $made ON CONFLICT DO NOTHING";
	my $rows = one_of(0, 1, 2, int rand 30, (int rand $most_rows) x 4, ($most_rows) x 2);

	my $more = $command->{more} . ', workers => ' . (1 + int rand 4);
	# Blocks are few: only a slow walk has rows that move behind it.
	if ($strategy eq 'ctid' || chance(0.8))
	{
		my $batch = 1 + int rand($strategy eq 'ctid' ? 20 : one_of(5, 20, 50, 200));
		$more .= ", batch_size => $batch, sub_batch_size => " . (1 + int rand $batch);
	}
	$more .= ", pause => '${\ one_of(1, 10, 20)} ms'" if $strategy eq 'ctid' || chance(0.6);
	$more .= ", batching_strategy => '$strategy'" if $strategy ne 'primary_key';
	$more .= ', column_name => $q$' . unquoted($value->{name}) . '$q$' if $value;
	$more .= ', with_nulls => true' if $with_nulls;
	$more .= ', cursor_columns => ARRAY[' . join(', ', map { '$q$' . unquoted($_->{name}) . '$q$' } @order) . ']' if @order && @key;

	my $about = "$tree->{kind}, $strategy (" . join(', ', (map { ($_->{type} // 'int') . $_->{order} } @order), ($value ? "$value->{type}$value->{order} x $value->{many}" : ())) . "), $rows rows: $command->{text}$more";
	++$made{$_} for $structure, $strategy, $command->{way};
	my $is_delete = $command->{way} eq 'delete' ? 'true' : 'false';
	my $quoted = sub { return defined $_[0] ? "\$s\$$_[0]\$s\$" : 'NULL'; };
	my $leaf = $is_delete eq 'true' ? undef : $tree->{leaf};
	my $untouched = "SELECT count(*) FROM $tree->{name} WHERE (${\ ($condition)}) IS NOT TRUE";
	my @fill = map { "PREPARE fill$_ (int, boolean) AS " . for_table($insert, $tree->{targets}[$_]) } 0 .. $#{ $tree->{targets} };
	my $many = @fill;
	my $fill_added = '';
	if ($tree->{added})
	{
		my $place = $insert =~ s/pick\(\$1, $salt, $places\)/100/r;
		$fill_added = "PREPARE fill_added (int, boolean) AS ${\ for_table($place, $tree->{added})};"
		  . "DO \$do\$ BEGIN FOR g IN 1 .. 20 LOOP EXECUTE format('EXECUTE fill_added (%s, true)', g); END LOOP; END \$do\$; DEALLOCATE fill_added;";
	}
	my $values = join ', ', map { $quoted->($_) } $tree->{name}, $about, $condition, $command->{counted};
	return <<"SQL";
BEGIN;
${\ join ";\n", @{ $tree->{sql} } };
${\ join ";\n", @fill };
DO \$do\$ BEGIN FOR g IN 1 .. $rows LOOP EXECUTE format('EXECUTE fill%s (%s, false)', g % $many, g); END LOOP; END \$do\$;
DEALLOCATE ALL;
$fill_added
${\ (chance(0.5) ? "ANALYZE $tree->{name};" : '') }
INSERT INTO shape VALUES ($number, $values, ARRAY[${\ join ', ', map { $quoted->($_) } @{ $tree->{targets} } }], ${\ $quoted->($insert) }, $is_delete, ($untouched),
	${\ join ', ', map { $quoted->($_) } $leaf, ($leaf ? $tree->{detach} : undef), $tree->{attach} });
${\ random_settings() };
SELECT queue_shape($number, \$do\$SELECT bbm.queue('shape $number', \$q\$$tree->{name}\$q\$, command => \$q\$$command->{text}\$q\$, start => false$more)\$do\$);
RESET ALL;
COMMIT;
SQL
}

my ($wrong, $stuck, $crashes, $terminations, $rows, $handled, $refused, $side_by_side) = (0) x 8;

# What happens while they run; ends when all have ended, true then.
sub disturb_until_done
{
	my ($kills, $ends) = @_;
	return deadline_loop($stuck_after, sub {
		if ($kills && chance(0.3)) { my $killed = kill_a_worker($node); $crashes += $killed; $kills -= $killed; }
		if ($ends && chance(0.4)) { my $ended = end_a_worker($node); $terminations += $ended; $ends -= $ended; }
		my $passes = chance(0.3) ? change_passes() : '';
		my $done = ask_server($node, $passes . <<'SQL');
CALL disturb();
SELECT 'together ' || max(n) FROM (SELECT count(*) AS n FROM bbm.workers GROUP BY migration_id) AS s;
WITH paused AS (SELECT bbm.pause(id, immediate => random() < 0.5) FROM bbm.migrations WHERE status = 'active' AND random() < 0.1)
UPDATE deed SET times = times + (SELECT count(*) FROM paused) WHERE what = 'pause';
WITH altered AS (SELECT bbm.alter(id, workers => 1 + floor(random() * 4)::int) FROM bbm.migrations WHERE status = 'active' AND random() < 0.1)
UPDATE deed SET times = times + (SELECT count(*) FROM altered) WHERE what = 'alter';
-- A leaf came whose rows may have been in another one before. They have not, so all of them are to be handled.
WITH retried AS (SELECT bbm.retry(id) FROM bbm.migrations WHERE status = 'failed' AND status_reason LIKE '%belongs to the table now, and its rows may be done')
UPDATE deed SET times = times + (SELECT count(*) FROM retried) WHERE what = 'retry';
SELECT 'all done' FROM bbm.migrations HAVING count(*) FILTER (WHERE status NOT IN ('finished', 'failed')) = 0;
CALL disturb();
SELECT bbm.resume(id) FROM bbm.migrations WHERE status = 'paused';
SQL
		return if !defined $done;
		$side_by_side = max($side_by_side, $1) if $done =~ /together (\d+)/;
		return $done =~ /all done/;
	});
}

sub judge
{
	for (split /\n/, $node->safe_psql('postgres', "SELECT s.number, m.status, m.status_reason, s.about FROM bbm.migrations AS m JOIN shape AS s ON m.job_class_name = 'shape ' || s.number WHERE m.status <> 'finished'"))
	{
		++$stuck;
		diag $_;
	}
	my $found = $node->safe_psql('postgres', look_for_passes() . <<'SQL');
CREATE FUNCTION pg_temp.tally(one public.shape, OUT rows bigint, OUT handled bigint, OUT lost bigint, OUT doubled bigint, OUT beyond bigint) LANGUAGE plpgsql AS $$
DECLARE
	more bigint;
	leaf text;
BEGIN
	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE times > 0), count(*) FILTER (WHERE times = 0 AND NOT is_new AND is_due), count(*) FILTER (WHERE times > 1),
			count(*) FILTER (WHERE times > 0 AND NOT is_due)
		FROM (SELECT %2$s AS times, is_new, (%3$s) IS TRUE AS is_due FROM %1$s AS t) AS s', one.name, one.counted, one.condition) INTO rows, handled, lost, doubled, beyond;
	IF one.deletes THEN
		EXECUTE format('SELECT count(*) FROM %s WHERE (%s) IS NOT TRUE AND NOT is_new', one.name, one.condition) INTO more;
		beyond := beyond + abs(one.untouched - more);
	END IF;
	-- Rows that went meanwhile have been handled once or not at all.
	doubled := doubled + (SELECT count(*) FROM (SELECT FROM public.log WHERE shape = one.number GROUP BY rid HAVING count(*) > 1) AS s);
	FOREACH leaf IN ARRAY one.gone LOOP
		EXECUTE format('SELECT count(*) FILTER (WHERE %2$s > 1) FROM %1$s AS t', leaf, one.counted) INTO more;
		doubled := doubled + more;
		EXECUTE format('DROP TABLE %s', leaf);
	END LOOP;
	EXECUTE format('DROP TABLE %s CASCADE', one.name);
	UPDATE public.shape SET is_done = true WHERE number = one.number;
END $$;
SELECT s.number, t.*, s.about FROM shape AS s, pg_temp.tally(s) AS t WHERE NOT is_done ORDER BY number;
SQL
	for (split /\n/, $found)
	{
		my ($number, $here, $with, $lost, $doubled, $beyond, $about) = split /\|/, $_, 7;
		$rows += $here;
		$handled += $with;
		next if !($lost || $doubled || $beyond);
		++$wrong;
		diag "$lost lost, $doubled doubled, $beyond beyond the filter: $number $about";
	}
	for (split /\n/, $node->safe_psql('postgres', 'SELECT number, refused, about FROM shape WHERE refused IS NOT NULL'))
	{
		++$refused;
		diag "refused: $_";
	}
	$node->safe_psql('postgres', 'SELECT bbm.delete(id) FROM bbm.migrations; TRUNCATE log; DELETE FROM shape');
	return;
}

my $waves = POSIX::ceil($shapes / $together);
my $number = $first - 1;
for my $wave (1 .. $waves)
{
	my $sql = '';
	$sql .= random_shape(++$number) for 1 .. min($together, $shapes + $first - 1 - $number);
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
is($refused, 0, 'and none was refused');
cmp_ok($handled, '>', 10 * $shapes, 'a walk that handles nothing proves nothing');
my $deeds = $node->safe_psql('postgres', 'SELECT what, times FROM deed ORDER BY what');
note join ', ', "$rows rows", "$handled handled", "$crashes crashes", "$terminations terminations", "$side_by_side workers side by side", map { s/\|/ /r } split /\n/, $deeds;
note join ', ', map { "$_ $made{$_}" } sort keys %made;
if ($shapes >= 100)
{
	unlike($deeds =~ s/^retry.*//mr, qr/\|0$/m, 'rows came, changed and went meanwhile, and so did leaves; migrations were paused and altered, and windows walked in passes');
	cmp_ok(scalar keys %made, '==', 10, 'all structures, strategies and kinds of commands were among them');
	cmp_ok($side_by_side, '>', 1, 'workers have shared a migration');
}

$node->stop;
done_testing();
