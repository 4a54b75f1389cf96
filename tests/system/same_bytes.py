"""Print this machine's name and a digest of what an int8 model says to 16 fixed inputs. Run by arm64.sh."""

import hashlib
import platform
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

INPUTS = 16

network = Interpreter(sys.argv[1], num_threads=1)
network.allocate_tensors()
(asked,), (said,) = network.get_input_details(), network.get_output_details()
digest = hashlib.sha256()
for seed in range(INPUTS):
    tensor = np.random.default_rng(seed).integers(-128, 128, asked["shape"], dtype=np.int8)
    network.set_tensor(asked["index"], tensor)
    network.invoke()
    digest.update(network.get_tensor(said["index"]).tobytes())
print(platform.machine(), INPUTS, "inputs", digest.hexdigest())
