#!/bin/sh
# A verdict on two traces in one call: both are stored, or none. Use: bulk.sh TRACE_ID TRACE_ID
set -eu
[ $# -eq 2 ] || { echo "use: bulk.sh TRACE_ID TRACE_ID" >&2; exit 2; }

curl -sS --fail-with-body "${GATEWAY_URL:-http://127.0.0.1:8787}/v1/feedback" \
  -H "x-portkey-api-key: ${GATEWAY_KEY:-none}" -H "Content-Type: application/json" \
  -d "[{\"trace_id\": \"$1\", \"value\": 10}, {\"trace_id\": \"$2\", \"value\": -10}]"
echo
