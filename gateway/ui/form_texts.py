"""Texts of the feedback form and its errors, in each language that it speaks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

_LANGUAGE_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?")

# Heading and sentence of a page for an error.
ErrorText = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormTexts:
    """All texts of the form in one language.

    Args:
        asked_at: before the time of the rated request.
        kept: `{}` is the chosen thumb.
        date: a format of `datetime`, but `{day}` and `{month}` are in this language.
        expired: `{}` in the sentence is a time.
        errors: by HTTP status.
    """

    language: str
    question: str
    asked_at: str
    legend: str
    up: str
    down: str
    comment: str
    optional: str
    send: str
    choose_one: str
    thanks: str
    kept: str
    kept_with_comment: str
    change: str
    months: tuple[str, ...]
    date: str
    expired: ErrorText
    errors: Mapping[int, ErrorText]
    other_error: ErrorText

    def format_time(self, at: datetime) -> str:
        return self.date.format(at=at, month=self.months[at.month - 1])


ENGLISH = FormTexts(
    language="en",
    question="How was this answer?",
    asked_at="Answered on",
    legend="Your feedback",
    up="Good",
    down="Bad",
    comment="Anything to add?",
    optional="optional",
    send="Send",
    choose_one="Please choose one of the two.",
    thanks="Thank you",
    kept="Your feedback is saved: {}.",
    kept_with_comment="Your feedback is saved: {}, with your comment:",
    change="Change your feedback",
    months=(
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
    date="{at.day} {month} {at.year}, {at:%H:%M} UTC",
    expired=("This link has expired", "It could be used until {}. The answer can no longer be rated with it."),
    errors={
        400: ("That did not work", "Please go back, and send the form again."),
        401: (
            "This link is incomplete",
            "It may have been cut off when it was copied. Please open it again from where you found it.",
        ),
        404: ("There is nothing here", "The answer is gone, or feedback by link is switched off."),
        408: ("That took too long", "Your feedback did not arrive. Please go back, and send it again."),
        413: ("That was too long", "A comment may have up to 4,000 characters. Please go back, and shorten it."),
        429: ("That was a little fast", "Please wait a minute, go back, and send it again."),
        503: ("Your feedback could not be saved", "Please go back in a minute, and send it again."),
    },
    other_error=("Something went wrong", "Please go back in a minute, and try again."),
)  # fmt: skip

GERMAN = FormTexts(
    language="de",
    question="Wie war diese Antwort?",
    asked_at="Antwort vom",
    legend="Ihre Bewertung",
    up="Gut",
    down="Schlecht",
    comment="Möchten Sie etwas ergänzen?",
    optional="freiwillig",
    send="Senden",
    choose_one="Bitte wählen Sie eines von beiden.",
    thanks="Vielen Dank",
    kept="Ihre Bewertung ist gespeichert: {}.",
    kept_with_comment="Ihre Bewertung ist gespeichert: {}, mit Ihrem Kommentar:",
    change="Bewertung ändern",
    months=(
        "Januar", "Februar", "März", "April", "Mai", "Juni",
        "Juli", "August", "September", "Oktober", "November", "Dezember",
    ),
    date="{at.day}. {month} {at.year}, {at:%H:%M} UTC",
    expired=(
        "Dieser Link ist abgelaufen",
        "Er galt bis {}. Die Antwort lässt sich damit nicht mehr bewerten.",
    ),
    errors={
        400: ("Das hat nicht geklappt", "Bitte gehen Sie zurück und senden Sie das Formular noch einmal."),
        401: (
            "Dieser Link ist unvollständig",
            "Vielleicht wurde er beim Kopieren abgeschnitten. Bitte öffnen Sie ihn noch einmal von dort, wo Sie "
            "ihn gefunden haben.",
        ),
        404: (
            "Hier ist nichts",
            "Dieser Link führt ins Leere: Die Antwort ist gelöscht, oder Bewertungen per Link sind abgeschaltet.",
        ),
        408: (
            "Das hat zu lange gedauert",
            "Ihre Bewertung kam nicht an. Bitte gehen Sie zurück und senden Sie sie noch einmal.",
        ),
        413: (
            "Das war zu lang",
            "Ein Kommentar darf bis zu 4.000 Zeichen haben. Bitte gehen Sie zurück und kürzen Sie ihn.",
        ),
        429: ("Das ging etwas schnell", "Bitte gehen Sie in einer Minute zurück und senden Sie noch einmal."),
        503: (
            "Ihre Bewertung konnte nicht gespeichert werden",
            "Bitte gehen Sie in einer Minute zurück und senden Sie sie noch einmal.",
        ),
    },
    other_error=(
        "Etwas ist schiefgegangen",
        "Bitte gehen Sie in einer Minute zurück und versuchen Sie es noch einmal.",
    ),
)  # fmt: skip

_BY_LANGUAGE = {texts.language: texts for texts in (ENGLISH, GERMAN)}


def texts_for(accept_language: str) -> FormTexts:
    """Return the texts in the language that a browser's `Accept-Language` prefers; else in English."""
    wanted = sorted(_read_ranges(accept_language), key=lambda pair: -pair[1])
    return next((_BY_LANGUAGE[name] for name, q in wanted if q and name in _BY_LANGUAGE), ENGLISH)


def _read_ranges(accept_language: str) -> Iterator[tuple[str, float]]:
    for part in accept_language.split(","):
        if found := _LANGUAGE_RANGE.fullmatch(part):
            yield found[1].lower(), float(found[2] or 1)
