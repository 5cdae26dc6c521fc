#!/usr/bin/env bash
# A space in a value of the `baggage` header (W3C Baggage), from OpenTelemetry in Python to OpenTelemetry in JavaScript
# and back.
#
# Versions: opentelemetry-api==1.45.2; @opentelemetry/api 1.10.0, @opentelemetry/core 3.1.1; CPython 3.11.7, Node 20.20.2 on Linux
# Guessed: both write a space as %20, which the specification asks for (a `+` stands for itself there), and read what
#   the other wrote; properties after a `;` are not part of the value
# Seen: Python writes `+` for a space, and JavaScript reads it as a plus sign; Python reads a plus sign, that another may
#   send as it is, as a space, and keeps the properties of an entry as the end of its value
# Output:
#   Python writes      title=a+b
#   JavaScript reads   a+b
#   JavaScript writes  title=a%20b
#   Python reads       title=a%20b: "a b"    title=1+1: "1 1"    title=a;ttl=1: "a;ttl=1"
#   JavaScript reads   title=1+1: "1+1"    title=a;ttl=1: "a"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'opentelemetry-api==1.45.2'
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund @opentelemetry/api@1.10.0 @opentelemetry/core@3.1.1
cat >finding.py <<'PY'
import json, subprocess
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator

PLUS, PROPERTY = "title=1+1", "title=a;ttl=1"

def reads(header):
    return baggage.get_baggage("title", W3CBaggagePropagator().extract({"baggage": header}))

headers = {}
W3CBaggagePropagator().inject(headers, baggage.set_baggage("title", "a b"))
written = headers["baggage"]
told = subprocess.run(["node", "finding.mjs", written, PLUS, PROPERTY], check=True, capture_output=True).stdout
read_there, written_there, plus_there, property_there = json.loads(told)
print("Python writes     ", written)
print("JavaScript reads  ", read_there)
print("JavaScript writes ", written_there)
print("Python reads      ", "    ".join(f'{h}: "{reads(h)}"' for h in (written_there, PLUS, PROPERTY)))
print("JavaScript reads  ", f'{PLUS}: "{plus_there}"    {PROPERTY}: "{property_there}"')
assert (written, read_there, written_there) == ("title=a+b", "a+b", "title=a%20b")
assert (reads(written_there), reads(PLUS), reads(PROPERTY)) == ("a b", "1 1", "a;ttl=1")
assert (plus_there, property_there) == ("1+1", "a")
PY
cat >finding.mjs <<'JS'
import { propagation, ROOT_CONTEXT, defaultTextMapGetter, defaultTextMapSetter } from "@opentelemetry/api";
import { W3CBaggagePropagator } from "@opentelemetry/core";

const propagator = new W3CBaggagePropagator();
const reads = (baggage) =>
  propagation.getBaggage(propagator.extract(ROOT_CONTEXT, { baggage }, defaultTextMapGetter)).getEntry("title").value;
const headers = {};
const entries = propagation.createBaggage({ title: { value: "a b" } });
propagator.inject(propagation.setBaggage(ROOT_CONTEXT, entries), headers, defaultTextMapSetter);
const [written, plus, property] = process.argv.slice(2);
console.log(JSON.stringify([reads(written), headers.baggage, reads(plus), reads(property)]));
JS
venv/bin/python finding.py
