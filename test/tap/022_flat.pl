# What bbm has done before costs nothing now: among a hundred thousand jobs and a thousand migrations of others each
# statement of its bookkeeping reads as few pages as in an empty database. Asked twice, since plans go wrong in two ways:
# those that were made while the tables were empty, and those that were made for tables that one migration fills.
use strict;
use warnings;

use BbmTest;
use BbmTest qw(open_session ask close_session);
use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Of any statement, in half of its calls: now and then one looks for a page with room. Most of them are catalogs, read once
# by each session; the rows themselves are a handful, each by an index of two or three levels.
my $most_pages = 100;

my $node = new_node('flat', conf => <<'CONF');
shared_preload_libraries = 'bbm, auto_explain'
auto_explain.log_min_duration = -1
auto_explain.log_analyze = on
auto_explain.log_buffers = on
auto_explain.log_timing = off
auto_explain.log_nested_statements = on
autovacuum = off
fsync = off
max_wal_size = 1GB
bbm.naptime = 1s
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION bbm;
CREATE TABLE slow (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO slow SELECT g FROM generate_series(1, 100000) AS g;
CREATE TABLE other (LIKE slow INCLUDING ALL);
INSERT INTO other VALUES (1);
CREATE TABLE tiny (LIKE slow INCLUDING ALL);
INSERT INTO tiny VALUES (1);
SQL

# All settings that make the engine look at its past: an interval (samples), a cap (sizes stay), pauses (looks in between).
my $slow = $node->safe_psql('postgres',
	"SELECT bbm.queue('slow', 'slow', command => 'UPDATE slow SET n = n + 1', batch_size => 10, max_batch_size => 10, sub_batch_size => 5, job_interval => '1 ms', pause => '1 ms')");

sub jobs_done { return $node->safe_psql('postgres', "SELECT jobs_succeeded FROM bbm.migrations WHERE id = $slow"); }

sub wait_for_jobs
{
	my ($more) = @_;
	my $goal = jobs_done() + $more;
	return ok(deadline_loop(60, sub { return jobs_done() >= $goal; }), "$more jobs more");
}

wait_for_jobs(25);
my $other = $node->safe_psql('postgres', "SELECT bbm.queue('other', 'other', command => 'UPDATE other SET n = n + 1', start => false)");

sub add_jobs_of_others
{
	my ($count) = @_;
	$node->safe_psql('postgres', <<"SQL");
INSERT INTO bbm.job (migration_id, part_id, status, min_cursor, max_cursor, cursor, batch_size, sub_batch_size, attempts, epoch, elapsed_us)
SELECT $other, (SELECT min(id) FROM bbm.part WHERE migration_id = $other), 'succeeded', ARRAY['1'], ARRAY['1'], ARRAY['1'], 1, 1, 1, 1, 1 FROM generate_series(1, $count);
INSERT INTO bbm.job_transition (migration_id, job_id, from_status, to_status, attempts, role_name, pid)
SELECT $other, g, 'running', 'succeeded', 1, 'postgres', 1 FROM generate_series(1, $count) AS g;
SQL
	return;
}

# Finished ones, and a few that are paused, each with its part and its events.
sub add_migrations
{
	my ($count) = @_;
	$node->safe_psql('postgres', <<"SQL");
INSERT INTO bbm.migration OVERRIDING SYSTEM VALUE
SELECT (jsonb_populate_record(m, jsonb_build_object('id', 10000 + g, 'job_class_name', 'past' || g, 'table_oid', 90000000 + g,
	'table_root', 90000000 + g, 'status', CASE WHEN g % 100 = 0 THEN 'paused' ELSE 'finished' END))).*
FROM bbm.migration AS m, generate_series(1, $count) AS g WHERE m.id = $other;
INSERT INTO bbm.part OVERRIDING SYSTEM VALUE
SELECT (jsonb_populate_record(p, jsonb_build_object('id', 10000 + g, 'migration_id', 10000 + g, 'is_cut', true))).*
FROM bbm.part AS p, generate_series(1, $count) AS g WHERE p.migration_id = $other;
INSERT INTO bbm.event (migration_id, job_class_name, table_name, event, role_name, owner_oid, home_system, home_database, pid)
SELECT m.id, m.job_class_name, m.table_name, 'queue', 'postgres', 10, m.home_system, m.home_database, 1
FROM bbm.migration AS m, generate_series(1, 10) WHERE m.id > 10000;
SQL
	return;
}

sub log_plans
{
	my ($limit) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET auto_explain.log_min_duration = $limit");
	$node->reload;
	return;
}

# The pages that each statement of our bookkeeping usually read while CODE ran, and how often it ran.
my %calls;

sub pages_read
{
	my ($code) = @_;
	my $offset = log_size($node);
	log_plans(0);
	$code->();
	log_plans(-1);
	my %pages;
	for my $entry (split /\n(?=\d{4}-\d\d-\d\d )/, log_since($node, $offset))
	{
		next if $entry !~ /duration: \S+ ms  plan:\s+Query Text: (.*?)\n\t\S[^\n]*\(cost=/s;
		my $statement = $1 =~ s/\s+/ /gr;
		next if $statement !~ /\bbbm\.(?:migration|part|job|event|job_transition|quarantine)\b/;
		my ($hit, $read) = $entry =~ /Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?/ ? ($1 // 0, $2 // 0) : (0, 0);
		push @{ $pages{$statement} }, $hit + $read;
	}
	%calls = map { ($_ => scalar @{ $pages{$_} }) } keys %pages;
	return { map { ($_ => (sort { $a <=> $b } @{ $pages{$_} })[ $#{ $pages{$_} } / 2 ]) } keys %pages };
}

sub is_flat
{
	my ($what, $pages) = @_;
	my @dear = grep { $pages->{$_} > $most_pages } keys %$pages;
	is(scalar @dear, 0, "$what: no statement reads more than $most_pages pages");
	diag "$pages->{$_} pages: $_" for @dear;
	note sprintf '%s: %d statements, at most %d pages', $what, scalar keys %$pages, max(values %$pages);
	for my $part ('WITH live AS', 'INSERT INTO bbm.job ', 'SELECT elapsed_us, batch_size', 'SET status = \$3', 'jobs_succeeded \+ 1', 'RETURNING', 'SELECT status, table_root', 'm.id = ANY')
	{
		cmp_ok(scalar(grep { /$part/ } keys %$pages), '>', 0, "$what: asked about $part");
	}
	return;
}

# A worker's jobs, a poll of the scheduler, and what people call.
sub work_and_look
{
	my $offset = log_size($node);
	wait_for_jobs(20);
	my $tiny = $node->safe_psql('postgres', "SELECT bbm.queue('tiny' || count(*), 'tiny', command => 'UPDATE tiny SET n = n + 1', start => false) FROM bbm.migrations");
	$node->safe_psql('postgres', "SELECT bbm.finalize($tiny)");
	$node->safe_psql('postgres', "SELECT bbm.alter($slow, priority => 0), bbm.hold('past100', '1 s'), bbm.finished('past1'), bbm.wait('past200', '1 ms')");
	ok(deadline_loop(30, sub { return log_since($node, $offset) =~ /bbm scheduler .*\n?.*WITH live AS/; }), 'the scheduler has looked');
	return;
}

# All pages that a query of a person's reads.
sub pages_of
{
	my ($query) = @_;
	my $plan = $node->safe_psql('postgres', "SET jit = off; EXPLAIN (ANALYZE, BUFFERS, TIMING off, SUMMARY off) $query");
	return $plan =~ /Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?/ ? ($1 // 0) + ($2 // 0) : die $plan;
}

add_migrations(1000);
add_jobs_of_others(100_000);
is_flat('plans of empty tables', pages_read(\&work_and_look));
$node->safe_psql('postgres', 'VACUUM ANALYZE bbm.job, bbm.migration, bbm.part, bbm.event, bbm.job_transition');
add_jobs_of_others(20_000);
is_flat('plans of full tables', pages_read(\&work_and_look));

# The views for people: a line costs a handful of pages, and those of all migrations as much for each. One that has no
# job yet has none among the newest.
my $fresh = $node->safe_psql('postgres',
	"WITH one AS MATERIALIZED (SELECT bbm.queue('fresh', 'other', command => 'UPDATE other SET n = n + 1') AS id) SELECT id FROM one WHERE bbm.hold(id, '1 day')");
for my $view (qw(status progress))
{
	my $one = pages_of("SELECT * FROM bbm.$view WHERE id = $fresh");
	my $all = pages_of("SELECT * FROM bbm.$view");
	note "bbm.$view: $one pages for one migration, $all for all of them";
	cmp_ok($one, '<', 1000, "bbm.$view of one migration");
	cmp_ok($all, '<', 50 * 1000, "bbm.$view of a thousand");
}

# While an old snapshot is open all versions of our rows stay; a job must not get dearer with every one that was done.
$node->safe_psql('postgres', "SELECT bbm.pause($slow)");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE held (LIKE slow INCLUDING ALL);
INSERT INTO held SELECT g FROM generate_series(1, 6000) AS g;
SQL
my $holder = open_session($node, 'postgres');
ask($holder, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
my $pages = pages_read(sub {
	$node->safe_psql('postgres', "SELECT bbm.queue('held', 'held', command => 'UPDATE held SET n = n + 1', batch_size => 2, sub_batch_size => 2)");
	$node->safe_psql('postgres', "CALL bbm.await('held')");
});
is($node->safe_psql('postgres', "SELECT status, jobs_succeeded, rows_affected FROM bbm.migrations WHERE job_class_name = 'held'"), 'finished|3000|6000',
	'done beside an old snapshot');
is($node->safe_psql('postgres', 'SELECT min(n), max(n) FROM held'), '1|1', 'every row once');
my @each_job = grep { $calls{$_} >= 3000 } keys %$pages;
cmp_ok(scalar @each_job, '>=', 10, 'beside an old snapshot: what a job asks');
my @dear = grep { $pages->{$_} > 20 } @each_job;
is(scalar @dear, 0, 'none of it reads more than 20 pages');
diag "$pages->{$_} pages: $_" for @dear;
close_session($holder);

$node->stop;
done_testing();
