#!/usr/bin/env bash
# Which moment standardwebhooks signs when it is given a time with an offset.
#
# Versions: standardwebhooks==1.1.0; CPython 3.11.7 on Linux
# Guessed: a datetime with an offset is signed as the moment that it names, whatever the offset
# Seen: its date and clock are taken for UTC, so that the signature is for a moment as far off as the offset; beside the
#   header `webhook-timestamp` of the moment itself it does not verify
# Output:
#   now in UTC                    verifies
#   the same moment at +09:00     No matching signature found
#   signed as                     32400 s later
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'standardwebhooks==1.1.0'
venv/bin/python - <<'PY'
from datetime import datetime, timedelta, timezone

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
in_utc = datetime.now(timezone.utc)
in_tokyo = in_utc.astimezone(timezone(timedelta(hours=9)))
assert in_utc == in_tokyo

def verified(at):
    """Whether a message signed at a moment verifies with the header of that moment."""
    signature = webhook.sign("msg_1", at, "{}")
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    try:
        webhook.verify("{}", headers)
    except WebhookVerificationError as error:
        return str(error)
    return "verifies"

seen = [verified(in_utc), verified(in_tokyo)]
print(f"now in UTC                    {seen[0]}")
print(f"the same moment at +09:00     {seen[1]}")
later = in_utc + timedelta(hours=9)
is_later = webhook.sign("msg_1", in_tokyo, "{}") == webhook.sign("msg_1", later, "{}")
print(f"signed as                     {9 * 3600 if is_later else '?'} s later")
assert seen == ["verifies", "No matching signature found"] and is_later
PY
