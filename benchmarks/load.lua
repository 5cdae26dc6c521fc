-- The load that wrk makes, one function a kind of request, chosen on the command line:
--     wrk … URL -- KIND RUN [KNOWN]
-- KIND is json, sse or feedback. RUN is part of every trace id, so that no two runs share one.
-- For feedback, RUN is the run that logged the requests to judge, and KNOWN is how many of them there are.

-- Prose that does not repeat itself: it compresses as prose does.
local CONTEXT = "France is a republic in western Europe whose seat of government has been Paris for most of its "
  .. "history. Versailles took that place from 1682 until the revolution, Bordeaux for some weeks of 1870 and 1914, and "
  .. "Vichy during the occupation, yet none of these was ever called the capital by statute. The city lies on a bend of "
  .. "the Seine, about 375 km above the river's mouth, and grew from a settlement on an island. Today the municipality "
  .. "counts a little over two million inhabitants in twenty districts numbered in a spiral from the Louvre outwards, "
  .. "while its region holds nearly a fifth of the nation. Lyon and Marseille, next in size, have less than half of that "
  .. "weight in trade, transport and administration, though both challenge it in trade fairs, football and cooking. "
  .. "Say only what this text supports, in one sentence, and name no sources."
local CHAT = '{"model":"gpt-4o-mini","temperature":0.2,"messages":[{"role":"system","content":"Answer from this: '
  .. CONTEXT .. '"},{"role":"user","content":"What is the capital of France?"}]%s}'

local requests_of = {}

function requests_of.json(run)
  return chats(run, CHAT:format(""))
end

function requests_of.sse(run)
  return chats(run, CHAT:format(',"stream":true,"stream_options":{"include_usage":true}'))
end

function requests_of.feedback(run, known)
  return function(number)
    local trace_id = run .. "-" .. (number - 1) % known + 1
    return wrk.format("POST", nil, wrk.headers, '{"trace_id":"' .. trace_id .. '","value":' .. number % 21 - 10 .. "}")
  end
end

function chats(run, body)
  return function(number)
    wrk.headers["x-portkey-trace-id"] = run .. "-" .. number
    wrk.headers["x-portkey-metadata"] = '{"_user":"user-' .. number % 100 .. '","_environment":"benchmark"}'
    return wrk.format("POST", nil, wrk.headers, body)
  end
end

function init(arguments)
  wrk.headers["Content-Type"] = "application/json"
  local next_request = requests_of[arguments[1]](arguments[2], tonumber(arguments[3]))
  local number = 0
  request = function()
    number = number + 1
    return next_request(number)
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'result {"requests":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
