#!/usr/bin/env bash
# bbm on a private cluster with real data: the integer primary key of a table with two million rows becomes a bigint,
# while the table is in use. Leaves nothing running; the exit code is not 0 if any check failed.
set -euo pipefail
export LC_ALL=C PGCLIENTENCODING=UTF8

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cluster=$root/test/tools/cluster.sh
out=$root/build/demo
log=$out/setup.log
writers='' drawn=0 drawn_lines='' failed=0 width=0
# A terminal is refreshed in place; a log gets plain lines.
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
    width=$(tput cols 2>/dev/null) || width=80
fi

end() {
    local code=$?
    trap '' INT TERM HUP PIPE
    if [ -n "$writers" ]; then
        kill "$writers" 2>/dev/null || true
        wait "$writers" 2>/dev/null || true
    fi
    "$cluster" stop demo || code=1
    rm -f "$out"/*.copy "$out"/writes.*
    exit "$code"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
trap 'exit 141' PIPE

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# What is long and dull goes to a log, which is shown when it matters.
quietly() {
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        echo "demo: failed: $*" >&2
        exit 1
    fi
}

heading() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
sql() { psql -XqAt -v ON_ERROR_STOP=1 -F ' ' "$@"; }

# show SQL: as a user would type it, with the answer and the notices.
show() {
    local prompt='demo=#' line
    while IFS= read -r line; do
        printf '%s %s\n' "$prompt" "$line"
        prompt='demo-#'
    done <<<"$1"
    sql -x -F ' = ' -c "$1" 2>&1 | sed '/^$/d; / = $/d; s/^/   /'
}

brief() { show "$1" | grep -vE '^   (DETAIL|HINT): '; }

# check WHAT WRONG: WRONG is a count, which has to be 0.
check() {
    if [ "$2" = 0 ]; then
        say "ok      $1"
    else
        say "NOT OK  $1: $2 wrong"
        failed=1
    fi
}

now() { echo "${EPOCHREALTIME/,/.}"; }

# draw LINES: in place on a terminal; in a log only the lines that are not there already.
draw() {
    local line
    if [ "$width" -gt 0 ]; then
        [ "$drawn" = 0 ] || printf '\033[%dA\033[J' "$drawn"
        drawn=0
        while IFS= read -r line; do
            printf '%s\n' "${line:0:width-1}"
            drawn=$((drawn + 1))
        done <<<"$1"
    else
        while IFS= read -r line; do
            grep -qxF -- "$line" <<<"$drawn_lines" || printf '%s\n' "$line"
        done <<<"$1"
        drawn_lines=$1
    fi
}

# watch_until CONDITION: shows bbm.status until the condition, an SQL expression, is true.
watch_until() {
    local answer deadline=$((SECONDS + 300)) tick=0.5
    [ "$width" -gt 0 ] || tick=0.9
    drawn=0
    while :; do
        answer=$(sql -f "$here/status.sql" -c "SELECT CASE WHEN $1 THEN 'yes' WHEN 'failed' IN (SELECT status FROM bbm.status) THEN 'failed' ELSE 'no' END")
        draw "$(sed '$d; s/ *$//; s/^/   /' <<<"$answer")"
        case ${answer##*$'\n'} in
        yes) return ;;
        failed) sql -c 'SELECT migration_id, sqlstate, message FROM bbm.failures' >&2; exit 1 ;;
        esac
        [ "$SECONDS" -lt "$deadline" ] || { echo "demo: not finished in 300 s" >&2; exit 1; }
        sleep "$tick"
    done
}

mkdir -p "$out"
: >"$log"
echo 'bbm: batched background migrations for PostgreSQL. A demonstration with real data, about a minute.'

heading '1. A private PostgreSQL with the package index of this machine'
[ -e "$root/bbm.so" ] || say 'installing what is needed and building; the first time this takes some minutes'
quietly "$root/test/tools/setup.sh"
quietly make -s -C "$root" ${PG_CONFIG:+PG_CONFIG="$PG_CONFIG"}
quietly as_root make -s -C "$root" install ${PG_CONFIG:+PG_CONFIG="$PG_CONFIG"}
if [ "$(apt-cache dumpavail 2>/dev/null | grep -c '^Package:')" -lt 1000 ]; then
    as_root apt-get update -q >>"$log" 2>&1 || say 'apt-get update failed; going on with the few packages that are known'
fi
apt-cache dumpavail | perl "$here/packages.pl" "$out/packages.copy" "$out/dependencies.copy"

# pg_wal is kept for the count of what was written.
quietly "$cluster" start demo 'shared_buffers = 512MB' 'max_wal_size = 4GB' 'wal_keep_size = 8GB'
eval "$("$cluster" env demo)"
quietly psql -X -c 'CREATE DATABASE demo'
export PGDATABASE=demo
cd "$out"
started=$SECONDS
quietly psql -X -v ON_ERROR_STOP=1 -f "$here/load.sql"
read -r version packages dependencies events first_id last_id size index_size < <(sql -c "
    SELECT current_setting('server_version_num')::int / 10000, (SELECT count(*) FROM packages),
           (SELECT count(*) FROM package_dependencies), count(*), min(id), max(id),
           pg_table_size('events'), pg_indexes_size('events') FROM events")
say "PostgreSQL $version with $packages packages, $dependencies dependencies and $events events, loaded in $((SECONDS - started)) s"
say "The key of events is an integer. It stands at $last_id; an integer ends at 2147483647."

heading '2. A new column, and a trigger that keeps it right for new writes'
while IFS= read -r line; do say "$line"; done <"$here/prepare.sql"
quietly psql -X -v ON_ERROR_STOP=1 -f "$here/prepare.sql"
pgbench -n -c 2 -R 200 -T 900 -l --log-prefix="$out/writes" -D packages="$packages" -D first_id="$first_id" -D last_id="$last_id" \
    -f "$here/write_insert.sql" -f "$here/write_update.sql" >"$out/writes.out" 2>&1 &
writers=$!
say 'From now on pgbench inserts and updates events, 200 a second. The first 5 seconds are without bbm, to compare.'
writing_since=$(now)
deadline=$((SECONDS + 6))
while [ "$SECONDS" -lt "$deadline" ]; do sleep 0.2; done

heading '3. The rows that are there already: one call'
queued_at=$(now)
lsn=$(sql -c 'SELECT pg_current_wal_lsn()')
show "SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 'events', 'id', '[[\"id\"], [\"id_convert_to_bigint\"]]');"
say 'Three more, for another table. Any UPDATE will do; bbm cuts it into small transactions.'
brief "SELECT bbm.queue('package_search_name', 'packages', command => 'UPDATE packages SET search_name = lower(name)');"
brief "SELECT bbm.queue('package_sizes', 'packages',
    command => 'UPDATE packages SET installed_size = (installed_size + 1023) / 1024');  -- kB to MB: once only!"
brief "SELECT bbm.queue('package_dependency_count', 'packages', command => 'UPDATE packages SET dependency_count =
    (SELECT count(*) FROM package_dependencies AS d WHERE d.package_id = packages.id)');"

heading '4. The work, live'
echo 'demo=# SELECT * FROM bbm.status;'
printf -v header '   %2s  %-20s  %-12s  %-9s  %-13s  %10s  %-8s  %s' id name table_name status progress rows_per_s eta note
[ "$width" = 0 ] || header=${header:0:width-1}
echo "$header"
watch_until '(SELECT progress >= 0.4 FROM bbm.migrations WHERE id = 1)'
show "SELECT bbm.pause(1, reason => 'let us look');"
watch_until 'NOT EXISTS (SELECT FROM bbm.workers WHERE migration_id = 1)'
stood_at=$(sql -c 'SELECT rows_affected FROM bbm.migrations WHERE id = 1')
deadline=$((SECONDS + 3))
while [ "$SECONDS" -lt "$deadline" ]; do sleep 0.2; done
moved=$(sql -c "SELECT rows_affected - $stood_at FROM bbm.migrations WHERE id = 1")
say "2 s later bbm has moved $moved rows. The writes go on, and so do other migrations."
show 'SELECT bbm.resume(1);'
watch_until "(SELECT bool_and(status = 'finished') FROM bbm.migrations)"
finished_at=$(now)
lsn_end=$(sql -c 'SELECT pg_current_wal_lsn()')
read -r size_after index_size_after < <(sql -c "SELECT pg_table_size('events'), pg_indexes_size('events')")

# The alarm is how pgbench itself ends a run by time: transactions under way are completed and logged.
kill -ALRM "$writers" 2>/dev/null || true
wait "$writers" || { cat "$out/writes.out" >&2; exit 1; }
writers=''
inserted=$(awk '$4 == 0' "$out"/writes.[0-9]* | wc -l)

heading '5. Every row, checked'
check 'paused: nothing moved' "$moved"
check "events: every row has its id in the new column ($((events + inserted)) rows, $inserted of them inserted meanwhile)" \
    "$(sql -c 'SELECT count(*) FROM events WHERE id_convert_to_bigint IS DISTINCT FROM id')"
check 'events: none lost, none added' "$(sql -c "SELECT abs(count(*) - $events - $inserted) FROM events")"
check 'events: bbm changed each row of its range once' "$(sql -c '
    SELECT abs(m.rows_affected - (SELECT count(*) FROM events WHERE id BETWEEN m.min_cursor[1]::bigint AND m.max_cursor[1]::bigint))
    FROM bbm.migrations AS m WHERE m.id = 1')"
check 'packages: every name, size and count is right' "$(sql -c '
    SELECT count(*) FROM packages_before AS b FULL JOIN packages AS p USING (id)
    LEFT JOIN (SELECT package_id, count(*) AS n FROM package_dependencies GROUP BY package_id) AS d ON d.package_id = b.id
    WHERE (p.search_name, p.installed_size, p.dependency_count)
          IS DISTINCT FROM (lower(b.name), (b.installed_size + 1023) / 1024, coalesce(d.n, 0))')"

heading '6. The gate: the next release goes on only if the work is done'
show "SELECT bbm.ensure_finished('CopyColumnUsingBackgroundMigrationJob', 'events', 'id', '[[\"id\"], [\"id_convert_to_bigint\"]]');"
say 'No error: all is done. The new column takes over as the key:'
while IFS= read -r line; do say "$line"; done <"$here/swap.sql"
quietly psql -X -v ON_ERROR_STOP=1 -f "$here/swap.sql"
quietly psql -X -c "SELECT setval('events_id_seq', 2147483647)"
show "INSERT INTO events (package_id, kind, payload) VALUES (1, 'live', 'past the end of integer') RETURNING id;"
check 'events: the key goes on past 2147483647' "$(sql -c 'SELECT abs(max(id) - 2147483648) FROM events')"

heading '7. Figures'
wal=$(sql -c "SELECT pg_wal_lsn_diff('$lsn_end', '$lsn')")
images=$(pg_waldump -z -p "$(sql -c 'SHOW data_directory')/pg_wal" -s "$lsn" -e "$lsn_end" 2>/dev/null |
    awk '$1 == "Total" { print $5 }') || images=''
sql -v wal="$wal" -v images="$images" -v size="$size" -v index_size="$index_size" -v size_after="$size_after" \
    -v index_size_after="$index_size_after" -v inserted="$inserted" -f "$here/figures.sql" | sed 's/^/   /'
for when in "$writing_since $queued_at without" "$queued_at $finished_at during"; do
    read -r from to what <<<"$when"
    read -r count average median p99 max < <(perl "$here/latency.pl" "$from" "$to" "$out"/writes.[0-9]*)
    say "writes $what the migration: $count, average $average ms, median $median ms, 99 % within $p99 ms, longest $max ms"
done

[ "$failed" = 0 ] || { echo 'demo: a check FAILED'; exit 1; }
echo "demo: all checks passed in $SECONDS s"
