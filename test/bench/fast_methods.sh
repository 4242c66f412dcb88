# The methods that fast.sh compares. Sourced by it. Each leaves its time in $seconds.
# shellcheck shell=bash disable=SC2154 # what fast.sh sets

# assignment_of STATEMENT
assignment_of() { sql -c "SELECT format('%s = %s', written, value) FROM fast.statement WHERE name = '$1'"; }

# run_method METHOD TABLE STATEMENT ROWS
run_method() {
    local assignment
    assignment=$(assignment_of "$3")
    seconds=
    case $1 in
    single) timed "UPDATE target SET $assignment" ;;
    copy) timed "CALL fast.copy_and_swap('$2', '$3')" ;;
    offset_* | max_* | bounds_*) timed "CALL fast.loop_${1%_*}($(tr -dc 0-9 <<<"$1")000)" ;;
    client) run_client "$assignment" "$4" ;;
    client_paused) run_client "$assignment" "$4" 0.1 ;;
    plain) run_bbm "$1 $2 $3" 1 "$assignment" ;;
    keys) run_bbm "$1 $2 $3" "$passes" "$assignment" ;;
    workers) run_bbm "$1 $2 $3" "$passes" "$assignment" '' ', workers => 2' ;;
    # With a condition that rows which are done do not meet: they may move in front of the walk.
    blocks) run_bbm "$1 $2 $3" "$passes" "$assignment" " WHERE ${assignment/ = / IS DISTINCT FROM }" ", batching_strategy => 'ctid'" ;;
    esac
    [ -n "$seconds" ]
}

# timed STATEMENT
timed() {
    seconds=$(sql <<END
SELECT clock_timestamp() AS started \\gset
$1;
SELECT extract(epoch FROM clock_timestamp() - :'started');
END
    )
}

# A client as GitLab's: a batch of 1000 rows is a job with its rows of bookkeeping, done in ten ranges whose ends are looked
# for one by one. 36 statements a batch, each sent by itself. They are written out here as a script for psql, since
# that sends statements faster than a shell does.
# client_script ASSIGNMENT ROWS [PAUSE]: ids are 1 to ROWS
client_script() {
    awk -v assignment="$1" -v jobs="$(($2 / 1000))" -v last="$2" -v pause="${3:-}" '
        function logged(from, to, set) {
            print "BEGIN;"
            print "UPDATE fast.client_job SET " set ", status = " to ", updated_at = now() WHERE id = :job;"
            print "INSERT INTO fast.client_log (job_id, previous_status, next_status) VALUES (:job, " from ", " to ");"
            print "COMMIT;"
        }
        BEGIN {
            print "\\set start 1"
            for (job = 1; job <= jobs; ++job) {
                print "SELECT * FROM fast.client_job WHERE migration_id = 1 ORDER BY max_value DESC LIMIT 1 \\g /dev/null"
                print "SELECT id AS first FROM target WHERE id >= :start ORDER BY id LIMIT 1 \\gset"
                print "SELECT (SELECT id FROM target WHERE id >= :start AND id >= :first ORDER BY id LIMIT 1 OFFSET 1000) AS stop \\gset"
                print "SELECT min(id) AS first, max(id) AS last FROM target WHERE id >= :start AND id >= :first" \
                    (job < jobs ? " AND id < :stop" : " AND id <= " last) " \\gset"
                print "BEGIN;"
                print "INSERT INTO fast.client_job (migration_id, min_value, max_value, batch_size, sub_batch_size) VALUES (1, :first, :last, 1000, 100) RETURNING id AS job \\gset"
                print "COMMIT;"
                logged(0, 1, "attempts = attempts + 1, started_at = now(), finished_at = NULL, metrics = DEFAULT")
                print "SELECT id AS here FROM target WHERE id BETWEEN :first AND :last ORDER BY id LIMIT 1 \\gset"
                for (range = 1; range <= 10; ++range) {
                    print "SELECT (SELECT id FROM target WHERE id BETWEEN :first AND :last AND id >= :here ORDER BY id LIMIT 1 OFFSET 100) AS next \\gset"
                    print "UPDATE target SET " assignment " WHERE id BETWEEN :first AND :last AND id >= :here" (range < 10 ? " AND id < :next" : "") ";"
                    if (pause != "") print "SELECT pg_sleep(" pause ") \\g /dev/null"
                    print "\\set here :next"
                }
                print "UPDATE fast.client_job SET metrics = $${\"affected_rows\": {\"update_all\": [100,100,100,100,100,100,100,100,100,100]}}$$, updated_at = now() WHERE id = :job;"
                logged(1, 3, "finished_at = now()")
                print "\\set start :last"
                print "SELECT :start + 1 AS start \\gset"
            }
        }'
}

# run_client ASSIGNMENT ROWS [PAUSE]
run_client() {
    sql -c 'TRUNCATE fast.client_job, fast.client_log'
    seconds=$({
        echo "SELECT clock_timestamp() AS started \\gset"
        client_script "$@"
        echo "SELECT extract(epoch FROM clock_timestamp() - :'started');"
    } | sql)
}

# use_passes N: the setting for workers to come. A new session has it when the server has read its file once more.
use_passes() {
    local deadline=$((SECONDS + 30))
    [ "$has_passes" = 1 ] || return 0
    sql -c "ALTER SYSTEM SET bbm.passes = $1" -c 'SELECT pg_reload_conf()' >/dev/null
    until [ "$(sql -c 'SHOW bbm.passes')" = "$1" ]; do
        [ "$SECONDS" -lt "$deadline" ] || { say "bbm.passes stays as it was"; return 1; }
    done
}

# until_ended ID: looks from outside, since a client that waits inside a statement holds a snapshot, and with it the
# removal of old row versions. Looks seldom, since looking takes a part of a core.
# In the server: a client that asks again and again would take time from two workers on two cores.
until_ended() { sql -c "SET statement_timeout = '1 h'" -c "SET client_min_messages = warning" -c "CALL bbm.await($1)" >/dev/null; }

# run_bbm NAME PASSES ASSIGNMENT [CONDITION [ARGUMENTS]]: by background workers, from queue() to the event of its end
run_bbm() {
    local id started
    use_passes "$2"
    read -r id started < <(sql <<END
SET client_min_messages = warning;
SELECT clock_timestamp() AS started \\gset
SELECT bbm.queue('$1', 'target', command => 'UPDATE target SET $3${4:-}'${5:-}), extract(epoch FROM :'started'::timestamptz);
END
    )
    until_ended "$id"
    # What it said beside its changes of status, for the report.
    sql >>"$out/said_$part.txt" -v id="$id" <<END
SELECT DISTINCT '${1// /,}${hold_snapshot:+,held}', event, reason FROM bbm.events
WHERE migration_id = :id AND to_status IS NULL AND reason IS NOT NULL;
END
    seconds=$(sql -v id="$id" <<END
SET client_min_messages = warning;
SELECT extract(epoch FROM bench.finished_at(:id) - to_timestamp($started));
SELECT FROM bbm.delete(:id);
END
    )
}
