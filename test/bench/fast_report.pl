#!/usr/bin/perl
# The figures of fast.sh as text: fast_report.pl DIRECTORY. One table, then what the goals are and what was measured.
use strict;
use warnings;

my $dir = shift // die "fast_report.pl DIRECTORY\n";

my %about_table = (
    narrow => 'narrow', narrow10m => 'narrow, more rows', wide3 => '3 more indexes', wide3_90 => '3 more, fillfactor 90',
    wide3u => 'index on the written column', uuid => 'random uuid key', composite => 'key of two integers'
);
my %about_statement = (backfill => '`new = f(old)`', any => '`n = n + 1`');
my %about_method = (
    single => 'one UPDATE', copy => 'CREATE TABLE AS, indexes, swap', client => 'client as GitLab\'s, 1000/100, no pause',
    client_paused => 'the same with its 100 ms pause (extrapolated)', plain => 'bbm, plain walk', keys => 'bbm',
    blocks => 'bbm by blocks', workers => 'bbm, two workers',
    map {
        ("offset_$_" => "loop, OFFSET $_", "max_$_" => "loop, max of LIMIT $_", "bounds_$_" => "loop, id ranges of $_")
    } qw(1k 10k)
);

# rows_of FILE: the lines as hashes; nothing where that was not measured
sub rows_of {
    my ($name) = @_;
    open(my $in, '<', "$dir/$name.csv") or return;
    chomp(my @lines = <$in>);
    my @head = split /,/, shift @lines // '';
    return map { my %row; @row{@head} = split /,/, $_, -1; \%row } @lines;
}

sub spread {
    my @sorted = sort { $a <=> $b } grep { defined } @_;
    return undef unless @sorted;
    my $middle = $#sorted / 2;
    return { median => ($sorted[ int $middle ] + $sorted[ int($middle + 0.5) ]) / 2, min => $sorted[0], max => $sorted[-1] };
}

# The figures of one run. Growth by what was there before; undef where there was nothing.
sub figures {
    my ($r) = @_;
    my $grown = sub { $r->{"$_[0]_before"} > 0 ? $r->{ $_[0] } / $r->{"$_[0]_before"} : undef };
    return {
        speed => $r->{rows} / $r->{seconds}, wal => ($r->{wal} - $r->{wal_before}) / $r->{rows}, heap => $grown->('heap'),
        pk    => $grown->('pk'), others => $grown->('others'), hot => $r->{updated} > 0 ? 100 * $r->{hot} / $r->{updated} : undef
    };
}

# runs FILE: {table/statement}{method}{repetition} -> figures, and the order in which they came
sub runs {
    my (%runs, @places, %methods);
    for my $r (rows_of($_[0])) {
        my $place = "$r->{table}/$r->{statement}";
        push @places, $place unless $runs{$place};
        push @{ $methods{$place} }, $r->{method} unless $runs{$place}{ $r->{method} };
        $runs{$place}{ $r->{method} }{ $r->{repetition} } = figures($r);
    }
    return (\%runs, \@places, \%methods);
}

my ($runs, $places, $methods) = runs('compare');
my ($held) = runs('snapshot');

# over RUNS PLACE METHOD OTHER FIGURE: ratios inside one repetition
sub over {
    my ($from, $place, $method, $other, $figure) = @_;
    my ($mine, $its) = map { $from->{$place}{$_} // {} } $method, $other;
    return spread(map { $its->{$_} ? $mine->{$_}{$figure} / $its->{$_}{$figure} : undef } sort keys %$mine);
}

sub of {
    my ($place, $method, $figure) = @_;
    return spread(map { $_->{$figure} } values %{ $runs->{$place}{$method} // {} });
}

# number VALUE: three digits
sub number {
    my ($value) = @_;
    return '' unless defined $value;
    return $value >= 100 ? sprintf('%.0f', $value) : $value >= 10 ? sprintf('%.1f', $value) : $value >= 0.1 || $value == 0 ? sprintf('%.2f', $value) : sprintf('%.2g', $value);
}

sub shown { my ($s) = @_; return $s ? number($s->{median}) : '' }

sub shown_spread {
    my ($s) = @_;
    return $s ? sprintf('%s (%s-%s)', map { number($_) } @$s{qw(median min max)}) : '';
}

sub print_table {
    print "| table | statement | method | rows/s : one UPDATE | WAL | HOT % | heap | primary key | other indexes |\n";
    print '| --- | --- | --- | ', join(' | ', ('---:') x 6), " |\n";
    for my $place (@$places) {
        my ($table, $statement) = split m{/}, $place;
        # As they are known, whichever repetition came first.
        my @order = qw(single copy offset_1k offset_10k max_1k max_10k bounds_1k bounds_10k client client_paused plain keys blocks workers);
        for my $method (grep { $runs->{$place}{$_} } @order) {
            my $speed = $method eq 'single' ? sprintf('1 = %s krows/s', number(of($place, 'single', 'speed')->{median} / 1000))
                                            : shown_spread(over($runs, $place, $method, 'single', 'speed'));
            my $hot = of($place, $method, 'hot');
            print '| ', join(' | ', $method eq 'single' ? ($about_table{$table}, $about_statement{$statement}) : ('', ''),
                $about_method{$method}, $speed, $method eq 'client_paused' ? ('', '', '', '', '') : (
                shown(over($runs, $place, $method, 'single', 'wal')), $hot ? sprintf('%.0f', $hot->{median}) : '',
                map { shown(of($place, $method, $_)) } qw(heap pk others))), " |\n";
        }
    }
}

my @verdicts;

# judge WHAT RELATION GOAL SPREAD [WHICH]
sub judge {
    my ($what, $relation, $goal, $found, $which) = @_;
    return unless $found;
    my $fine = $relation eq '>=' ? $found->{median} >= $goal : $found->{median} <= $goal;
    push @verdicts, [ $what, "$relation $goal", shown_spread($found) . ($which ? " $which" : ''), $fine ? 'ok' : 'miss' ];
}

# The better one of the walks that a person may ask for.
sub quickest {
    my ($place) = @_;
    my ($best, $which);
    for my $method (qw(keys blocks)) {
        my $found = over($runs, $place, $method, 'single', 'speed') // next;
        ($best, $which) = ($found, $method) if !$best || $found->{median} > $best->{median};
    }
    return ($best, $which && "($which)");
}

sub judge_speed {
    my @goals = (
        [ 'narrow', 1.4, 1.1 ], [ 'narrow10m', 1.4, 1.1 ], [ 'wide3', 2.3, 2.0 ], [ 'wide3_90', 4.7, 4.0 ], [ 'wide3u', 0.95, 0.95 ], [ 'uuid', 1.3, 1.0 ]
    );
    for my $goal (@goals) {
        my ($table, $backfill, $any) = @$goal;
        judge("$about_table{$table}, backfill: rows/s", '>=', $backfill, quickest("$table/backfill"));
        judge("$about_table{$table}, any statement: rows/s", '>=', $any, quickest("$table/any"));
    }
}

sub judge_sizes {
    my %goals = (narrow => [ 0.63, 1.25, 1.05 ], wide3 => [ 0.55, 1.25, 1.05, 1.75 ], wide3_90 => [ 0.48, 1.10, 1.05, 1.05 ]);
    for my $place (map { ("$_/backfill", "$_/any") } qw(narrow wide3 wide3_90)) {
        my ($table, $statement) = split m{/}, $place;
        my ($wal, @growth) = @{ $goals{$table} };
        my $label = "$about_table{$table}, " . ($statement eq 'any' ? 'any statement' : 'backfill');
        judge("$label: WAL", '<=', $wal, over($runs, $place, 'keys', 'single', 'wal'));
        my @names = ([ heap => 'heap' ], [ pk => 'primary key' ], [ others => 'other indexes' ]);
        judge("$label: $names[$_][1]", '<=', $growth[$_], of($place, 'keys', $names[$_][0])) for 0 .. $#growth;
    }
}

sub judge_workers {
    for my $goal ([ 'narrow', 1.5 ], [ 'wide3', 1.9 ]) {
        for my $place (map { "$goal->[0]/$_" } qw(backfill any)) {
            judge("$place: two workers over one, rows/s", '>=', $goal->[1], over($runs, $place, 'workers', 'keys', 'speed'));
            my ($one, $two) = map { of($place, $_, 'hot') } qw(keys workers);
            judge("$place: two workers, points of HOT share less", '<=', 5,
                $one && $two ? spread($one->{median} - $two->{median}) : undef);
        }
    }
}

sub judge_client {
    judge('client as GitLab\'s, no pause: bbm over it, rows/s', '>=', 4, over($runs, 'narrow/backfill', 'keys', 'client', 'speed'));
    judge('the same with its pause', '>=', 300, over($runs, 'narrow/backfill', 'keys', 'client_paused', 'speed'));
}

sub report_oltp {
    my %by;
    $by{ $_->{beside} }{ $_->{repetition} } = $_ for rows_of('oltp');
    return unless %by;
    print "\n| pgbench beside | p50 ms | p95 ms | p99 ms | max ms | p99 : idle |\n| --- | ---: | ---: | ---: | ---: | ---: |\n";
    for my $beside (grep { $by{$_} } qw(idle single plain keys)) {
        my @each = values %{ $by{$beside} };
        my $ratio = spread(map { $by{idle}{$_} ? $by{$beside}{$_}{p99} / $by{idle}{$_}{p99} : undef } keys %{ $by{$beside} });
        print '| ', join(' | ', $beside eq 'idle' ? 'nothing' : $about_method{$beside},
            (map { my $q = $_; shown_spread(spread(map { $_->{$q} } @each)) } qw(p50 p95 p99 max)), shown_spread($ratio)), " |\n";
        judge('pgbench beside bbm: p99 over that beside nothing', '<=', 2, $ratio) if $beside eq 'keys';
    }
}

sub report_snapshot {
    return unless %$held;
    print "\n| with a snapshot held open | statement | rows/s : one UPDATE | HOT % | heap |\n| --- | --- | ---: | ---: | ---: |\n";
    for my $place (sort keys %$held) {
        my ($statement) = $place =~ m{/(.*)};
        for my $method (qw(single keys)) {
            my %by = map { my $f = $_; $f => spread(map { $_->{$f} } values %{ $held->{$place}{$method} }) } qw(hot heap);
            print '| ', join(' | ', $about_method{$method}, $about_statement{$statement},
                shown_spread(over($held, $place, $method, 'single', 'speed')), sprintf('%.0f', $by{hot}{median}), shown($by{heap})), " |\n";
        }
        judge("a snapshot held open, $statement: rows/s", '>=', 0.9, over($held, $place, 'keys', 'single', 'speed'));
    }
}

# Flat is half as much again at the most, as in report.sql: both are fractions of a millisecond.
sub judge_history {
    my %by;
    $by{ $_->{repetition} }{ $_->{database} } = $_ for rows_of('history');
    for my $figure ([ job_ms => 'a job among a thousand times the jobs' ], [ poll_ms => 'a look for work among a hundred times the migrations' ]) {
        my @both = grep { $_->{young} && $_->{old} } values %by;
        my ($few, $many) = map { my $d = $_; shown(spread(map { $_->{$d}{ $figure->[0] } } @both)) } qw(young old);
        judge("$figure->[1]: its time", '<=', 1.5, spread(map { $_->{old}{ $figure->[0] } / $_->{young}{ $figure->[0] } } @both),
            "($many ms, $few ms)");
    }
}

# What bbm itself wrote into its events, each once.
sub report_said {
    my (%seen, @lines);
    for my $file (sort glob "$dir/said_*.txt") {
        open(my $in, '<', $file) or next;
        while (my $line = <$in>) { push @lines, $line unless $seen{$line}++ }
    }
    print "\nWhat bbm said:\n\n", map { "    $_" } @lines if @lines;
}

for my $part (qw(compare oltp snapshot history)) {
    open(my $in, '<', "$dir/about_$part.txt") or next;
    print map { "- $_" } <$in>;
}
print "\n";
print_table() if @$places;
judge_speed();
judge_sizes();
judge_workers();
judge_client();
report_oltp();
report_snapshot();
judge_history();
print "\n| goal | wanted | measured: median (min-max) | |\n| --- | --- | --- | --- |\n" if @verdicts;
print '| ', join(' | ', @$_), " |\n" for @verdicts;
report_said();
