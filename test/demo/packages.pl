#!/usr/bin/env perl
# Turns the package index (apt-cache dumpavail, on stdin) into two files for COPY:
#   packages.pl PACKAGES DEPENDENCIES
use strict;
use warnings;

@ARGV == 2 or die "usage: packages.pl PACKAGES DEPENDENCIES\n";
open(my $packages,     '>', $ARGV[0]) or die "$ARGV[0]: $!\n";
open(my $dependencies, '>', $ARGV[1]) or die "$ARGV[1]: $!\n";

my @columns = ('Package', 'Version', 'Architecture', 'Section', 'Priority', 'Installed-Size', 'Maintainer', 'Description');
my @kinds = ('Depends', 'Pre-Depends', 'Recommends', 'Suggests', 'Enhances', 'Breaks', 'Conflicts', 'Replaces', 'Provides');

# COPY's text format: \N is NULL, and these characters mean something.
sub field {
    my ($text) = @_;
    return '\N' unless defined $text;
    return $text unless $text =~ tr{\\\t\n\r}{};
    $text =~ s/([\\\t\n\r])/{ '\\' => '\\\\', "\t" => '\\t', "\n" => '\\n', "\r" => '\\r' }->{$1}/gex;
    return $text;
}

my ($id, %seen) = (0);
$/ = '';    # a paragraph at a time
while (my $entry = <STDIN>) {
    my %value;
    for (split /\n(?!\s)/, $entry) {
        my ($name, $text) = /^([A-Za-z0-9-]+):\s*(.*?)\s*$/s or next;
        $value{$name} = $text;
    }
    # With several sources a package comes more than once.
    next unless defined $value{Package} && defined $value{Version} && !$seen{ $value{Package} }++;
    $id++;
    print {$packages} join("\t", $id, map { field($value{$_}) } @columns), "\n";
    for my $kind (@kinds) {
        next unless defined $value{$kind};
        for my $alternatives (split /\s*,\s*/, $value{$kind}) {
            my $choice = 0;
            for (split /\s*\|\s*/, $alternatives) {
                my ($name, $version) = /^([^\s(:]+)[^\s(]*\s*(?:\(([^)]*)\))?/ or next;
                $choice++;
                print {$dependencies} join("\t", $id, lc $kind, $choice, field($name), field($version)), "\n";
            }
        }
    }
}
close($packages)     or die "$ARGV[0]: $!\n";
close($dependencies) or die "$ARGV[1]: $!\n";
