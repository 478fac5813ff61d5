# SPDX-License-Identifier: Apache-2.0
# Sourced by every script: strict mode, the checkout's root, one line a step, a clear end.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

say() { printf '== %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 3
}
JOBS=${JOBS:-$(nproc)}
