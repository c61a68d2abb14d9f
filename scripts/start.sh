#!/usr/bin/env bash
# Sets up a fresh machine and runs bitlane on a simulated road, a folder of pictures or a video: bash scripts/start.sh [FOLDER|VIDEO]
set -euo pipefail
cd_back=$PWD
cd "$(dirname "$0")/.."

node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' || {
  echo "bitlane needs Node 20.19 or newer; this is $(node --version)." >&2
  exit 1
}
# The CPU library ships inside the package: nothing more has to be fetched.
export ONNXRUNTIME_NODE_INSTALL=skip
# npm would empty the folder that a link leads to.
if [ -L node_modules ]; then
  echo "node_modules is a link: the packages there are taken as they are" >&2
elif [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund
fi
echo 'building ...' >&2
npm run --silent build
root=$PWD
cd "$cd_back"
exec node "$root/dist/scripts/start.js" "$@"
