# What bbm promises about the life of a migration, as a model: written from the agreement, not from the engine, so that
# it can disagree with it. No server is asked here.
#
# A world is one table and all generations of one migration over it.
#   rows: id => { n: how often it was handled, mark: what its next update does, '' for nothing }
#   migrations: { id, status, current, held, mode, batch, sub, min, max, frontier, jobs, quarantine }
#   jobs: { min, max, at: the last key that is done, state, due, crashes, split, batch }
# States of jobs: p(ending), r(unning, which here means: its process is gone), s(ucceeded), f(ailed, until a person
# retries), w(aiting to be tried again by itself).
#
# Where the agreement leaves the order of jobs open, every order is allowed: calls lead to a list of [world, code, value].
package BbmModel;

use strict;
use warnings;

use List::Util qw(max min first any);

# Documented figures.
my $most_failed_rows = 10;
my $most_crashes = 3;
our $quarantine_budget = 2; # bbm.max_quarantined_rows of the test's server

# A client whose connection is lost sees no SQLSTATE.
our $lost = 'lost';
my $ok = '00000';
my $wrong_state = '55000';

sub new_world
{
	my ($rows) = @_;
	return { rows => { map { $_ => { n => 0, mark => '' } } 1 .. $rows }, next_row => $rows + 1, migrations => [] };
}

sub copy
{
	my ($world) = @_;
	return {
		rows => { map { $_ => { %{ $world->{rows}{$_} } } } keys %{ $world->{rows} } },
		next_row => $world->{next_row},
		migrations => [
			map {
				{ %$_, jobs => [ map { {%$_} } @{ $_->{jobs} } ], quarantine => { %{ $_->{quarantine} } } }
			} @{ $world->{migrations} } ] };
}

sub current { return first { $_->{current} } @{ $_[0]{migrations} }; }
sub find { my ($world, $id) = @_; return first { $_->{id} == $id } @{ $world->{migrations} }; }
sub is_done { return $_[0]{status} =~ /^finish|^finalized/; }
sub has_ended { return is_done($_[0]) || $_[0]{status} eq 'failed'; }
sub is_runnable { return $_[0]{status} eq 'active' || $_[0]{status} eq 'finalizing'; }
sub ids { return sort { $a <=> $b } keys %{ $_[0]{rows} }; }

# ---- what can be seen of a world, in the form in which the server is asked for it

# A letter a row: the states of the unfinished jobs that have it still to do (more than one letter would be more than one
# job), q(uarantine), d(one), or '.' when no job has reached it.
sub letters
{
	my ($world, $migration) = @_;
	my @jobs = @{ $migration->{jobs} };
	return join '', map {
		my $id = $_;
		my $open = join '', sort map { $_->{state} }
		  grep { $_->{state} ne 's' && $id >= $_->{min} && $id <= $_->{max} && $id > $_->{at} } @jobs;
		$open ne '' ? $open
		  : $migration->{quarantine}{$id} ? 'q'
		  : any(sub { $id >= $_->{min} && $id <= $_->{max} }, @jobs) ? 'd'
		  : '.';
	} ids($world);
}

sub is_held { my ($migration) = @_; return $migration->{held} && $migration->{status} =~ /^(active|paused)$/; }

sub seen
{
	my ($world) = @_;
	my @migrations = map {
		"$_->{id}=$_->{status}" . ($_->{current} ? '' : ',old') . (is_held($_) ? ',held' : '') . ",$_->{generation}," . letters($world, $_)
	} @{ $world->{migrations} };
	return join(' ', @migrations) . '|' . join(',', map { "$_:$world->{rows}{$_}{n}" } ids($world));
}

# What is not seen but makes a difference later.
sub key_of
{
	my ($world) = @_;
	my @hidden = map {
		map { "$_->{min}-$_->{max}:$_->{at}:$_->{state}$_->{due}$_->{crashes}$_->{split}$_->{batch}" } @{ $_->{jobs} }
	} @{ $world->{migrations} };
	return seen($world) . "|@hidden";
}

# The kind of state a migration is in: what there is of rows, whatever their number and their place.
sub kind_of
{
	my ($world) = @_;
	my $migration = current($world) or return 'none';
	my %present = map { $_ => 1 } split //, letters($world, $migration);
	my $crashes = max(0, map { $_->{crashes} } @{ $migration->{jobs} });
	return join ' ', $migration->{status}, is_held($migration) ? 'held' : (), join('', sort keys %present), $migration->{mode},
	  $crashes ? "crashes=$crashes" : ();
}

# ---- work

sub cut
{
	my ($world, $migration) = @_;
	my @next = grep { $_ >= $migration->{min} && $_ <= $migration->{max} && $_ > $migration->{frontier} } ids($world);
	return unless @next;
	splice @next, $migration->{batch} if @next > $migration->{batch};
	return { min => $next[0], max => $next[-1], at => $next[0] - 1, state => 'p', due => 0, crashes => 0, split => 0,
		batch => $migration->{batch} };
}

sub rows_left
{
	my ($world, $job) = @_;
	return grep { $_ >= $job->{min} && $_ <= $job->{max} && $_ > $job->{at} } ids($world);
}

# A job that a person has put back is cut in two at its middle key, if there is something behind it.
sub split_job
{
	my ($world, $migration, $job) = @_;
	my $half = max(1, int($job->{batch} / 2));
	my @left = rows_left($world, $job);
	$job->{split} = 0;
	$job->{batch} = $half;
	return if @left <= $half;
	push @{ $migration->{jobs} },
	  { %$job, min => $left[$half], at => $left[$half] - 1, state => 'w', due => 1, crashes => 0 };
	$job->{max} = $left[ $half - 1 ];
	return;
}

sub put_back
{
	my ($migration) = @_;
	my $count = 0;
	for my $job (grep { $_->{state} =~ /[fw]/ } @{ $migration->{jobs} })
	{
		$job->{split} = $job->{batch} > 1 ? 1 : 0;
		@$job{qw(state due crashes)} = ('p', 0, 0);
		++$count;
	}
	return $count;
}

# Does it make a difference in which order jobs run? Only where one of them ends more than itself.
sub order_counts
{
	my ($world, $migration) = @_;
	return 1 if any { $_->{crashes} } @{ $migration->{jobs} };
	return any { $_->{mark} =~ /die|gone|stop|full|hold/ || $_->{mark} eq 'bad' && $migration->{mode} eq 'quarantine' } values %{ $world->{rows} };
}

# All that a run may come to: [world, SQLSTATE]. Of a timed one, which may be over after any sub-batch, whatever comes in
# between as well; and a delay may be over while it lasts.
sub run_outcomes
{
	my ($world, $id, $timed) = @_;
	my @todo = (copy($world));
	my (%tried, @outcomes);
	while (my $now = shift @todo)
	{
		next if $tried{ key_of($now) }++;
		my $migration = find($now, $id);
		if (!is_runnable($migration))
		{
			push @outcomes, [ $now, $migration->{status} eq 'failed' ? $wrong_state : $ok ];
			next;
		}
		push @outcomes, [ copy($now), $ok ] if $timed;
		next if $migration->{held} && $migration->{status} eq 'active';
		my @ready = grep {
			my $job = $migration->{jobs}[$_];
			$job->{state} =~ /[pr]/ || $job->{state} eq 'w' && ($job->{due} || $timed)
		} 0 .. $#{ $migration->{jobs} };
		push @ready, -1 if cut($now, $migration);
		if (!@ready)
		{
			my @waiting = grep { $_->{state} eq 'w' } @{ $migration->{jobs} };
			$_->{due} = 1 for @waiting;
			$migration->{status} = any(sub { $_->{state} eq 'f' }, @{ $migration->{jobs} }) ? 'failed' : 'finished' unless @waiting;
			push @todo, $now;
			next;
		}
		splice @ready, 1 unless $timed || order_counts($now, $migration);
		for my $choice (@ready)
		{
			my $next = copy($now);
			run_job($next, find($next, $id), $choice, $timed, \@todo, \@outcomes);
		}
	}
	return @outcomes;
}

sub run_job
{
	my ($world, $migration, $choice, $timed, $todo, $outcomes) = @_;
	my $job;
	if ($choice >= 0)
	{
		$job = $migration->{jobs}[$choice];
	}
	else
	{
		$job = cut($world, $migration);
		$migration->{frontier} = $job->{max};
		push @{ $migration->{jobs} }, $job;
	}
	if (++$job->{crashes} > $most_crashes)
	{
		@$job{qw(state crashes)} = ('f', 0);
		$migration->{status} = 'failed';
		push @$todo, $world;
		return;
	}
	@$job{qw(state due)} = ('r', 0);
	split_job($world, $migration, $job) if $job->{split};
	my $set_aside = 0;
	for (;;)
	{
		if ($timed)
		{
			my $over = copy($world);
			my $given_back = find($over, $migration->{id})->{jobs}[ job_index($migration, $job) ];
			@$given_back{qw(state crashes)} = ('p', 0);
			push @$outcomes, [ $over, $ok ];
		}
		my @left = rows_left($world, $job);
		if (@left && (!is_runnable($migration) || $migration->{held} && $migration->{status} eq 'active'))
		{
			@$job{qw(state crashes)} = ('p', 0);
			last;
		}
		if (!@left)
		{
			@$job{qw(state crashes)} = ('s', 0);
			last;
		}
		splice @left, $migration->{sub} if @left > $migration->{sub};
		my $end = sub_batch($world, $migration, $job, \$set_aside, @left);
		next if $end eq '';
		if ($end eq $lost)
		{
			push @$outcomes, [ $world, $lost ];
			return;
		}
		@$job{qw(state crashes)} = ($end, 0);
		last;
	}
	push @$todo, $world;
	return;
}

sub job_index
{
	my ($migration, $job) = @_;
	return first { $migration->{jobs}[$_] == $job } 0 .. $#{ $migration->{jobs} };
}

# The rows up to the first one that its mark stops. '' if the job goes on.
sub sub_batch
{
	my ($world, $migration, $job, $set_aside, @ids) = @_;
	for my $id (@ids)
	{
		my $mark = $world->{rows}{$id}{mark};
		return $lost if $mark eq 'die';
		if ($mark eq 'gone')
		{
			$migration->{status} = 'failed';
			return 'f';
		}
		return 'f' if $mark eq 'odd';
		$migration->{held} = 1 if $mark eq 'full' || $mark eq 'hold';
		return 'w' if $mark eq 'busy' || $mark eq 'full';
		if ($mark eq 'bad')
		{
			return 'f' unless set_aside($migration, $job, $id, $set_aside);
		}
		else
		{
			++$world->{rows}{$id}{n};
		}
		$job->{at} = $id;
		$job->{crashes} = 0;
		$migration->{status} = 'paused' if $mark eq 'stop';
		return '' if $mark ne '';
	}
	return '';
}

sub set_aside
{
	my ($migration, $job, $id, $set_aside) = @_;
	if ($migration->{mode} eq 'quarantine')
	{
		if (keys %{ $migration->{quarantine} } >= $quarantine_budget)
		{
			$migration->{status} = 'failed';
			return 0;
		}
		$migration->{quarantine}{$id} = 1;
		return 1;
	}
	return 0 if $job->{min} == $id && $job->{max} == $id || $$set_aside >= $most_failed_rows;
	++$$set_aside;
	push @{ $migration->{jobs} },
	  { min => $id, max => $id, at => $id - 1, state => 'f', due => 0, crashes => 0, split => 0, batch => 1 };
	return 1;
}

# ---- calls: each gives the list of what it may come to, [world, SQLSTATE, value]; undef as value: any.

sub refused { return ([ $_[0], $_[1], '' ]); }

sub change
{
	my ($world, $id, $code) = @_;
	my $next = copy($world);
	my $value = $code->(find($next, $id), $next);
	return ([ $next, $ok, $value ]);
}

sub add_migration
{
	my ($world, %new) = @_;
	my @ids = ids($world);
	my $status = !@ids ? 'finished' : $new{start} ? 'active' : 'paused';
	delete $new{start};
	push @{ $world->{migrations} },
	  { %new, status => $status, current => 1, held => 0, min => $ids[0] // 0, max => $ids[-1] // 0,
		frontier => ($ids[0] // 0) - 1, jobs => [], quarantine => {} };
	return;
}

# The number of a new one is the server's to choose.
sub call_queue
{
	my ($world, $arguments, $id) = @_;
	if (my $there = current($world))
	{
		return $arguments->{if_not_exists} ? ([ $world, $ok, $there->{id} ]) : refused($world, '42710');
	}
	my $next = copy($world);
	add_migration($next, id => $id, generation => 1, map { $_ => $arguments->{$_} } qw(mode batch sub start));
	return ([ $next, $ok, $id ]);
}

sub call_requeue
{
	my ($world, $old, $id) = @_;
	return refused($world, $wrong_state) unless has_ended($old) && $old->{current};
	my $next = copy($world);
	find($next, $old->{id})->{current} = 0;
	add_migration($next, id => $id, generation => $old->{generation} + 1, start => 1, map { $_ => $old->{$_} } qw(mode batch sub));
	return ([ $next, $ok, $id ]);
}

my %calls = (
	pause => sub {
		my ($world, $migration) = @_;
		return ([ $world, $ok, 'f' ]) if $migration->{status} eq 'paused';
		return refused($world, $wrong_state) unless is_runnable($migration);
		return change($world, $migration->{id}, sub { $_[0]{status} = 'paused'; 't' });
	},
	resume => sub {
		my ($world, $migration) = @_;
		return refused($world, $wrong_state) if has_ended($migration);
		return ([ $world, $ok, 'f' ]) if $migration->{status} eq 'finalizing' || $migration->{status} eq 'active' && !$migration->{held};
		return change($world, $migration->{id}, sub {
			my ($changed) = @_;
			$changed->{held} = 0 if $changed->{status} eq 'active';
			$changed->{status} = 'active';
			't';
		});
	},
	retry => sub {
		my ($world, $migration) = @_;
		return refused($world, $wrong_state) if is_done($migration) || $migration->{status} eq 'paused';
		return change($world, $migration->{id}, sub {
			my ($changed) = @_;
			$changed->{status} = 'active' if $changed->{status} eq 'failed';
			put_back($changed);
		});
	},
	hold => sub {
		my ($world, $migration) = @_;
		return refused($world, $wrong_state) unless $migration->{status} =~ /^(active|paused)$/;
		return change($world, $migration->{id}, sub { $_[0]{held} = 1; 't' });
	},
	release => sub {
		my ($world, $migration) = @_;
		return refused($world, $wrong_state) unless $migration->{status} =~ /^(active|paused)$/;
		return change($world, $migration->{id}, sub { my $was = $_[0]{held}; $_[0]{held} = 0; $was ? 't' : 'f' });
	},
	mark_finished => sub {
		my ($world, $migration) = @_;
		return refused($world, $wrong_state) if $migration->{status} eq 'finalized';
		return ([ $world, $ok, 'f' ]) if $migration->{status} eq 'finished';
		return change($world, $migration->{id}, sub {
			my ($changed) = @_;
			$changed->{status} = 'finished';
			$_->{state} = 's' for @{ $changed->{jobs} };
			't';
		});
	},
	ensure_finished => sub {
		my ($world, $migration) = @_;
		return refused($world, $wrong_state) unless is_done($migration);
		return change($world, $migration->{id}, sub { $_[0]{status} = 'finalized'; '' });
	},
	finalize => sub {
		my ($world, $migration) = @_;
		return ([ $world, $ok, '' ]) if is_done($migration);
		my $next = copy($world);
		my $changed = find($next, $migration->{id});
		put_back($changed) if $changed->{status} ne 'finalizing';
		@$changed{qw(status held)} = ('finalizing', 0);
		return map {
			my ($end) = @$_;
			[ $end, find($end, $migration->{id})->{status} eq 'finished' ? $ok : $wrong_state, '' ]
		} run_outcomes($next, $migration->{id}, 0);
	},
	run => sub { return call_run(@_, 0); },
	run_timed => sub { return call_run(@_, 1); },
	run_not => sub {
		my ($world, $migration) = @_;
		return refused($world, $wrong_state) unless is_runnable($migration) || is_done($migration);
		return ([ $world, $ok, '' ]);
	},
	finished => sub { my ($world, $migration) = @_; return ([ $world, $ok, is_done($migration) ? 't' : 'f' ]); },
	delete => sub {
		my ($world, $migration) = @_;
		my $next = copy($world);
		$next->{migrations} = [ grep { $_->{id} != $migration->{id} } @{ $next->{migrations} } ];
		return ([ $next, $ok, 't' ]);
	});

sub call_run
{
	my ($world, $migration, $timed) = @_;
	return ([ $world, $ok, '' ]) if is_done($migration);
	return refused($world, $wrong_state) unless is_runnable($migration);
	return map { [ @$_, '' ] } run_outcomes($world, $migration->{id}, $timed);
}

# What the command says to a row: SQLSTATE, and a migration that was paused or put on hold by it.
sub effect
{
	my ($world, $migration, $key) = @_;
	my $mark = $world->{rows}{$key}{mark};
	return ('22012', '23514', 'P0001')[ $key % 3 ] if $mark eq 'bad';
	my %error = (gone => '42P01', odd => 'XX000', busy => '40001', full => '53100', die => $lost);
	return $error{$mark} if $error{$mark};
	return call($world, $mark eq 'stop' ? 'pause' : 'hold', $migration->{id}) if $mark eq 'stop' || $mark eq 'hold';
	return ([ $world, $ok, '' ]);
}

# One key. Tried and taken back, or taken out of the quarantine for good: other rows belong to jobs.
sub call_run_batch
{
	my ($world, $migration, $key, $is_dry) = @_;
	return refused($world, $wrong_state) unless $is_dry || $migration->{quarantine}{$key};
	my $effect = $world->{rows}{$key} ? (effect($world, $migration, $key))[0] : [ $world, $ok ];
	return refused($world, $effect) unless ref $effect;
	my ($after, $code) = @$effect;
	return refused($world, $code) if $code ne $ok;
	my $rows = $world->{rows}{$key} ? 1 : 0;
	return ([ $world, $ok, $rows ]) if $is_dry;
	my $next = copy($after);
	++$next->{rows}{$key}{n} if $rows;
	delete find($next, $migration->{id})->{quarantine}{$key};
	return ([ $next, $ok, $rows ]);
}

sub call_names { return sort keys %calls; }

# History can be read and deleted.
sub call
{
	my ($world, $name, $id) = @_;
	my $migration = find($world, $id) or return refused($world, '42704');
	return refused($world, $wrong_state)
	  unless $migration->{current} || $name =~ /^(finished|delete)$/ || $name =~ /^(run|finalize)/ && is_done($migration);
	return $calls{$name}->($world, $migration);
}

# What the clock does: delays and holds are over.
sub time_passes
{
	my ($world) = @_;
	my $next = copy($world);
	for my $migration (@{ $next->{migrations} })
	{
		$migration->{held} = 0;
		$_->{due} = 1 for grep { $_->{state} eq 'w' } @{ $migration->{jobs} };
	}
	return $next;
}

# Rows that make their migration wait.
sub waits_for_itself { return any { $_->{mark} =~ /busy|full|hold/ } values %{ $_[0]{rows} }; }

# Calls that would not come back, or not soon: work that is on hold or meets the same conflict for ever, a caller of
# finalize who waits for one dying worker after the other.
sub may_be_called
{
	my ($world, $name) = @_;
	return 1 if $name !~ /^(run|finalize)$/;
	my $migration = current($world) or return 1;
	return 0 if waits_for_itself($world);
	return 0 if any { $_->{state} eq 'w' && !$_->{due} } @{ $migration->{jobs} };
	return !$migration->{held} || $migration->{status} ne 'active' if $name eq 'run';
	return !any { $_->{mark} eq 'die' } values %{ $world->{rows} };
}

# ---- is there always a call that leads on?

# The first of at most CALLS calls after which the current migration is finished, whatever order jobs run in; undef if
# there is none, '' if it is finished already.
sub way_to_finish
{
	my ($world, $calls, @allowed) = @_;
	my $migration = current($world);
	return '' if is_done($migration);
	return if $calls == 0;
	for my $name (@allowed)
	{
		next unless may_be_called($world, $name);
		my @outcomes = call($world, $name, $migration->{id});
		next if !@outcomes || any { $_->[1] ne $ok && $_->[1] ne $wrong_state } @outcomes;
		next if @outcomes == 1 && key_of($outcomes[0][0]) eq key_of($world);
		return $name unless any { !defined way_to_finish($_->[0], $calls - 1, @allowed) } @outcomes;
	}
	return;
}

1;
