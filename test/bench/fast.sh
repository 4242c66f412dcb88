#!/usr/bin/env bash
# Measures bbm against one UPDATE and what else people do, on a private cluster: fast.sh [PART ...]   (default: all)
#   parts: compare oltp snapshot history; draw: the table and the chart once more from the figures that are there
#   FAST_SCALE=0.15        1 is the size of the goals: narrow 2 M rows, narrow10m 10 M, the others 1 M
#                          (the default is for about ten minutes; below 1 the start of a worker, 0.1 s, weighs against bbm)
#   FAST_REPS=3            repetitions
#   FAST_TABLES=...        of narrow narrow10m wide3 wide3_90 wide3u uuid composite; default: all but narrow10m
#   FAST_STATEMENTS=...    of backfill (SET new = f(old)) and any (SET n = n + 1)
#   FAST_METHODS=...       see "known_methods"; default: what the goals need, everything for the backfill of narrow
#   FAST_PASSES=0          bbm.passes for bbm's walks other than "plain": 0 leaves it to bbm
#   FAST_PAUSED_ROWS=2000  of the client with its pause, which is extrapolated from them
#   FAST_OUT=build/fast    raw figures (*.csv), report.md and chart.svg
# Figures are ratios to one UPDATE in the same repetition, in alternating order. A missed goal is no failure; wrong contents are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

scale=${FAST_SCALE:-0.15}
repeat=${FAST_REPS:-3}
read -r -a tables <<<"${FAST_TABLES:-narrow wide3 wide3_90 wide3u uuid composite}"
read -r -a statements <<<"${FAST_STATEMENTS:-backfill any}"
read -r -a wanted_methods <<<"${FAST_METHODS:-}"
paused_rows=${FAST_PAUSED_ROWS:-2000}
passes=${FAST_PASSES:-0}
out=${FAST_OUT:-build/fast}
cluster=fast
declare -A full_rows=([narrow]=2000000 [narrow10m]=10000000 [wide3]=1000000 [wide3_90]=1000000 [wide3u]=1000000
    [uuid]=1000000 [composite]=1000000 [oltp]=5000000)
known_methods=(single copy offset_1k offset_10k max_1k max_10k bounds_1k bounds_10k client client_paused
    plain keys blocks workers)
known_parts=(compare oltp snapshot history draw)
parts=("$@")
[ "${#parts[@]}" -gt 0 ] || parts=(compare oltp snapshot history)

usage() {
    sed -n '2,14s/^# \{0,1\}//p' test/bench/fast.sh >&2
    exit 2
}

# among WORD WORDS ...
among() {
    local word=$1
    shift
    [[ " $* " = *" $word "* ]]
}

for part in "${parts[@]}"; do among "$part" "${known_parts[@]}" || usage; done
for table in "${tables[@]}"; do [ -n "${full_rows[$table]:-}" ] || usage; done
for statement in "${statements[@]}"; do among "$statement" backfill any || usage; done
for method in "${wanted_methods[@]}"; do among "$method" "${known_methods[@]}" || usage; done

say() { printf '%(%T)T %s\n' -1 "$*" >&2; }

# sql [psql's options]: a script from standard input, bare rows out
sql() { psql -X -q -At -F ' ' -v ON_ERROR_STOP=1 "$@"; }

# Whole thousands, which are the batches of the client. What pgbench runs beside has to last for a second.
rows_of() {
    local least=5
    [ "$1" != oltp ] || least=300
    awk -v full="${full_rows[$1]}" -v scale="$scale" -v least="$least" \
        'BEGIN { n = int(full * scale / 1000); print (n < least ? least : n) * 1000 }'
}

build() {
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    make -s >&2
    "${as_root[@]}" make -s install >&2
}

# start_cluster [SETTING ...]: sixty minutes between checkpoints, so only ours happen
start_cluster() {
    local exports
    trap 'test/tools/cluster.sh stop "$cluster"' EXIT
    test/tools/cluster.sh start "$cluster" "shared_buffers = 2GB" "max_wal_size = 8GB" "checkpoint_timeout = 1h" \
        "autovacuum = off" "$@" >&2
    exports=$(test/tools/cluster.sh env "$cluster")
    eval "$exports"
}

prepare() {
    local table most=1000
    start_cluster
    for table in "${tables[@]}" oltp; do
        [ "$(rows_of "$table")" -le "$most" ] || most=$(rows_of "$table")
    done
    sql -v rows=1 -f test/bench/helpers.sql
    say "$most rows to take tables from"
    sql -v fast_rows="$most" -f test/bench/fast.sql
    has_passes=$(sql -c "SELECT count(*) FROM pg_settings WHERE name = 'bbm.passes'")
    [ "$has_passes" = 1 ] || say "this bbm has no setting bbm.passes: every walk of keys is a plain one"
}

# shellcheck source=test/bench/fast_methods.sh
. test/bench/fast_methods.sh
# shellcheck source=test/bench/fast_more.sh
. test/bench/fast_more.sh

# try COMMAND ...: one measurement. The others go on when it fails, and the exit code tells.
try() {
    local code
    set +e
    (
        set -e
        "$@"
    )
    code=$?
    set -e
    [ "$code" = 0 ] || { failures+=("$*"); say "FAILED: $*"; }
}

# fresh TABLE ROWS STATEMENT
fresh() {
    sql -c 'SET client_min_messages = warning' -c "CALL fast.make('$1', $2, '$3')" -c 'VACUUM (FREEZE, ANALYZE) target' \
        -c CHECKPOINT
}

# run_one REPETITION TABLE STATEMENT METHOD CSV: "hold_snapshot" set means that one is open meanwhile
run_one() {
    local repetition=$1 table=$2 statement=$3 method=$4 csv=$5 rows changed before after seconds
    rows=$(rows_of "$table")
    changed=$rows
    [ "$method" != client_paused ] || changed=$((paused_rows < rows ? paused_rows : rows))
    fresh "$table" "$rows" "$statement"
    [ -z "${hold_snapshot:-}" ] || open_snapshot
    before=$(sql -c 'SELECT heap, pk, others, wal FROM fast.size')
    run_method "$method" "$table" "$statement" "$changed"
    [ -z "${hold_snapshot:-}" ] || close_snapshot
    after=$(after_run "$method" "$changed")
    verify "$method" "$table" "$statement" "$rows" "$changed"
    echo "$repetition $table $statement $method $changed $seconds $before $after" | tr ' ' ',' >>"$csv"
    say "$repetition $table $statement $method: $(awk -v n="$changed" -v s="$seconds" 'BEGIN { printf "%.0f rows/s", n / s }')"
}

# after_run METHOD ROWS: sizes, and rows updated and HOT. Processes send these counts when they end.
after_run() {
    local await=
    [ "$1" = copy ] ||
        await="SELECT FROM bench.await('(SELECT n_tup_upd >= $2 FROM pg_stat_user_tables WHERE relname = ''target'')');"
    sql <<END | grep .
SET client_min_messages = warning;
SELECT FROM bench.await('NOT EXISTS (SELECT FROM bench.processes)');
$await
SELECT heap, pk, others, wal, n_tup_upd, n_tup_hot_upd FROM fast.size, pg_stat_user_tables WHERE relname = 'target';
END
}

# verify METHOD TABLE STATEMENT ROWS DONE
verify() {
    if [ "$1" = client_paused ]; then
        sql -c "CALL fast.check_beginning($5)"
    else
        sql -c "CALL fast.check_contents('$2', '$3', $4)"
    fi || { say "wrong: $*"; return 1; }
}

# methods_of TABLE STATEMENT: what is measured there, one UPDATE first
methods_of() {
    local method found=(single) chosen=("${wanted_methods[@]}")
    if [ "${#chosen[@]}" = 0 ]; then
        case $1/$2 in
        narrow*/backfill) chosen=("${known_methods[@]}") ;;
        narrow*/any | wide3/*) chosen=(plain keys blocks workers) ;;
        uuid/backfill) chosen=(plain keys blocks) ;;
        *) chosen=(keys blocks) ;;
        esac
    fi
    for method in "${chosen[@]}"; do
        case $method in
        single) continue ;;
        client_paused | blocks) [ "$2" = backfill ] || continue ;;&
        offset_* | max_* | bounds_* | client*) among "$1" uuid composite && continue ;;&
        blocks) [ "$1" != wide3u ] || continue ;;
        esac
        found+=("$method")
    done
    printf '%s\n' "${found[@]}"
}

csv_head=repetition,table,statement,method,rows,seconds,heap_before,pk_before,others_before,wal_before,heap,pk,others,wal,updated,hot

# in_order REPETITION LINES: as they are, or backwards in every second repetition
in_order() {
    if (($1 % 2)); then printf '%s\n' "$2"; else tac <<<"$2"; fi
}

compare() {
    local table statement repetition method
    echo "$csv_head" >"$out/compare.csv"
    for table in "${tables[@]}"; do
        for statement in "${statements[@]}"; do
            sql -c 'SET client_min_messages = warning' \
                -c "SELECT format('%s = %s', written, value) AS assignment FROM fast.statement WHERE name = '$statement'" |
                { read -r assignment; sql -c 'SET client_min_messages = warning' -c "CALL fast.make_loops('$assignment')"; }
            for ((repetition = 1; repetition <= repeat; ++repetition)); do
                for method in $(in_order "$repetition" "$(methods_of "$table" "$statement")"); do
                    try run_one "$repetition" "$table" "$statement" "$method" "$out/compare.csv"
                done
            done
        done
    done
}

load() { cut -d' ' -f1-3 /proc/loadavg; }

# about PART: parts may be measured one at a time
about() {
    printf '%s: PostgreSQL %s, %s cores, scale %s, %s repetitions; load before %s, after %s\n' "$1" \
        "$(sql -c 'SHOW server_version')" "$(nproc)" "$scale" "$repeat" "$load_before" "$(load)"
}

draw() {
    test/bench/fast_report.pl "$out" | tee "$out/report.md"
    [ -f "$out/compare.csv" ] || return 0
    test/bench/fast_chart.pl "$out/compare.csv" >"$out/chart.svg"
    say "drawn: $out/chart.svg"
}

failures=()
mkdir -p "$out"
if [ "${parts[*]}" != draw ]; then
    test/tools/setup.sh >&2
    build
    prepare
    for part in compare oltp snapshot history; do # the last one takes a server of its own
        among "$part" "${parts[@]}" || continue
        say "$part"
        rm -f "$out/said_$part.txt"
        load_before=$(load)
        "$part"
        about "$part" >"$out/about_$part.txt"
    done
fi
draw
for failure in "${failures[@]}"; do echo "FAILED: $failure"; done
[ "${#failures[@]}" = 0 ]
