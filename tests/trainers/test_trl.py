"""Every training format goes through `datasets` and a step of trl's trainers, on a one-layer random model."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.datasets.training_rows import export, lines
from tests.trainers.traffic import rows

datasets = pytest.importorskip("datasets")
trl = pytest.importorskip("trl")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

# They take tools, calls and results.
TEMPLATES = ("qwen3", "gptoss")
SPLIT = "70/15/15"


@pytest.fixture(scope="session")
def traffic() -> list[Any]:
    return rows()


@pytest.fixture
def unpack(tmp_path: Path, traffic: list[Any]) -> Any:
    """Export to an archive with splits, and unpack it into a folder."""

    def make(name: str, **options: str) -> Path:
        folder = tmp_path / name
        spools = tmp_path / "spools"
        spools.mkdir(exist_ok=True)
        data, counts = export(name, traffic, spools, split=SPLIT, **options)
        assert counts.written > 50
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(folder)
        return folder

    return make


def load(folder: Path) -> Any:
    """Load a folder, and check that each line came through as it is."""
    loaded = datasets.load_dataset(str(folder), cache_dir=str(folder / "cache"))
    for split, table in loaded.items():
        written = lines((folder / f"{split}.jsonl").read_bytes())
        assert [orjson.dumps(row) for row in table] == [orjson.dumps(line) for line in written]
    return loaded


def tokenizer(template: str) -> Any:
    """A byte-level tokenizer without merges, with a chat template that trl ships."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(["<pad>", "<eos>", *letters])}
    plain = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = tokenizers.decoders.ByteLevel()
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<eos>")
    folder = Path(trl.__file__).parent / "chat_templates"
    made.chat_template = (folder / f"{template}.jinja").read_text()
    return made


def model(labels: int | None = None) -> Any:
    config = transformers.LlamaConfig(
        vocab_size=300, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=8192, pad_token_id=0, eos_token_id=1,
        **({} if labels is None else {"num_labels": labels}),
    )  # fmt: skip
    kind = transformers.LlamaForCausalLM if labels is None else transformers.LlamaForSequenceClassification
    return kind(config)


def settings(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "trained"), "max_steps": 1, "per_device_train_batch_size": 4, "use_cpu": True,
        "report_to": [], "save_strategy": "no", "bf16": False, "gradient_checkpointing": False, "max_length": 512,
    }  # fmt: skip


def train(kind: str, folder: Path, template: str) -> float:
    """Return the loss of one step over a prepared train split."""
    table = load(folder)["train"]
    arguments = getattr(trl, f"{kind}Config")(**settings(folder))
    trained = model(1 if kind == "Reward" else None)
    # A random model has no name to load a reference by.
    more = {} if kind in ("SFT", "Reward") else {"ref_model": model()}
    trainer = getattr(trl, f"{kind}Trainer")(
        model=trained, args=arguments, train_dataset=table, processing_class=tokenizer(template), **more
    )
    return float(trainer.train().training_loss)


# The template of gpt-oss refuses turns with reasoning, text and calls; qwen3 takes them.
REASONED = {"shape": "messages", "reasoning": "true", "refusals": "true"}


@pytest.mark.timeout(600)
def test_trl_takes_a_step_over_reasoning(unpack: Any) -> None:
    assert train("SFT", unpack("sft", **REASONED), "qwen3") > 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("SFT", "sft", {}),
        ("SFT", "sft", {"shape": "messages"}),
        ("DPO", "dpo", {"pairs_per_prompt": "8"}),
        ("KTO", "kto", {}),
        ("Reward", "reward", {}),
    ],
)
def test_trl_takes_a_step(unpack: Any, kind: str, name: str, options: dict[str, str], template: str) -> None:
    loss = train(kind, unpack(name, **options), template)
    assert loss == loss
    assert loss > 0


@pytest.mark.parametrize("name", ["eval", "conversations", "openai-preference"])
def test_datasets_loads_the_others_as_they_are_written(unpack: Any, name: str) -> None:
    loaded = load(unpack(name))
    assert set(loaded) == {"train", "validation", "test"}


def test_a_file_alone_loads_without_its_card(tmp_path: Path, traffic: list[Any]) -> None:
    for name in ("sft", "dpo", "kto"):
        data, counts = export(name, traffic, tmp_path)
        (tmp_path / f"{name}.jsonl").write_bytes(data)
        table = datasets.load_dataset(
            "json", data_files=str(tmp_path / f"{name}.jsonl"), cache_dir=str(tmp_path / "cache")
        )["train"]
        assert len(table) == counts.written
        assert json.dumps(table[0]["prompt"]) == json.dumps(lines(data)[0]["prompt"])
