# What a review of the engine has found, each in the smallest form that showed it.
use strict;
use warnings;

use BbmTest qw(:DEFAULT open_session say answer ask close_session);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The time-out is short, so that whatever is under it ends by it; blocks that need a long statement say so.
my $node = new_node('findings', conf => "max_prepared_transactions = 2\nautovacuum = off\nbbm.sub_batch_timeout = 1s\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bbm');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE crew;
GRANT crew TO alice, bob;
GRANT USAGE ON SCHEMA bbm TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bbm TO PUBLIC;
GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA bbm TO PUBLIC;
GRANT CREATE ON SCHEMA public TO alice, bob;
CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(TG_ARGV[0]::float8); RETURN NULL; END $$;
CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF random() < TG_ARGV[0]::float8 THEN RAISE SQLSTATE '40001' USING MESSAGE = 'made up'; END IF;
	RETURN NULL;
END $$;
SQL

my $asleep = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'bbm worker' AND wait_event_type = 'Extension' AND datname = current_database()";

sub status_is
{
	my ($db, $id, $status, $what) = @_;
	return poll($node, $db, "SELECT status FROM bbm.migrations WHERE id = $id", $status, $what);
}

sub setting
{
	my ($name, $value) = @_;
	$node->safe_psql('postgres', defined $value ? "ALTER SYSTEM SET $name = '$value'" : "ALTER SYSTEM RESET $name");
	$node->reload;
	return unless defined $value;
	return poll($node, 'postgres', "SHOW $name", $value, "$name = $value is read");
}

# ---- processes that end while they sleep, outside of a transaction, leave no lock behind
{
	add_counted_table($node, 'postgres', 'asleep', 100);
	my $id = queue_add_one($node, 'postgres', 'asleep', "sub_batch_size => 50, pause => '1 hour'");
	poll($node, 'postgres', $asleep, '1', 'a worker sleeps in its pause');
	poll($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'bbm scheduler' AND wait_event_type = 'Extension'",
		'1', 'and the scheduler');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE backend_type IN ('bbm worker', 'bbm scheduler')");
	status_is('postgres', $id, 'finished', 'terminated in their sleep they are followed by others');
	is(tally($node, 'postgres', 'asleep'), '100|0|0', 'every row was handled once');
	no_process_but($node, 'bbm launcher', 'and everybody leaves');
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid IN (3, 4)"), '0', 'no lock is left');
}

# ---- a call of bbm.queue that fails leaves nothing behind that later statements of the session meet
{
	my $offset = log_size($node);
	my ($out, $err) = ('', '');
	$node->psql('postgres', <<'SQL', stdout => \$out, stderr => \$err, on_error_stop => 0);
SELECT bbm.queue('broken', 'asleep', command => 'UPDATE asleep SET nosuch = 1 /*' || repeat('x', 3000000) || '*/');
SELECT 1;
SELECT bbm.queue('broken', 'asleep', command => 'UPDATE asleep SET n = 1', scope_to => 'nosuch' || repeat(' ', 3000000));
SELECT 2 FROM asleep LIMIT 1;
DO $$ BEGIN PERFORM bbm.queue('broken', 'asleep', command => 'UPDATE asleep SET nosuch = 1'); EXCEPTION WHEN OTHERS THEN PERFORM n FROM asleep LIMIT 1; END $$;
SELECT bbm.queue('whole', 'asleep', command => 'UPDATE asleep SET n = n', start => false) > 0;
SELECT bbm.delete('whole');
SELECT 3;
SQL
	is($out, "1\n2\nt\nt\n3", 'statements after a failed bbm.queue work');
	unlike(log_since($node, $offset), qr/terminated by signal/, 'and no process dies');
}

# ---- a trigger of the command that calls bbm itself does not take the range from the command
{
	add_counted_table($node, 'postgres', 'nested', 2000);
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE follower (id int PRIMARY KEY, n int);
INSERT INTO follower VALUES (1, 1);
CREATE FUNCTION call_bbm() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id IN (150, 151) THEN
		PERFORM bbm.queue('follow', 'follower', command => 'UPDATE follower SET n = n', start => false, if_not_exists => true);
		PERFORM * FROM bbm.explain('nested');
		PERFORM * FROM bbm.explain('follow');
	END IF;
	IF NEW.id = 160 THEN
		BEGIN
			PERFORM bbm.queue('broken', 'follower', command => 'UPDATE follower SET nosuch = n');
		EXCEPTION WHEN undefined_column THEN NULL;
		END;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER call_bbm BEFORE UPDATE ON nested FOR EACH ROW EXECUTE FUNCTION call_bbm();
SQL
	my $id = queue_add_one($node, 'postgres', 'nested', "sub_batch_size => 100, batch_size => 1900, pause => '50ms'");
	poll($node, 'postgres', 'SELECT count(*) > 200 FROM nested_hits', 't', 'the trigger has called bbm');
	is($node->safe_psql('postgres', "SELECT count(*) FROM bbm.migrations WHERE job_class_name = 'follow'"), '1', 'with success');
	$node->safe_psql('postgres', 'ANALYZE nested');
	my $done = $node->safe_psql('postgres', 'SELECT count(*) FROM nested_hits');
	cmp_ok($done, '<', 1900, 'ANALYZE comes in mid-job');
	poll($node, 'postgres', "SELECT count(*) > $done FROM nested_hits", 't', 'the command is planned again');
	$node->safe_psql('postgres', 'CREATE INDEX ON nested (note)');
	status_is('postgres', $id, 'finished', 'it ends');
	is(tally($node, 'postgres', 'nested'), '2000|0|0', 'every row was handled once');
	is($node->safe_psql('postgres', "SELECT rows_affected FROM bbm.migrations WHERE id = $id"), '2000', 'and counted once');
	$node->safe_psql('postgres', "SELECT bbm.delete('follow')");
}

# ---- many who take jobs over from each other
{
	add_counted_table($node, 'postgres', 'contested', 6000);
	$node->safe_psql('postgres', "CREATE TRIGGER collide AFTER UPDATE ON contested FOR EACH STATEMENT EXECUTE FUNCTION collide('0.05')");
	my $id = queue_add_one($node, 'postgres', 'contested', 'sub_batch_size => 10, batch_size => 400');
	my $script = $node->basedir . '/contest.sql';
	append_to_file($script, "CALL bbm.run($id, '150 ms');\n");
	command_ok([ 'pgbench', '-n', '-c', '4', '-T', '4', '-f', $script, $node->connstr('postgres') ], 'four sessions work at one migration');
	$node->safe_psql('postgres', 'DROP TRIGGER collide ON contested');
	status_is('postgres', $id, 'finished', 'it ends');
	is(tally($node, 'postgres', 'contested'), '6000|0|0', 'every row was handled once');
	is($node->safe_psql('postgres', "SELECT rows_affected FROM bbm.migrations WHERE id = $id"), '6000', 'and counted once');
	isnt($node->safe_psql('postgres', "SELECT count(*) FROM bbm.failures WHERE migration_id = $id AND sqlstate = '40001'"), '0', 'through errors');
	isnt($node->safe_psql('postgres', "SELECT count(DISTINCT pid) FROM bbm.job_transitions WHERE migration_id = $id"), '1', 'by several processes');
}

# ---- whose rights
{
	my @alice = (extra_params => [ '-U', 'alice' ]);
	my @bob = (extra_params => [ '-U', 'bob' ]);
	$node->safe_psql('postgres', <<'SQL', @alice);
CREATE TABLE trap (id int PRIMARY KEY, n int);
INSERT INTO trap SELECT i, 0 FROM generate_series(1, 10) AS i;
CREATE TABLE caught (role_name text);
GRANT INSERT ON caught TO PUBLIC;
CREATE FUNCTION spring() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO public.caught VALUES (current_user); RETURN 1; END $$;
CREATE FUNCTION harmless() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.spring(); END $$;
CREATE FUNCTION fence() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; INSERT INTO public.caught VALUES (current_user); RETURN NULL; END $$;
CREATE TABLE fenced (id int PRIMARY KEY, n int);
INSERT INTO fenced SELECT i, 0 FROM generate_series(1, 10) AS i;
CREATE TRIGGER fence AFTER UPDATE ON fenced FOR EACH STATEMENT EXECUTE FUNCTION fence();
SQL
	my $id = $node->safe_psql('postgres', "SELECT bbm.queue('trap', 'trap', command => 'UPDATE trap SET n = harmless()', start => false)", @alice);
	isnt($node->safe_psql('postgres', 'SELECT count(*) FROM caught'), '0', 'planning runs immutable functions');
	my $shown = $node->safe_psql('postgres', "SELECT * FROM bbm.explain($id)");
	like($shown, qr/UPDATE ONLY public\.trap SET n = harmless/, 'a superuser sees what another role has queued');
	is($node->safe_psql('postgres', 'SELECT DISTINCT role_name FROM caught'), 'alice', 'and runs nothing of it');
	like($node->safe_psql('postgres', "SELECT * FROM bbm.explain($id)", @alice), qr/Index/, 'its owner sees the plan');
	$node->safe_psql('postgres', "SELECT bbm.delete($id)");

	$node->safe_psql('postgres', 'CREATE TABLE of_bob (id int PRIMARY KEY, n int); ALTER TABLE of_bob OWNER TO bob');
	$node->safe_psql('postgres', q{SET ROLE crew; SELECT bbm.define('of_crew', 'UPDATE {table} SET n = 0')}, @alice);
	$node->safe_psql('postgres', q{SELECT bbm.define('of_alice', 'UPDATE {table} SET n = 0')}, @alice);
	$node->safe_psql('postgres', q{SELECT bbm.define('of_admin', 'UPDATE {table} SET n = 0')});
	for my $class (qw(of_crew of_alice))
	{
		isnt(error_of($node, 'postgres', "SELECT bbm.queue('$class', 'of_bob', start => false)", @bob), '', "job class $class could be somebody else's words");
	}
	is($node->safe_psql('postgres', 'SELECT count(*) FROM bbm.migrations', @bob), '0', 'and is not queued');
	is(error_of($node, 'postgres', "SELECT bbm.queue('of_admin', 'of_bob', start => false)", @bob), '', 'a job class of a superuser is queued');

	$id = $node->safe_psql('postgres', "SELECT bbm.queue('fenced', 'fenced', command => 'UPDATE fenced SET n = 1', start => false)", @alice);
	setting('bbm.max_workers', '0');
	$node->safe_psql('postgres', "SELECT bbm.resume($id)");
	is(error_of($node, 'postgres', "SET ROLE alice; CALL bbm.run($id)"), '42501', 'CALL bbm.run after SET ROLE is refused');
	is(error_of($node, 'postgres', 'SET ROLE alice; CALL bbm.run()'), '42501', 'also without an id');
	is(error_of($node, 'postgres', "SET SESSION AUTHORIZATION alice; CALL bbm.run($id)"), '42501', 'and after SET SESSION AUTHORIZATION');
	is($node->safe_psql('postgres', "SELECT count(*) FROM caught WHERE role_name <> 'alice'"), '0', 'nothing ran');
	is(error_of($node, 'postgres', "CALL bbm.run($id)", @alice), '', 'the owner may');
	is($node->safe_psql('postgres', 'SELECT min(n), max(n) FROM fenced'), '1|1', 'and the work is done');

	# ---- work that waited for bbm.max_workers starts when the configuration is read again
	add_counted_table($node, 'postgres', 'unmanned', 50);
	$id = queue_add_one($node, 'postgres', 'unmanned');
	is(processes($node), 'bbm launcher', 'bbm.max_workers = 0: nobody works');
	setting('bbm.max_workers');
	status_is('postgres', $id, 'finished', 'more workers: it starts by itself');

	# ---- an owner who cannot connect
	add_counted_table($node, 'postgres', 'kept_out', 50);
	$node->safe_psql('postgres', 'GRANT ALL ON kept_out, kept_out_hits, kept_out_held TO alice');
	$id = queue_add_one($node, 'postgres', 'kept_out', 'start => false', user => 'alice');
	$node->safe_psql('postgres', 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC');
	$node->safe_psql('postgres', "SELECT bbm.resume($id)");
	status_is('postgres', $id, 'failed', 'the migration of an owner without CONNECT fails');
	is(events_of($node, 'postgres', $id), 'failed|42501', 'with the reason');
	$node->safe_psql('postgres', 'GRANT CONNECT ON DATABASE postgres TO PUBLIC');
	$node->safe_psql('postgres', "SELECT bbm.retry($id)");
	status_is('postgres', $id, 'finished', 'with CONNECT and retry it ends');
	is(tally($node, 'postgres', 'kept_out'), '50|0|0', 'every row was handled once');
}

# ---- clients that change a running migration and its table in one transaction are no victims
{
	# Returns when the worker waits for a lock and has looked for deadlocks in vain: the next to look would be the client.
	my $let_it_wait = <<'SQL';
DO $$ BEGIN
	FOR i IN 1 .. 25 LOOP
		EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '300 ms');
		PERFORM pg_sleep(0.02);
	END LOOP;
END $$;
SQL
	my %last = (
		altered => 'ALTER TABLE %s ADD COLUMN x int;',
		changed => "UPDATE %s SET note = 'x';",
		recreated => 'DROP TABLE %s; CREATE TABLE %s (id int);');
	for my $name (sort keys %last)
	{
		add_counted_table($node, 'postgres', $name, 5000);
		queue_add_one($node, 'postgres', $name, 'sub_batch_size => 10, batch_size => 20');
		poll($node, 'postgres', "SELECT count(*) > 0 FROM ${name}_hits", 't', "$name: work has begun");
		my $sql = $last{$name} =~ s/%s/$name/gr;
		is(error_of($node, 'postgres', "BEGIN; SELECT bbm.delete('$name'); $let_it_wait $sql COMMIT;"), '', "delete and \"$sql\" in one transaction");
	}
	no_process_but($node, 'bbm launcher', 'the workers leave');

	# The worker must not wait behind the client with rows of his table locked, however long it may wait elsewhere.
	setting('bbm.lock_timeout', '30s');
	add_counted_table($node, 'postgres', 'patient', 5000);
	$node->safe_psql('postgres', "CREATE TRIGGER nap AFTER UPDATE ON patient FOR EACH STATEMENT EXECUTE FUNCTION nap('0.2')");
	queue_add_one($node, 'postgres', 'patient', 'sub_batch_size => 10');
	wait_holding($node, 'postgres');
	is(error_of($node, 'postgres', "BEGIN; SELECT bbm.delete('patient'); $let_it_wait ALTER TABLE patient ADD COLUMN x int; COMMIT;"), '',
		'delete and ALTER TABLE during a sub-batch');
	no_process_but($node, 'bbm launcher', 'the worker leaves');
	setting('bbm.lock_timeout');

	add_counted_table($node, 'postgres', 'undecided', 1000);
	my $id = queue_add_one($node, 'postgres', 'undecided', "sub_batch_size => 10, batch_size => 50, pause => '10ms'");
	poll($node, 'postgres', 'SELECT count(*) > 0 FROM undecided_hits', 't', 'work has begun');
	my $session = open_session($node, 'postgres');
	ask($session, "BEGIN; SELECT bbm.delete('undecided');");
	is(error_of($node, 'postgres', "SET lock_timeout = '10s'; UPDATE undecided SET note = 'x'"), '', 'a delete that is not committed keeps no row locked');
	is(error_of($node, 'postgres', "SET lock_timeout = '10s'; ALTER TABLE undecided ADD COLUMN x int"), '', 'nor the table');
	ask($session, 'ROLLBACK;');
	status_is('postgres', $id, 'finished', 'taken back, the migration goes on');
	is(tally($node, 'postgres', 'undecided'), '1000|0|0', 'and handles every row once');

	setting('bbm.lock_timeout', '200ms');
	add_counted_table($node, 'postgres', 'obstructed', 100);
	ask($session, 'BEGIN; UPDATE obstructed SET note = note WHERE id = 50;');
	$id = queue_add_one($node, 'postgres', 'obstructed', 'sub_batch_size => 50');
	poll($node, 'postgres', "SELECT DISTINCT sqlstate FROM bbm.failures WHERE migration_id = $id", '55P03', 'a worker does not wait for a row for ever');
	setting('bbm.lock_timeout');
	ask($session, 'COMMIT;');
	status_is('postgres', $id, 'finished', 'and comes back');
	is(tally($node, 'postgres', 'obstructed'), '100|0|0', 'every row was handled once');
	close_session($session);
}

# ---- finalize
{
	add_counted_table($node, 'postgres', 'unlucky', 50);
	$node->safe_psql('postgres', "CREATE TRIGGER collide AFTER UPDATE ON unlucky FOR EACH STATEMENT EXECUTE FUNCTION collide('1')");
	my $id = queue_add_one($node, 'postgres', 'unlucky', 'start => false');
	is(error_of($node, 'postgres', "SET statement_timeout = '3s'; SELECT bbm.finalize($id)"), '57014', 'finalize of what always fails');
	my $transitions = $node->safe_psql('postgres', "SELECT count(*) FROM bbm.job_transitions WHERE migration_id = $id");
	cmp_ok($transitions, '>', 1, 'it has been tried');
	cmp_ok($transitions, '<', 20, 'but not in a hot loop');
	$node->safe_psql('postgres', 'DROP TRIGGER collide ON unlucky');
	$node->safe_psql('postgres', "SELECT bbm.delete($id)");

	add_counted_table($node, 'postgres', 'hurried', 100);
	$id = queue_add_one($node, 'postgres', 'hurried', "sub_batch_size => 50, pause => '1 hour'");
	poll($node, 'postgres', $asleep, '1', 'a worker rests for an hour');
	is(error_of($node, 'postgres', "SET statement_timeout = '10s'; SELECT bbm.finalize($id)"), '', 'finalize ends its rest');
	is(tally($node, 'postgres', 'hurried'), '100|0|0', 'every row was handled once');

	add_counted_table($node, 'postgres', 'quickened', 100);
	$id = queue_add_one($node, 'postgres', 'quickened', "sub_batch_size => 50, pause => '1 hour'");
	poll($node, 'postgres', $asleep, '1', 'a worker rests for an hour');
	$node->safe_psql('postgres', "SELECT bbm.alter($id, pause => '0')");
	is($node->safe_psql('postgres', "SELECT bbm.wait($id, '10s')"), 't', 'alter(pause) ends its rest');

	add_counted_table($node, 'postgres', 'cut_off', 200);
	$node->safe_psql('postgres', "CREATE TRIGGER nap AFTER UPDATE ON cut_off FOR EACH STATEMENT EXECUTE FUNCTION nap('0.2')");
	$id = queue_add_one($node, 'postgres', 'cut_off', 'sub_batch_size => 10, start => false');
	my $session = open_session($node, 'postgres', '-v', 'VERBOSITY=sqlstate');
	say($session, "SET statement_timeout = '10s'; SELECT bbm.finalize($id);");
	poll($node, 'postgres', 'SELECT count(*) > 0 FROM cut_off_hits', 't', 'finalize works');
	setting('bbm.enabled', 'off');
	like(answer($session), qr/ERROR:  55000/, 'bbm is switched off: finalize says so');
	setting('bbm.enabled');
	close_session($session);
	$node->safe_psql('postgres', 'DROP TRIGGER nap ON cut_off');
	status_is('postgres', $id, 'finished', 'switched on it goes on');
	is(tally($node, 'postgres', 'cut_off'), '200|0|0', 'every row was handled once');
}

# ---- time-outs
{
	add_counted_table($node, 'postgres', 'too_much', 130);
	$node->safe_psql('postgres', "CREATE TRIGGER nap AFTER UPDATE ON too_much FOR EACH ROW EXECUTE FUNCTION nap('0.01')");
	my $id = queue_add_one($node, 'postgres', 'too_much', 'sub_batch_size => 120');
	poll($node, 'postgres', "SELECT count(*) > 0 FROM bbm.failures WHERE migration_id = $id AND sqlstate = '57014'", 't', 'a sub-batch runs into its time-out');
	status_is('postgres', $id, 'finished', 'and is made smaller until it passes');
	is(tally($node, 'postgres', 'too_much'), '130|0|0', 'every row was handled once');

	add_counted_table($node, 'postgres', 'deferred', 50);
	$node->safe_psql('postgres', 'CREATE CONSTRAINT TRIGGER nap AFTER UPDATE ON deferred DEFERRABLE INITIALLY DEFERRED'
		  . " FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION nap('600')");
	$id = queue_add_one($node, 'postgres', 'deferred');
	poll($node, 'postgres', "SELECT DISTINCT sqlstate FROM bbm.failures WHERE migration_id = $id", '57014', 'deferred triggers are under the time-out');
	$node->safe_psql('postgres', "SELECT bbm.delete($id)");

	setting('bbm.sub_batch_timeout', '1h');
	$id = queue_add_one($node, 'postgres', 'deferred');
	wait_holding($node, 'postgres', 1, 'a deferred trigger sleeps');
	$node->safe_psql('postgres', "SELECT bbm.pause($id, immediate => true)");
	no_process_but($node, 'bbm launcher', 'pause immediate cuts a deferred trigger');
	is($node->safe_psql('postgres', "SELECT status, (SELECT count(*) FROM bbm.failures WHERE migration_id = $id) FROM bbm.migrations WHERE id = $id"),
		'paused|0', 'that is no failure');
	$node->safe_psql('postgres', "SELECT bbm.resume($id)");
	wait_holding($node, 'postgres', 1, 'it sleeps again');
	is(error_of($node, 'postgres', "SET statement_timeout = '10s'; SELECT bbm.delete($id)"), '', 'delete does not wait for the end of a sub-batch');
	no_process_but($node, 'bbm launcher', 'which is cut');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'bbm worker'");
	$node->safe_psql('postgres', "SELECT bbm.delete(id) FROM bbm.migrations WHERE id = $id");
	setting('bbm.sub_batch_timeout');

	# A client's own run is cut as well, by whoever is there to do it.
	setting('bbm.max_workers', '0');
	$id = queue_add_one($node, 'postgres', 'deferred');
	my $session = open_session($node, 'postgres', '-v', 'VERBOSITY=sqlstate');
	say($session, "CALL bbm.run($id);");
	my $client = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND wait_event = 'PgSleep'";
	poll($node, 'postgres', "SELECT count(*) $client", '1', 'CALL bbm.run sleeps in a trigger');
	$node->safe_psql('postgres', "SELECT bbm.pause($id, immediate => true)");
	poll($node, 'postgres', "SELECT count(*) $client", '0', 'pause immediate ends a CALL without background workers');
	$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) $client");
	unlike(answer($session), qr/ERROR/, 'which is no error');
	close_session($session);
	setting('bbm.max_workers');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM deferred WHERE n <> 0'), '0', 'nothing of it was kept');
	$node->safe_psql('postgres', "SELECT bbm.delete($id)");
}

# ---- transactions that see an old state
{
	add_counted_table($node, 'postgres', 'grown', 100);
	my $session = open_session($node, 'postgres');
	ask($session, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
	$node->safe_psql('postgres', 'INSERT INTO grown (n) SELECT 0 FROM generate_series(1, 100)');
	my $id = ask($session, "SET client_min_messages = warning; SELECT count(*) FROM grown; SELECT bbm.queue('grown', 'grown', command => 'UPDATE grown SET n = n + 1'); COMMIT;");
	like($id, qr/^100\n\d+\n$/, 'queue in REPEATABLE READ');
	close_session($session);
	$id =~ s/^100\n(\d+)\n$/$1/;
	status_is('postgres', $id, 'finished', 'it ends');
	is(tally($node, 'postgres', 'grown'), '200|0|0', 'and handles what others had committed before it');

	for my $level ('REPEATABLE READ', 'SERIALIZABLE')
	{
		add_counted_table($node, 'postgres', 'gate', 100);
		$id = queue_add_one($node, 'postgres', 'gate', 'start => false');
		is(error_of($node, 'postgres', "BEGIN ISOLATION LEVEL $level; SELECT 1; SELECT bbm.ensure_finished($id); COMMIT"), '', "the gate passes in $level");
		is(tally($node, 'postgres', 'gate'), '100|0|0', 'and the work is done');
		is(error_of($node, 'postgres', "BEGIN ISOLATION LEVEL $level; SELECT 1; SELECT bbm.ensure_finished($id); COMMIT"), '', "and once more in $level");
		$node->safe_psql('postgres', "SELECT bbm.delete($id); DROP TABLE gate, gate_hits, gate_held; DROP FUNCTION gate_count");
	}
	is(error_of($node, 'postgres', "BEGIN; SELECT bbm.queue('two', 'gate2', command => 'UPDATE gate2 SET n = 1'); PREPARE TRANSACTION 'x'"), '42P01',
		'an error in a transaction leaves no wish behind');
	is(error_of($node, 'postgres', "BEGIN; SELECT bbm.alter('grown', priority => 1); PREPARE TRANSACTION 'x'"), '0A000', 'alter cannot be part of a prepared transaction');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0', 'and none is left');
}

# ---- the pause is whole, whoever wakes the worker
{
	add_counted_table($node, 'postgres', 'polite', 20);
	# No sub-batch is made smaller than that, however slow the machine is.
	my $id = queue_add_one($node, 'postgres', 'polite', "sub_batch_size => 10, pause => '2s'");
	poll($node, 'postgres', $asleep, '1', 'a worker rests');
	$node->safe_psql('postgres', "SELECT bbm.alter($id, priority => $_)") for 1 .. 10;
	status_is('postgres', $id, 'finished', 'it ends');
	is($node->safe_psql('postgres', "SELECT count(*), min(at - before) >= '2s' FROM (SELECT at, lag(at) OVER (ORDER BY id) AS before, id FROM polite_hits) AS h WHERE id = 11"),
		'1|t', 'ten calls of alter do not shorten the pause');
	is($node->safe_psql('postgres', "SELECT sub_batches FROM bbm.migrations WHERE id = $id"), '2', 'there was one pause');
}

# ---- the retry of a failed job does not use up the interval of the next one
{
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE spaced (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO spaced SELECT generate_series(1, 200);
CREATE SEQUENCE spaced_tries; -- does not roll back
CREATE FUNCTION spaced_fails_once() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF nextval('spaced_tries') = 1 THEN RAISE EXCEPTION 'once' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$;
CREATE TRIGGER once AFTER UPDATE ON spaced FOR EACH STATEMENT EXECUTE FUNCTION spaced_fails_once();
SQL
	my $id = $node->safe_psql('postgres', "SELECT bbm.queue('spaced', 'spaced', command => 'UPDATE spaced SET n = n + 1', batch_size => 100, job_interval => '5s')");
	status_is('postgres', $id, 'finished', 'a migration with an interval and a job that failed once ends');
	is($node->safe_psql('postgres', "SELECT max(attempts) FROM bbm.jobs WHERE migration_id = $id"), '2', 'the job was tried again');
	is($node->safe_psql('postgres', "SELECT max(created_at) - min(created_at) >= '4.9s' FROM bbm.jobs WHERE migration_id = $id"), 't', 'the next job kept its distance');
	is($node->safe_psql('postgres', 'SELECT min(n), max(n) FROM spaced'), '1|1', 'and every row was handled once');
}

# ---- a table that is swapped by name
for my $form ('', ' WHERE id BETWEEN $1 AND $2')
{
	my $name = $form ? 'swap_range' : 'swap_plain';
	add_counted_table($node, 'postgres', $name, 2000);
	my $id = $node->safe_psql('postgres', "SELECT bbm.queue('$name', '$name', command => 'UPDATE $name SET n = n + 1$form', sub_batch_size => 20, batch_size => 1000, pause => '20ms')");
	poll($node, 'postgres', "SELECT count(*) > 0 FROM ${name}_hits", 't', "$name: work has begun");
	$node->safe_psql('postgres', <<"SQL");
BEGIN;
ALTER TABLE $name RENAME TO ${name}_old;
CREATE TABLE $name (LIKE ${name}_old INCLUDING ALL);
INSERT INTO $name (id, n) SELECT i, 0 FROM generate_series(1, 3000) AS i;
COMMIT;
SQL
	status_is('postgres', $id, 'finished', "$name: the migration goes on");
	is($node->safe_psql('postgres', "SELECT count(*) FROM $name WHERE n <> 0"), '0', 'no row of the new table is changed');
	$node->safe_psql('postgres', "BEGIN; DROP TABLE $name; ALTER TABLE ${name}_old RENAME TO $name; COMMIT");
	is(tally($node, 'postgres', $name), '2000|0|0', 'and every row was handled once');

	$node->safe_psql('postgres', "CREATE SCHEMA IF NOT EXISTS elsewhere; UPDATE $name SET n = 0; TRUNCATE ${name}_hits");
	$id = $node->safe_psql('postgres', "SELECT bbm.queue('$name again', '$name', command => 'UPDATE $name SET n = n + 1$form', sub_batch_size => 20, pause => '20ms')");
	poll($node, 'postgres', "SELECT count(*) > 0 FROM ${name}_hits", 't', "$name: work has begun again");
	$node->safe_psql('postgres', "ALTER TABLE $name SET SCHEMA elsewhere");
	status_is('postgres', $id, 'finished', "$name: a table that moves to another schema does not stop it");
	$node->safe_psql('postgres', "ALTER TABLE elsewhere.$name SET SCHEMA public");
	is(tally($node, 'postgres', $name), '2000|0|0', 'and every row was handled once');
}

# ---- the extension is created anew under a worker that sleeps
{
	$node->safe_psql('postgres', 'CREATE DATABASE reborn');
	$node->safe_psql('reborn', <<'SQL');
CREATE TABLE x (id int PRIMARY KEY, good int NOT NULL DEFAULT 0, bad int NOT NULL DEFAULT 0);
INSERT INTO x SELECT generate_series(1, 300);
CREATE EXTENSION bbm;
SQL
	my $old = $node->safe_psql('reborn', "SELECT bbm.queue('x', 'x', command => 'UPDATE x SET bad = bad + 1', sub_batch_size => 100, pause => '1s')");
	poll($node, 'reborn', $asleep, '1', 'a worker sleeps');
	my $new = $node->safe_psql('reborn', <<'SQL');
SET client_min_messages = warning;
DROP EXTENSION bbm CASCADE;
CREATE EXTENSION bbm;
CREATE TABLE before AS SELECT * FROM x;
SELECT bbm.queue('x', 'x', command => 'UPDATE x SET good = good + 1');
SQL
	is($new, $old, 'a migration gets the number of the old one');
	status_is('reborn', $new, 'finished', 'it ends');
	no_process_but($node, 'bbm launcher', 'and everybody leaves');
	is($node->safe_psql('reborn', 'SELECT min(x.good), max(x.good), sum(x.bad - before.bad) FROM x JOIN before USING (id)'), '1|1|0', 'the new command ran, the old one did not');
}
$node->stop;

done_testing();
