"""Exports of Langfuse, LangSmith and TensorZero as their documentation shows the fields."""

from __future__ import annotations

import json
from typing import Any

Rows = list[dict[str, Any]]

TRACE = "0d8f2f6c6d9a4f0e8e4a7a0f3a1b2c3d"


def langfuse_files() -> dict[str, Rows]:
    """The older tables: an agent with a tool and two generations, of which one failed, and scores on each level."""
    times = {"start_time": "2026-03-02 08:15:00.250000", "end_time": "2026-03-02 08:15:01.750000"}
    shared = {"trace_id": TRACE, "project_id": "p", "environment": "production", **times}
    scores = {"project_id": "p", "timestamp": "2026-03-02 09:00:00.000000", "trace_id": TRACE}
    return {
        "scores.jsonl": [
            {**scores, "id": "s-1", "observation_id": "gen-1", "name": "helpful", "value": 1,
             "data_type": "BOOLEAN", "source": "ANNOTATION", "comment": "Right shelf.", "string_value": None},
            {**scores, "id": "s-2", "observation_id": "tool-1", "name": "quality", "value": 0.25,
             "data_type": "NUMERIC", "source": "EVAL", "comment": None, "string_value": None},
            {**scores, "id": "s-3", "trace_id": None, "session_id": "visit-7", "name": "mood", "value": 2,
             "data_type": "CATEGORICAL", "source": "API", "string_value": "glad"},
            {**scores, "id": "s-4", "observation_id": None, "name": "note", "value": 0, "data_type": "TEXT",
             "source": "API", "string_value": "Too long."},
        ],
        "observations.jsonl": [
            {**shared, "id": "tool-1", "type": "TOOL", "name": "find_shelf", "parent_observation_id": ""},
            {**shared, "id": "gen-1", "type": "GENERATION", "name": "answer", "parent_observation_id": "agent-1",
             "completion_start_time": "2026-03-02 08:15:00.500000", "level": "DEFAULT",
             "input": json.dumps([{"role": "user", "content": "Where are the maps?"}]),
             "output": json.dumps({"role": "assistant", "content": "Shelf nine."}),
             "provided_model_name": "gpt-4o-mini", "model_parameters": '{"temperature":0.2}',
             "usage_details": {"input": 12, "input_cached_tokens": 30, "output": 4, "total": 46},
             "cost_details": {"input": 0.00002, "output": 0.00001}, "total_cost": 0.00003,
             "prompt_name": "librarian", "prompt_version": 3, "metadata": {"floor": "2"}},
            {**shared, "id": "gen-2", "type": "GENERATION", "name": "again", "level": "ERROR",
             "status_message": "the model was overloaded", "input": "And the atlases?", "output": "",
             "provided_model_name": "gpt-4o-mini", "usage_details": {}, "total_cost": 0},
        ],
        "traces.jsonl": [
            {"id": TRACE, "timestamp": "2026-03-02 08:15:00.000000", "name": "library", "user_id": "ann",
             "session_id": "visit-7", "release": "r12", "tags": ["beta", "maps"], "bookmarked": False},
        ],
    }  # fmt: skip


RUN, ROOT_RUN = "3b1f6a1e-5f0e-4c52-9f4f-0a9d5b9f2a11", "7c0e2d44-1d1b-4a8f-8f7b-52b0f6b0c222"


def langsmith_files() -> dict[str, Rows]:
    """A chain with a call of a model, as LangChain traces them, and feedback on both."""
    times = {"start_time": "2026-03-02T08:15:00.250000", "end_time": "2026-03-02T08:15:01.750000"}
    person = {"type": "app", "user_id": None, "metadata": {"user_id": "ben"}}
    prompt = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"],
              "kwargs": {"content": "Where are the maps?", "type": "human"}}  # fmt: skip
    answer = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"],
              "kwargs": {"content": "", "type": "ai", "tool_calls": [
                  {"name": "find", "args": {"what": "maps"}, "id": "call-1", "type": "tool_call"}]}}  # fmt: skip
    return {
        "feedback.jsonl": [
            {"id": "11111111-2222-4333-8444-555555555555", "created_at": "2026-03-02T09:00:00+00:00",
             "modified_at": "2026-03-02T09:00:00+00:00", "run_id": RUN, "trace_id": ROOT_RUN, "key": "correct",
             "score": 0.75, "value": None, "comment": "Nearly.", "correction": None, "feedback_source": person},
            {"id": "11111111-2222-4333-8444-666666666666", "created_at": "2026-03-02T09:00:00+00:00",
             "run_id": ROOT_RUN, "trace_id": ROOT_RUN, "key": "judge", "score": 0, "value": "off topic",
             "feedback_source": {"type": "model", "metadata": {}}},
        ],
        "runs.jsonl": [
            {**times, "id": ROOT_RUN, "trace_id": ROOT_RUN, "run_type": "chain", "name": "desk", "inputs": {},
             "feedback_stats": {"judge": {"n": 1, "avg": 0}}},
            {**times, "id": RUN, "trace_id": ROOT_RUN, "parent_run_id": ROOT_RUN, "run_type": "llm",
             "name": "ChatOpenAI", "status": "success", "error": None, "session_id": "a-project",
             "first_token_time": "2026-03-02T08:15:00.500000", "tags": ["beta"],
             "inputs": {"messages": [[prompt]]},
             "outputs": {"generations": [[{"text": "", "message": answer}]], "llm_output": None},
             "extra": {"metadata": {"ls_provider": "OpenAI", "ls_model_name": "gpt-4o-mini",
                                    "thread_id": "visit-7", "user_id": "ann"},
                       "invocation_params": {"model": "gpt-4o-mini", "temperature": 0.2}},
             "prompt_tokens": 42, "completion_tokens": 4, "total_tokens": 46,
             "prompt_token_details": {"cache_read": 30}, "total_cost": "0.00003"},
        ],
    }  # fmt: skip


# Its first 48 bits are 2026-03-02T08:15:00.250Z.
INFERENCE, EPISODE = "019cad9d-689a-7aaa-8aaa-0123456789ab", "019cad9d-64b2-7bbb-8bbb-0123456789ab"


def tensorzero_files() -> dict[str, Rows]:
    """An inference for which a model was called twice, with feedback of all four tables; as JSONEachRow."""
    spoken = {"system": "Be brief.", "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Where are the maps?"}]}]}  # fmt: skip
    call = {"inference_id": INFERENCE, "model_name": "gpt-4o-mini", "model_provider_name": "openai"}
    ids = (f"019cadc6-9a80-7ccc-8ccc-00000000000{number}" for number in range(1, 6))
    return {
        "feedback.jsonl": [
            {"id": next(ids), "target_id": INFERENCE, "metric_name": "solved", "value": True,
             "tags": {"author": "cy"}},
            {"id": next(ids), "target_id": EPISODE, "metric_name": "fraction", "value": 0.75, "tags": {}},
            {"id": next(ids), "target_id": EPISODE, "target_type": "episode", "value": "Friendly.", "tags": {}},
            {"id": next(ids), "inference_id": INFERENCE, "value": '[{"type":"text","text":"Shelf ten."}]',
             "tags": {}},
        ],
        "model_inference.jsonl": [
            {**call, "id": "019cad9d-689b-7aaa-8aaa-000000000001", "input_tokens": 20, "output_tokens": 1,
             "raw_request": "{}", "raw_response": "{}", "finish_reason": "length"},
            {**call, "id": "019cad9d-689c-7aaa-8aaa-000000000002", "input_tokens": 22, "output_tokens": 3,
             "raw_request": "{}", "raw_response": "{}", "finish_reason": "stop"},
        ],
        "chat_inference.jsonl": [
            {"id": INFERENCE, "function_name": "librarian", "variant_name": "short", "episode_id": EPISODE,
             "input": json.dumps(spoken), "output": '[{"type":"text","text":"Shelf nine."}]', "tool_params": "",
             "inference_params": '{"chat_completion":{"temperature":0.2,"seed":null}}',
             "processing_time_ms": 1500, "ttft_ms": 250, "tags": {"user_id": "ann"},
             "snapshot_hash": "24113231183811923138881"},
        ],
    }  # fmt: skip
