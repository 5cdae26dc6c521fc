#!/bin/sh
# A verdict from -10 to 10 on a trace. Use: feedback.sh TRACE_ID VALUE
set -eu
[ $# -eq 2 ] || { echo "use: feedback.sh TRACE_ID VALUE" >&2; exit 2; }

curl -sS --fail-with-body "${GATEWAY_URL:-http://127.0.0.1:8787}/v1/feedback" \
  -H "x-portkey-api-key: ${GATEWAY_KEY:-none}" -H "Content-Type: application/json" \
  -d "{\"trace_id\": \"$1\", \"value\": $2, \"weight\": 0.5, \"metadata\": {\"_user\": \"ann\"}}"
echo
