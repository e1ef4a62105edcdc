"""Writes model.pdmodel and model.pdiparams: a network in Paddle's format, small enough for a test.

Made once, with paddlepaddle 2.6.2 and numpy 1.26 in an environment of their own; the project does
not need them. It prints what Paddle itself computes, which the test expects of OpenVINO.
"""

import numpy as np
import paddle

SHAPE = (1, 3, 8, 6)

paddle.enable_static()
program, first = paddle.static.Program(), paddle.static.Program()
with paddle.static.program_guard(program, first):
    image = paddle.static.data("image", [-1, *SHAPE[1:]], "float32")
    values = np.random.default_rng(7).normal(size=(17, 3, 3, 3)).astype(np.float32)
    weights = paddle.static.create_parameter(
        list(values.shape),
        "float32",
        name="w",
        default_initializer=paddle.nn.initializer.Assign(values),
    )
    convolved = paddle.nn.functional.conv2d(image, weights, padding=1, stride=2)
    maps = paddle.nn.functional.relu(convolved)
executor = paddle.static.Executor(paddle.CPUPlace())
executor.run(first)
paddle.static.save_inference_model("model", [image], [maps], executor, program=program)
pixels = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
print(executor.run(program, {"image": pixels}, [maps])[0].sum())
