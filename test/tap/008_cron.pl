# bbm under pg_cron, as Debian ships it, on a server that does not preload bbm: pg_cron does the work of one migration
# with CALL bbm.run, stops and starts another at set times, and revives a third after a restart of the server.
# pg_cron counts in minutes: the test needs two full ones and spends most of them waiting.
use strict;
use warnings;

use BbmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What pg_cron needs to notice a new job before its minute comes.
my $lead = 3;
my $minute = 60;
# The server's clock and ours are one; so much late is a job that pg_cron starts when the machine is busy.
my $late = 20;

my $node = new_node('cron', preload => 0, conf => "shared_preload_libraries = 'pg_cron'\ncron.database_name = 'postgres'\n");
$node->append_conf('postgresql.conf', "cron.host = '" . $node->host . "'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');

# One database for each, so that none starts processes that would help another.
for my $db (qw(driven steered revived))
{
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, 'CREATE EXTENSION bbm');
}

sub status_of
{
	my ($name) = @_;
	return $node->safe_psql($name, "SELECT status FROM bbm.migrations WHERE job_class_name = '$name'");
}

# Polls until SQL gives EXPECTED, for as long as it takes until the moment END and a bit.
sub comes_true
{
	my ($db, $sql, $expected, $end, $what) = @_;
	my $last;
	my $came = deadline_loop($end + $late - time, sub { ($last = $node->safe_psql($db, $sql)) eq $expected });
	ok($came, $what) or diag "is '$last', expected '$expected'";
	return;
}

sub schedule
{
	my ($name, $when, $db, $command) = @_;
	return $node->safe_psql('postgres', "SELECT cron.schedule_in_database('$name', '$when', \$\$$command\$\$, '$db')");
}

sub at_minute
{
	my (undef, $min, $hour) = gmtime $_[0];
	return "$min $hour * * *";
}

# "status|number of runs" of a cron job
sub runs_of
{
	my ($job) = @_;
	return "SELECT string_agg(DISTINCT status, ','), count(*) FROM cron.job_run_details WHERE jobid = $job";
}

my $handled = 'SELECT count(*) FROM %s_hits';
sub handled { return $node->safe_psql($_[0], sprintf $handled, $_[0]); }

# ---- before the first minute
# 40 sub-batches of a tenth of a second do not fit into one run of 3 s, and need less than two.
$node->safe_psql('postgres', 'ALTER DATABASE driven SET bbm.max_workers = 0');
add_counted_table($node, 'driven', 'driven', 400);
$node->safe_psql('driven', <<'SQL');
CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$;
CREATE TRIGGER nap AFTER UPDATE ON driven FOR EACH STATEMENT EXECUTE FUNCTION nap();
SQL
queue_add_one($node, 'driven', 'driven', 'sub_batch_size => 10, batch_size => 100');

add_counted_table($node, 'steered', 'steered', 20_000);
queue_add_one($node, 'steered', 'steered', "sub_batch_size => 10, batch_size => 1000, pause => '100ms'");
poll($node, 'steered', 'SELECT count(*) > 0 FROM steered_hits', 't', 'a migration works in the background');

my $first = (int(time / $minute) + 1) * $minute;
$first += $minute if $first - time < $lead;
my $second = $first + $minute;
my $drive = schedule('drive', '* * * * *', 'driven', q{CALL bbm.run('driven', max_time => '3 s')});
my $pause = schedule('pause', at_minute($first), 'steered', q{SELECT bbm.pause('steered', reason => 'office hours')});
my $resume = schedule('resume', at_minute($second), 'steered', q{SELECT bbm.resume('steered', reason => 'quiet hours')});
my $revive = schedule('revive', '* * * * *', 'revived', 'SELECT bbm.ensure_running()');
is(handled('driven'), '0', 'without workers nothing happens before its time');
is(status_of('steered'), 'active', 'nor is anything paused');

# ---- the first minute: jobs of pg_cron are connections
comes_true('steered', "SELECT status FROM bbm.migrations", 'paused', $first, 'pg_cron pauses a migration');
is($node->safe_psql('steered', "SELECT reason FROM bbm.events WHERE event = 'pause'"), 'office hours', 'for its reason');
comes_true('postgres', runs_of($drive), 'succeeded|1', $first, 'the first CALL bbm.run ends by its max_time');
is(status_of('driven'), 'active', 'before the migration does');
my $of_first_run = handled('driven');
cmp_ok($of_first_run, '>', 0, 'it has worked');
cmp_ok($of_first_run, '<', 400, 'and left work');
comes_true('postgres', runs_of($_), 'succeeded|1', $first, 'a job of pg_cron has run once') for $pause, $revive;

add_counted_table($node, 'revived', 'revived', 1000);
queue_add_one($node, 'revived', 'revived', "sub_batch_size => 10, batch_size => 200, pause => '50ms'");
poll($node, 'revived', 'SELECT count(*) > 0 FROM revived_hits', 't', 'another works when the server is stopped');

# ---- a restart; from now on jobs of pg_cron are background workers
$node->append_conf('postgresql.conf', 'cron.use_background_workers = on');
my $while_paused = handled('steered');
$node->restart;
my $before_revival = handled('revived');
cmp_ok($before_revival, '<', 1000, 'it has not ended');
cmp_ok(time, '<', $second, 'the second minute is still to come');
is(processes($node), '', 'nobody works after the restart');
is(status_of('steered'), 'paused', 'what was paused stays so');

# ---- the second minute
deadline_loop($minute, sub { time >= $second - 1 });
is(handled('revived'), $before_revival, 'until the next minute nothing goes on');
is(handled('steered'), $while_paused, 'neither what pg_cron has paused');
is(handled('driven'), $of_first_run, 'nor what nobody called');
comes_true('driven', 'SELECT status FROM bbm.migrations', 'finished', $second, 'the second CALL bbm.run brings its migration to the end');
comes_true('postgres', runs_of($drive), 'succeeded|2', $second, 'in two runs');
is(tally($node, 'driven', 'driven'), '400|0|0', 'every row was handled once');
is($node->safe_psql('driven', 'SELECT count(DISTINCT pid) FROM bbm.job_transitions'), '2', 'by two processes');
comes_true('revived', 'SELECT status FROM bbm.migrations', 'finished', $second, 'bbm.ensure_running() revives what the restart ended');
comes_true('postgres', runs_of($revive), 'succeeded|2', $second, 'by the job of pg_cron');
is(tally($node, 'revived', 'revived'), '1000|0|0', 'every row was handled once');
comes_true('steered', "SELECT count(*) > $while_paused FROM steered_hits", 't', $second, 'pg_cron resumes a migration');
is($node->safe_psql('steered', "SELECT reason FROM bbm.events WHERE event = 'resume'"), 'quiet hours', 'for its reason');
comes_true('postgres', runs_of($resume), 'succeeded|1', $second, 'at its time only');
$node->safe_psql('steered', "SELECT bbm.finalize('steered')");
is(status_of('steered'), 'finished', 'it comes to its end');
is(tally($node, 'steered', 'steered'), '20000|0|0', 'every row was handled once');

# ---- a job of pg_cron that nobody has removed
is(error_of($node, 'driven', q{CALL bbm.run('driven', max_time => '3 s')}), '', 'CALL bbm.run of a finished migration does nothing');
is(handled('driven'), '400', 'at all');
is(error_of($node, 'revived', 'SELECT bbm.ensure_running()'), '', 'nor does bbm.ensure_running()');

$node->stop;
done_testing();
