"""Times in microseconds since the epoch: read from text, written as RFC 3339."""

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    return time.time_ns() // 1000


def to_us(at: datetime) -> int:
    # Without an offset: UTC.
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def to_datetime(time_us: int) -> datetime:
    """Return a time in UTC. Raises OverflowError beyond the year 9999."""
    return _EPOCH + timedelta(microseconds=time_us)


def format_rfc3339(time_us: int, timespec: str = "microseconds") -> str:
    """Return UTC as `2026-01-31T09:30:00.000000Z`."""
    if timespec == "microseconds":
        # Lists and exports have several times in each row, most of them of a few days.
        seconds, us = divmod(time_us, 1_000_000)
        days, seconds = divmod(seconds, 86_400)
        return f"{_format_day(days)}T{_CLOCK[seconds // 60]}:{_SIXTIETHS[seconds % 60]}.{us:06}Z"
    return to_datetime(time_us).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


_SIXTIETHS = tuple(f"{number:02}" for number in range(60))
# Hour and minute of each minute of a day.
_CLOCK = tuple(f"{minute // 60:02}:{minute % 60:02}" for minute in range(24 * 60))


@lru_cache(1024)
def _format_day(days: int) -> str:
    return to_datetime(days * 86_400_000_000).date().isoformat()


_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?P<seconds>:\d\d(\.\d+)?)?(?P<offset>[Zz]|[+-]\d\d:?\d\d)?", re.ASCII
)
_AGE = re.compile(r"([0-9]{1,6})([smhdw])", re.ASCII)
_DIGITS = re.compile("[0-9]{1,18}", re.ASCII)
_UNITS_US = {
    "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000,
}  # fmt: skip
_NAMED_DAYS = {"today": 0, "yesterday": 1}

# So many digits are a year, a date without its hyphens, seconds or milliseconds; as microseconds, a time in 1970.
_AMBIGUOUS_DIGITS = (4, *range(8, 15))

# What `parse_time_us` takes.
TIME_FORMS = (
    "RFC 3339 (2026-01-31T09:30:00Z; a + in a URL is sent as %2B), a date (2026-01-31), today, yesterday, an age "
    "such as 15m, 24h or 7d, or whole microseconds since the epoch"
)

# Those of the forms that are relative to now.
RELATIVE_TIME_PATTERN = r"^([0-9]{1,6}[smhdw]|now|today|yesterday)$"


def parse_time_us(text: str, *, is_end: bool = False, is_iso: bool = False) -> int:
    """Return microseconds since the epoch for one of `TIME_FORMS`, or `now`. Raises ValueError. `is_end`: a
    day stands for the next one's start; `is_iso`: the offset may be missing, microseconds are refused."""
    if not is_iso and _DIGITS.fullmatch(text) and len(text) not in _AMBIGUOUS_DIGITS:
        return int(text)
    if text == "now":
        return now_us()
    if age := _AGE.fullmatch(text):
        return now_us() - int(age[1]) * _UNITS_US[age[2]]
    if text in _NAMED_DAYS:
        day = to_datetime(now_us()).replace(hour=0, minute=0, second=0, microsecond=0)
        return to_us(day - timedelta(days=_NAMED_DAYS[text] - is_end))
    time = _TIME.fullmatch(text)
    if time is None or is_iso or (time["offset"] and time["seconds"]):
        at_us = parse_iso_us(text, is_end=is_end)
        if at_us is not None:
            return at_us
    raise ValueError(f"must be a time: {TIME_FORMS}.")


def parse_duration_us(text: str) -> int:
    """Return the microseconds of `30s`, `15m`, `24h`, `7d` or `2w`. Raises ValueError."""
    if (found := _AGE.fullmatch(text)) is None:
        raise ValueError("must be a duration such as 30s, 15m, 24h, 7d or 2w")
    return int(found[1]) * _UNITS_US[found[2]]


def format_duration(duration_us: int) -> str:
    """Return the shortest such text, such as `90m` or `7d`; parts of a second are left out."""
    seconds = duration_us // _UNITS_US["s"]
    fitting = [unit for unit in "dhm" if seconds and not duration_us % _UNITS_US[unit]]
    return f"{duration_us // _UNITS_US[fitting[0]]}{fitting[0]}" if fitting else f"{seconds}s"


def is_whole_day(text: str) -> bool:
    return text in _NAMED_DAYS or _DATE.fullmatch(text) is not None


def parse_iso_us(text: str, *, is_end: bool = False) -> int | None:
    """Return an ISO date or time as microseconds since the epoch, else None."""
    try:
        if _DATE.fullmatch(text):
            # The end of the last day is no time that a datetime can hold.
            return to_us(datetime.fromisoformat(text)) + is_end * _UNITS_US["d"]
        if _TIME.fullmatch(text):
            return to_us(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        pass
    return None
