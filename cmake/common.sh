# Shared by run, test and .ci/run: installs what is missing, configures, builds. Sourced, never run.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '== %s\n' "$*"; }

# Runs a command in silence; shows what it printed only if it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 || status=$?
  if ((status)); then
    cat "$log"
    say "failed: $*"
  fi
  rm -f "$log"
  return "$status"
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# install_packages NAME...: on Debian and Ubuntu installs those that are missing.
install_packages() {
  local missing=() package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then return; fi
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    say "missing, and neither root nor sudo to install them: ${missing[*]}"
    return
  fi
  say "installing ${missing[*]}"
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get update
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

# What `run` and `test` need.
install_requirements() {
  if command -v apt-get >/dev/null; then
    install_packages g++ cmake ninja-build pkg-config libeigen3-dev libxsimd-dev catch2 libbenchmark-dev \
      nlohmann-json3-dev libcli11-dev libsndfile1-dev
    return
  fi
  say "this system has no apt-get: please see that these are installed"
  say "  a C++20 compiler (g++ 12, clang++ 14 or later), CMake 3.22, pkg-config, and if you like Ninja"
  say "  Eigen 3.4, xsimd 8.1, nlohmann_json, CLI11, Catch2 (or git, to download these), Google Benchmark, libsndfile"
  if ! command -v cmake >/dev/null; then
    say "expected the command cmake, found none"
    return 1
  fi
}

# As many compilers at once as there are processors, and at most one for every GiB of memory that is free.
jobs() {
  local processors gib
  processors=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
  gib=$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null || true)
  gib=${gib:-$processors}
  local count=$((gib < processors ? gib : processors))
  echo $((count > 1 ? count : 1))
}

# configure FOLDER OPTION...
configure() {
  local build=$root/$1 generator=()
  shift
  if command -v ninja >/dev/null && [[ ! -e $build/CMakeCache.txt ]]; then generator=(-G Ninja); fi
  say "configuring ${build#"$root"/}"
  quietly cmake -S "$root" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release "$@"
}

# build FOLDER TARGET...
build() {
  local folder=$root/$1
  shift
  say "building ${folder#"$root"/}: $*"
  cmake --build "$folder" --parallel "$(jobs)" --target "$@"
}
