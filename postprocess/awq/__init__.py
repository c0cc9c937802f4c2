"""The export to 4 bit: ``export`` runs a backend in its environment, has ``quality`` measure it and ``gate`` judge it.

``calibration`` chooses the texts; ``gemm`` knows how 4-bit weights lie in tensors; ``unpack`` makes fp32 of them again.
"""
