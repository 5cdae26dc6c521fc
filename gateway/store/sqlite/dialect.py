"""How SQLite spells it: JSON by `json_each`, patterns by GLOB, and hints for its planner."""

from collections.abc import Iterable, Iterator, Sequence

from gateway.store.dialect import Dialect, SupportsExecute, ValueKind

_TYPES: dict[ValueKind, str] = {"text": "'text'", "number": "'integer', 'real'", "flag": "'true', 'false'"}
_MEMBER = "CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(value AS TEXT) END"
_LAST_SEQ = "SELECT max(coalesce(max(seq), 0), (SELECT last_seq FROM expired)) FROM requests"


class SqliteDialect(Dialect):
    """SQLite 3.39 and later."""

    greatest = "max"
    least = "min"
    position_call = "instr("
    # SQLite does not reorder what is joined so.
    ordered_join = "CROSS JOIN"
    metadata_is_missing = "NOT EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND type <> 'null')"
    property_text = f"(SELECT {_MEMBER} FROM json_each(requests.metadata) WHERE key = ? AND type <> 'null')"
    property_in_any_case = (
        f"(SELECT {_MEMBER} FROM json_each(requests.metadata)"
        " WHERE lower(key) = ? AND type <> 'null' ORDER BY id DESC LIMIT 1)"
    )
    stated_model = (
        "CASE json_type(metadata, '$._model')"
        " WHEN 'text' THEN nullif(json_extract(metadata, '$._model'), '') END"
    )
    like_in_any_case = "LIKE ?"

    def without_index(self, column: str) -> str:
        return f"+{column}"

    def with_index(self, table: str, index: str) -> str:
        return f"{table} INDEXED BY {index}"

    def order(self, sql: str, *, descending: bool, may_be_null: bool) -> str:
        return f"{sql} {'DESC' if descending else 'ASC'}"

    def in_texts(self, placeholder: str) -> str:
        return f"IN (SELECT value FROM json_each({placeholder}))"

    def in_numbers(self, placeholder: str) -> str:
        return self.in_texts(placeholder)

    def json_has_element(self, column: str, test: str) -> str:
        return f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value {test})"

    def json_distinct_list(self, column: str) -> str:
        return f"json_group_array(DISTINCT {column}) FILTER (WHERE {column} IS NOT NULL)"

    def json_object(self, key: str, value: str) -> str:
        return f"json_group_object({key}, {value})"

    def json_column(self, column: str) -> str:
        return f"json_group_array({column})"

    def json_list(self, values: Iterable[str]) -> str:
        return f"json_array({', '.join(values)})"

    def metadata_matches(self, kind: ValueKind, function: str, test: str) -> str:
        return (
            f"EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND type IN ({_TYPES[kind]})"
            f" AND {function}value {test})"
        )

    def set_tag(self, column: str) -> str:
        return (
            f"UPDATE requests SET \"{column}\" = :value, metadata = json_insert(metadata, '$._{column}', :value)"
            f' WHERE seq = :seq AND "{column}" IS NULL AND interpreted_at_us IS NULL'
        )

    def like(self, pattern: str) -> tuple[str, str]:
        return "GLOB ?", "".join(_as_glob(pattern))

    def body_text(self, side: str) -> str:
        # SQLite asks for what is in a query of its own after all else.
        return f"(SELECT body_text('{side}', requests.seq))"

    def allocate_seqs(self, connection: SupportsExecute, number: int) -> Sequence[int]:
        last: int = connection.execute(_LAST_SEQ).fetchone()[0]
        return range(last + 1, last + 1 + number)

    def is_payload_of(self, payload: str, request: str) -> str:
        return f"{payload}.seq = {request}.seq"

    def and_started_before(self, placeholder: str) -> str:
        return ""

    def payload_column(self, column: str) -> str:
        return f"p.{column}"

    def rollup_value(self, column: str) -> str:
        return column

    def typed_rollup_value(self, column: str, field: str, kind: ValueKind, *, is_whole: bool) -> str:
        return column


def _as_glob(pattern: str) -> Iterator[str]:
    """Spell a LIKE pattern as a GLOB pattern, which SQLite matches with regard to case."""
    for character in pattern:
        if character in "*?[":
            yield f"[{character}]"
        else:
            yield {"%": "*", "_": "?"}.get(character, character)


SQLITE = SqliteDialect()
