#!/usr/bin/env bash
# Portkey's SDK for Node, imported as its documentation does, in an ES module.
#
# Versions: portkey-ai 3.1.0 with its openai 6.8.1; Node 20.20.2 on Linux
# Guessed: `import Portkey from "portkey-ai"` gives the class, as `import OpenAI from "openai"` does, whose SDK it wraps
# Seen: the package is CommonJS only, so that the default import is the whole module: `new Portkey(…)` throws. The named
#   import and `Portkey.default` are the class.
# Output:
#   default   object: Portkey is not a constructor
#   named     function
#   openai    function
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund portkey-ai@3.1.0
cat >finding.mjs <<'JS'
import assert from "node:assert";
import OpenAI from "openai";
import Portkey, { Portkey as Named } from "portkey-ai";

let message = "";
try {
  new Portkey({ apiKey: "k" });
} catch (error) {
  message = error.message;
}
console.log(`default   ${typeof Portkey}: ${message}\nnamed     ${typeof Named}\nopenai    ${typeof OpenAI}`);
assert.equal(typeof Portkey, "object");
assert.equal(message, "Portkey is not a constructor");
assert.equal(Portkey.default, Named);
assert.equal(typeof OpenAI, "function");
JS
node finding.mjs
