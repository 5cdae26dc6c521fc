#!/usr/bin/env bash
# What pygal makes of the confidence interval of a point.
#
# Versions: pygal==3.1.3; CPython 3.11.7 on Linux
# Guessed: an interval given by its bounds may say `type: manual`, as one by its deviation says `type: continuous`; the
#   package needs nothing else for either; what is passed in is left as it was
# Seen: bounds with their type raise a TypeError, and without one are drawn; a deviation of up to 30 samples needs
#   SciPy, which no extra of the package names; the point's value is written into the dictionary that was passed in
# Output:
#   low and high                    drawn, and point_estimate=1 is in the dictionary
#   low and high, type manual       TypeError
#   deviation of 31 samples         drawn
#   deviation of 30 samples         ImportError, extras that name scipy: []
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pygal==3.1.3'
venv/bin/python - <<'PY'
from importlib.metadata import requires

import pygal

def draw(interval):
    """Whether a line whose only point has this interval is drawn, or the error's name."""
    chart = pygal.Line()
    chart.add("score", [{"value": 1, "ci": interval}])
    try:
        return "drawn" if b'class="ci"' in chart.render() else "left out"
    except (TypeError, ImportError) as error:
        return type(error).__name__

bounds = {"low": 0, "high": 2}
seen = [draw(bounds)]
print(f"low and high                    {seen[0]}, and point_estimate={bounds.get('point_estimate')} is in the dictionary")
seen.append(draw({"type": "manual", "low": 0, "high": 2}))
print(f"low and high, type manual       {seen[1]}")
seen.append(draw({"type": "continuous", "sample_size": 31, "stddev": 1}))
print(f"deviation of 31 samples         {seen[2]}")
seen.append(draw({"type": "continuous", "sample_size": 30, "stddev": 1}))
extras = [name for name in requires("pygal") or [] if "scipy" in name.lower()]
print(f"deviation of 30 samples         {seen[3]}, extras that name scipy: {extras}")
assert seen == ["drawn", "TypeError", "drawn", "ImportError"] and extras == []
assert bounds == {"low": 0, "high": 2, "point_estimate": 1}
PY
