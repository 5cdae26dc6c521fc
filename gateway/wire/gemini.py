"""Gemini's generateContent and embedContent: usage, candidates, streams."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from gateway.models.conversation import Message, Part
from gateway.models.request import NO_BILLING, Billing, Usage
from gateway.wire import conversation
from gateway.wire.event_streams import Stream
from gateway.wire.formats import JsonFormat, ResponseFacts, error_message, states_error
from gateway.wire.json_fields import (
    MAX_TEXT,
    JsonObject,
    all_finished,
    count_in,
    group_by_index,
    index_in,
    join_deltas,
    join_text,
    last_values,
    object_in,
    objects_in,
    parse_object,
    text_in,
)
from gateway.wire.openai_usage import counts_anything

# Tokens by modality: `audio`, `image`, `video`; text is what is left over.
Modalities = Mapping[str, int]

# Pages of documents are billed as images.
_MODALITIES = {"audio": "audio", "image": "image", "document": "image", "video": "video"}

_CODE_EXECUTION = "code_execution"
_TRAFFIC = {"ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}
_DEFAULT_TIERS = frozenset({"standard", "unspecified"})

# Models up to Gemini 2.5 bill one search a prompt, later ones each search that was made.
_SEARCH_PER_PROMPT = re.compile(r"(?:^|-)[12]\.[05](?!\d)")


@dataclass(frozen=True, slots=True)
class CountNames:
    """What an API of Google's calls its counts."""

    prompt: str
    tool_prompt: str
    answer: str
    thoughts: str
    cached: str
    total: str
    prompt_modalities: str
    tool_prompt_modalities: str
    cached_modalities: str
    answer_modalities: str
    tokens: str


_NAMES = CountNames(
    prompt="promptTokenCount",
    tool_prompt="toolUsePromptTokenCount",
    answer="candidatesTokenCount",
    thoughts="thoughtsTokenCount",
    cached="cachedContentTokenCount",
    total="totalTokenCount",
    prompt_modalities="promptTokensDetails",
    tool_prompt_modalities="toolUsePromptTokensDetails",
    cached_modalities="cacheTokensDetails",
    answer_modalities="candidatesTokensDetails",
    tokens="tokenCount",
)


def read_usage(counts: JsonObject, names: CountNames = _NAMES) -> Usage:
    """Return the counts as rows have them: tools' results in the prompt, thoughts in the completion."""
    prompt, tool_prompt = count_in(counts, names.prompt), count_in(counts, names.tool_prompt)
    answer, thoughts = count_in(counts, names.answer), count_in(counts, names.thoughts)
    cached = count_in(counts, names.cached)
    prompt_tokens = None if prompt is None and tool_prompt is None else (prompt or 0) + (tool_prompt or 0)
    completion_tokens = None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0)
    if answer and thoughts and count_in(counts, names.total) == (prompt_tokens or 0) + answer:
        # Some servers count thoughts within the answer; the total then shows it.
        completion_tokens = answer
    if prompt_tokens is not None and cached is not None and cached > prompt_tokens:
        prompt_tokens += cached
    return Usage(prompt_tokens, completion_tokens, cached_tokens=cached, reasoning_tokens=thoughts)


def read_units(usage: Usage, counts: JsonObject, names: CountNames = _NAMES) -> dict[str, int]:
    """Return the units that are billed beside text."""

    prompt = objects_in(counts, names.prompt_modalities) + objects_in(counts, names.tool_prompt_modalities)
    cached, answer = objects_in(counts, names.cached_modalities), objects_in(counts, names.answer_modalities)
    details = (count_modalities(part, names.tokens) for part in (prompt, cached, answer))
    return split_by_modality(usage, *details)


def count_modalities(details: Iterable[JsonObject], key: str) -> Modalities:
    """Return the tokens by modality of lists like `promptTokensDetails`.

    Args:
        key: what their counts are called.
    """
    found: dict[str, int] = {}
    for detail in details:
        modality = _MODALITIES.get((text_in(detail, "modality") or "").lower())
        if modality is not None and (count := count_in(detail, key)):
            found[modality] = found.get(modality, 0) + count
    return found


def split_by_modality(
    usage: Usage, prompt: Modalities, cached: Modalities, answer: Modalities
) -> dict[str, int]:
    """Return the units that these modalities are; never more than the tokens that they are part of."""
    units: dict[str, int] = {}
    read = min(usage.cached_tokens or 0, usage.prompt_tokens or 0)
    fresh = (usage.prompt_tokens or 0) - read
    unread = read
    for modality in sorted(prompt.keys() | cached.keys()):
        from_cache = min(cached.get(modality, 0), unread)
        new = min(max(prompt.get(modality, 0) - from_cache, 0), fresh)
        # What fresh tokens have no room for must have come from the cache.
        from_cache = min(max(from_cache, prompt.get(modality, 0) - new), unread)
        fresh, unread = fresh - new, unread - from_cache
        if new + from_cache:
            units[f"input_{modality}_tokens"] = new + from_cache
            # The price library prices no modality beside cached tokens unless its cached part is stated.
            if read:
                units[f"cache_{modality}_read_tokens"] = from_cache
    room = usage.completion_tokens or 0
    for modality in sorted(answer):
        if count := min(answer[modality], room):
            units[f"output_{modality}_tokens"] = count
            room -= count
    return units


def count_searches(queries: int, model: str | None) -> dict[str, int]:
    """Return the searches that are billed."""
    if not queries:
        return {}
    return {"web_searches": 1 if model and _SEARCH_PER_PROMPT.search(model) else queries}


def read_terms(service_tier: str | None, traffic: str | None = None) -> Mapping[str, str]:
    """Return the price terms of a tier, or of Vertex' type of traffic."""
    tier = _TRAFFIC.get(traffic or "") or (service_tier or "").lower().removeprefix("service_tier_")
    return {"service_tier": tier} if tier and tier not in _DEFAULT_TIERS else {}


def to_billing(units: Mapping[str, int], terms: Mapping[str, str]) -> Billing:
    return Billing(units=units, terms=terms) if units or terms else NO_BILLING


# Their lists grow with the chunks, and some chunks repeat them.
_LIST_FIELDS = ("groundingMetadata", "citationMetadata", "urlContextMetadata")

_TEXT_KEYS = frozenset({"text", "thought", "thoughtSignature"})
_VALUE_FIELDS = ("stringValue", "numberValue", "boolValue")
_PATH_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[['\"]([^'\"]*)['\"]\]")

# Arguments go no deeper; hostile paths do.
_MAX_DEPTH = 32

ArgumentPath = tuple[str | int, ...]


def build_candidates(chunks: Iterable[JsonObject]) -> list[JsonObject]:
    """Return the candidates that these chunks build, in order."""
    candidates = (found for chunk in chunks for found in objects_in(chunk, "candidates"))
    return list(map(_build_candidate, group_by_index((index_in(found), found) for found in candidates)))


def _build_candidate(pieces: list[JsonObject]) -> JsonObject:
    candidate = last_values(pieces)
    contents = [object_in(piece, "content") for piece in pieces]
    if content := last_values(contents):
        parts = _join_parts([part for one in contents for part in objects_in(one, "parts")])
        candidate["content"] = content | ({"parts": parts} if parts or "parts" in content else {})
    for key in _LIST_FIELDS:
        if key in candidate:
            candidate[key] = _merge_lists([object_in(piece, key) for piece in pieces])
    if "logprobsResult" in candidate:
        candidate["logprobsResult"] = join_deltas([object_in(piece, "logprobsResult") for piece in pieces])
    return candidate


def _merge_lists(pieces: Sequence[JsonObject]) -> JsonObject:
    """Each field's lists as one without what is repeated; of any other field the last."""
    united = last_values(pieces)
    for key in united:
        lists = [found for piece in pieces if isinstance(found := piece.get(key), list)]
        if len(lists) > 1:
            members = [member for found in lists for member in found]
            united[key] = list({_member_key(member): member for member in members}.values())
    return united


def _member_key(member: object) -> object:
    try:
        return orjson.dumps(member)
    except orjson.JSONEncodeError:
        return id(member)


def _join_parts(parts: list[JsonObject]) -> list[JsonObject]:
    groups: list[list[JsonObject]] = []
    for part in parts:
        if groups and _is_same_part(groups[-1][-1], part):
            groups[-1].append(part)
        else:
            groups.append([part])
    joined = [_join_part(group) for group in groups]
    return [part for part in joined if part != {"text": ""}] or joined[:1]


def _is_same_part(last: JsonObject, part: JsonObject) -> bool:
    """Whether a part is a further piece of the one before it: a signature ends a text, thoughts stand apart."""
    if _is_text(last) and _is_text(part):
        return bool(last.get("thought")) == bool(part.get("thought")) and "thoughtSignature" not in last
    return object_in(last, "functionCall").get("willContinue") is True and "functionCall" in part


def _is_text(part: JsonObject) -> bool:
    return isinstance(part.get("text"), str) and part.keys() <= _TEXT_KEYS


def _join_part(group: list[JsonObject]) -> JsonObject:
    whole = last_values(group)
    if "text" in whole and len(group) > 1:
        whole["text"] = join_text([part.get("text") for part in group])
    calls = [object_in(part, "functionCall") for part in group]
    if any("partialArgs" in call or "willContinue" in call for call in calls):
        call = last_values(calls)
        call.pop("partialArgs", None)
        call.pop("willContinue", None)
        call["args"] = _build_args([piece for one in calls for piece in objects_in(one, "partialArgs")], call)
        whole["functionCall"] = call
    return whole


def _build_args(pieces: list[JsonObject], call: JsonObject) -> JsonObject:
    """The arguments that arrived piece by piece, each with its place."""
    arrived: dict[str, list[object]] = {}
    for piece in pieces:
        path = piece.get("jsonPath")
        if isinstance(path, str) and len(path) <= MAX_TEXT:
            value = next((piece[key] for key in _VALUE_FIELDS if key in piece), None)
            arrived.setdefault(path, []).append(value)
    leaves = {
        tuple(int(index) if index else name or quoted for name, index, quoted in _PATH_STEP.findall(path)): (
            join_text(values) if all(isinstance(value, str) for value in values) else values[-1]
        )
        for path, values in arrived.items()
    }
    built = _nest_arguments({place: value for place, value in leaves.items() if 0 < len(place) <= _MAX_DEPTH})
    return object_in(call, "args") | (built if isinstance(built, dict) else {})


def _nest_arguments(leaves: dict[ArgumentPath, object]) -> object:
    """The value whose leaves these are: an object, or a list where all its members have positions."""
    if () in leaves:
        return leaves[()]
    members: dict[str | int, dict[ArgumentPath, object]] = {}
    for place, value in leaves.items():
        members.setdefault(place[0], {})[place[1:]] = value
    if members and all(isinstance(key, int) for key in members):
        return [_nest_arguments(members[key]) for key in sorted(members)]
    return {str(key): _nest_arguments(inner) for key, inner in members.items()}


_UNSTATED = frozenset({"FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"})

# What is known only once all chunks have been read: several candidates, and searches.
_NEEDS_ALL_CHUNKS = (b'"index":1', b'"index": 1', b"SearchQueries")


def recognises(answer: JsonObject) -> bool:
    """Tell whether an answer or a chunk is Gemini's."""
    return (
        isinstance(answer.get("candidates"), list)
        or isinstance(answer.get("usageMetadata"), dict)
        or any("embeddings" in prediction for prediction in objects_in(answer, "predictions"))
    )


def read_model(request: JsonObject) -> str | None:
    """Return None: the path names the model, and goes before what a body repeats with another prefix."""


def read_answer(answer: JsonObject) -> ResponseFacts:
    counts = object_in(answer, "usageMetadata")
    usage = read_usage(counts) if counts else _read_predictions(answer)
    model = _model_in(answer)
    units = read_units(usage, counts) | count_searches(_count_queries(answer), model)
    terms = read_terms(text_in(counts, "serviceTier"), text_in(counts, "trafficType"))
    return ResponseFacts(
        model=model,
        usage=usage,
        response_id=text_in(answer, "responseId"),
        finish_reason=_finish_reason(answer),
        note=error_message(answer),
        billing=to_billing(units, terms),
        has_failed=states_error(answer),
    )


def read_stream(stream: Stream) -> ResponseFacts:
    chunks = _read_backwards(stream)
    facts = read_answer(_merge_chunks(chunks) | _trailing_error(stream))
    return replace(facts, has_ended=_is_finished(chunks))


def rebuild(chunks: list[JsonObject]) -> JsonObject | None:
    return _merge_chunks(chunks) if chunks else None


def _read_backwards(stream: Stream) -> list[JsonObject]:
    """The chunks from the first that has to be known on, in order."""
    needs_all = any(stream.contains(text) for text in _NEEDS_ALL_CHUNKS)
    found: list[JsonObject] = []
    has_usage = False
    for _, data in reversed(stream.all_events):
        chunk = parse_object(data)
        if chunk is None:
            continue
        found.append(chunk)
        has_usage = has_usage or _counts_answer(object_in(chunk, "usageMetadata"))
        if has_usage and not needs_all and _finish_reason(chunk) and _model_in(chunk):
            break
    return found[::-1]


def _merge_chunks(chunks: Sequence[JsonObject]) -> JsonObject:
    whole = last_values(chunks)
    counts = [found for chunk in chunks if counts_anything(found := object_in(chunk, "usageMetadata"))]
    # Counts run up to the last, which some servers follow with one of the prompt alone.
    if counts:
        whole["usageMetadata"] = next((one for one in reversed(counts) if _counts_answer(one)), counts[-1])
    if candidates := build_candidates(chunks):
        whole["candidates"] = candidates
    return whole


def _trailing_error(stream: Stream) -> JsonObject:
    """An error that follows the events of a stream without being one, as Google's servers send it too."""
    at = stream.body.rfind(b"\n\n{")
    tail = parse_object(stream.body[at + 2 :]) if at >= 0 else None
    return tail if tail is not None and states_error(tail) else {}


def _counts_answer(counts: JsonObject) -> bool:
    return "candidatesTokenCount" in counts or "thoughtsTokenCount" in counts


def _is_finished(chunks: Sequence[JsonObject]) -> bool:
    candidates = [found for chunk in chunks for found in objects_in(chunk, "candidates")]
    endings = [(index_in(found), _read_reason(found, "finishReason")) for found in candidates]
    return all_finished(endings) if endings else any(map(_block_reason, chunks))


def _model_in(answer: JsonObject) -> str | None:
    model = text_in(answer, "modelVersion")
    return model.rpartition("models/")[2] or model if model else None


def _finish_reason(answer: JsonObject) -> str | None:
    first = next((one for one in objects_in(answer, "candidates") if index_in(one) == 0), {})
    return _read_reason(first, "finishReason") or _block_reason(answer)


def _block_reason(answer: JsonObject) -> str | None:
    """Why there are no candidates, or no more of them: the prompt was refused."""
    return _read_reason(object_in(answer, "promptFeedback"), "blockReason")


def _read_reason(source: JsonObject, key: str) -> str | None:
    reason = text_in(source, key)
    return None if reason in _UNSTATED else reason


def _read_predictions(answer: JsonObject) -> Usage:
    """Vertex' `predict` counts the tokens of each text that it embeds."""
    statistics = (
        object_in(object_in(prediction, "embeddings"), "statistics")
        for prediction in objects_in(answer, "predictions")
    )
    counts = [count for one in statistics if (count := count_in(one, "token_count")) is not None]
    return Usage(prompt_tokens=sum(counts)) if counts else Usage()


def _count_queries(answer: JsonObject) -> int:
    # Searches that are repeated, or empty, are not billed.
    grounding = [object_in(candidate, "groundingMetadata") for candidate in objects_in(answer, "candidates")]
    made = {
        (key, query)
        for one in grounding
        for key in ("webSearchQueries", "imageSearchQueries")
        for query in (one[key] if isinstance(one.get(key), list) else [])
        if isinstance(query, str) and query
    }
    return len(made)


def read_part(part: object, depth: int) -> list[Part]:
    """Return the parts that a part of a content is; requests may spell its field in either of protobuf's ways."""
    fields = {to_camel_case(name): value for name, value in part.items()} if isinstance(part, dict) else {}
    if called := object_in(fields, "functionCall"):
        return [conversation.read_tool_call(called.get("id"), called.get("name"), called.get("args"))]
    if returned := object_in(fields, "functionResponse"):
        result = returned.get("response"), returned.get("name")
        return [conversation.read_tool_result(returned.get("id"), *result, depth=depth)]
    if code := object_in(fields, "executableCode"):
        return [conversation.read_tool_call(code.get("id"), _CODE_EXECUTION, code)]
    if printed := object_in(fields, "codeExecutionResult"):
        return [conversation.read_tool_result(printed.get("id"), printed.get("output"), _CODE_EXECUTION)]
    if media := object_in(fields, "inlineData") or object_in(fields, "fileData"):
        kind = (text_in(media, "mimeType") or text_in(media, "mime_type") or "").partition("/")[0]
        return [conversation.read_media(kind if kind in _MODALITIES else "document", media)]
    return conversation.read_part(part, depth)


def to_camel_case(name: str) -> str:
    """Return a field's name as JSON has it, of either spelling."""
    first, *words = name.split("_")
    return first + "".join(word.capitalize() for word in words)


def read_input(request: JsonObject) -> Iterable[Message]:
    """Yield the messages of a request, or of the one whose tokens are counted."""
    return conversation.read_input(object_in(request, "generateContentRequest") or request, read_part)


FORMAT = JsonFormat(
    recognises,
    read_answer,
    read_stream,
    rebuild,
    read_model=read_model,
    read_input=read_input,
    read_output=lambda answer: conversation.read_output(answer, read_part),
)
