#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh installed|subproject SOURCE BUILD COMPILER [FLAG...]
# Builds and runs outside projects: against an installation that was moved after installing, with
# CMake and with pkg-config; or with rankexec as a subproject.
set -euo pipefail
mode=$1 source=$2 build=$3 compiler=$4
shift 4
flags="$*"
# The installed libraries and programs have to find each other, without help from outside.
unset RANKEXEC_PROGRAM_DIR LD_LIBRARY_PATH

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log
# quietly COMMAND...: shows what it wrote only when it fails
quietly() {
    "$@" >"$log" 2>&1 || { cat "$log"; echo "failed: $*"; return 1; }
}
# expect_sum DIRECTORY [LAUNCHER]: runs the application that was built there
expect_sum() {
    local said
    said=$("$1/application" "$1/worker" "${2:-local}")
    echo "${2:-local}: $said"
    [ "$said" = "sum=42 events=2" ] || { echo "failed: $1/application said '$said'"; return 1; }
}
# expect_under_launcher DIRECTORY: the same with rank shims, where there is a launcher
expect_under_launcher() {
    if command -v mpiexec.hydra >/dev/null; then expect_sum "$1" hydra; fi
}
configure() {
    quietly cmake -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$flags" "$@"
}

test_installed() {
    quietly cmake --install "$build" --prefix "$scratch/first"
    mv "$scratch/first" "$scratch/prefix"
    local prefix=$scratch/prefix

    echo "every public header can be included alone"
    # shellcheck disable=SC2016  # $1 is the inner shell's
    (cd "$prefix/include" && find rankexec -name '*.hpp' -print0) |
        xargs -0 -n 1 -P 2 sh -c 'echo "#include <$3>" | "$1" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Werror \
            -I"$2" -x c++ - || { echo "failed: $3"; exit 255; }' sh "$compiler" "$prefix/include"

    echo "CMake"
    configure -S "$source/tests/outside/installed" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$prefix"
    quietly cmake --build "$scratch/cmake"
    expect_sum "$scratch/cmake"
    expect_under_launcher "$scratch/cmake"

    echo "pkg-config"
    mkdir "$scratch/make"
    quietly make -C "$scratch/make" -f "$source/tests/outside/make/Makefile" CXX="$compiler" \
        PREFIX_PC="$(dirname "$(find "$prefix" -name rankexec-core.pc)")" SOURCE="$source/tests/outside" \
        CXXFLAGS="-std=c++20 $flags" LDFLAGS="-Wl,-rpath,$(dirname "$(find "$prefix" -name librankexec_core.so)")"
    expect_sum "$scratch/make"

    echo "programs"
    [ -x "$prefix/bin/rankexec" ] || return 0
    "$prefix/bin/rankexec" launch -n 2 -- true
    "$prefix/bin/rankexec" --version
    "$prefix/bin/rankexec" bench -n 2 --scenario round-trip --repetitions 5

    echo "a plugin of the outside project in the stock worker"
    cat >"$scratch/cmake/job.toml" <<'JOB'
[group]
ranks = 4
plugin = "libplugin.so"
executor = "guesser"
[[components]]
id = "guesser"
type = "outside.guesser"
JOB
    "$prefix/bin/rankexec" run "$scratch/cmake/job.toml" | grep -x 'held_out_accuracy=0.25.*'

    echo "programs of the outside project that are launched"
    local program
    for program in cmake make; do
        cat >"$scratch/agent.toml" <<JOB
executor = "launcher"
[program]
command = ["$scratch/$program/agent"]
[workflow]
rounds = 2
JOB
        "$prefix/bin/rankexec" run "$scratch/agent.toml" | grep -x 'held_out_accuracy=0.2.*'
        # Neither launching nor executors come along.
        if ldd "$scratch/$program/agent" | grep -E 'rankexec_(core|worker)'; then return 1; fi
    done
    if "$scratch/cmake/agent" 2>"$log"; then return 1; fi
    grep 'RANKEXEC_AGENT is not set' "$log"
}

# reuse COMPILER ARGUMENT...: a compiler launcher that copies what the build around this test has compiled
# of the library already. The programs are compiled anew, as the outside project wants it.
write_reuse() {
    cat >"$1" <<REUSE
#!/bin/sh
for argument; do
    [ "\$last" = -o ] && object=\$argument
    last=\$argument
done
compiled="$build/\${object#rankexec/}"
case \$object in
    rankexec/core/* | rankexec/ipc/* | rankexec/worker/*) [ -f "\$compiled" ] && exec cp "\$compiled" "\$object" ;;
esac
exec "\$@"
REUSE
    chmod +x "$1"
}

# Without what only the command needs: looking for it is an error here.
test_subproject() {
    write_reuse "$scratch/reuse"
    configure -S "$source/tests/outside/subproject" -B "$scratch/build" -DRANKEXEC_SOURCE="$source" \
        -DCMAKE_CXX_COMPILER_LAUNCHER="$scratch/reuse" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
        -DCMAKE_DISABLE_FIND_PACKAGE_CLI11=ON -DCMAKE_DISABLE_FIND_PACKAGE_LibArchive=ON
    if grep -i tomlplusplus "$scratch/build/CMakeCache.txt"; then
        echo "failed: toml++ was looked for, which only the command needs"
        return 1
    fi
    local commands
    commands=$(grep -E '"command".* -o CMakeFiles/(application|worker|agent|untouched)\.dir/' \
        "$scratch/build/compile_commands.json")
    [ "$(wc -l <<<"$commands")" = 4 ] || { echo "failed: not four compilations: $commands"; return 1; }
    if [ -z "$flags" ] && grep -E ' -[WfO]' <<<"$commands"; then
        echo "failed: rankexec's flags reached the outside project"
        return 1
    fi
    quietly cmake --build "$scratch/build" --parallel 2
    "$scratch/build/untouched"
    expect_sum "$scratch/build"
    expect_under_launcher "$scratch/build"
}

"test_$mode"
