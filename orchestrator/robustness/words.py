"""Attacks that replace words, on networks that answer the probability of class 1. Pure NumPy.

All texts are attacked side by side, so that the network is asked in large batches; those that it gets wrong drop out.
Padding, token 0, is never replaced and replaces nothing.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]
Labels = NDArray[np.int64]
Floats = NDArray[np.float32]

_POPULATION = 20
"""Texts that alzantot makes of each."""
_TEMPERATURE = 0.3
"""Of the draw of parents, as in the authors' code."""
_CANDIDATES = 8
"""Replacements that hotflip tries at each step."""
_GAINS_AT_ONCE = 2**24
"""Of words in places of texts; bounds the memory."""


class Victim(Protocol):
    """The network under attack.

    `embedding` has a row for each token, shape (V, D).
    """

    embedding: Floats

    def probabilities(self, tokens: Tokens) -> Floats:
        """Of class 1, shape (N,), for tokens of shape (N, T)."""

    def gradients(self, tokens: Tokens, labels: Labels) -> Floats:
        """Of each text's cross-entropy with `labels` by its embedded tokens, shape (N, T, D)."""


def changed_words(original: Tokens, attacked: Tokens) -> NDArray[np.int64]:
    """How many words of each text differ, shape (N,)."""
    changed: NDArray[np.int64] = np.count_nonzero(original != attacked, axis=1)
    return changed


def alzantot(
    victim: Victim,
    tokens: Tokens,
    labels: Labels,
    neighbours: NDArray[np.int32],
    words: int,
    generations: int = 10,
    seed: int = 0,
) -> Tokens:
    """The genetic attack of Alzantot et al., EMNLP 2018: words give way to neighbours, so that texts keep their sense
    as far as neighbours do.

    As in the paper, each member of a population is changed at one word, drawn in proportion to its number of
    neighbours, to the neighbour that makes the network most wrong; the next population are the best member and children
    of pairs, drawn by how wrong they make the network. Unlike there, the number of changed words has a limit: a child
    that would reach it by its inheritance alone loses some of that by chance, so that it can be changed once more.

    Args:
        victim: the network.
        tokens: texts, shape (N, T).
        labels: their right classes, shape (N,).
        neighbours: of each token, shape (V, K), -1 for none; see `neighbours.learn`.
        words: most words to change in a text, at least 1.
        generations: most populations of a text.
        seed: of the draws.

    Returns:
        Shape (N, T). A text that stays right is changed to what makes the network least sure among all that was tried.
    """
    rng = np.random.default_rng(seed)
    attacked = tokens.copy()
    active = np.flatnonzero(_wrongness(victim, tokens, labels) <= 0.5)
    children = np.repeat(tokens[active, np.newaxis], _POPULATION, axis=1)
    best: Tokens = children[:, :0]
    highest: Floats = np.empty((len(active), 0), np.float32)
    for _ in range(generations):
        if not len(active):
            break
        children, wrongness = _varied(victim, rng, children, tokens[active], labels[active], neighbours)
        members, wrongness = np.concatenate([best, children], 1), np.concatenate([highest, wrongness], 1)
        best, highest = _best(members, wrongness)
        attacked[active] = best[:, 0]
        right = highest[:, 0] <= 0.5
        active, best, highest = active[right], best[right], highest[right]
        children = _crossed(rng, members[right], wrongness[right], tokens[active], words)
    return attacked


def hotflip(victim: Victim, tokens: Tokens, labels: Labels, words: int) -> Tokens:
    """The gradient's attack of Ebrahimi et al., ACL 2018, on words: strong, but what a text says is not kept.

    At each step the gradient tells for each word of a text which word of the whole vocabulary would, to first order,
    make the network most wrong in its place. The few most promising replacements are tried, the best one stays. The
    paper's further rules, which keep words alike, let few texts be attacked; `alzantot` is the attack with such rules.

    Args:
        victim: the network.
        tokens: texts, shape (N, T).
        labels: their right classes, shape (N,).
        words: most words to change in a text, none of them twice.

    Returns:
        Shape (N, T). A text that stays right is changed as long as that made the network less sure. Where the network
        is so sure that float32 has its probability as 1 there is no gradient, and hardly ever a change.
    """
    attacked = tokens.copy()
    wrongness = _wrongness(victim, tokens, labels)
    active = np.flatnonzero(wrongness <= 0.5)
    reached = wrongness[active]
    for _ in range(words):
        if not len(active):
            break
        candidates = _flipped(victim, attacked[active], labels[active], tokens[active])
        best, highest = _best(candidates, _wrongness(victim, candidates, labels[active]))
        better = highest[:, 0] > reached
        attacked[active[better]] = best[better, 0]
        going = better & (highest[:, 0] <= 0.5)
        active, reached = active[going], highest[going, 0]
    return attacked


def _wrongness(victim: Victim, texts: Tokens, labels: Labels) -> Floats:
    """Probability of the wrong class, shape (N, ...), of texts of shape (N, ..., T); equal ones are asked once."""
    distinct, places = np.unique(texts.reshape(-1, texts.shape[-1]), axis=0, return_inverse=True)
    ones = victim.probabilities(distinct)[places].reshape(texts.shape[:-1])
    labels = labels.reshape(-1, *[1] * (ones.ndim - 1))
    return np.where(labels == 1, 1 - ones, ones)


def _best(texts: Tokens, wrongness: Floats) -> tuple[Tokens, Floats]:
    """Of texts of shape (..., M, T) the first most wrong one, shape (..., 1, T), with its wrongness, (..., 1)."""
    best = wrongness.argmax(axis=-1)[..., np.newaxis]
    chosen = np.take_along_axis(texts, best[..., np.newaxis], axis=-2)
    return chosen, np.take_along_axis(wrongness, best, axis=-1)


def _varied(
    victim: Victim,
    rng: np.random.Generator,
    members: Tokens,
    originals: Tokens,
    labels: Labels,
    neighbours: NDArray[np.int32],
) -> tuple[Tokens, Floats]:
    """Each member, shape (N, M, T), with one more word changed, and its wrongness, shape (N, M).

    Where a word has fewer neighbours than others the unchanged member is tried beside them, as in the authors' code.
    """
    counts = (neighbours >= 0).sum(axis=1)[originals]
    weights = np.where(members == originals[:, np.newaxis], counts[:, np.newaxis], 0)
    places = _drawn(rng, weights)[..., np.newaxis]
    replaced = np.take_along_axis(members, places, axis=2)
    options = neighbours[replaced[..., 0]]
    options = np.where((options < 0) | ~weights.any(axis=2, keepdims=True), replaced, options)
    candidates = np.repeat(members[:, :, np.newaxis], options.shape[2], axis=2)
    np.put_along_axis(candidates, places[..., np.newaxis], options[..., np.newaxis], axis=3)
    best, highest = _best(candidates, _wrongness(victim, candidates, labels))
    return best[:, :, 0], highest[..., 0]


def _crossed(rng: np.random.Generator, members: Tokens, wrongness: Floats, originals: Tokens, words: int) -> Tokens:
    """Children of pairs of members, one fewer than these, each with fewer than `words` changes."""
    count = members.shape[1] - 1
    weights = np.repeat(np.exp(wrongness / _TEMPERATURE)[:, np.newaxis], 2 * count, axis=1)
    parents = np.take_along_axis(members, _drawn(rng, weights)[..., np.newaxis], axis=1)
    mothers, fathers = parents[:, :count], parents[:, count:]
    children = np.where(rng.random(mothers.shape) < 0.5, mothers, fathers)
    changed = children != originals[:, np.newaxis]
    order = np.where(changed, rng.random(changed.shape), 1).argsort(axis=2).argsort(axis=2)
    return np.where(changed & (order < words - 1), children, originals[:, np.newaxis])


def _drawn(rng: np.random.Generator, weights: NDArray[np.number]) -> NDArray[np.int64]:
    """Indices into the last axis, drawn in proportion to the weights; the last one where all are 0."""
    bounds = weights.cumsum(axis=-1)
    drawn = rng.random(bounds.shape[:-1])[..., np.newaxis] * bounds[..., -1:]
    indices: NDArray[np.int64] = np.minimum((bounds <= drawn).sum(axis=-1), weights.shape[-1] - 1)
    return indices


def _flipped(victim: Victim, texts: Tokens, labels: Labels, originals: Tokens) -> Tokens:
    """Each text, shape (N, T), with one of its most promising replacements each, shape (N, candidates, T).

    Padding and words that were replaced before stay; with nothing else to replace a candidate is the text itself.
    """
    gradients, embedding = victim.gradients(texts, labels), victim.embedding
    fixed = (texts == 0) | (texts != originals)
    candidates = np.repeat(texts[:, np.newaxis], _CANDIDATES, axis=1)
    step = max(1, _GAINS_AT_ONCE // (texts.shape[1] * len(embedding)))
    for start in range(0, len(texts), step):
        block = slice(start, start + step)
        gains = _gains(gradients[block], embedding, texts[block])
        gains[fixed[block]] = -np.inf
        flat = gains.reshape(len(gains), -1)
        chosen = np.argpartition(flat, -_CANDIDATES, axis=1)[:, -_CANDIDATES:]
        places, substitutes = np.divmod(chosen, len(embedding))
        allowed = np.isfinite(np.take_along_axis(flat, chosen, axis=1))
        substitutes = np.where(allowed, substitutes, np.take_along_axis(texts[block], places, axis=1))
        np.put_along_axis(candidates[block], places[..., np.newaxis], substitutes[..., np.newaxis], axis=2)
    return candidates


def _gains(gradients: Floats, embedding: Floats, texts: Tokens) -> Floats:
    """By how much each word in each place would raise the loss to first order, shape (N, T, V)."""
    gains: Floats = gradients @ embedding.T
    present = texts[..., np.newaxis]
    gains -= np.take_along_axis(gains, present, axis=2)
    np.put_along_axis(gains, present, -np.inf, axis=2)  # no replacement
    gains[..., 0] = -np.inf
    return gains
