#!/bin/sh
# Another value for an entry; the earlier version is kept. Use: update.sh FEEDBACK_ID VALUE
set -eu
[ $# -eq 2 ] || { echo "use: update.sh FEEDBACK_ID VALUE" >&2; exit 2; }

curl -sS --fail-with-body -X PUT "${GATEWAY_URL:-http://127.0.0.1:8787}/v1/feedback/$1" \
  -H "x-portkey-api-key: ${GATEWAY_KEY:-none}" -H "Content-Type: application/json" \
  -d "{\"value\": $2}"
echo
