#!/bin/sh
# A chat; the response's headers are shown, since they name the trace and the request. Use: chat.sh [TRACE_ID]
set -eu
trace_id=${1:-curl-$$-$(date +%s)}

curl -sS --fail-with-body -i "${GATEWAY_URL:-http://127.0.0.1:8787}/v1/chat/completions" \
  -H "Authorization: Bearer ${GATEWAY_KEY:-none}" -H "Content-Type: application/json" \
  -H "x-portkey-trace-id: $trace_id" \
  -H 'x-portkey-metadata: {"_user": "ann"}' \
  -d "{\"model\": \"${MODEL:-demo-chat}\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}"
echo
