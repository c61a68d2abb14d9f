#!/usr/bin/env bash
# Sets up a fresh machine and passes the tests. Ends with the line "N passed, N failed", counted from the run.
set -euo pipefail
cd "$(dirname "$0")/.."

node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' || {
  echo "bitlane needs Node 20.19 or newer; this is $(node --version)." >&2
  exit 1
}

# The real parts that the tests use. Where they cannot be had the tests that need them are skipped, and say so.
missing=()
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing+=(mosquitto)
command -v ffmpeg >/dev/null || missing+=(ffmpeg)
command -v openssl >/dev/null || missing+=(openssl)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v setpriv >/dev/null || missing+=(util-linux)
command -v shellcheck >/dev/null || missing+=(shellcheck)
if [ "${#missing[@]}" -gt 0 ]; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  "${as_root[@]}" apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
    echo "could not install ${missing[*]}: tests that need them are skipped" >&2
fi

# The CPU library ships inside the package: nothing more has to be fetched.
export ONNXRUNTIME_NODE_INSTALL=skip
# npm would empty the folder that a link leads to.
if [ -L node_modules ]; then
  echo "node_modules is a link: the packages there are taken as they are" >&2
else
  npm ci --no-audit --no-fund
fi

results=$(mktemp)
trap 'rm -f "$results"' EXIT
status=0
npm test -- --reporter=tap </dev/null | tee "$results" || status=$?

# What failed is told again where everybody looks: at the end.
if grep -q '^ *not ok ' "$results"; then
  echo '# What failed:'
  grep -A 24 '^ *not ok ' "$results" | cut -c 1-300 | head -n 150
fi

passed=$(sed -n 's/^# { total: [0-9]*, pass: \([0-9]*\).*/\1/p; s/^# pass \([0-9]*\)$/\1/p' "$results" | tail -n 1)
failed=$(sed -n 's/.*fail: \([0-9]*\).*/\1/p; s/^# fail \([0-9]*\)$/\1/p' "$results" | tail -n 1)
skipped=$(sed -n 's/^# { total: .*skip: \([0-9]*\).*/\1/p' "$results" | tail -n 1)
[ "$status" -eq 0 ] || [ "${failed:-0}" -gt 0 ] || failed=1
echo "${passed:-0} passed, ${failed:-0} failed${skipped:+, $skipped skipped}"
[ -n "${passed:-}" ] || status=1
exit "$status"
