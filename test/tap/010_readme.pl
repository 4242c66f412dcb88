# The README's stories, of walks and of an operator's day: their blocks are run in order, and what they say comes out must
# come out.
use strict;
use warnings;

use BbmTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Statements end with a semicolon at the end of a line; the lines behind --> that follow are their output.
sub statements_of
{
	my ($text) = @_;
	my @statements;
	my $sql = '';
	for my $line (split /\n/, $text)
	{
		if ($line =~ /^--> ?(.*)/)
		{
			push @{ $statements[-1]{output} }, $1;
			next;
		}
		$sql .= "$line\n";
		next unless $line =~ /;$/;
		push @statements, { sql => $sql, output => [] };
		$sql = '';
	}
	die "a statement without end: $sql" if $sql =~ /\S/;
	return @statements;
}

my $readme = slurp_file('README.md');
my @stories = $readme =~ /<!-- story: the blocks(.*?)<!-- story: end -->/sg;
is(scalar @stories, 2, 'the README tells stories');
my @blocks = map { /^```sql\n(.*?)^```$/msg } @stories;
my @statements = map { statements_of($_) } @blocks;
cmp_ok(scalar @statements, '>', 40, 'which have statements');

my $node = new_node('readme', conf => "bbm.naptime = 1s\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm');

for my $statement (@statements)
{
	my ($first) = $statement->{sql} =~ /^(.{1,70})/;
	my $output = join "\n", @{ $statement->{output} };
	my ($code, $out, $err) = $node->psql('postgres', $statement->{sql}, extra_params => [ '-AtF', ' | ' ]);
	if ($output =~ /^ERROR:/)
	{
		like($err, qr/\Q$output\E/, $first);
		next;
	}
	is($code, 0, "$first: no error") or diag($err);
	is($out, $output, "$first: output") if $output ne '';
}

$node->stop;
done_testing();
