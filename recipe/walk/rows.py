"""The rows of the slides' table, from ``tracks.yaml`` and the sweeps: which model answers which track at which stage.

Track 5 is the mean of the other tracks, all of them answered by track 5's own model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from axolotl_configs.schema import Parent, TrackChoice, Tracks
from spine.errors import RecipeError
from spine.paths import CONFIGS, shown

ALL_AROUND = 5
UNBOUND = ", without rules"  # ends the names of rows whose models may write what they like
_TRACKS = range(1, ALL_AROUND + 1)
# The best weight on the validation questions, by blend and track.
Swept = Mapping[str, Mapping[int, float]]
# Where second rounds start, by blend.
Parents = Mapping[str, Parent]


@dataclass(frozen=True, order=True)
class Model:
    """A blend's model at a wise-ft weight, or (``export``) merged and quantised to 4 bit; no blend: the base.

    ``unbound``: it answers without decoding rules.
    """

    blend: str
    alpha: float
    export: bool = False
    unbound: bool = False


BASE = Model("", 0.0)


@dataclass(frozen=True)
class Row:
    """``models``: by track. A track that the row has no model for is left out."""

    name: str
    models: Mapping[int, Model]

    @property
    def unbound(self) -> bool:
        """Whether its models answer without decoding rules."""
        return all(model.unbound for model in self.models.values())


def rows(
    tracks: Tracks, swept: Swept, exports: Collection[int], parents: Parents, *, unbound: bool = False
) -> list[Row]:
    """The story in its order. A round at the swept weights has a row where these differ from ``tracks.yaml``'s.

    Args:
        exports: the tracks whose last model is exported.
        unbound: the base and round 1 have rows without decoding rules, too.
    """
    rounds = {"round 1": chosen(tracks.round1), "round 2": chosen(tracks.round2)}
    base = Row("base", {track: BASE for track in _TRACKS})
    found = [base]
    for name, choices in rounds.items():
        plain = {track: model(choice.blend, choice.alpha, parents) for track, choice in choices.items()}
        best = {
            track: model(choice.blend, swept.get(choice.blend, {}).get(track, choice.alpha), parents)
            for track, choice in choices.items()
        }
        found.append(Row(name, plain))
        found += [Row(f"{name}, swept weights", best)] if best != plain else []
    last = rounds["round 2"]
    pairs = exported(tracks, exports)
    found.append(Row("AWQ of round 2", {track: one for track, c in last.items() if (one := _export(c)) in pairs}))
    first = Row("round 1", {track: model(c.blend, c.alpha, parents) for track, c in chosen(tracks.round1).items()})
    found += [_unbound(row) for row in (base, first)] if unbound else []
    return [row for row in found if row.models]


def _unbound(row: Row) -> Row:
    models = {track: replace(one, unbound=True) for track, one in row.models.items()}
    return Row(f"{row.name}{UNBOUND}", models)


def chosen(choices: Mapping[str, TrackChoice]) -> dict[int, TrackChoice]:
    """A round's choices by number.

    Raises:
        RecipeError: a track that there is not.
    """
    names = {f"track{track}": track for track in _TRACKS}
    if unknown := sorted(choices.keys() - names.keys()):
        where = shown(CONFIGS / "tracks.yaml")
        raise RecipeError(f"there is no {', '.join(unknown)}", where=where, way_out=f"known: {', '.join(names)}")
    return {names[name]: choice for name, choice in choices.items()}


def weights_of(tracks: Tracks) -> dict[int, list[tuple[str, float]]]:
    """Blends and weights of both rounds, by track."""
    rounds = [chosen(choices) for choices in (tracks.round1, tracks.round2)]
    return {at: [(found[at].blend, found[at].alpha) for found in rounds if at in found] for at in _TRACKS}


def exported(tracks: Tracks, exports: Collection[int]) -> list[Model]:
    """The models that are quantised: those of the last round, each once."""
    last = chosen(tracks.round2)
    return list(dict.fromkeys(_export(last[track]) for track in last if track in exports))


def model(blend: str, alpha: float, parents: Parents) -> Model:
    """Weight 0 is where the training started: the base, or the parent's model."""
    while not alpha:
        if blend not in parents:
            return BASE
        blend, alpha = parents[blend].blend, parents[blend].alpha
    return Model(blend, alpha)


def _export(choice: TrackChoice) -> Model:
    return Model(choice.blend, choice.alpha, export=True)


def asked(story: Sequence[Row], there: Collection[int]) -> dict[Model, tuple[int, ...]]:
    """Every model with the tracks whose questions it is asked, once each; none: all questions there are.

    Args:
        there: the tracks that have questions; the others are left out.
    """
    wanted: dict[Model, set[int]] = {}
    for row in story:
        for track, one in row.models.items():
            if track in there or track == ALL_AROUND:
                wanted.setdefault(one, set()).add(track)
    return {one: () if ALL_AROUND in tracks else tuple(sorted(tracks)) for one, tracks in wanted.items()}
