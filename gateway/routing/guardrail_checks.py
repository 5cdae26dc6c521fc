"""The checks of Portkey's guardrails that need nothing but the request and its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

import orjson
import regex

from gateway.errors import BadInput
from gateway.models.guardrails import CheckedMessage, CheckResult, GuardrailCheck, GuardrailStage
from gateway.routing.check_limits import TOO_SLOW, search, seconds_left, start_clock
from gateway.routing.check_parameters import MAX_COUNT, Parameters
from gateway.wire import message_texts

# More JSON texts in one message are not looked at.
MAX_JSON_TEXTS = 32

_CODE_BLOCK = re.compile(r"```+(?:json)?\s*(.*?)```+", re.DOTALL)
_CODE_LANGUAGE = re.compile(r"```+[ \t]*([\w+#-]+)")
_JSON_START = re.compile(r"[{\[]")
_SENTENCE_END = re.compile(r"[.!?]")
_URL = re.compile(r"https?://[^\s,\"'{}\[\]<>]+")
_HOST = re.compile(r"(?=.{1,253}\Z)(?!-)[\w-]{1,63}(?<!-)(?:\.(?!-)[\w-]{1,63}(?<!-))*\.?\Z")
_GROUP = re.compile(r"\$(?:(\$)|(&)|(\d{1,2})|<([^>]*)>)")

# What Portkey calls the calls.
_REQUEST_TYPES = {
    "chat.completions": "chatComplete", "completions": "complete", "embeddings": "embed", "messages": "messages",
    "responses": "createModelResponse", "images": "imageGenerate", "audio.speech": "createSpeech",
    "audio.transcriptions": "createTranscription", "audio.translations": "createTranslation",
    "messages.count_tokens": "messagesCountTokens",
}  # fmt: skip

_NETWORK = ("jwt", "webhook", "log")

_Run = Callable[[CheckedMessage], CheckResult]
# Tells of a text whether it holds, and why.
_TextTest = Callable[[str], tuple[bool, str]]


def request_type(endpoint: str) -> str:
    """Return what checks call an endpoint."""
    return _REQUEST_TYPES.get(endpoint, endpoint)


def build_check(given_id: str, parameters: object, field: str, parameters_field: str) -> GuardrailCheck:
    """Return the check of an id such as `default.contains`. Raises BadInput by the field of what is wrong."""
    source, _, name = given_id.rpartition(".")
    build = _CHECKS.get(name.lower()) if source in ("", "default") else None
    if build is None:
        fault = f"there is no check {given_id[:100]!r}."
        if source in ("", "default") and name.lower() in _NETWORK:
            fault = f"the check {name!r} is not available, as it calls another server."
        hint = f"There are {', '.join(_CHECK_NAMES)}."
        raise BadInput(fault, field=field, hint=hint)
    given = {} if parameters is None else parameters
    if not isinstance(given, dict):
        raise BadInput("must be an object.", field=parameters_field)
    run = build(Parameters(given, parameters_field))
    return GuardrailCheck(f"default.{name}", run, name.lower() in _SLOW)


def _on_texts(given: Parameters, test: _TextTest) -> _Run:
    """Return a check that holds if the test does, or with `not` does not, for every text."""
    is_negated = given.is_negated

    def run(message: CheckedMessage) -> CheckResult:
        if message.fault is not None:
            return CheckResult(False, f"The text cannot be read: {message.fault}.", message.fault)
        explanation = "There is no text."
        start_clock()
        for text in message.texts:
            try:
                is_so, explanation = test(text)
            except TimeoutError:
                return CheckResult(False, f"It could not be found: {TOO_SLOW}.", TOO_SLOW)
            if is_so is is_negated:
                return CheckResult(False, explanation)
        return CheckResult(True, explanation)

    return run


def _regex_match(given: Parameters) -> _Run:
    pattern = given.pattern("rule")

    def test(text: str) -> tuple[bool, str]:
        found = search(pattern, text)
        return found, "The pattern matches." if found else "The pattern does not match."

    return _on_texts(given, test)


def _counted(given: Parameters, what: str, names: tuple[str, str], count: Callable[[str], int]) -> _Run:
    least, most = given.count(names[0], 0), given.count(names[1], MAX_COUNT)
    if least > most:
        raise BadInput(f"must be {least:,} or more.", field=f"{given.path}.{names[1]}")

    def test(text: str) -> tuple[bool, str]:
        number = count(text)
        return least <= number <= most, f"There are {number:,} {what}."

    return _on_texts(given, test)


def _sentence_count(given: Parameters) -> _Run:
    names = ("minSentences", "maxSentences")
    return _counted(given, "sentences", names, lambda text: len(_SENTENCE_END.findall(text)))


def _word_count(given: Parameters) -> _Run:
    return _counted(given, "words", ("minWords", "maxWords"), lambda text: len(text.split()))


def _character_count(given: Parameters) -> _Run:
    return _counted(given, "characters", ("minCharacters", "maxCharacters"), len)


def _combine(operator: str, found: int, asked: int) -> bool:
    return {"any": found > 0, "all": found == asked, "none": found == 0}[operator]


def _contains(given: Parameters) -> _Run:
    words, operator = given.texts("words"), given.operator()

    def test(text: str) -> tuple[bool, str]:
        found = sum(word in text for word in words)
        return _combine(operator, found, len(words)), f"{found} of {len(words)} words were found."

    return _on_texts(given, test)


def _json_keys(given: Parameters) -> _Run:
    keys, operator = given.texts("keys"), given.operator()

    def test(text: str) -> tuple[bool, str]:
        objects = [each for each in _json_values(text) if isinstance(each, dict)]
        if not objects:
            return operator == "none", "There is no JSON object."
        holds = [_combine(operator, sum(key in each for key in keys), len(keys)) for each in objects]
        # Keys that may not be there may be in no object.
        is_so = all(holds) if operator == "none" else any(holds)
        return is_so, "An object has the keys." if is_so else "No object has the keys as asked."

    return _on_texts(given, test)


def _json_schema(given: Parameters) -> _Run:
    from gateway.routing.json_schemas import build_validator

    fits, is_negated = build_validator(given.mapping("schema"), f"{given.path}.schema"), given.is_negated

    def test(text: str) -> tuple[bool, str]:
        found = [fits(value) for value in _json_values(text)]
        if None in found:
            # With `not` too.
            return is_negated, "The schema refers to what cannot be found."
        if not found:
            return is_negated, "There is no JSON."
        return any(found), "A JSON text fits the schema." if any(found) else "No JSON text fits the schema."

    return _on_texts(given, test)


def _json_values(text: str) -> list[object]:
    """Return the JSON in a text: in code blocks, else all of it, else each object or list that begins in it."""
    values = [value for block in _CODE_BLOCK.findall(text) for value in _parsed(block)]
    return values or _parsed(text) or list(_scanned(text))


def _parsed(text: str) -> list[object]:
    try:
        return [orjson.loads(text)]
    except orjson.JSONDecodeError:
        return []


def _scanned(text: str) -> Iterator[object]:
    decoder, at = json.JSONDecoder(), 0
    for _ in range(MAX_JSON_TEXTS):
        if (start := _JSON_START.search(text, at)) is None:
            return
        try:
            value, at = decoder.raw_decode(text, start.start())
        except (json.JSONDecodeError, RecursionError):
            at = start.end()
        else:
            yield value


def _valid_urls(given: Parameters) -> _Run:
    def test(text: str) -> tuple[bool, str]:
        urls = [url.rstrip(".;:!?)") for url in _URL.findall(text)]
        invalid = [url for url in urls if not _is_url(url)]
        if not urls:
            # As Portkey: without a URL it fails, with `not` too.
            return given.is_negated, "There is no URL."
        return not invalid, f"{len(invalid)} of {len(urls)} URLs are not valid."

    return _on_texts(given, test)


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if ":" in host or host.replace(".", "").isdigit():
        try:
            ip_address(host)
        except ValueError:
            return False
        return True
    return _HOST.match(host) is not None


def _contains_code(given: Parameters) -> _Run:
    language = given.text("format").lower()
    names = _LANGUAGES.get(language, {language})

    def test(text: str) -> tuple[bool, str]:
        found = {name.lower() for name in _CODE_LANGUAGE.findall(text)}
        is_so = bool(found & names)
        return is_so, "A code block was found." if is_so else "No such code block was found."

    return _on_texts(given, test)


# As people write them in code blocks.
_LANGUAGES = {
    "javascript": {"javascript", "js", "jsx", "mjs"}, "typescript": {"typescript", "ts", "tsx"},
    "python": {"python", "py", "python3"}, "shell": {"shell", "sh"}, "bash": {"bash", "sh", "shell"},
    "markdown": {"markdown", "md"}, "yaml": {"yaml", "yml"}, "ruby": {"ruby", "rb"},
    "c++": {"c++", "cpp"}, "c#": {"c#", "csharp", "cs"}, "rust": {"rust", "rs"}, "go": {"go", "golang"},
}  # fmt: skip


def _all_uppercase(given: Parameters) -> _Run:
    return _on_texts(given, lambda text: (text == text.upper(), "The case was looked at."))


def _all_lowercase(given: Parameters) -> _Run:
    return _on_texts(given, lambda text: (text == text.lower(), "The case was looked at."))


def _ends_with(given: Parameters) -> _Run:
    suffix = given.text("suffix")
    # A sentence may end behind it.
    return _on_texts(given, lambda text: (text.endswith((suffix, f"{suffix}.")), "The end was looked at."))


def _not_null(given: Parameters) -> _Run:
    return _on_texts(given, lambda text: (bool(text.strip()), "The text was looked at."))


def _on_message(given: Parameters, test: Callable[[CheckedMessage], tuple[bool, str]]) -> _Run:
    """Return a check of what a message comes with; with `not` of the opposite."""
    is_negated = given.is_negated

    def run(message: CheckedMessage) -> CheckResult:
        is_so, explanation = test(message)
        return CheckResult(is_so is not is_negated, explanation)

    return run


def _model_whitelist(given: Parameters) -> _Run:
    models = frozenset(given.texts("models"))
    return _on_message(given, lambda message: (message.model in models, f"The model is {message.model!r}."))


def _model_rules(given: Parameters) -> _Run:
    rules = Parameters(given.mapping("rules"), f"{given.path}.rules")
    defaults = frozenset(rules.texts("defaults", ()))
    by_metadata = {
        key: {value: frozenset(of_key.texts(value)) for value in of_key.given}
        for key, of_key in (
            (key, Parameters(each, f"{rules.path}.metadata.{key}"))
            for key, each in (rules.given.get("metadata") or {}).items()
        )
    }

    def test(message: CheckedMessage) -> tuple[bool, str]:
        allowed: set[str] = set()
        for key, by_value in by_metadata.items():
            found = message.metadata.get(key)
            for value in found if isinstance(found, list) else [found]:
                allowed |= by_value.get(str(value), frozenset())
        return message.model in (allowed or defaults), f"The model is {message.model!r}."

    return _on_message(given, test)


def _allowed_request_types(given: Parameters) -> _Run:
    allowed, blocked = given.texts("allowedTypes", ()), given.texts("blockedTypes", ())
    if both := set(allowed) & set(blocked):
        fault = f"{sorted(both)[0]!r} is allowed too."
        raise BadInput(fault, field=f"{given.path}.blockedTypes", hint="Remove it from one list.")

    def test(message: CheckedMessage) -> tuple[bool, str]:
        kind = message.request_type
        return kind not in blocked and (not allowed or kind in allowed), f"The request type is {kind!r}."

    return _on_message(given, test)


def _required_metadata_keys(given: Parameters) -> _Run:
    keys, operator = given.texts("metadataKeys"), given.operator()

    def test(message: CheckedMessage) -> tuple[bool, str]:
        found = sum(key in message.metadata for key in keys)
        return _combine(operator, found, len(keys)), f"{found} of {len(keys)} metadata keys were found."

    return _on_message(given, test)


_NO_PLACE = "the text has no place that can be edited in this format"


def _regex_replace(given: Parameters) -> _Run:
    pattern, fails = given.pattern("rule"), given.flag("failOnDetection")
    replacement = given.text("redactText", "[REDACTED]")

    def replace(found: regex.Match[str]) -> str:
        return _GROUP.sub(lambda group: _group_of(found, group), replacement)

    def edit(text: str) -> str:
        return pattern.sub(replace, text, timeout=seconds_left(), concurrent=True)

    def run(message: CheckedMessage) -> CheckResult:
        if message.fault is not None:
            return CheckResult(False, f"The text cannot be read: {message.fault}.", message.fault)
        start_clock()
        try:
            if all(edit(text) == text for text in message.texts):
                return CheckResult(True, "The pattern does not match.")
            edited = _edited(message, edit)
        except TimeoutError:
            return CheckResult(False, f"It could not be found: {TOO_SLOW}.", TOO_SLOW)
        if edited is None:
            return CheckResult(False, f"It could not be replaced: {_NO_PLACE}.", _NO_PLACE)
        return CheckResult(not fails, "The pattern matches, and was replaced.", body=edited)

    return run


def _edited(message: CheckedMessage, edit: message_texts.EditText) -> bytes | None:
    if message.stage is GuardrailStage.OUTPUT:
        return message_texts.edit_output(message.body, edit)
    return message_texts.edit_input(message.endpoint, message.body, edit)


def _group_of(found: regex.Match[str], group: re.Match[str]) -> str:
    # As JavaScript's replacements: $$, $&, $1, $<name>.
    if group[1]:
        return "$"
    name = 0 if group[2] else int(group[3]) if group[3] else group[4]
    try:
        return found[name] or ""
    except IndexError:
        return group[0]


def _add_prefix(given: Parameters) -> _Run:
    prefix, role = given.text("prefix"), given.text("applyToRole", "user")
    adds_to_existing = given.flag("addToExisting", default=True)
    only_if_empty = given.flag("onlyIfEmpty")

    def run(message: CheckedMessage) -> CheckResult:
        if message.stage is GuardrailStage.OUTPUT or message.fault is not None:
            return CheckResult(message.fault is None, "Only requests get a prefix.", message.fault)
        if message.request_type == "complete":
            edited = message_texts.edit_input(message.endpoint, message.body, lambda text: prefix + text)
        elif only_if_empty and not message_texts.is_empty_message(message.body, role):
            return CheckResult(True, "The message is not empty.")
        else:
            edited = message_texts.add_prefix(
                message.body,
                prefix,
                role,
                is_typed=message.request_type == "messages",
                adds_to_existing=adds_to_existing,
            )
        if edited is None:
            return CheckResult(True, f"No prefix was added: {_NO_PLACE}.")
        return CheckResult(True, "The prefix was added.", body=edited)

    return run


_CHECKS: Mapping[str, Callable[[Parameters], _Run]] = {
    "regexmatch": _regex_match,
    "regexreplace": _regex_replace,
    "allowedrequesttypes": _allowed_request_types,
    "sentencecount": _sentence_count,
    "wordcount": _word_count,
    "charactercount": _character_count,
    "jsonschema": _json_schema,
    "jsonkeys": _json_keys,
    "contains": _contains,
    "validurls": _valid_urls,
    "containscode": _contains_code,
    "alluppercase": _all_uppercase,
    "alllowercase": _all_lowercase,
    "endswith": _ends_with,
    "modelwhitelist": _model_whitelist,
    "modelrules": _model_rules,
    "requiredmetadatakeys": _required_metadata_keys,
    "addprefix": _add_prefix,
    "notnull": _not_null,
}
_SLOW = frozenset({"regexmatch", "regexreplace", "jsonschema"})
_CHECK_NAMES = (
    "regexMatch", "regexReplace", "allowedRequestTypes", "sentenceCount", "wordCount", "characterCount",
    "jsonSchema", "jsonKeys", "contains", "validUrls", "containsCode", "alluppercase", "alllowercase",
    "endsWith", "modelwhitelist", "modelRules", "requiredMetadataKeys", "addPrefix", "notNull",
)  # fmt: skip
