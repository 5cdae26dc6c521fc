"""Ids as OpenTelemetry has them."""

from __future__ import annotations

import pytest

from gateway.telemetry.attributes import otel_span_id, otel_trace_id


@pytest.mark.parametrize(
    ("trace_id", "digits"),
    [
        ("0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd8448eb211c80319c"),
        ("0AF7651916CD43DD8448EB211C80319C", "0af7651916cd43dd8448eb211c80319c"),
        ("01a208a7-72a6-7d60-8671-e8dcdafd16a9", "01a208a772a67d608671e8dcdafd16a9"),
    ],
)
def test_an_id_that_spells_a_number_is_that_number(trace_id: str, digits: str) -> None:
    assert f"{otel_trace_id(trace_id):032x}" == digits


def test_any_other_id_is_a_number_of_its_own_the_same_each_time() -> None:
    names = ["chat-1", "chat-2", "0" * 33, "ä", "\udcff", "x" * 512]
    assert len({otel_trace_id(name) for name in names}) == len(names)
    assert len({otel_span_id(1, name) for name in names}) == len(names)
    assert [otel_trace_id(name) for name in names] == [otel_trace_id(name) for name in names]
    assert all(0 < otel_trace_id(name) < 2**128 and 0 < otel_span_id(1, name) < 2**64 for name in names)


def test_a_span_s_number_is_what_a_traceparent_says() -> None:
    assert f"{otel_span_id(1, 'b7ad6b7169203331'):016x}" == "b7ad6b7169203331"


def test_no_id_is_zero() -> None:
    assert (otel_trace_id("0" * 32), otel_span_id(1, "0" * 16)) == (1, 1)


def test_a_name_of_a_span_that_comes_again_in_another_trace_is_another_span() -> None:
    assert otel_span_id(1, "plan") != otel_span_id(2, "plan")
