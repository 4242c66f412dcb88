# Random sequences of calls, rows that raise errors, end the session or pause the migration: after each step the server
# must show what the model (BbmModel.pm) says. From every kind of state that was met, at most three calls must lead to
# the end.
#   SEQUENCES=10000     how many
#   SEED=n FIRST=m      the same ones again, from the m-th on
use strict;
use warnings;

use BbmModel;
use BbmTest;
use IPC::Open2;
use List::Util qw(any first min sum0);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Storable qw(nstore retrieve);
use Test::More;
use Time::HiRes qw(time);

my $sequences = $ENV{SEQUENCES} || 10_000;
my $first_sequence = $ENV{FIRST} || 1;
my $seed = $ENV{SEED} || (time() * 1000 + $$) % 2**31;
note "SEED=$seed SEQUENCES=$sequences FIRST=$first_sequence";

# Two sessions a core keep two cores busy.
my $lanes = 4;
my $most_calls_to_the_end = 3;
# An answer that takes longer will not come.
my $stuck_after = 120;
# A broken engine is not shown better by more.
my $enough_divergences = 20;
# What a test may leave in the tables before somebody tidies up.
my $between_vacuums = 100;
# Fewer do not come by everything.
my $enough_for_coverage = 5000;

my $node = new_node('model', conf => <<"CONF");
autovacuum = off
fsync = off
jit = off
bbm.max_workers = 0
bbm.max_running_migrations = 100
bbm.max_quarantined_rows = $BbmModel::quarantine_budget
bbm.naptime = 1h
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm');
create_lane($_) for 1 .. $lanes;

sub create_lane
{
	my ($lane) = @_;
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE lane$lane (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, mark text NOT NULL DEFAULT '') WITH (fillfactor = 50);
CREATE FUNCTION mark$lane() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
	CASE OLD.mark
	WHEN 'bad' THEN
		IF OLD.id % 3 = 0 THEN NEW.n := 1 / 0; END IF;
		IF OLD.id % 3 = 1 THEN RAISE check_violation; END IF;
		RAISE EXCEPTION 'bad';
	WHEN 'gone' THEN RAISE undefined_table;
	WHEN 'odd' THEN RAISE internal_error;
	WHEN 'busy' THEN RAISE serialization_failure;
	WHEN 'full' THEN RAISE disk_full;
	WHEN 'hold' THEN PERFORM bbm.hold('lane$lane', '1 hour');
	WHEN 'stop' THEN PERFORM bbm.pause('lane$lane');
	WHEN 'die' THEN
		PERFORM pg_terminate_backend(pg_backend_pid());
		PERFORM pg_sleep(60); -- # lint: allow: terminated at once
	ELSE
	END CASE;
	RETURN NEW;
END \$\$;
CREATE TRIGGER mark BEFORE UPDATE OF n ON lane$lane FOR EACH ROW WHEN (OLD.mark <> '') EXECUTE FUNCTION mark$lane();
-- A world as BbmModel::seen() prints it.
CREATE FUNCTION look$lane() RETURNS text LANGUAGE sql BEGIN ATOMIC
	SELECT coalesce((
		SELECT string_agg(format('%s=%s%s%s,%s,%s', m.id, m.status, CASE WHEN m.is_current THEN '' ELSE ',old' END,
				CASE WHEN m.status IN ('active', 'paused') AND m.on_hold_until > clock_timestamp() THEN ',held' ELSE '' END, m.generation, (
					SELECT string_agg(coalesce((
						SELECT string_agg(CASE WHEN j.status = 'failed' AND j.retry_at IS NOT NULL THEN 'w' ELSE left(j.status, 1) END, '' ORDER BY 1)
						FROM bbm.job AS j WHERE j.migration_id = m.id AND j.status <> 'succeeded'
							AND r.id BETWEEN greatest(j.min_cursor[1]::int, j.cursor[1]::int + 1) AND j.max_cursor[1]::int), (
						SELECT 'q' FROM bbm.quarantine AS q WHERE q.migration_id = m.id AND q.key = ARRAY[r.id::text]), (
						SELECT 'd' FROM bbm.job AS j WHERE j.migration_id = m.id
							AND r.id BETWEEN j.min_cursor[1]::int AND j.max_cursor[1]::int LIMIT 1), '.'), '' ORDER BY r.id)
					FROM lane$lane AS r)), ' ' ORDER BY m.id)
		FROM bbm.migration AS m WHERE m.job_class_name = 'lane$lane'), '')
		|| '|' || coalesce((SELECT string_agg(id || ':' || n, ',' ORDER BY id) FROM lane$lane), '');
END;
SQL
	return;
}

# ---- a session, and what it answers

my ($to_psql, $from_psql, $psql);

sub open_psql
{
	local $ENV{PGOPTIONS} = '-c client_min_messages=error';
	open my $messages, '>&', \*STDERR or die;
	open STDERR, '>', '/dev/null' or die; # every refusal would be printed there
	$psql = open2($from_psql, $to_psql, 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', '-');
	open STDERR, '>&', $messages or die;
	binmode $to_psql;
	return;
}

# (SQLSTATE, value, what look shows, message) of a statement; the connection may be lost at it.
sub ask
{
	my ($lane, $sql) = @_;
	my $command = "$sql;\n\\echo \@:SQLSTATE :LAST_ERROR_MESSAGE\nSELECT look$lane();\n\\echo \@\@\n";
	my $answer = '';
	local $SIG{ALRM} = sub { die "no answer after $stuck_after s to: $sql\n" };
	alarm $stuck_after;
	syswrite $to_psql, $command;
	while ($answer !~ /^\@\@$/m)
	{
		next if sysread $from_psql, $answer, 65536, length $answer;
		waitpid $psql, 0;
		open_psql();
		alarm 0;
		my (undef, undef, $seen) = ask($lane, 'SELECT 1');
		return ($BbmModel::lost, '', $seen, '');
	}
	alarm 0;
	my ($value, $code, $message, $seen) = $answer =~ /^(.*?)\n?\@(\w{5}) ?(.*?)\n([^\n]*)\n\@\@\n$/s
	  or die "cannot read: $answer\n";
	return ($code, $value, $seen, $message);
}

# Returns what can be seen when nobody works in the lane any more.
sub wait_for_worker
{
	my ($lane) = @_;
	deadline_loop($stuck_after, sub { (ask($lane, "SELECT count(*) FROM bbm.workers WHERE job_class_name = 'lane$lane'"))[1] eq '0' })
	  or die "the worker of lane $lane does not end\n";
	return (ask($lane, 'SELECT 1'))[2];
}

# ---- the steps of a sequence: [weight, name]

sub pick
{
	my @choices = @_;
	my $rest = rand sum0 map { $_->[0] } @choices;
	for my $choice (@choices)
	{
		$rest -= $choice->[0];
		return $choice->[1] if $rest < 0;
	}
	return $choices[-1][1];
}

my %weights = (
	queue => 2, pause => 3, resume => 2, retry => 3, hold => 3, release => 1, mark_finished => 1, requeue => 2, delete => 1,
	ensure_finished => 2, finalize => 1, finished => 1, run => 4, run_timed => 0, run_not => 1, unknown => 1,
	mend => 2, spoil => 5, add_row => 1, drop_row => 1, time_passes => 1, crash => 0, dry_run => 1, rescue => 1);

# What is worth more in the state it is in, so that sequences get somewhere.
sub next_step
{
	my ($world) = @_;
	my $migration = BbmModel::current($world);
	my %now = %weights;
	if (!$migration)
	{
		$now{queue} = 60;
	}
	else
	{
		my $status = $migration->{status};
		$now{run} = 25 if $status =~ /active|finalizing/;
		$now{resume} = 15 if $status eq 'paused';
		$now{retry} = 15 if $status eq 'failed';
		$now{requeue} = 10 if $status =~ /failed|finished|finalized/;
		$now{time_passes} = 8 if $migration->{held} || any { $_->{state} eq 'w' } @{ $migration->{jobs} };
		# It costs time: only where it has something to show.
		$now{run_timed} = 10 if $status eq 'active' && ($migration->{held} || BbmModel::waits_for_itself($world));
		$now{rescue} = 5 if %{ $migration->{quarantine} };
		# From failed, and with failed jobs, bbm.finalize does more in that moment.
		$now{crash} = 2 if $status =~ /active|paused/ && !any { $_->{state} =~ /[fw]/ } @{ $migration->{jobs} };
	}
	$now{$_} *= BbmModel::may_be_called($world, $_) for qw(run finalize);
	$now{dry_run} = $now{rescue} = 0 unless $migration;
	$now{requeue} = 0 unless @{ $world->{migrations} };
	$now{spoil} = $now{drop_row} = 0 unless %{ $world->{rows} };
	$now{add_row} = 0 if keys %{ $world->{rows} } > 24;
	return pick(map { [ $now{$_}, $_ ] } sort keys %now);
}

# Mostly the newest; sometimes history.
sub pick_migration
{
	my ($world) = @_;
	my @all = @{ $world->{migrations} };
	return rand() < 0.9 ? $all[-1] : $all[ rand @all ];
}

sub truth { return $_[0] ? 'true' : 'false'; }

my %sql = (
	hold => q{SELECT bbm.hold(%s, '1 hour', 'test')},
	release => q{SELECT bbm.hold(%s, '0')},
	mark_finished => q{SELECT bbm.mark_finished(%s, 'test')},
	ensure_finished => 'SELECT bbm.ensure_finished(%s, finalize => false)',
	run => 'CALL bbm.run(%s)',
	run_timed => q{CALL bbm.run(%s, max_time => '%s')},
	run_not => q{CALL bbm.run(%s, max_time => '0')});

sub sql_of_call
{
	my ($name, $lane, $migration) = @_;
	my $id = $migration->{id};
	my $is_name = $migration->{current} && rand() < 0.3;
	return sprintf $sql{$name} // "SELECT bbm.$name(%s)", $is_name ? "'lane$lane'" : $id,
	  $migration->{held} ? '10 ms' : '250 ms';
}

# What a mark of one row does to another of its sub-batch is not the model's to say: more than one row in it goes with bad
# rows only, which are searched for.
my %shapes = (
	small => { batch => 2, sub => 1, rows => 6, marks => [ qw(bad bad bad bad gone odd stop stop die) ] },
	conflicts => { batch => 2, sub => 1, rows => 6, marks => [ qw(bad busy busy full hold stop) ] },
	single => { batch => 1, sub => 1, rows => 4, marks => [ qw(bad bad gone odd stop die) ] },
	grouped => { batch => 4, sub => 2, rows => 8, marks => ['bad'] },
	long => { batch => 18, sub => 5, rows => 20, marks => ['bad'] });

sub start_world
{
	my ($lane) = @_;
	my $shape = $shapes{ pick([ 60, 'small' ], [ 4, 'conflicts' ], [ 10, 'single' ], [ 15, 'grouped' ], [ 7, 'long' ]) };
	my $rows = pick([ 88, $shape->{rows} ], [ 6, 1 ], [ 3, 3 ], [ 3, 0 ]);
	my $world = BbmModel::new_world($rows);
	$world->{shape} = $shape;
	my $share = $shape->{batch} > 10 ? 0.8 : pick([ 1, 0 ], [ 2, 0.2 ], [ 1, 0.7 ]);
	for my $row (map { $world->{rows}{$_} } BbmModel::ids($world))
	{
		$row->{mark} = $shape->{marks}[ rand @{ $shape->{marks} } ] if rand() < $share;
	}
	my $values = join ', ', map { "($_, '$world->{rows}{$_}{mark}')" } BbmModel::ids($world);
	return $world, "DELETE FROM lane$lane" . ($values ? "; INSERT INTO lane$lane (id, mark) VALUES $values" : '');
}

sub mended
{
	my $next = BbmModel::copy($_[0]);
	$_->{mark} = '' for values %{ $next->{rows} };
	return $next;
}

# What changes the world and asks nothing.
sub will_be { my ($next) = @_; return sub { ([ $next, '00000', '' ]) }; }

sub update_of_row
{
	my ($world, $lane, $id, $mark) = @_;
	my $next = BbmModel::copy($world);
	$next->{rows}{$id}{mark} = $mark;
	return ("UPDATE lane$lane SET mark = '$mark' WHERE id = $id", will_be($next));
}

sub run_batch
{
	my ($world, $is_dry) = @_;
	my $migration = BbmModel::current($world);
	my @quarantine = sort keys %{ $migration->{quarantine} };
	my $key = @quarantine && rand() < 0.8 ? $quarantine[ rand @quarantine ] : 1 + int rand $world->{next_row};
	return ("SELECT rows_affected FROM bbm.run_batch($migration->{id}, $key, $key, dry_run => " . truth($is_dry) . ')',
		sub { BbmModel::call_run_batch($world, $migration, $key, $is_dry) });
}

# What is more than a call by number or name: (SQL, what the model says to it when the server's answer was a number).
my %steps = (
	queue => sub {
		my ($world, $lane, $shape) = @_;
		my %arguments = (batch => $shape->{batch}, sub => $shape->{sub}, mode => rand() < 0.7 ? 'fail' : 'quarantine',
			start => rand() < 0.85, if_not_exists => rand() < 0.3);
		return ("SELECT bbm.queue('lane$lane', 'lane$lane', command => 'UPDATE lane$lane SET n = n + 1', batch_size => $arguments{batch}, "
			  . "sub_batch_size => $arguments{sub}, on_data_error => '$arguments{mode}', start => " . truth($arguments{start})
			  . ', if_not_exists => ' . truth($arguments{if_not_exists}) . ')',
			sub { BbmModel::call_queue($world, \%arguments, $_[0]) });
	},
	requeue => sub {
		my ($world) = @_;
		my $migration = pick_migration($world);
		return ("SELECT bbm.requeue($migration->{id})", sub { BbmModel::call_requeue($world, $migration, $_[0]) });
	},
	dry_run => sub { return run_batch($_[0], 1); },
	rescue => sub { return run_batch($_[0], 0); },
	unknown => sub {
		my ($world, $lane) = @_;
		return ("SELECT bbm.ensure_finished('nosuch', missing_ok => true)", will_be($world)) if rand() < 0.1;
		my @names = grep { !/^run/ } BbmModel::call_names();
		my $name = $names[ rand @names ];
		my $unknown = { id => 2**40, current => 0, held => 0 };
		return (sql_of_call($name, $lane, $unknown), sub { BbmModel::call($world, $name, $unknown->{id}) });
	},
	mend => sub { my ($world, $lane) = @_; return ("UPDATE lane$lane SET mark = '' WHERE mark <> ''", will_be(mended($world))); },
	spoil => sub {
		my ($world, $lane, $shape) = @_;
		my @ids = BbmModel::ids($world);
		return update_of_row($world, $lane, $ids[ rand @ids ], $shape->{marks}[ rand @{ $shape->{marks} } ]);
	},
	add_row => sub {
		my ($world, $lane) = @_;
		my $next = BbmModel::copy($world);
		my $id = $next->{next_row}++;
		$next->{rows}{$id} = { n => 0, mark => '' };
		return ("INSERT INTO lane$lane VALUES ($id)", will_be($next));
	},
	drop_row => sub {
		my ($world, $lane) = @_;
		my @ids = BbmModel::ids($world);
		my $id = $ids[ rand @ids ];
		my $next = BbmModel::copy($world);
		delete $next->{rows}{$id};
		return ("DELETE FROM lane$lane WHERE id = $id", will_be($next));
	},
	time_passes => sub {
		my ($world, $lane) = @_;
		my $mine = "(SELECT id FROM bbm.migration WHERE job_class_name = 'lane$lane')";
		my $past = "clock_timestamp() - interval '1 s'";
		return ("UPDATE bbm.job SET retry_at = $past WHERE retry_at IS NOT NULL AND migration_id IN $mine; "
			  . "UPDATE bbm.migration SET on_hold_until = $past, next_job_at = NULL WHERE id IN $mine",
			will_be(BbmModel::time_passes($world)));
	},
	# What a server leaves that dies right after a worker has marked the migration for bbm.finalize.
	crash => sub {
		my ($world) = @_;
		my $next = BbmModel::copy($world);
		my $marked = BbmModel::current($next);
		@$marked{qw(status held)} = ('finalizing', 0);
		return ("UPDATE bbm.migration SET status = 'finalizing', on_hold_until = NULL WHERE id = $marked->{id}", will_be($next));
	});

# (name, SQL, what the model says)
sub step_of
{
	my ($world, $shape, $lane) = @_;
	my $name = next_step($world);
	$name = 'unknown' if !@{ $world->{migrations} } && !$steps{$name};
	return ($name, $steps{$name}->($world, $lane, $shape)) if $steps{$name};
	my $migration = pick_migration($world);
	return ($name, sql_of_call($name, $lane, $migration), sub { BbmModel::call($world, $name, $migration->{id}) });
}

# ---- one sequence

my %sum; # what this process has seen

sub describe
{
	my ($code, $value, $seen) = @_;
	return join ' ', $code, $value // '?', $seen;
}

# Runs a step and returns the world that the server is in now; undef after a divergence, which is written down.
sub play
{
	my ($world, $lane, $log, $name, $sql, $expect) = @_;
	my ($code, $value, $seen, $message) = ask($lane, $sql);
	# The caller sees that it was paused or has failed before the worker has put its job down.
	$seen = wait_for_worker($lane) if $name eq 'finalize' && $code eq '55000';
	++$sum{steps};
	my $migration = BbmModel::current($world);
	++$sum{covered}{ ($migration ? $migration->{status} : 'none') . " $name" };
	++$sum{covered}{"code $code"};
	my ($id) = $value =~ /^(\d+)$/;
	my @outcomes = $expect->($id // -1);
	push @$log, "$sql\n      -> " . describe($code, $value, $seen) . ($code eq '00000' ? '' : "  ($message)");
	for my $outcome (@outcomes)
	{
		my ($next, $expected_code, $expected_value) = @$outcome;
		next unless $expected_code eq $code && BbmModel::seen($next) eq $seen;
		return $next if !defined $expected_value || $code eq $BbmModel::lost || $expected_value eq $value;
	}
	push @{ $sum{divergences} }, join "\n  ", "sequence $sum{sequence}:", @$log, "   expected one of " . scalar(@outcomes) . ":",
	  map { "      " . describe($_->[1], $_->[2], BbmModel::seen($_->[0])) } @outcomes[ 0 .. min($#outcomes, 9) ];
	return;
}

# From here to the end, first with the rows mended or not.
sub drive
{
	my ($world, $lane, $log) = @_;
	my $migration = BbmModel::current($world);
	++$sum{driven}{ BbmModel::kind_of($world) };
	return $world unless $migration;
	if (rand() < 0.7)
	{
		$world = play($world, $lane, $log, 'mend', $steps{mend}->($world, $lane)) // return;
	}
	my @allowed = (qw(resume run retry release), rand() < 0.05 ? 'finalize' : ());
	for (my $calls = $most_calls_to_the_end; ; --$calls)
	{
		my $name = BbmModel::way_to_finish($world, $calls, @allowed) // BbmModel::way_to_finish($world, $calls, @allowed, 'finalize')
		  // BbmModel::way_to_finish($world, $calls, @allowed, 'mark_finished');
		if (!defined $name)
		{
			push @{ $sum{divergences} }, join "\n  ", "sequence $sum{sequence}:", @$log, "   no $calls calls lead on from here";
			return;
		}
		last if $name eq '';
		my $now = BbmModel::current($world);
		$world = play($world, $lane, $log, $name, sql_of_call($name, $lane, $now), sub { BbmModel::call($world, $name, $now->{id}) })
		  // return;
		++$sum{ended_by}{$name};
	}
	return $world;
}

sub play_sequence
{
	my ($number, $lane, $steps) = @_;
	srand $seed + $number * 7919;
	$sum{sequence} = $number;
	my ($world, $sql) = start_world($lane);
	my $shape = delete $world->{shape};
	my @log;
	$world = play($world, $lane, \@log, 'begin', $sql, will_be($world)) // return;
	my $length = 3 + int rand 10;
	for my $i (1 .. $steps // $length)
	{
		$world = play($world, $lane, \@log, step_of($world, $shape, $lane)) // return;
		push @{ $sum{met}{ BbmModel::kind_of($world) } }, [ $number, $i ] if @{ $sum{met}{ BbmModel::kind_of($world) } // [] } < 3;
	}
	$world = drive($world, $lane, \@log) // return;
	my $current = BbmModel::current($world);
	if ($current)
	{
		$world = play($world, $lane, \@log, 'ensure_finished', "SELECT bbm.ensure_finished($current->{id}, finalize => false)",
			sub { BbmModel::call($world, 'ensure_finished', $current->{id}) }) // return;
	}
	for my $migration (@{ $world->{migrations} })
	{
		my $id = $migration->{id};
		$world = play($world, $lane, \@log, 'delete', "SELECT bbm.delete($id)", sub { BbmModel::call($world, 'delete', $id) }) // return;
	}
	return;
}

sub tidy_up
{
	my ($lane) = @_;
	ask($lane, "DELETE FROM bbm.event WHERE job_class_name = 'lane$lane'; DELETE FROM bbm.job WHERE migration_id IN (SELECT id FROM bbm.migration WHERE job_class_name = 'lane$lane');"
		. " DELETE FROM bbm.migration WHERE job_class_name = 'lane$lane'");
	return;
}

# ---- all of them, shared out to processes

sub work_off
{
	my ($lane, @tasks) = @_;
	open_psql();
	my $since_vacuum = 0;
	%sum = (steps => 0, played => 0, divergences => [], met => {}, driven => {}, covered => {}, ended_by => {});
	for my $task (@tasks)
	{
		my $came_back = eval { play_sequence($task->[0], $lane, $task->[1]); 1 };
		push @{ $sum{divergences} }, "sequence $task->[0]: $@" unless $came_back;
		++$sum{played};
		last if !$came_back || @{ $sum{divergences} } > $enough_divergences;
		tidy_up($lane);
		next if ++$since_vacuum < $between_vacuums;
		$since_vacuum = 0;
		# Giving space back would wait for the others.
		ask($lane, "VACUUM (TRUNCATE false) $_") for "lane$lane", $lane == 1 ? qw(bbm.migration bbm.job bbm.job_transition bbm.event) : ();
	}
	return;
}

sub merge
{
	my ($all, $one) = @_;
	for my $name (keys %$one)
	{
		my $value = $one->{$name};
		if ($name eq 'met') { push @{ $all->{met}{$_} }, @{ $value->{$_} } for keys %$value; }
		elsif (ref $value eq 'HASH') { $all->{$name}{$_} += $value->{$_} for keys %$value; }
		elsif (ref $value eq 'ARRAY') { push @{ $all->{$name} }, @$value; }
		else { $all->{$name} += $value; }
	}
	return;
}

sub play_all
{
	my ($all, @tasks) = @_;
	my %children;
	for my $lane (1 .. $lanes)
	{
		my $file = $node->basedir . "/lane$lane.sum";
		my $child = fork // die "cannot fork: $!";
		if (!$child)
		{
			work_off($lane, grep { defined } map { $tasks[ $_ * $lanes + $lane - 1 ] } 0 .. $#tasks / $lanes);
			nstore \%sum, $file;
			close $to_psql;
			POSIX::_exit(0); # the node is the parent's
		}
		$children{$child} = $file;
	}
	for my $child (keys %children)
	{
		waitpid $child, 0;
		is($?, 0, 'a process of the test ends well');
		merge($all, retrieve($children{$child}));
	}
	return;
}

my $began = time;
my %all = (divergences => [], met => {}, driven => {});
play_all(\%all, map { [$_] } $first_sequence .. $first_sequence + $sequences - 1);
my $played = $all{played};
# Each kind of state that no sequence happened to end in: up to there again, and then to the end.
my @open = grep { !$all{driven}{$_} } sort keys %{ $all{met} };
note scalar(keys %{ $all{met} }), ' kinds of states, ', scalar(@open), ' of them in passing only';
for my $try (0 .. 2)
{
	my @again = map { $all{met}{$_}[$try] // () } grep { !$all{driven}{$_} } @open;
	play_all(\%all, @again) if @again && !@{ $all{divergences} };
}
my @never = grep { !$all{driven}{$_} } @open;
note "never met again: $_" for @never;

diag $_ for @{ $all{divergences} }[ 0 .. min($#{ $all{divergences} }, 4) ];
note "$played sequences, $all{steps} steps, ", scalar @{ $all{divergences} }, ' divergences, ', int(time - $began), ' s';
is($played, $sequences, 'all sequences were played');
is(scalar @{ $all{divergences} }, 0, 'the server did what the model says');
cmp_ok(scalar @never, '<=', @open / 20, 'each kind of state was led to its end');
note join ', ', map { "$_ $all{ended_by}{$_}" } sort keys %{ $all{ended_by} };

# ---- was everything tried?
if ($sequences >= $enough_for_coverage)
{
	my @missing;
	for my $name (qw(queue requeue rescue dry_run), BbmModel::call_names())
	{
		push @missing, grep { !$all{covered}{$_} } map { "$_ $name" } qw(active paused finalizing failed finished finalized)
		  unless $name eq 'run_timed';
	}
	push @missing, grep { !$all{covered}{$_} } 'active run_timed', map { "code $_" } '00000', '42704', '42710', '55000', $BbmModel::lost;
	is(join(', ', @missing), '', 'every call was tried in every status');
}

$node->stop;
done_testing();
