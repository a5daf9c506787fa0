#!/usr/bin/env python3
"""Writes the small encoder of sentences that tests use, and what it must give.

    pip install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 tokenizers==0.23.3
    python crates/tercet-onnx/tests/sentences/make.py

The encoder is a folder as sentence-transformers writes it. Its graph has the inputs of BERT, and a
context by the mean over the tokens that are not masked, so that a wrong mask gives wrong numbers:

    h = E[input_ids] + S[token_type_ids]
    c = sum(h * mask) / sum(mask)
    last_hidden_state = tanh(h W + c U)

`one.onnx` is the same graph as some exporters write it: it takes one sentence at a time.
"""

import json
import pathlib

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

FOLDER = pathlib.Path(__file__).parent / "encoder"
WORDS = """book fly flight plane ticket hotel room night city trip weather rain sun snow cold warm
today tomorrow play song music loud stop next artist album pay bill money bank account card send
cook eat food recipe bread soup dinner lunch a the to my in is it what will please can you i for"""
DIMENSIONS = 12
SENTENCES = [
    "Book a flight to the city, please",
    "will it rain tomorrow",
    "PLAY MUSIC",
    "the the the the the the the the the the",
    "zebra flights",
    "pay the bill",
]


def tokenizer():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "##s", ",", ".", *WORDS.split()]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    return made, len(vocabulary)


def graph(rows, one=False):
    random = numpy.random.default_rng(7)

    def weights(name, *sides):
        values = random.normal(size=sides) / numpy.sqrt(sides[-1])
        return numpy_helper.from_array(values.astype(numpy.float32), name)

    tensors = [
        weights("embeddings.word_embeddings.weight", rows, DIMENSIONS),
        weights("embeddings.token_type_embeddings.weight", 2, DIMENSIONS),
        weights("own", DIMENSIONS, DIMENSIONS),
        weights("context", DIMENSIONS, DIMENSIONS),
        numpy_helper.from_array(numpy.array([2]), "last"),
        numpy_helper.from_array(numpy.array([1]), "tokens_axis"),
    ]
    node = helper.make_node
    nodes = [
        node("Gather", ["embeddings.word_embeddings.weight", "input_ids"], ["words"]),
        node("Gather", ["embeddings.token_type_embeddings.weight", "token_type_ids"], ["kinds"]),
        node("Add", ["words", "kinds"], ["h"]),
        node("Cast", ["attention_mask"], ["floats"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["floats", "last"], ["mask"]),
        node("Mul", ["h", "mask"], ["masked"]),
        node("ReduceSum", ["masked", "tokens_axis"], ["sum"], keepdims=1),
        node("ReduceSum", ["mask", "tokens_axis"], ["count"], keepdims=1),
        node("Div", ["sum", "count"], ["c"]),
        node("MatMul", ["h", "own"], ["hw"]),
        node("MatMul", ["c", "context"], ["cu"]),
        node("Add", ["hw", "cu"], ["all"]),
        node("Tanh", ["all"], ["tanh" if one else "last_hidden_state"]),
    ]
    if one:
        tensors.append(numpy_helper.from_array(numpy.array([1, -1, DIMENSIONS]), "shape"))
        nodes.append(node("Reshape", ["tanh", "shape"], ["last_hidden_state"]))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    output = helper.make_tensor_value_info(
        "last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", DIMENSIONS]
    )
    made = helper.make_graph(nodes, "sentences", inputs, [output], tensors)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main():
    (FOLDER / "1_Pooling").mkdir(parents=True, exist_ok=True)
    made, rows = tokenizer()
    made.save(str(FOLDER / "tokenizer.json"), pretty=False)
    onnx.save(graph(rows), FOLDER / "model.onnx")
    onnx.save(graph(rows, one=True), FOLDER / "one.onnx")
    kind = "sentence_transformers.models."
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": kind + name}
        for place, (path, name) in enumerate(modules)
    ]
    pooling = {"word_embedding_dimension": DIMENSIONS, "pooling_mode_mean_tokens": True}
    for name, content in [
        ("modules.json", modules),
        ("1_Pooling/config.json", pooling),
        ("sentence_bert_config.json", {"max_seq_length": 8, "do_lower_case": False}),
    ]:
        (FOLDER / name).write_text(json.dumps(content, indent=1) + "\n")

    # One sentence at a time, without padding: another way than that of Tercet.
    session = onnxruntime.InferenceSession(FOLDER / "model.onnx")
    made.enable_truncation(8)
    golden = []
    for sentence in SENTENCES:
        encoding = made.encode(sentence)
        inputs = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        inputs = {name: numpy.array([values]) for name, values in inputs.items()}
        (tokens,) = session.run(None, inputs)
        mean, first = tokens[0].mean(0, dtype=numpy.float64), tokens[0, 0].astype(numpy.float64)
        golden.append({
            "text": sentence,
            "mean": (mean / numpy.linalg.norm(mean)).round(7).tolist(),
            "cls": (first / numpy.linalg.norm(first)).round(7).tolist(),
        })
    lines = ",\n".join(json.dumps(each) for each in golden)
    (FOLDER.parent / "golden.json").write_text(f"[\n{lines}\n]\n")


main()
