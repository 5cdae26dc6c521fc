#!/bin/sh
# A chat as a stream of events, each shown when it comes. Use: stream.sh [TRACE_ID]
set -eu
trace_id=${1:-curl-$$-$(date +%s)}

curl -sS --fail-with-body --no-buffer "${GATEWAY_URL:-http://127.0.0.1:8787}/v1/chat/completions" \
  -H "Authorization: Bearer ${GATEWAY_KEY:-none}" -H "Content-Type: application/json" \
  -H "x-portkey-trace-id: $trace_id" \
  -d "{\"model\": \"${MODEL:-demo-chat}\", \"stream\": true, \"stream_options\": {\"include_usage\": true},
       \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}"
