"""pip's report of what it would install, on stdin, as pinned requirements: a lock without the machine it is for."""

import json
import sys

found = (entry["metadata"] for entry in json.load(sys.stdin)["install"])
# A build for CPUs may be what this machine was offered; torch itself pins what it needs on CUDA.
pins = sorted((f"{package['name']}=={package['version'].removesuffix('+cpu')}" for package in found), key=str.lower)
print("# Every package of the serve environment with GPUs, pinned; what torch brings for CUDA, torch pins itself.")
print("# Made by `make lock` from serve-cuda.in; do not edit.")
print("\n".join(pins))
