"""Numbers, money, durations, scores, times and differences of texts as the pages write them."""

import difflib
import re
from datetime import UTC, datetime

from markupsafe import Markup

from gateway.models.clock import format_rfc3339, now_us, to_datetime
from gateway.models.request import NANOUSD_PER_USD

MINUS = "−"
_MINUTE_US = 60_000_000
_HOUR_US = 60 * _MINUTE_US
_DAY_US = 24 * _HOUR_US
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
# Of the smallest amount that is counted.
_NANOUSD_DIGITS = 9
# Longer texts are shown side by side, as are those with little in common.
_MAX_COMPARED_WORDS = 3_000
_MIN_LIKENESS = 0.25
# Up to here counts are written out.
_MAX_WRITTEN_OUT = 10_000


def count(value: float | None) -> str:
    """Write a count: `1,234`, above 10,000 `12.3 k`."""
    if value is None:
        return "–"
    if abs(value) < _MAX_WRITTEN_OUT:
        return f"{value:,.0f}"
    size, suffix = next(each for each in _SUFFIXES if abs(value) >= each[0] * 0.9995)
    return f"{_trim(value / size, 1)} {suffix}"


def money(nanousd: float | None) -> str:
    """Write billionths of a US dollar with at most four significant digits: `$0.0003`, `$1.25`."""
    if nanousd is None:
        return "–"
    usd = nanousd / NANOUSD_PER_USD
    if usd == 0:
        return "$0"
    if abs(usd) >= 1:
        return f"${count(usd)}" if abs(usd) >= _MAX_WRITTEN_OUT else f"${usd:,.2f}"
    return f"${_trim(float(f'{usd:.4g}'), _NANOUSD_DIGITS)}"


def duration(microseconds: float | None) -> str:
    """Write a duration: `380 ms`, `1.24 s`, `2 min 5 s`."""
    if microseconds is None:
        return "–"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.0f} ms"
    seconds = microseconds / 1_000_000
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def percent(share: float | None) -> str:
    """Write a share of 1: `0.4 %`, `41 %`."""
    if share is None:
        return "–"
    value = share * 100
    return f"{_trim(value, 1 if abs(value) < 10 else 0)} %"


def signed(value: float | None, digits: int = 2) -> str:
    """Write a score: `0.41`, `−0.5`."""
    return "–" if value is None else _trim(value, digits).replace("-", MINUS)


def interval(low: float | None, high: float | None) -> str:
    """Write an interval of scores: `[−0.5, −0.3]`; nothing where there is none."""
    return "" if low is None or high is None else f"[{signed(low)}, {signed(high)}]"


def pair(value: float | None, weight: float) -> str:
    """Write feedback as its value and weight: `−10 : 0.5`."""
    return f"{signed(value, 4)} : {_trim(weight, 4)}"


def size(number_of_bytes: int) -> str:
    """Write a size in bytes: `380 B`, `1.2 MB`."""
    if number_of_bytes < 1000:
        return f"{number_of_bytes} B"
    scale, unit = (1e6, "MB") if number_of_bytes >= 999_950 else (1e3, "kB")
    return f"{_trim(number_of_bytes / scale, 1)} {unit}"


def when(time_us: int | None) -> Markup:
    """Write a time as an element: relative within a day, then `12 Nov 14:03`; UTC on hover.

    The script of the pages rewrites it in the reader's zone.
    """
    if time_us is None:
        return Markup("–")
    stamp = format_rfc3339(time_us, "milliseconds")
    html = '<time datetime="{0}" title="{1} UTC">{2}</time>'
    return Markup(html).format(stamp, stamp[:-1].replace("T", " "), _short_time(time_us))


def clock_time(time_us: int) -> Markup:
    """Write the time of day to the millisecond, as an element that the script leaves in UTC."""
    stamp = format_rfc3339(time_us, "milliseconds")
    return Markup('<time datetime="{0}" data-utc>{1} UTC</time>').format(stamp, stamp[11:-1])


def word_changes(before: str, after: str) -> Markup | None:
    """Write the words that were taken out and put in; None where that would say nothing or take long."""
    old, new = (re.findall(r"\s*\S+", text) for text in (before, after))
    if not old or not new or max(len(old), len(new)) > _MAX_COMPARED_WORDS:
        return None
    matcher = difflib.SequenceMatcher(None, old, new)
    if matcher.ratio() < _MIN_LIKENESS:
        return None
    html = Markup()
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        taken, put = "".join(old[old_from:old_to]), "".join(new[new_from:new_to])
        if tag == "equal":
            html += put
            continue
        html += Markup("<del>{}</del>").format(taken) if taken else ""
        html += Markup("<ins>{}</ins>").format(put) if put else ""
    return html


def _short_time(time_us: int) -> str:
    age = now_us() - time_us
    if 0 <= age < _DAY_US:
        return _age(age)
    at = to_datetime(time_us)
    year = "" if at.year == datetime.now(UTC).year else f" {at.year}"
    return f"{at.day} {at:%b}{year} {at:%H:%M}"


def _age(age_us: int) -> str:
    if age_us < _MINUTE_US:
        return "just now"
    if age_us < _HOUR_US:
        return f"{age_us // _MINUTE_US} min ago"
    return f"{age_us // _HOUR_US} h ago"


def _trim(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


# By the name that templates call them.
FILTERS = {
    "count": count,
    "money": money,
    "duration": duration,
    "percent": percent,
    "signed": signed,
    "size": size,
    "when": when,
    "clock_time": clock_time,
}
