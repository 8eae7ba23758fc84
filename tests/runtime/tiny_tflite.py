"""A LiteRT file without a converter: one operation that casts the canvas to floats, its "part logits"."""

import flatbuffers
import numpy as np


def cast_model(side: int) -> bytes:
    """Return a model from uint8 (1, side, side, 3) to float32 of the same shape."""
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, kind: int) -> object:
        made = schema.TensorT()
        made.name, made.shape, made.type = name, [1, side, side, 3], kind
        return made

    code, operator, graph, model = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CAST
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph.tensors = [tensor("images", schema.TensorType.UINT8), tensor("logits", schema.TensorType.FLOAT32)]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    return np.asarray(builder.Output()).tobytes()
