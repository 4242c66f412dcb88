#!/usr/bin/env perl
# Reads pgbench's log of transactions: latency.pl FROM TO LOG ... prints, for those that ended between FROM and TO
# (seconds since 1970): how many, average, median, 99th percentile and maximum, in milliseconds.
use strict;
use warnings;

my ($from, $to) = (shift, shift);
my @took;
while (<>) {
    my (undef, undef, $us, undef, $second, $microsecond) = split;
    my $end = $second + $microsecond / 1e6;
    push @took, $us / 1000 if $end >= $from && $end < $to;
}
@took or die "no write ended in this time\n";
@took = sort { $a <=> $b } @took;
my $sum = 0;
$sum += $_ for @took;
printf "%d %.1f %.1f %.1f %.1f\n", scalar @took, $sum / @took, $took[@took / 2], $took[@took * 0.99], $took[-1];
