#!/usr/bin/env bash
# pg_regress over sql/ and the isolation specs, without background workers (CALL bbm.run does the work); then the specs
# worker_* with them.
# Arguments, if any, name the tests to run. BBM_REGRESS_CLUSTER names the private cluster, so that two runs do not meet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cluster=${BBM_REGRESS_CLUSTER:-regress}
pgxs=$("${PG_CONFIG:-pg_config}" --pgxs)
source_tests=$(dirname "$pgxs")/../../src/test
bindir=$("${PG_CONFIG:-pg_config}" --bindir)
passed=0 failed=0
export PGISOLATIONTIMEOUT=60 PG_TEST_TIMEOUT_DEFAULT=60 # seconds for a step, in isolationtester before and since 16

trap 'test/tools/cluster.sh stop "$cluster" || true' EXIT

# Sizes of jobs and sub-batches follow the time they take; the numbers in expected/ must not.
start() {
    test/tools/cluster.sh start "$cluster" "bbm.target_sub_batch_time = '1h'" "bbm.optimize_batches = off" \
        "log_statement = none" "$@"
    eval "$(test/tools/cluster.sh env "$cluster")"
}

# chosen DIRECTORY SUFFIX: the tests there, or those of them that were asked for
chosen() {
    local file name
    for file in "$1"/*"$2"; do
        [ -e "$file" ] || continue
        name=$(basename "$file" "$2")
        [ "${#wanted[@]}" -eq 0 ] || [[ " ${wanted[*]} " = *" $name "* ]] || continue
        printf '%s\n' "$name"
    done
}

# run PROGRAM OUTPUT [option ...] TEST ...
run() {
    local program=$1 output=$2 result=0 tests ok
    shift 2
    mkdir -p "$output"
    "$program" --bindir="$bindir" --outputdir="$output" --load-extension=bbm "$@" | tee "$output/summary" || result=$?
    # Before 16: "test NAME ... ok"; since then TAP: "ok 1 - NAME".
    tests=$(grep -cE '^(test .* \.\.\. |ok |not ok )' "$output/summary" || true)
    ok=$(grep -cE '^(test .* \.\.\. ok|ok )' "$output/summary" || true)
    passed=$((passed + ok))
    failed=$((failed + tests - ok))
    [ "$result" -eq 0 ] && return
    [ "$tests" -gt "$ok" ] || failed=$((failed + 1)) # it broke down before or between the tests
    [ ! -f "$output/regression.diffs" ] || head -n 200 "$output/regression.diffs"
}

# isolation OUTPUT TEST ...
isolation() {
    local output=$1
    shift
    run "$source_tests/isolation/pg_isolation_regress" "$output" --inputdir=test/isolation --dbname=bbm_isolation "$@"
}

wanted=("$@")
mapfile -t sql < <(chosen sql .sql)
mapfile -t specs < <(chosen test/isolation/specs .spec)
with_workers=() without_workers=()
for spec in "${specs[@]}"; do
    if [[ $spec == worker_* ]]; then with_workers+=("$spec"); else without_workers+=("$spec"); fi
done

if [ "$((${#sql[@]} + ${#without_workers[@]}))" -gt 0 ]; then
    start "bbm.max_workers = 0"
    [ "${#sql[@]}" -eq 0 ] ||
        run "$source_tests/regress/pg_regress" "build/$cluster" --inputdir=. --dbname=bbm_regress "${sql[@]}"
    [ "${#without_workers[@]}" -eq 0 ] || isolation "build/$cluster-isolation" "${without_workers[@]}"
fi
if [ "${#with_workers[@]}" -gt 0 ]; then
    start "bbm.lock_timeout = '1h'"
    isolation "build/$cluster-isolation-workers" "${with_workers[@]}"
fi

echo "regress: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
