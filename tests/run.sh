#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs every test: unit, end to end as root and as an ordinary user, how programs end, faults in short form, escape,
# fuzzers for a short while, and, with a kvm machine, end to end in an emulated VM.
# Last line: N passed, N failed[, N skipped]. `make test` calls it; alone: tests/run.sh [SUITE...]
# THAW_TEST_MACHINE: the machine to test; else thaw's own choice. THAW_TEST_LOG: a file to add each suite's TAP to.
# THAW_TEST_JOBS: so many end-to-end suites at a time (1). THAW_TEST_ROOT: those that root runs as well (all).
# THAW_TEST_PART: a part of them, 2~2 say for every second. THAW_TEST_LIMIT: so many seconds each of them may take (600).
set -u
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
export SAN="${SAN:-}"
work=$(mktemp -d "${TMPDIR:-/tmp}/thaw-tests.XXXXXX") || exit 1
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0 skipped=0 failures='' closing='' job=''
began=$(date +%s)

# What is tested is a copy: an ordinary user may not reach the tree, and nobody rebuilds it meanwhile.
mkdir -p "$work/bin/images" "$work/tests"
cp "$BUILD/thaw" "$BUILD/thaw-oci" "$work/bin/" && cp -R "$BUILD/python-agent" "$work/bin/" &&
    cp $(ls "$BUILD"/images/python.* "$BUILD"/images/python-small.* "$BUILD"/images/programs.* 2>/dev/null | grep -v "\.stamp$") "$work/bin/images/" &&
    cp -R tests/. "$work/tests/" && cp -R "$BUILD/tests/guest" "$BUILD/tests/tools" "$BUILD/tests/hostile" "$work/bin/" || exit 1
mkdir -p "$work/docs" && cp docs/thaw.1 "$work/docs/" 2>/dev/null
find "$work/tests" -name __pycache__ -exec rm -rf {} +
chmod -R a+rX "$work"
export THAW="$work/bin/thaw" GUEST="$work/bin/guest" TOOLS="$work/bin/tools" HOSTILE="$work/bin/hostile/thaw"
export PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
kvm_group=''
if [ -n "${THAW_TEST_MACHINE:-}" ]; then
    # Every test runs on this machine, whatever it calls thaw with.
    export THAW_TEST_MACHINE THAW_TEST_COMMAND="$work/bin/thaw"
    THAW="$work/bin/machine/thaw"
    mkdir "$work/bin/machine" && cp "$work/bin/tools/machine" "$THAW" || exit 1
    [ ! -e /dev/kvm ] || kvm_group="--groups=$(stat -c %g /dev/kvm)"
fi
# Time runs THAW_TEST_SLOW times slower here than on a usual host: every limit on it is raised.
slow=${THAW_TEST_SLOW:-1}
suite_limit=${THAW_TEST_LIMIT:-$((600 * slow))}

# suite NAME COMMAND...: the command prints TAP. What came of it is added to files: suites may run side by side.
: >"$work/results"
: >"$work/failures"
suite() {
    name=$1 out=$work/out$job
    shift
    t=$(date +%s)
    [ -n "$job" ] || printf '== %s\n' "$name"
    "$@" >"$out" 2>&1
    status=$?
    [ -z "${THAW_TEST_LOG:-}" ] || { printf '# %s\n' "$name"; cat "$out"; } >>"$THAW_TEST_LOG"
    sed -i 's/^not ok \(.*# SKIP\)/ok \1/' "$out" # as cmocka says it
    ok=$(grep -c '^ok ' "$out")
    skip=$(grep -ci '^ok .*# skip' "$out")
    bad=$(grep -c '^not ok ' "$out")
    if [ $status -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
        echo "not ok - $name ended with status $status" >>"$out"
    fi
    {
        [ -z "$job" ] || printf '== %s\n' "$name"
        if [ "$bad" -gt 0 ]; then
            # Each failure with what was said about it.
            if [ "$ok" -eq 0 ]; then cat "$out"; else grep -v '^ok ' "$out" | head -n 200; fi
            grep '^not ok ' "$out" | sed "s|^|$name: |" >>"$work/failures"
        fi
        printf '   %d ok, %d failed, %d skipped, %d s\n' $((ok - skip)) "$bad" "$skip" $(($(date +%s) - t))
    } >"$out.report"
    echo "$((ok - skip)) $bad $skip" >>"$work/results"
    cat "$out.report"
}

home_make() { # DIR: where a user's suites have their home
    mkdir -p "$1/home"
    case $1 in
    */user*) [ "$(id -u)" -ne 0 ] || chown -R 65534:65534 "$1" ;;
    esac
    chmod 700 "$1"
}

# parallel N: the commands on standard input, a line each, N at a time; each of several has a home of its own.
parallel() {
    cat >"$work/queue"
    if [ "$1" -eq 1 ]; then
        while read -r command <&9; do eval "$command" 9<&-; done 9<"$work/queue"
        return
    fi
    mkdir "$work/taken"
    n=$1
    while [ "$n" -gt 0 ]; do
        (
            job=.$n line=0
            home_make "$work/user$job" && home_make "$work/root$job" || exit 1
            export TMPDIR="$work/root$job" HOME="$work/root$job/home" THAW_TEST_HOME="$work/root$job/home"
            while read -r command <&9; do
                line=$((line + 1))
                mkdir "$work/taken/$line" 2>/dev/null || continue # another has it
                eval "$command" 9<&-
            done 9<"$work/queue"
        ) &
        n=$((n - 1))
    done
    wait
}

# The same as an ordinary user, with a home of its own.
as_user() {
    if [ "$(id -u)" -ne 0 ]; then "$@"; return; fi
    setpriv --reuid=65534 --regid=65534 ${kvm_group:---clear-groups} --inh-caps=-all \
        env HOME="$work/user$job/home" TMPDIR="$work/user$job" THAW_TEST_HOME="$work/user$job/home" "$@"
}

home_make "$work/user"
home_make "$work/root"
export TMPDIR="$work/root" HOME="$work/root/home" THAW_TEST_HOME="$work/root/home"

# port takes longer than all the others together: only when asked for.
wanted() {
    case $1 in port) ;; *) [ -z "$only" ] && return 0 ;; esac
    case " $only " in *" $1 "*) return 0 ;; esac
    return 1
}
only="$*"

if wanted unit; then
    for t in "$BUILD"/tests/unit/test_*; do
        case $t in *.d | *.o) continue ;; esac
        [ -x "$t" ] && [ -f "$t" ] && CMOCKA_MESSAGE_OUTPUT=TAP suite "unit $(basename "$t")" timeout $((300 * slow)) "$t"
    done
fi
e2e() { # NAME: one file of tests, as root if that is us and it is wanted, and as an ordinary user
    f=$work/tests/e2e/$1.bats
    case " ${THAW_TEST_ROOT-$1} " in
    *" $1 "*) [ "$(id -u)" -ne 0 ] || suite "$1 (root)" timeout "$suite_limit" bats --tap --timing "$f" ;;
    esac
    suite "$1 (user)" as_user timeout "$suite_limit" bats --tap --timing "$f"
}
# A hostile ring 0, and restores in a row: where the machine is kvm, in the emulated VM as a rule. The restores are
# alone: they look at what memory of the host's is left.
if wanted kvm && [ "${THAW_TEST_MACHINE:-}" = kvm ] && [ "${THAW_TEST_PART:-1~1}" != 2~2 ]; then
    suite "500 restores" as_user env THAW_TEST_RESTORES=500 timeout "$suite_limit" python3 "$work/tests/fault/restores.py"
fi
ring0() {
    wanted kvm && [ "${THAW_TEST_MACHINE:-}" = kvm ] || return 0
    [ "$(id -u)" -ne 0 ] || echo 'suite "hostile kernel (root)" timeout "$suite_limit" python3 "$work/tests/fault/hostile.py"'
    echo 'suite "hostile kernel (user)" as_user timeout "$suite_limit" python3 "$work/tests/fault/hostile.py"'
}
# The longest first.
e2e_all() { ! wanted e2e || ls -S "$work"/tests/e2e | sed -n 's/^\(.*\)\.bats$/e2e \1/p'; }
{ ring0 && e2e_all; } | sed -n "${THAW_TEST_PART:-1~1}p" | parallel "${THAW_TEST_JOBS:-1}"
if wanted ending; then
    suite "ending" as_user timeout $((900 * slow)) python3 "$work/tests/e2e/ending.py" --jobs 2 \
        "$THAW" run
    suite "python (python-small)" as_user env THAW_TEST_IMAGE=python-small timeout $((600 * slow)) \
        bats --tap --timing "$work/tests/e2e/python.bats"
    suite "ending (python-small)" as_user timeout $((900 * slow)) python3 "$work/tests/e2e/ending.py" --jobs 2 \
        "$THAW" run --image python-small
fi
# What can be tried of CPython's build without building it.
if wanted unit || wanted port; then
    suite "port: MODULE_OBJS" timeout 600 bats --tap tests/port/module_objs.bats
    suite "port: the helper" timeout 300 bats --tap tests/port/helper.bats
fi
if wanted port; then
    # CPython built from source. Its build tree stays where it is; so do the tests of how it is built.
    if [ -e "$BUILD/images/python-static.erofs" ]; then
        export CPYTHON="$BUILD/cpython" IMAGE="$BUILD/images/python-static.erofs"
        suite "port: build" timeout 1500 bats --tap tests/port/build.bats
        suite "port: snapshot" timeout 600 bats --tap tests/port/snapshot.bats
        suite "port: minimal image" timeout 300 bats --tap tests/port/minimal.bats
        suite "port: ending" timeout 900 python3 tests/e2e/ending.py --jobs 2 \
            "$THAW" run --image "$IMAGE"
    else
        suite "port: build" sh -c 'echo "not ok 1 build/images/python-static.erofs is there (make python-static)"; exit 1'
    fi
fi
if wanted conformance; then
    suite "CPython's own tests, a few" as_user timeout $((900 * slow)) \
        /usr/bin/python3 "$work/tests/conformance/run.py" --quick "$THAW"
fi
if wanted fault; then
    suite "faults in snapshots" as_user timeout $((600 * slow)) python3 "$work/tests/fault/snapshot_faults.py" short
    suite "faults in images" as_user timeout $((600 * slow)) python3 "$work/tests/fault/image_faults.py" short
    suite "killed monitors" as_user timeout $((600 * slow)) python3 "$work/tests/fault/kill.py" short
    suite "many starts" as_user timeout $((600 * slow)) python3 "$work/tests/fault/starts.py" short
fi
if wanted escape; then
    [ "$(id -u)" -ne 0 ] || suite "escape (root)" timeout $((300 * slow)) python3 "$work/tests/fault/escape.py"
    suite "escape (user)" as_user timeout $((300 * slow)) python3 "$work/tests/fault/escape.py"
fi
if wanted fuzz; then
    # Each for a short while; `make fuzz` has the time.
    suite "fuzz" env BUILD="$BUILD" THAW="$work/bin/thaw" timeout 1200 bash "$work/tests/fuzz/run.sh" "${FUZZ_TIME:-10}"
fi
# The end-to-end suite on the kvm machine, in VMs whose KVM works (tests/nested): one boot for all tests that a host
# processor gets, up to two. A VM with two processors would do, but QEMU's emulation of SVM then comes to a standstill.
nested() {
    machine=$nested_machine limit=${THAW_NESTED_LIMIT:-2400}
    tree="$work/tree" parts='1~2 2~2'
    [ "$(nproc)" -gt 1 ] || parts=1~1
    mkdir -p "$tree/build/tests" && cp -R "$work/tests" "$work/docs" "$tree/" &&
        cp -R "$work/bin/thaw" "$work/bin/thaw-oci" "$work/bin/python-agent" "$work/bin/images" "$tree/build/" &&
        cp -R "$work/bin/guest" "$work/bin/tools" "$work/bin/hostile" "$tree/build/tests/" || return 1
    t=$(date +%s)
    printf '== nested: end to end on the machine %s, in emulated VMs, %d s at most\n' "$machine" "$limit"
    BUILD=$BUILD "$work/tests/nested/vm.sh" --prepare || return 1
    # Emulated, everything takes up to 13 times as long. What root's start does otherwise than a user's is in a few of
    # the suites; all run as root on the host.
    for part in $parts; do
        BUILD=$BUILD "$work/tests/nested/vm.sh" --tree "$tree" --timeout "$limit" --env "THAW_TEST_MACHINE=$machine" \
            --env THAW_TEST_SLOW=8 --env THAW_TEST_LIMIT=1200 --env THAW_KVM_PROBE_MS=20000 --env "THAW_TEST_PART=$part" \
            --env "THAW_TEST_ROOT=commands machine" -- \
            sh tests/run.sh ${THAW_NESTED_SUITES:-e2e kvm} 2>&1 | tee "$work/nested.$part" | sed -u 's/^/   /' &
    done
    wait
    ok=0 bad=0 skip=0
    for part in $parts; do
        # Without its closing line the run broke off: what vm.sh says of it is said again at the end.
        set -- $(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)*$/\1 \2 \4/p' "$work/nested.$part" | tail -n 1)
        if [ $# -lt 2 ]; then
            set -- 0 1
            failures="$failures
not ok nested: part $part broke off in $(sed -n 's/^== //p' "$work/nested.$part" | tail -n 1)
$(sed -n '/^vm.sh: /,$p' "$work/nested.$part" | cut -c 1-400 | tail -n 100)"
        fi
        ok=$((ok + $1)) bad=$((bad + $2)) skip=$((skip + ${3:-0}))
    done
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    [ "$bad" -eq 0 ] || failures="$failures
$(sed -n 's/^[a-z0-9() -]*: not ok/nested: &/p' "$work"/nested.*)
nested: what is above, $bad in all"
    t=$(($(date +%s) - t))
    printf '   %d ok, %d failed, %d skipped, %d s\n' "$ok" "$bad" "$skip" $t
    closing="; nested on $machine: $ok passed, $bad failed, $t s"
    return 0
}

# A build without the kvm machine would only repeat, slowly, what has been seen above; asked for, it does.
nested_machine=${THAW_NESTED_MACHINE:-process}
[ ! -e "$BUILD/kernel-kvm.elf" ] || nested_machine=${THAW_NESTED_MACHINE:-kvm}
if wanted nested && [ "$nested_machine$only" != process ] && [ -z "$SAN" ] && ! nested; then
    failed=$((failed + 1)) closing='; nested: the VMs could not be made'
    failures="$failures
not ok nested: the VMs could not be made"
fi

while read -r ok bad skip; do
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
done <"$work/results"
failures="$(cat "$work/failures")$failures"
[ -z "$failures" ] || printf '\nfailed:\n%s\n' "$failures"
printf '%d s in all\n' $(($(date +%s) - began))
if [ "$skipped" -gt 0 ]; then
    printf '%d passed, %d failed, %d skipped%s\n' "$passed" "$failed" "$skipped" "$closing"
else
    printf '%d passed, %d failed%s\n' "$passed" "$failed" "$closing"
fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
