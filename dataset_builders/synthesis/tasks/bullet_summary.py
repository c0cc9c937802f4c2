"""The questions of the builder, asked in other words."""

from __future__ import annotations

from dataset_builders.synthesis.tasks._reword import reword

synthesis = reword(__name__)
