#!/usr/bin/perl
# Draws the figures of fast.sh: fast_chart.pl compare.csv > chart.svg. Rows a second of a backfill, one UPDATE being 1.
use strict;
use warnings;

my @tables = (
    [ narrow => 'Primary key only' ], [ narrow10m => 'Primary key only, more rows' ], [ wide3 => 'Three more indexes' ],
    [ wide3_90 => 'Three more indexes, fillfactor 90' ], [ uuid => 'Random uuid key' ], [ composite => 'Key of two integers' ],
    [ wide3u => 'An index on the written column' ]
);
my @methods = (
    [ client_paused => 'client loop, 100 ms pauses' ], [ client => 'client loop, no pauses' ], [ max_1k => 'PL/pgSQL loop, 1,000 rows' ],
    [ max_10k => 'PL/pgSQL loop, 10,000 rows' ], [ plain => 'bbm, plain walk' ], [ keys => 'bbm' ], [ blocks => 'bbm, by blocks' ],
    [ workers => 'bbm, two workers' ]
);
my ($width, $left, $right, $bar, $step, $gap, $top) = (760, 220, 70, 13, 19, 34, 78);

# ratios: {table}{method} -> [median, min, max]
sub ratios {
    my (%speed, %ratios);
    chomp(my @head = split /,/, <> // die "no figures\n");
    chomp @head;
    while (my $line = <>) {
        chomp $line;
        my %r;
        @r{@head} = split /,/, $line, -1;
        next unless $r{statement} eq 'backfill';
        $speed{ $r{table} }{ $r{method} }{ $r{repetition} } = $r{rows} / $r{seconds};
    }
    for my $table (keys %speed) {
        my $single = $speed{$table}{single};
        for my $method (keys %{ $speed{$table} }) {
            my $mine = $speed{$table}{$method};
            my @found = sort { $a <=> $b } map { $single->{$_} ? $mine->{$_} / $single->{$_} : () } keys %$mine;
            next unless @found;
            my $middle = $#found / 2;
            $ratios{$table}{$method} = [ ($found[ int $middle ] + $found[ int($middle + 0.5) ]) / 2, $found[0], $found[-1] ];
        }
    }
    return \%ratios;
}

sub text {
    my ($x, $y, $class, $text, $anchor) = @_;
    return sprintf(qq{<text x="%.1f" y="%.1f" class="%s"%s>%s</text>\n}, $x, $y, $class, $anchor ? qq{ text-anchor="$anchor"} : '', $text);
}

sub value { my ($v) = @_; return $v >= 10 ? sprintf('%.0f', $v) : $v >= 0.095 ? sprintf('%.2f', $v) : sprintf('%.3f', $v) }

my $ratios = ratios();
my $most = 1;
for my $of (values %$ratios) { for my $m (@methods) { my $r = $of->{ $m->[0] }; $most = $r->[2] if $r && $r->[2] > $most } }
my $scale = ($width - $left - $right) / $most;

my ($body, $y) = ('', $top);
for my $table (grep { $ratios->{ $_->[0] } } @tables) {
    my @shown = grep { $ratios->{ $table->[0] }{ $_->[0] } } @methods;
    next unless @shown;
    $body .= text(16, $y, 'group', $table->[1]);
    $y += 10;
    for my $method (@shown) {
        my ($median, $min, $max) = @{ $ratios->{ $table->[0] }{ $method->[0] } };
        my ($kind, $middle) = ($method->[1] =~ /^bbm/ ? 'ours' : 'theirs', $y + $bar / 2);
        my $paused = $method->[0] eq 'client_paused' ? ' (extrapolated)' : '';
        $body .= text($left - 10, $y + $bar - 2.5, 'label', $method->[1], 'end');
        $body .= sprintf(qq{<rect x="%d" y="%.1f" width="%.1f" height="%d" rx="2" class="%s"/>\n}, $left, $y, $median * $scale, $bar, $kind);
        $body .= sprintf(qq{<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="spread"/>\n}, $left + $min * $scale, $middle, $left + $max * $scale, $middle)
            if $max > $min;
        $body .= text($left + $max * $scale + 6, $y + $bar - 2.5, 'value', value($median) . $paused);
        $y += $step;
    }
    $y += $gap - 10;
}
my $height = $y - $gap + 40;

# Light or dark as the reader's system is; with a ground of its own, since the page around it may be otherwise.
print <<"END";
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" width="$width" height="$height" role="img" aria-labelledby="title">
<title id="title">Rows per second of a backfill, relative to one UPDATE of the same table</title>
<style>
text { font-family: -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 12px; fill: #57606a }
.title { font-size: 16px; font-weight: 600; fill: #1f2328 } .group { font-size: 13px; font-weight: 600; fill: #1f2328 }
.value { font-weight: 600 } .ours { fill: #2f81f7 } .theirs { fill: #9aa4af } .spread { stroke: #1f2328; stroke-width: 1.2; opacity: .55 }
.one { stroke: #cf222e; stroke-width: 1.2; stroke-dasharray: 4 3 } .onetext { fill: #cf222e } .ground { fill: #ffffff }
\@media (prefers-color-scheme: dark) {
text { fill: #9198a1 } .title, .group { fill: #f0f6fc } .ours { fill: #4493f8 } .theirs { fill: #656c76 }
.spread { stroke: #f0f6fc } .one { stroke: #ff7b72 } .onetext { fill: #ff7b72 }
.ground { fill: #0d1117 }
}
</style>
<rect width="$width" height="$height" rx="6" class="ground"/>
END
print text(16, 26, 'title', 'Rows per second of a backfill: one UPDATE of the same table is 1');
print text(16, 44, 'label', 'SET new = f(old); median and spread of repetitions, each against one UPDATE in the same repetition');
my $one = $left + $scale;
printf qq{<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" class="one"/>\n}, $one, $top - 12, $one, $height - 22;
print text($one, $height - 8, 'onetext', 'one UPDATE', 'middle');
print $body, "</svg>\n";
