# What tests with tables of random shapes share: columns of any type with values for them, the settings of a session, and
# what happens while migrations run.
package BbmShapes;

use strict;
use warnings;

use BbmTest;
use Digest::MD5 qw(md5);
use Exporter 'import';
use List::Util qw(shuffle);

our @EXPORT = qw(prepare_shapes seed_shape one_of chance unquoted random_column random_settings value_of column_names
  ask_server change_passes look_for_passes kill_a_worker end_a_worker);

sub prepare_shapes
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION bbm;
CREATE EXTENSION citext;
CREATE SCHEMA "Odd one";
CREATE COLLATION german (provider = icu, locale = 'de');
CREATE COLLATION "Case does not matter" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE "Odd one".mood AS ENUM ('sad', 'it''s', '"ok"', 'a,b', '{}', 'NULL', '');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN c_text AS text COLLATE "C";
CREATE DOMAIN counting AS int CHECK (VALUE >= 0);
-- One of `many` numbers, the same one for the same row.
CREATE FUNCTION pick(g int, salt bigint, many int) RETURNS int LANGUAGE sql IMMUTABLE
RETURN abs(hashint4extended(g, salt) % many)::int;
CREATE FUNCTION odd(r int) RETURNS text LANGUAGE sql IMMUTABLE
RETURN (ARRAY['', ' ', '''', '"', '\', '\\x', ',', '{}', '{"a"}', 'NULL', '%s', '$1', '--', E'\n', E'a\nb', 'ä', 'ß', 'z', '10', '9', '🐘', '-', '(,)', 'ab'])[r % 24 + 1]
	|| CASE WHEN r < 24 THEN '' ELSE r::text END;
SQL
	return;
}

# SQL types: how a value is made of a number r.
my @types = (
	{ type => 'smallint', value => 'r % 20000 - 10000' },
	{ type => 'int', value => 'r' },
	{ type => 'int', value => 'r * 20011 - 2000000000' },
	{ type => 'bigint', value => '(r - 50000) * 184467440737095' },
	{ type => 'numeric', value => '(r - 500) / 7.0' },
	{ type => 'real', value => '(r - 500) / 7.0::real' },
	{ type => 'float8', value => "CASE r % 50 WHEN 7 THEN 'NaN' WHEN 8 THEN '-Infinity' ELSE (r - 500) / 7.0::float8 END" },
	{ type => 'boolean', value => 'r % 2 = 0' },
	{ type => 'text', value => 'odd(r)' },
	{ type => 'text COLLATE "C"', value => 'odd(r)', patterns => 1 },
	{ type => 'text COLLATE german', value => 'odd(r)' },
	{ type => 'text', value => "substr('aAbB', r % 4 + 1, 1) || r / 4", collation => '"Case does not matter"' },
	{ type => 'text', value => 'odd(r)', collation => '"C"' },
	{ type => 'varchar(60)', value => 'odd(r)' },
	{ type => 'char(8)', value => 'to_hex(r)' },
	{ type => 'citext', value => "substr('aAbB', r % 4 + 1, 1) || r / 4" },
	{ type => 'c_text', value => 'odd(r)' },
	{ type => 'c_text COLLATE german', value => 'odd(r)' },
	{ type => 'counting', value => 'r' },
	{ type => 'uuid', value => 'md5(r::text)::uuid' },
	{ type => 'bytea', value => "substr(sha256(r::text::bytea), 1, r % 5 + 2)" },
	{ type => 'bit varying', value => "ltrim(r::bit(20)::text, '0')::bit varying" },
	{ type => 'date', value => "CASE WHEN r % 40 = 7 THEN 'infinity' ELSE date '0003-01-01 BC' + r END" },
	{ type => 'time', value => "time '00:00' + r * interval '0.777777 s'" },
	{ type => 'timestamp', value => "timestamp '1999-12-31 23:00' + r * interval '7.000001 min'" },
	{ type => 'timestamptz', value => "timestamptz '2024-10-26 12:00+00' + r * interval '7.000001 min'" },
	{ type => 'interval', value => "(r - 500) * interval '1 day -1 min'" },
	{ type => 'inet', value => "('10.0.0.0'::inet + r)" },
	{ type => '"Odd one".mood', value => '(enum_range(NULL::"Odd one".mood))[r % 7 + 1]' },
	{ type => 'int[]', value => 'ARRAY[r % 7, NULL, r]' },
	{ type => 'pair', value => 'ROW(r % 7, odd(r))::pair' },
	{ type => 'int4range', value => 'int4range(r % 30, r % 30 + r)' });
my @column_names = ('a', 'key', '"select"', '"It\'s ""B"""', '"$1"', '"ü {x} %s"');
my @settings = (
	"SET datestyle = 'German'", "SET datestyle = 'SQL, DMY'", "SET intervalstyle = 'sql_standard'", "SET intervalstyle = 'iso_8601'",
	'SET extra_float_digits = -10', "SET timezone = 'Asia/Kolkata'", "SET timezone = 'America/St_Johns'", "SET bytea_output = 'escape'",
	'SET array_nulls = off', 'SET standard_conforming_strings = off');

# A shape is the same one whatever happened before; neighbours have nothing in common.
sub seed_shape { srand unpack 'L', md5("@_"); return; }

sub one_of { return $_[ rand @_ ]; }
sub chance { return rand() < $_[0]; }

sub unquoted
{
	my ($name) = @_;
	return $name =~ /^"(.*)"$/ ? $1 =~ s/""/"/gr : $name;
}

sub random_column
{
	my %column = %{ one_of(@types) };
	# Few values make rows share them; they are for columns that others follow or go before.
	$column{salt} = int rand 2**31;
	$column{many} = one_of(3, 20, 1000, 100_000, 100_000);
	$column{order} = one_of('', '', '', ' DESC', ' DESC NULLS LAST', ' NULLS FIRST');
	$column{order} = ' text_pattern_ops' . one_of('', ' DESC') if $column{patterns} && chance(0.5);
	$column{order} = " COLLATE $column{collation}$column{order}" if $column{collation};
	return \%column;
}

sub value_of
{
	my ($column) = @_;
	return "(SELECT $column->{value} FROM pick(\$1, $column->{salt}, $column->{many}) AS r)";
}

sub column_names { return shuffle @column_names; }

# SQL: some of the settings that change the text form of values.
sub random_settings { return join '; ', 'RESET ALL', (shuffle @settings)[ 0 .. int rand 4 ]; }

# undef while the server starts anew, and where a migration ended before it could be paused
sub ask_server
{
	my ($node, $sql) = @_;
	my ($out, $err) = ('', '');
	# A psql that finds no server may be gone before it was told what to ask.
	my $rc = eval { $node->psql('postgres', $sql, stdout => \$out, stderr => \$err, on_error_stop => 1) } // return;
	return $out if $rc == 0;
	die $err if $rc == 3 && $err !~ /terminat|starting up|crash|recovery|closed|cannot (?:pause|resume)/;
	return;
}

# SQL: windows from now on are walked in so many passes; those that are open keep theirs.
sub change_passes { return sprintf 'ALTER SYSTEM SET bbm.passes = %d; SELECT pg_reload_conf();', one_of(0, 1, 2, 2, 4, 8, 16); }

# SQL: were there passes at all? Notes it in table deed.
sub look_for_passes
{
	return "UPDATE deed SET times = times + (SELECT count(*) FROM bbm.events WHERE event = 'walk' AND reason LIKE '%passes%') WHERE what = 'walk in passes';";
}

# The number of those that are dead
sub kill_a_worker
{
	my ($node) = @_;
	my $pid = ask_server($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'bbm worker' ORDER BY random() LIMIT 1");
	return 0 if !$pid;
	return 0 if !kill 9, $pid;
	deadline_loop(60, sub { return system('pg_isready', '-q', '-d', $node->connstr('postgres')) == 0; }) or die 'the server does not come back';
	return 1;
}

sub end_a_worker
{
	my ($node) = @_;
	return ask_server($node, <<'SQL') // 0;
SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE backend_type = 'bbm worker' ORDER BY random() LIMIT 1) AS s
SQL
}

1;
