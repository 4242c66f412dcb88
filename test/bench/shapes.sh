# The sections of bench.sh about the shapes of tables, keys and workers. Sourced by it.
#   RANGE_ROWS="100000 1000000"  sizes of the tables in "ranges"; add 10000000 for the third one
#   FILTER_ROWS=500000           rows of the larger table in "filter"; the smaller one has half of them
#   KEY_ROWS=100000              rows of the tables in "keys"
#   WORKER_ROWS=200000           rows of the table in "workers"
#   PARTITIONS=1000              in "partitions", a thousand rows each
# shellcheck shell=bash disable=SC2154 # what bench.sh sets

range_rows=${RANGE_ROWS:-100000 1000000}
filter_rows=${FILTER_ROWS:-500000}
key_rows=${KEY_ROWS:-100000}
worker_rows=${WORKER_ROWS:-200000}
partitions=${PARTITIONS:-1000}
partition_rows=1000

# migrate FIGURE SAMPLE ROWS TABLE ARGUMENTS: a migration by background workers. The time from its COMMIT to its end,
# that of queue(), and how its processes shared the work. "net" is the time without that in which they waited for a core,
# on average. Looks seldom, since looking takes a part of a core.
migrate() {
    local id started queue_ms
    read -r id started < <(sql -F ' ' <<END | grep .
SET client_min_messages = warning;
TRUNCATE bench.core_wait;
SELECT clock_timestamp() AS before \\gset
BEGIN;
SELECT bbm.queue('$1 $2', '$4', $5) AS id \\gset
SELECT clock_timestamp() AS queued \\gset
COMMIT;
SELECT :id, bench.ms(:'before', :'queued'), extract(epoch FROM :'queued'::timestamptz);
END
    )
    read -r queue_ms started <<<"$started"
    until_finished "$id" 0.2 "CALL bench.note_core_waits()"
    sql -v id="$id" <<END | grep .
SELECT FROM bench.check((SELECT rows_affected = $3 FROM bbm.migrations WHERE id = :id), 'it did not count $3 rows');
SELECT bench.ms(to_timestamp($started), bench.finished_at(:id)) AS ms \\gset
SELECT '$1_queue_ms', $2, $queue_ms UNION ALL SELECT '$1_ms', $2, :ms
UNION ALL SELECT '$1_net_ms', $2, :ms - coalesce(avg(ms), 0) FROM bench.core_wait;
SELECT '$1_' || figure, $2, value FROM bench.shares(:id);
SELECT FROM bbm.delete(:id);
END
}

# here FIGURE SAMPLE ROWS TABLE ARGUMENTS: the same in one session, by CALL. What it costs is its time without that in
# which it waited for a core: so other work on the machine hardly counts.
here() {
    sql <<END | grep .
SET client_min_messages = warning;
SET bbm.max_workers = 0;
SELECT bbm.queue('$1 $2', '$4', $5) AS id \\gset
SELECT clock_timestamp() AS started, bench.waited_ms() AS waited \\gset
CALL bbm.run(:id);
SELECT '$1_ms', $2, bench.ms(:'started', clock_timestamp()) - (bench.waited_ms() - :waited);
SELECT FROM bench.check((SELECT rows_affected = $3 FROM bbm.migrations WHERE id = :id), 'it did not count $3 rows');
SELECT FROM bbm.delete(:id);
END
}

# plainly FIGURE SAMPLE STATEMENT: the same by one statement
plainly() {
    sql <<END | grep .
SELECT clock_timestamp() AS started, bench.waited_ms() AS waited \\gset
$3;
SELECT '$1_ms', $2, bench.ms(:'started', clock_timestamp()) - (bench.waited_ms() - :waited);
END
}

# either SAMPLE A B: runs both, in the other order in every second sample
either() {
    if (($1 % 2)); then
        $2
        $3
    else
        $3
        $2
    fi
}

# ---- ranges

# The engine's own query for the next range, as auto_explain sees it while a migration walks over the whole table in
# ranges of a thousand keys. A plan goes with each tenth of the walk: the first, the one in the middle, the last.
ranges_of() {
    local log=$out/plans.part
    fresh ranges "$1"
    sql 2>"$log" >/dev/null <<END || { tail -n 5 "$log" >&2; return 1; }
LOAD 'auto_explain';
SET bbm.max_workers = 0;
SELECT bbm.queue('ranges $1', 'ranges', command => 'UPDATE ranges SET a = a WHERE a < 0', sub_batch_size => 1000,
    batch_size => 100000) AS id \\gset
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_analyze = on;
SET auto_explain.log_timing = off;
SET auto_explain.log_buffers = on;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_level = notice;
CALL bbm.run(:id);
END
    sql -c 'SET client_min_messages = warning' -c "SELECT FROM bbm.delete('ranges $1')" >&2
    # The first number of keys is a hundred, the next ones double.
    awk -v rows="$1" '
        /^NOTICE: +duration: / { ms = $3; ours = 0; buffers = -1 }
        /^Query Text: SELECT \* FROM \(SELECT .* OFFSET \$[0-9]+ LIMIT 1\) AS last/ { ours = 1 }
        /^  Buffers: / && ours && buffers < 0 {
            buffers = 0
            for (i = 3; i <= NF; ++i) if (split($i, pair, "=") == 2 && pair[1] ~ /^(hit|read)$/) buffers += pair[2]
        }
        /actual rows=1000 / && ours { found[++n] = ms; read_[n] = buffers; ours = 0 }
        END {
            tenth = int(n / 10)
            if (tenth < 1) { print "ranges: too few plans" > "/dev/stderr"; exit 1 }
            split("begin middle end", names, " ")
            from[1] = 1; from[2] = int((n - tenth) / 2) + 1; from[3] = n - tenth + 1
            for (part = 1; part <= 3; ++part)
                for (i = from[part]; i < from[part] + tenth; ++i) {
                    printf "range_%s_%s_ms\t%d\t%s\n", rows, names[part], i - from[part] + 1, found[i]
                    printf "range_%s_%s_buffers\t%d\t%s\n", rows, names[part], i - from[part] + 1, read_[i]
                }
        }' "$log"
    rm "$log"
}

ranges() {
    local size
    if ! sql -c "LOAD 'auto_explain'" >/dev/null 2>&1; then
        say "ranges: left out, since this server has no auto_explain"
        return
    fi
    for size in $range_rows; do ranges_of "$size"; done
}

# ---- filter

filter_single() { plainly "filter_$1_single" "$2" "UPDATE filtered SET new_col = $2 WHERE a = 7"; }

# filter_bbm SIZE SAMPLE FIGURE ARGUMENTS
filter_bbm() {
    here "filter_$1_$3" "$2" "$(($4 / 1000))" filtered "command => 'UPDATE filtered SET new_col = $2',
        scope_to => 'a = 7'$5"
}

# One row in a thousand, and no index that knows them. Twice the rows should take twice the time.
filter() {
    local repetition size rows
    for ((repetition = 1; repetition <= repeat; ++repetition)); do
        for size in half full; do
            rows=$filter_rows
            [ "$size" = full ] || rows=$((filter_rows / 2))
            fresh filtered "$rows"
            filter_single "$size" "$repetition"
            filter_bbm "$size" "$repetition" sized "$rows" ''
            filter_bbm "$size" "$repetition" counted "$rows" ', batch_size => 100' # a size that counts filtered rows
        done
    done
}

# ---- keys

# Four tables with the same rows in the order of their key; each has the one unique index that it is walked by.
# keyed NAME COLUMNS-WITH-DIRECTION
keyed() {
    sql <<END >&2
SET client_min_messages = warning;
DROP TABLE IF EXISTS keyed;
CREATE TABLE keyed WITH (autovacuum_enabled = false) AS
    SELECT id::bigint AS id, (id / 1000)::integer AS k1, (id % 1000)::integer AS k2, 'group ' || lpad((id / 10000)::text, 6, '0') AS t1,
           date '2020-01-01' + ((id / 100) % 100)::integer AS d1, (id % 100)::integer AS k3, e, a, md5(id::text) AS f, NULL::bigint AS new_col
    FROM bench.source WHERE id <= $key_rows ORDER BY $2;
ALTER TABLE keyed ALTER id SET NOT NULL, ALTER k1 SET NOT NULL, ALTER k2 SET NOT NULL, ALTER t1 SET NOT NULL,
    ALTER d1 SET NOT NULL, ALTER k3 SET NOT NULL;
CREATE UNIQUE INDEX keyed_$1 ON keyed ($2);
VACUUM (FREEZE, ANALYZE) keyed;
CHECKPOINT;
END
}

# key_run FIGURE SAMPLE COLUMNS-WITH-DIRECTION
key_run() {
    local names=${3// ASC/}
    names=${names// DESC/}
    keyed "$1" "$3"
    here "key_$1" "$2" "$key_rows" keyed "command => 'UPDATE keyed SET new_col = e * 3 + a',
        cursor_columns => '{${names// /}}'"
    keyed "$1" "$3"
    plainly "plain_$1" "$2" "UPDATE keyed SET new_col = e * 3 + a"
}

keys() {
    local repetition
    for ((repetition = 1; repetition <= repeat; ++repetition)); do
        key_run bigint "$repetition" 'id'
        key_run ints "$repetition" 'k1, k2'
        key_run text "$repetition" 't1, d1, k3'
        key_run mixed "$repetition" 'k1 ASC, k2 DESC'
    done
}

# ---- workers

indexed() {
    fresh crew "$worker_rows"
    sql -c 'CREATE INDEX ON crew (new_col)' -c 'CREATE INDEX ON crew (c)' -c 'CREATE INDEX ON crew (f)' \
        -c 'VACUUM (FREEZE, ANALYZE) crew' -c CHECKPOINT >&2
}

workers_run() {
    indexed
    migrate "workers_$1" "$2" "$worker_rows" crew "command => 'UPDATE crew SET new_col = e * 3 + a', workers => $1"
}

# What two sessions with half of the table each can do on this machine, at this moment.
sessions_run() {
    local n jobs=() job started
    indexed
    started=$(sql -c 'SELECT extract(epoch FROM clock_timestamp())')
    for ((n = 0; n < $1; ++n)); do
        sql -c "UPDATE crew SET new_col = e * 3 + a WHERE id > $((worker_rows * n / $1))
            AND id <= $((worker_rows * (n + 1) / $1))" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job"; done
    sql -c "SELECT 'sessions_$1_ms', $2, bench.ms(to_timestamp($started), clock_timestamp())"
}

workers() {
    local repetition
    for ((repetition = 1; repetition <= repeat; ++repetition)); do
        either "$repetition" "workers_run 1 $repetition" "workers_run 2 $repetition"
        either "$repetition" "sessions_run 1 $repetition" "sessions_run 2 $repetition"
    done
}

# ---- partitions

partitioned() {
    sql -v partitions="$partitions" -v rows="$partition_rows" <<'END' >&2
SET client_min_messages = warning;
DROP TABLE IF EXISTS parted;
CREATE TABLE parted (LIKE bench.source) PARTITION BY RANGE (id);
ALTER TABLE parted ADD PRIMARY KEY (id);
SELECT format('CREATE TABLE parted_%s PARTITION OF parted FOR VALUES FROM (%s) TO (%s) WITH (autovacuum_enabled = false)',
              n, (n - 1) * :rows + 1, n * :rows + 1) FROM generate_series(1, :partitions) AS n \gexec
INSERT INTO parted SELECT * FROM bench.source WHERE id <= :partitions * :rows;
VACUUM (FREEZE, ANALYZE) parted;
CHECKPOINT;
END
}

# parted_run FIGURE WORKERS TABLE
parted_run() {
    migrate "$1" 1 "$((partitions * partition_rows))" "$3" "command => 'UPDATE $3 SET new_col = e * 3 + a', workers => $2"
}

partitions() {
    fresh whole "$((partitions * partition_rows))"
    parted_run whole 1 whole
    partitioned
    parted_run parted_1 1 parted
    partitioned
    parted_run parted_2 2 parted
    sql -c 'DROP TABLE parted' >&2
}
