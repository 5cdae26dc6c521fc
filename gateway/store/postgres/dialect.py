"""PostgreSQL dialect, and how bodies are kept as searchable text."""

from collections.abc import Iterable, Sequence

from gateway.models.exchange import RawHeaders
from gateway.store.base import Decode
from gateway.store.body_codecs import OMITTED, BodyPacker, Packer
from gateway.store.dialect import Dialect, SupportsExecute, ValueKind
from gateway.store.rows import decode_text

# Codec of a body that is its text in UTF-8, which the database compresses by itself.
TEXT = "text"


class TextPacker(Packer):
    """Packs bodies with their texts, for one thread at a time; `decode` undoes the content-encoding."""

    columns = ("codec", "body", "text")
    copied_columns = ("started_at_us",)
    omitted = (OMITTED, b"", None)

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        # What is no text compresses itself, mostly, and gains nothing from a dictionary of texts.
        self._bytes = BodyPacker(with_dictionary=False)

    def pack(self, body: bytes, headers: RawHeaders = ()) -> tuple[str | bytes | None, ...]:
        decoded = self._decode(body, headers)
        if decoded is body and body and body.isascii() and b"\0" not in body:
            return TEXT, b"", body.decode()
        text = decode_text(decoded)
        if text is not None and text.encode() == body:
            return TEXT, b"", text
        return (*self._bytes.pack(body), text)


# JSON type of each kind of value, and how such a member is read.
_JSON_TYPES: dict[ValueKind, tuple[str, str]] = {
    "text": ("string", "(member #>> '{}') COLLATE \"C\""),
    "number": ("number", "CAST(member #>> '{}' AS NUMERIC)"),
    "flag": ("boolean", "CAST(member #>> '{}' AS BOOLEAN)"),
}

_NEXT_SEQS = "SELECT nextval('request_seqs') FROM generate_series(1, ?)"


class PostgresDialect(Dialect):
    """PostgreSQL 13 and later."""

    greatest = "greatest"
    least = "least"
    position_call = "strpos("
    ordered_join = "JOIN"
    metadata_is_missing = "(metadata::json ->> ?) IS NULL"
    property_text = '((requests.metadata::json ->> ?) COLLATE "C")'
    # By the collation C only ASCII letters have two cases.
    property_in_any_case = (
        '(SELECT value COLLATE "C" FROM json_each_text(requests.metadata::json)'
        " WITH ORDINALITY AS member (key, value, place)"
        ' WHERE lower(key COLLATE "C") = ? AND value IS NOT NULL ORDER BY place DESC LIMIT 1)'
    )
    # Most rows have none, and need not be parsed to know it.
    stated_model = (
        "(CASE WHEN strpos(metadata, '\"_model\"') = 0 THEN NULL"
        " WHEN json_typeof(metadata::json -> '_model') = 'string'"
        " THEN nullif(metadata::json ->> '_model', '') END COLLATE \"C\")"
    )
    # By the collation of the text, which is C everywhere, only ASCII letters have two cases.
    like_in_any_case = "ILIKE ? ESCAPE ''"

    def without_index(self, column: str) -> str:
        return column

    def with_index(self, table: str, index: str) -> str:
        return table

    def order(self, sql: str, *, descending: bool, may_be_null: bool) -> str:
        key = f"{sql} {'DESC' if descending else 'ASC'}"
        # Said of a column without nulls it would keep the planner off its index.
        return f"{key} NULLS {'LAST' if descending else 'FIRST'}" if may_be_null else key

    def in_texts(self, placeholder: str) -> str:
        return f"= ANY (ARRAY(SELECT json_array_elements_text({placeholder}::json)))"

    def in_numbers(self, placeholder: str) -> str:
        return f"= ANY (ARRAY(SELECT CAST(json_array_elements_text({placeholder}::json) AS BIGINT)))"

    def json_has_element(self, column: str, test: str) -> str:
        elements = f"json_array_elements_text({column}::json) AS element (value)"
        return f"EXISTS (SELECT 1 FROM {elements} WHERE value {test})"

    def json_distinct_list(self, column: str) -> str:
        return f"coalesce(json_agg(DISTINCT {column}) FILTER (WHERE {column} IS NOT NULL), '[]')::text"

    def json_object(self, key: str, value: str) -> str:
        return f"json_object_agg({key}, {value})::text"

    def json_column(self, column: str) -> str:
        return f"json_agg({column})::text"

    def json_list(self, values: Iterable[str]) -> str:
        return f"json_build_array({', '.join(values)})"

    def metadata_matches(self, kind: ValueKind, function: str, test: str) -> str:
        json_type, value = _JSON_TYPES[kind]
        return (
            "EXISTS (SELECT 1 FROM (SELECT metadata::json -> ? AS member) AS named WHERE"
            f" CASE json_typeof(member) WHEN '{json_type}' THEN {function}{value} {test} ELSE FALSE END)"
        )

    def set_tag(self, column: str) -> str:
        # Put behind the last member, so that what is there stays as it is, byte for byte.
        return f"""
UPDATE requests SET "{column}" = :value, metadata = CASE
    WHEN metadata::json -> '_{column}' IS NOT NULL THEN metadata
    ELSE CASE metadata WHEN '{{}}' THEN '{{' ELSE left(metadata, -1) || ',' END
        || '"_{column}":' || to_json(CAST(:value AS TEXT))::text || '}}'
END
WHERE seq = :seq AND "{column}" IS NULL AND interpreted_at_us IS NULL
"""

    def like(self, pattern: str) -> tuple[str, str]:
        return "LIKE ? ESCAPE ''", pattern

    def body_text(self, side: str) -> str:
        return f"(SELECT {side}_text FROM payloads WHERE {self.is_payload_of('payloads', 'requests')})"

    def allocate_seqs(self, connection: SupportsExecute, number: int) -> Sequence[int]:
        return sorted(row[0] for row in connection.execute(_NEXT_SEQS, (number,)))

    def is_payload_of(self, payload: str, request: str) -> str:
        # The time leads to the partition, without a look into the others.
        return f"{payload}.seq = {request}.seq AND {payload}.started_at_us = {request}.started_at_us"

    def and_started_before(self, placeholder: str) -> str:
        return f"AND started_at_us < {placeholder}"

    def payload_column(self, column: str) -> str:
        side, _, what = column.partition("_")
        if what != "body":
            return f"p.{column}"
        text = f"convert_to(p.{side}_text, 'UTF8')"
        return f"CASE p.{side}_codec WHEN '{TEXT}' THEN {text} ELSE p.{side}_body END"

    def rollup_value(self, column: str) -> str:
        return f"CAST({column} AS TEXT)"

    def typed_rollup_value(self, column: str, field: str, kind: ValueKind, *, is_whole: bool) -> str:
        if kind == "text":
            return column
        # In rows of other fields it may be no number.
        number = "BIGINT" if is_whole else "DOUBLE PRECISION"
        as_was = "BOOLEAN" if kind == "flag" else number
        return f"CASE field WHEN '{field}' THEN CAST({column} AS {as_was}) END"

    @property
    def inside_bodies(self) -> Dialect:
        return _WITHIN_TEXTS

    def with_bodies(self, sql: str) -> str:
        # Without an offset the planner would put what a text is made of into each condition. Made of something, it
        # is unpacked here; as a mere column each condition would unpack it.
        texts = (
            "SELECT request_text || '' AS request_text, response_text || '' AS response_text"
            f" FROM (SELECT 1) AS one LEFT JOIN payloads ON {self.is_payload_of('payloads', 'requests')} OFFSET 0"
        )
        return f"(SELECT {sql} FROM ({texts}) AS texts)"


class _WithinTexts(PostgresDialect):
    def with_bodies(self, sql: str) -> str:
        return f"({sql})"

    def body_text(self, side: str) -> str:
        return f"texts.{side}_text"


_WITHIN_TEXTS = _WithinTexts()
POSTGRES = PostgresDialect()
