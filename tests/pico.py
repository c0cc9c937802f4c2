"""``axolotl_configs.pico`` for tests: ``.venvs/train/bin/python tests/pico.py FROM TO [KIND] [heads] [hidden]``."""

from __future__ import annotations

import sys

from axolotl_configs.pico import main, write

__all__ = ["write"]

if __name__ == "__main__":
    main(sys.argv[1:])
