# The parts of fast.sh beside its table. Sourced by it.
#   FAST_OLTP_REPS=3          repetitions of "oltp"
#   FAST_OLTP_RATE=500        transactions a second
#   FAST_OLTP_SECONDS=8       of the run beside nothing
#   FAST_HISTORY_JOBS=1000000, FAST_HISTORY_MIGRATIONS=10000
# shellcheck shell=bash disable=SC2154 # what fast.sh sets

oltp_reps=${FAST_OLTP_REPS:-$repeat}
oltp_rate=${FAST_OLTP_RATE:-500}
oltp_seconds=${FAST_OLTP_SECONDS:-8}
history_jobs=${FAST_HISTORY_JOBS:-1000000}
history_migrations=${FAST_HISTORY_MIGRATIONS:-10000}

# ---- snapshot: somebody's snapshot is open for the whole run

open_snapshot() {
    coproc HOLDER { sql; }
    echo 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;' >&"${HOLDER[1]}"
    read -r -t 30 <&"${HOLDER[0]}"
}

close_snapshot() {
    local holder=$HOLDER_PID
    printf '%s\n' 'COMMIT;' '\q' >&"${HOLDER[1]}"
    wait "$holder"
}

snapshot() {
    local statement repetition method hold_snapshot=yes
    echo "$csv_head" >"$out/snapshot.csv"
    for statement in "${statements[@]}"; do
        for ((repetition = 1; repetition <= repeat; ++repetition)); do
            for method in $(in_order "$repetition" $'single\nkeys'); do
                try run_one "$repetition" narrow "$statement" "$method" "$out/snapshot.csv"
            done
        done
    done
}

# ---- oltp: a client workload on the table that is changed

# log_reaches TIME FILES: has the last written transaction begun after that?
log_reaches() {
    local until=$1
    shift
    tail -qn 2 "$@" 2>/dev/null | awk -v until="$until" 'NF >= 6 && $5 + $6 / 1e6 - $3 / 1e6 > until { found = 1 } END { exit !found }'
}

await_log() {
    local deadline=$((SECONDS + 600))
    until log_reaches "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || { say "oltp: pgbench writes no log"; return 1; }
        sleep 0.1
    done
}

# latencies FROM TO FILES: count p50 p95 p99 max in milliseconds, of transactions that were due between
latencies() {
    local from=$1 to=$2
    shift 2
    awk -v from="$from" -v to="$to" 'NF >= 6 { due = $5 + $6 / 1e6 - $3 / 1e6; if (due >= from && due < to) print $3 / 1000 }' "$@" |
        sort -n | awk '{ ms[NR] = $1 } function at(p) { i = int(NR * p); return ms[i < NR ? i + 1 : NR] }
            END { if (NR < 100) exit 1; print NR, at(0.5), at(0.95), at(0.99), ms[NR] }'
}

now() { date +%s.%N; }

# oltp_run REPETITION SCENARIO
oltp_run() {
    local rows pgbench from to seconds=0 logs=$out/pgbench found
    rows=$(rows_of oltp)
    fresh narrow "$rows" backfill
    rm -f "$logs".*
    cat >"$out/oltp.sql" <<'END'
\set id random(1, :rows)
SELECT f FROM target WHERE id = :id;
UPDATE target SET b = b + 1 WHERE id = :id;
END
    pgbench -n -M prepared -c 4 -j 1 -R "$oltp_rate" -T 3600 -D rows="$rows" -f "$out/oltp.sql" --log --log-prefix="$logs" \
        >"$out/pgbench.out" 2>&1 &
    pgbench=$!
    trap 'kill "$pgbench"' EXIT # of the subshell that "try" makes
    # The first second is for its connections and plans.
    await_log "$(awk -v now="$(now)" 'BEGIN { printf "%.3f", now + 1 }')" "$logs.$pgbench"
    from=$(now)
    if [ "$2" = idle ]; then
        to=$(awk -v from="$from" -v more="$oltp_seconds" 'BEGIN { printf "%.3f", from + more }')
    else
        run_method "$2" narrow backfill "$rows"
        to=$(now)
        # Without the time in which nobody had noticed its end.
        to=$(awk -v from="$from" -v to="$to" -v took="$seconds" 'BEGIN { printf "%.3f", from + took < to ? from + took : to }')
    fi
    await_log "$to" "$logs.$pgbench"
    kill "$pgbench"
    trap - EXIT
    wait "$pgbench" || true
    found=$(latencies "$from" "$to" "$logs.$pgbench") || { say "oltp: too short; take a larger FAST_SCALE"; return 1; }
    echo "$1 $2 $rows $seconds $(awk -v from="$from" -v to="$to" 'BEGIN { printf "%.3f", to - from }') $found" | tr ' ' ',' \
        >>"$out/oltp.csv"
    rm -f "$logs".*
    [ "$2" = idle ] || sql -c "SELECT FROM bench.check((SELECT count(*) = $rows FROM target WHERE new_col = e * 3 + n), 'rows are wrong')" \
        -c 'CALL fast.check_indexes()'
    say "$1 beside $2: $found"
}

oltp() {
    local repetition scenario
    echo repetition,beside,rows,seconds,window,transactions,p50,p95,p99,max >"$out/oltp.csv"
    for ((repetition = 1; repetition <= oltp_reps; ++repetition)); do
        for scenario in $(in_order "$repetition" $'idle\nsingle\nplain\nkeys'); do try oltp_run "$repetition" "$scenario"; done
    done
}

# ---- history: does the cost of a job, or of a look for work, grow with what has been done? A thousand times
# the jobs and a hundred times the migrations are compared.

# history_database NAME JOBS MIGRATIONS
history_database() {
    sql -c "CREATE DATABASE $1"
    sql -d "$1" -v rows=100000 -f test/bench/helpers.sql
    sql -d "$1" -v jobs="$2" -v migrations="$3" <<'END'
SET client_min_messages = warning;
CREATE TABLE done (id integer PRIMARY KEY, n integer);
INSERT INTO done VALUES (1, 1);
SELECT bbm.queue('past', 'done', command => 'UPDATE done SET n = n', start => false) AS past \gset
SELECT bbm.mark_finished('past', 'history') AS marked \gset
SELECT string_agg(quote_ident(attname), ', ') FILTER (WHERE attname NOT IN ('id', 'job_class_name')) AS others
FROM pg_attribute WHERE attrelid = 'bbm.migration'::regclass AND attnum > 0 AND NOT attisdropped \gset
INSERT INTO bbm.migration (job_class_name, :others)
    SELECT 'past ' || n, :others FROM bbm.migration, generate_series(1, :migrations) AS n WHERE id = :past;
INSERT INTO bbm.job (migration_id, part_id, status, min_cursor, max_cursor, cursor, batch_size, sub_batch_size, attempts,
                     epoch, sub_batches, started_at, finished_at)
    SELECT migration.ids[1 + n % cardinality(migration.ids)], part.id, 'succeeded', ARRAY[n::text], ARRAY[n::text], ARRAY[n::text],
           1000, 100, 1, 1, 10, now(), now()
    FROM (SELECT array_agg(id) AS ids FROM bbm.migration) AS migration,
         (SELECT id FROM bbm.part LIMIT 1) AS part, generate_series(1, :jobs) AS n;
VACUUM (ANALYZE) bbm.job, bbm.migration, bbm.part;
END
}

# history_run REPETITION DATABASE JOBS: a migration of a thousand jobs that change nothing. Half of the jobs of the past are its own.
history_run() {
    local id
    sql -d "$2" -c 'SET client_min_messages = warning' -c "SELECT FROM bench.make('keys', 100000)" -c 'VACUUM (FREEZE, ANALYZE) keys' \
        -c CHECKPOINT
    id=$(sql -d "$2" -c 'SET client_min_messages = warning' -c "SELECT bbm.queue('now', 'keys', command => 'UPDATE keys SET a = a WHERE a < 0',
        batch_size => 100, sub_batch_size => 100, start => false)")
    sql -d "$2" -v id="$id" -v half="$(($3 / 2))" <<'END'
SET client_min_messages = warning;
UPDATE bbm.job SET migration_id = :id WHERE id IN (SELECT id FROM bbm.job ORDER BY id LIMIT :half);
VACUUM (ANALYZE) bbm.job;
SELECT FROM pg_stat_statements_reset();
SELECT FROM bbm.resume('now');
END
    PGDATABASE=$2 until_ended "$id"
    # For whoever wants to know what is not flat.
    sql -d "$2" --csv -c "SELECT $1, '$2', calls, round(total_exec_time::numeric, 1), query FROM pg_stat_statements
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY total_exec_time DESC LIMIT 12" \
        >>"$out/history_statements.csv"
    sql -d "$2" -v id="$id" -v past="$3" <<END | tr ' ' ',' >>"$out/history.csv"
SET client_min_messages = warning;
SELECT FROM bench.await('NOT EXISTS (SELECT FROM bench.processes)');
SELECT $1, '$2', jobs, ms / jobs, polls, poll_ms
FROM (SELECT count(*) AS jobs, bench.ms(min(started_at), bench.finished_at(:id)) AS ms FROM bbm.job
      WHERE migration_id = :id AND part_id IN (SELECT id FROM bbm.part WHERE migration_id = :id)) AS job,
     (SELECT sum(calls) AS polls, (sum(total_exec_time) - max(max_exec_time)) / (sum(calls) - 1) AS poll_ms FROM pg_stat_statements
      WHERE query LIKE '%ORDER BY m.priority DESC, m.id' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())) AS poll;
UPDATE bbm.job SET migration_id = (SELECT min(id) FROM bbm.migration)
WHERE migration_id = :id AND part_id NOT IN (SELECT id FROM bbm.part WHERE migration_id = :id);
SELECT FROM bbm.delete(:id);
VACUUM bbm.job;
END
    say "$(tail -n 1 "$out/history.csv")"
}

# The server is started anew with the extension that counts what its own statements take, and without waits for the disk:
# they are the same for every job, and many times what is looked for. The first look for work fills caches and is left out.
history() {
    local repetition database
    local -A jobs=([young]=$((history_jobs / 1000)) [old]=$history_jobs)
    start_cluster "shared_preload_libraries = 'bbm, pg_stat_statements'" "fsync = off"
    sql -c 'CREATE EXTENSION pg_stat_statements'
    history_database young "${jobs[young]}" "$((history_migrations / 100))"
    history_database old "${jobs[old]}" "$history_migrations"
    for database in young old; do sql -d "$database" -c 'CREATE EXTENSION pg_stat_statements'; done
    echo repetition,database,jobs,job_ms,polls,poll_ms >"$out/history.csv"
    echo repetition,database,calls,ms,statement >"$out/history_statements.csv"
    for ((repetition = 1; repetition <= repeat; ++repetition)); do
        for database in $(in_order "$repetition" $'young\nold'); do
            try history_run "$repetition" "$database" "${jobs[$database]}"
        done
    done
}
