#!/usr/bin/env bash
# Measures bbm on a private cluster: bench.sh [SECTION ...]   (default: all)
#   sections: throughput latency bookkeeping pause memory ranges filter keys workers partitions fast
#   ROWS=1000000   rows of the table in "throughput"
#   REPEAT=3       repetitions of those that repeat: throughput, bookkeeping, filter, keys, workers
#   SAMPLES=10     samples of "pause"; "latency" takes twice as many
# The sizes of ranges to partitions: test/bench/shapes.sh; "fast" is test/bench/fast.sh.
# Raw figures go to build/bench/*.tsv. A missed goal is no failure: the exit code tells only whether all ran.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

rows=${ROWS:-1000000}
repeat=${REPEAT:-3}
samples=${SAMPLES:-10}
cluster=bench
out=build/bench
keys=200000 # of the tables whose rows do not matter
sections=("$@")
known=(throughput latency bookkeeping pause memory ranges filter keys workers partitions fast)
[ "${#sections[@]}" -gt 0 ] || sections=("${known[@]}")
for section in "${sections[@]}"; do
    [[ " ${known[*]} " = *" $section "* ]] || { sed -n '2,8s/^# \{0,1\}//p' test/bench/bench.sh >&2; exit 2; }
done
# shellcheck source=test/bench/shapes.sh
. test/bench/shapes.sh
# What this file measures; "fast" has a server and a report of its own.
own_sections=()
for section in "${sections[@]}"; do [ "$section" = fast ] || own_sections+=("$section"); done
# shellcheck disable=SC2086 # several numbers
most_rows=$(printf '%s\n' "$rows" "$keys" "$filter_rows" "$key_rows" "$worker_rows" $((partitions * partition_rows)) \
    $range_rows | sort -n | tail -1)

say() { printf '%(%T)T %s\n' -1 "$*" >&2; }

# sql [psql's options]: a script from standard input, bare rows out
sql() { psql -X -q -At -F $'\t' -v ON_ERROR_STOP=1 "$@"; }

idle="NOT EXISTS (SELECT FROM bench.processes)"

# until_finished ID [SECONDS [STATEMENT]]: looks from outside, since a client that waits inside a statement holds a
# snapshot, and with it the removal of old row versions. The statement, which returns no rows, is run at each look.
until_finished() {
    local status deadline=$((SECONDS + 300))
    until status=$(sql ${3:+-c "$3"} -c "SELECT status FROM bbm.migrations WHERE id = $1") && [ "$status" = finished ]; do
        if [ "$status" = failed ] || [ "$SECONDS" -ge "$deadline" ]; then
            sql -c "SELECT status, status_reason FROM bbm.migrations WHERE id = $1" >&2
            return 1
        fi
        sleep "${2:-0.05}"
    done
}

build() {
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    make -s >&2
    "${as_root[@]}" make -s install >&2
}

# Sixty minutes between checkpoints: only ours happen. Commit timestamps tell how long sub-batches took.
start_cluster() {
    local exports
    trap 'test/tools/cluster.sh stop "$cluster"' EXIT
    test/tools/cluster.sh start "$cluster" "shared_buffers = 2GB" "max_wal_size = 8GB" "checkpoint_timeout = 1h" \
        "track_commit_timestamp = on" >&2
    exports=$(test/tools/cluster.sh env "$cluster")
    eval "$exports"
    sql -v rows="$most_rows" -f test/bench/helpers.sql
}

# ---- throughput

# fresh NAME ROWS
fresh() {
    sql -c 'SET client_min_messages = warning' -c "SELECT FROM bench.make('$1', $2)" -c "VACUUM (FREEZE, ANALYZE) $1" \
        -c CHECKPOINT
}

# The three sizes before a run, as psql variables.
sizes="SELECT pg_relation_size('target') AS heap, pg_relation_size('target_pkey') AS pk,
    pg_current_wal_insert_lsn() AS lsn"

# after NAME REPETITION: what the run cost, for :started and :ended
after() {
    cat <<END
SELECT bench.check(count(*) = 0, 'rows of $1 are wrong') FROM target WHERE new_col IS DISTINCT FROM e * 3 + a;
SELECT '$1_rows_s', $2, round($rows / extract(epoch FROM :'ended'::timestamptz - :'started'::timestamptz))
UNION ALL SELECT '$1_wal_row', $2, round((:'lsn_after'::pg_lsn - :'lsn') / $rows, 1)
UNION ALL SELECT '$1_heap_growth', $2, round(pg_relation_size('target') / :heap::numeric, 3)
UNION ALL SELECT '$1_pk_growth', $2, round(pg_relation_size('target_pkey') / :pk::numeric, 3)
END
}

run_single() {
    fresh target "$rows"
    { cat <<END; after single "$1"; } | sql | grep .
$sizes \\gset
SELECT clock_timestamp() AS started \\gset
UPDATE target SET new_col = e * 3 + a;
SELECT clock_timestamp() AS ended, pg_current_wal_insert_lsn() AS lsn_after \\gset
END
}

run_bbm() {
    local id started heap pk lsn
    fresh target "$rows"
    read -r id started heap pk lsn < <(sql -F ' ' <<END | grep .
SET client_min_messages = warning;
$sizes \\gset
BEGIN;
SELECT bbm.queue('throughput $1', 'target', command => 'UPDATE target SET new_col = e * 3 + a') AS id \\gset
SELECT :id, extract(epoch FROM clock_timestamp()), :heap, :pk, :'lsn';
COMMIT;
END
    )
    until_finished "$id"
    { cat <<END; after bbm "$1"; cat <<END2; } | sql -v id="$id" -v heap="$heap" -v pk="$pk" -v lsn="$lsn" | grep .
SELECT to_timestamp($started) AS started, bench.finished_at(:id) AS ended,
    pg_current_wal_insert_lsn() AS lsn_after \\gset
SELECT bench.check(rows_affected = $rows, 'it counted ' || rows_affected || ' rows') FROM bbm.migrations WHERE id = :id;
END
;
SELECT figure, $1, value FROM bbm.migrations, LATERAL (VALUES
    ('sub_batch_longest_ms', round(extract(epoch FROM longest_sub_batch) * 1000, 3)),
    ('sub_batch_average_ms', round(extract(epoch FROM work_time) * 1000 / sub_batches, 3)),
    ('sub_batch_rows', $rows / sub_batches)) AS figures (figure, value) WHERE id = :id;
\\o $out/gaps.tsv.part
WITH commits AS (SELECT pg_xact_commit_timestamp(xmin) AS at FROM (SELECT DISTINCT xmin FROM target) AS transactions)
SELECT 'sub_batch_gap_ms', $1, bench.ms(lag(at) OVER (ORDER BY at), at) FROM commits ORDER BY at OFFSET 1;
END2
    cat "$out/gaps.tsv.part" >>"$out/gaps.tsv"
    rm "$out/gaps.tsv.part"
}

throughput() {
    local repetition
    : >"$out/gaps.tsv"
    for ((repetition = 1; repetition <= repeat; ++repetition)); do
        if ((repetition % 2)); then
            run_single "$repetition"
            run_bbm "$repetition"
        else
            run_bbm "$repetition"
            run_single "$repetition"
        fi
    done
}

# ---- latency

# latency_sample FIGURE SAMPLE PROCESSES-BEFORE
latency_sample() {
    sql <<END | grep .
SET client_min_messages = warning;
SELECT FROM bench.await(\$\$$3\$\$);
BEGIN;
SELECT bbm.queue('$1 $2', 'latency', command => 'UPDATE latency SET new_col = $2') AS id \\gset
SELECT clock_timestamp() AS committed \\gset
COMMIT;
SELECT bench.await('EXISTS (SELECT FROM latency WHERE id = 1 AND new_col = $2)') AS visible \\gset
SELECT bench.check(bbm.wait(:id), 'it did not end');
SELECT '$1_job', $2, bench.ms(:'committed', min(started_at)) FROM bbm.jobs WHERE migration_id = :id
UNION ALL SELECT '$1_row', $2, bench.ms(:'committed', :'visible');
END
}

latency() {
    local sample
    fresh latency 1000
    fresh companion "$keys"
    for ((sample = 1; sample <= 2 * samples; ++sample)); do latency_sample idle "$sample" "$idle"; done
    sql -c 'SET client_min_messages = warning' -c "SELECT FROM bench.await(\$\$$idle\$\$)" \
        -c "SELECT FROM bbm.queue('companion', 'companion', command => 'UPDATE companion SET a = a',
            sub_batch_size => 10, pause => '20 ms')" \
        -c "SELECT FROM bench.await('EXISTS (SELECT FROM bench.job_locks)')"
    sql -c "UPDATE latency SET new_col = NULL"
    for ((sample = 1; sample <= 2 * samples; ++sample)); do
        latency_sample beside "$sample" \
            "(SELECT count(*) = 2 FROM bench.processes) AND (SELECT count(*) = 1 FROM bench.job_locks)"
    done
    sql -c "SELECT FROM bbm.delete('companion')" -c "SELECT FROM bench.await(\$\$$idle\$\$)"
}

# ---- bookkeeping

# walk FIGURE REPETITION SCOPE BATCH SUB-BATCH [WAIT]: a migration over all keys in a worker; time, sub-batches and jobs
walk() {
    local id syncs
    fresh keys "$keys"
    read -r id syncs < <(sql -F ' ' <<END
SET client_min_messages = warning;
SELECT syncs FROM bench.wal \\gset
SELECT bbm.queue('$1 $2', 'keys', command => 'UPDATE keys SET a = a WHERE $3', batch_size => $4,
    sub_batch_size => $5), :syncs;
END
    )
    "${6:-until_finished}" "$id"
    sql -v id="$id" <<END | grep .
SELECT FROM bench.await(\$\$$idle\$\$); -- statistics are sent when a process ends
SELECT '$1_syncs', $2, syncs - $syncs FROM bench.wal;
SELECT '$1_ms', $2, bench.ms(min(started_at), bench.finished_at(:id)) FROM bbm.jobs WHERE migration_id = :id
UNION ALL SELECT '$1_sub_batches', $2, sub_batches FROM bbm.migrations WHERE id = :id
UNION ALL SELECT '$1_jobs', $2, jobs_succeeded FROM bbm.migrations WHERE id = :id;
SELECT FROM bbm.delete(:id);
END
}

wait_inside() { sql -c 'SET client_min_messages = warning' -c "SELECT FROM bbm.wait($1)"; }

# walk_here FIGURE REPETITION SUB-BATCH: the same by CALL
walk_here() {
    fresh keys "$keys"
    sql <<END | grep .
SET client_min_messages = warning;
SET bbm.max_workers = 0;
SELECT bbm.queue('$1 $2', 'keys', command => 'UPDATE keys SET a = a WHERE a < 0', batch_size => 10000,
    sub_batch_size => $3) AS id \\gset
CALL bbm.run(:id);
SELECT '$1_ms', $2, bench.ms(min(started_at), bench.finished_at(:id)) FROM bbm.jobs WHERE migration_id = :id
UNION ALL SELECT '$1_sub_batches', $2, sub_batches FROM bbm.migrations WHERE id = :id;
SELECT FROM bbm.delete(:id);
END
}

# walk_plain FIGURE REPETITION SUB-BATCH
walk_plain() {
    fresh keys "$keys"
    sql <<END | grep .
SELECT clock_timestamp() AS started \\gset
CALL bench.plain_walk($3);
SELECT '$1_ms', $2, bench.ms(:'started', clock_timestamp()) UNION ALL SELECT '$1_sub_batches', $2, $keys / $3;
END
}

# flush REPETITION: what one flush of WAL to disk costs right now
flush() {
    sql <<END | grep .
SELECT clock_timestamp() AS started \\gset
CALL bench.commits(500, 'on');
SELECT clock_timestamp() AS between \\gset
CALL bench.commits(500, 'off');
SELECT 'flush_ms', $1, (bench.ms(:'started', :'between') - bench.ms(:'between', clock_timestamp())) / 500;
END
}

# Two runs that differ in one number, over the same keys and with the same changed rows: the difference is its cost.
bookkeeping() {
    local repetition
    for ((repetition = 1; repetition <= repeat; ++repetition)); do
        walk touch_many "$repetition" 'id % 10 = 0' 10000 10
        walk touch_few "$repetition" 'id % 10 = 0' 10000 40
        walk empty_many "$repetition" 'a < 0' 10000 10
        walk empty_few "$repetition" 'a < 0' 10000 40
        flush "$repetition"
        walk jobs_many "$repetition" 'a < 0' 100 100
        walk jobs_few "$repetition" 'a < 0' 10000 100
        walk held_many "$repetition" 'a < 0' 100 100 wait_inside
        walk held_few "$repetition" 'a < 0' 10000 100 wait_inside
        walk_here call_many "$repetition" 10
        walk_here call_few "$repetition" 40
        walk_plain plain_many "$repetition" 10
        walk_plain plain_few "$repetition" 40
    done
}

# ---- pause

# pause_sample FIGURE SAMPLE IMMEDIATE READY: resume, wait until it works, pause, wait until nobody works
pause_sample() {
    sql <<END | grep .
SET client_min_messages = warning;
SELECT FROM bbm.resume('$1');
SELECT sub_batches AS before FROM bbm.migrations WHERE job_class_name = '$1' \\gset
SELECT FROM bench.await(format(\$\$$4\$\$, :before));
BEGIN;
SELECT FROM bbm.pause('$1', immediate => $3);
SELECT clock_timestamp() AS paused \\gset
COMMIT;
SELECT bench.await('NOT EXISTS (SELECT FROM bench.job_locks)') AS quiet \\gset
SELECT FROM bench.await('NOT EXISTS (SELECT FROM bench.processes WHERE backend_type = ''bbm worker'')');
SELECT clock_timestamp() AS gone \\gset
SELECT bench.check(jobs_failed = 0 AND status = 'paused', 'it is ' || status)
FROM bbm.migrations WHERE job_class_name = '$1';
SELECT '$1_quiet_ms', $2, bench.ms(:'paused', :'quiet') UNION ALL SELECT '$1_gone_ms', $2, bench.ms(:'paused', :'gone');
END
}

pause() {
    local sample
    fresh paused "$keys"
    fresh stopped 1000
    # A millisecond a row: the walk lasts longer than all samples. Fifty: one sub-batch does.
    sql <<END
SET client_min_messages = warning;
CREATE OR REPLACE FUNCTION bench.dawdle() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(TG_ARGV[0]::float8); RETURN NEW; END';
CREATE TRIGGER dawdle BEFORE UPDATE ON paused FOR EACH ROW EXECUTE FUNCTION bench.dawdle(0.001);
CREATE TRIGGER dawdle BEFORE UPDATE ON stopped FOR EACH ROW EXECUTE FUNCTION bench.dawdle(0.05);
SELECT FROM bbm.queue('polite', 'paused', command => 'UPDATE paused SET a = a', start => false);
SELECT FROM bbm.queue('abrupt', 'stopped', command => 'UPDATE stopped SET a = a', sub_batch_size => 100,
    start => false);
END
    for ((sample = 1; sample <= samples; ++sample)); do
        pause_sample polite "$sample" false \
            "(SELECT sub_batches > %s + 3 FROM bbm.migrations WHERE job_class_name = 'polite')"
        pause_sample abrupt "$sample" true \
            "(SELECT sub_batches = %s FROM bbm.migrations WHERE job_class_name = 'abrupt')
            AND EXISTS (SELECT FROM bench.processes WHERE backend_type = 'bbm worker' AND wait_event = 'PgSleep')"
    done
    sql -c "SELECT FROM bbm.delete('polite')" -c "SELECT FROM bbm.delete('abrupt')"
}

# ---- memory

private_kb() { awk '$1 == "RssAnon:" { print $2 }' "/proc/$1/status"; }

# memory_sample FIGURE SUB-BATCHES: what the worker holds once that many are committed
memory_sample() {
    local pid kb count=0 deadline=$((SECONDS + 60))
    while [ "$count" -lt "$2" ]; do
        [ "$SECONDS" -lt "$deadline" ] || { echo "memory: only $count sub-batches in a minute" >&2; return 1; }
        count=$(sql -c "SELECT sub_batches FROM bbm.migrations WHERE job_class_name = 'memory'")
    done
    pid=$(sql -c "SELECT pid FROM bench.processes WHERE backend_type = 'bbm worker'")
    kb=$(private_kb "$pid")
    printf '%s\t1\t%s\n' "$1_pid" "$pid" "$1_sub_batches" "$count" "$1_kb" "$kb"
}

# Slow at first, so that the first look is in time.
memory() {
    fresh keys "$keys"
    sql -c 'SET client_min_messages = warning' -c "SELECT FROM bbm.queue('memory', 'keys',
        command => 'UPDATE keys SET a = a', batch_size => 1000, sub_batch_size => 10, pause => '4 ms')"
    memory_sample early 100
    sql -c "SELECT FROM bbm.alter('memory', pause => '0')"
    memory_sample late 10000
    if [ "$(awk '$1 ~ /_pid$/ { print $3 }' "$out/memory.tsv" | sort -u | wc -l)" != 1 ]; then
        echo "memory: two workers were compared" >&2
        return 1
    fi
    sql -c "SELECT FROM bbm.delete('memory')" -c "SELECT FROM bench.await(\$\$$idle\$\$)"
}

# ----

report() {
    cat "$out"/*.tsv | sql -c "CREATE TABLE bench.figure (figure text, sample integer, value numeric)" \
        -c "\\copy bench.figure FROM STDIN"
    printf '\nbbm on PostgreSQL %s, %s cores; load before %s, after %s; %s rows, %s repetitions\n' \
        "$(sql -c 'SHOW server_version')" "$(nproc)" "$load_before" "$(cut -d' ' -f1-3 /proc/loadavg)" "$rows" "$repeat"
    psql -X -q -v ON_ERROR_STOP=1 -P pager=off -P border=1 -P footer=off -f test/bench/report.sql
}

measure_own() (
    start_cluster
    for section in "${own_sections[@]}"; do
        say "$section"
        "$section" >"$out/$section.tsv"
    done
    say report
    report
)

test/tools/setup.sh >&2
build
load_before=$(cut -d' ' -f1-3 /proc/loadavg)
rm -rf "$out"
mkdir -p "$out"
[ "${#own_sections[@]}" = 0 ] || measure_own
[ "${#own_sections[@]}" = "${#sections[@]}" ] || test/bench/fast.sh
