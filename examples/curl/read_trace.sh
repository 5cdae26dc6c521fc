#!/bin/sh
# The requests of a trace and what was said about them. Use: read_trace.sh TRACE_ID
set -eu
[ $# -eq 1 ] || { echo "use: read_trace.sh TRACE_ID" >&2; exit 2; }

curl -sS --fail-with-body "${GATEWAY_URL:-http://127.0.0.1:8787}/api/v1/traces/$1" \
  -H "x-portkey-api-key: ${GATEWAY_KEY:-none}"
echo
