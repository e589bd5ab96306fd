"""Which words may stand for which, learnt from the texts that a network was trained on, without asking the network."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

_SMOOTHING = 0.75
"""Power of a context's frequency: without it the rarest contexts decide (Levy, Goldberg and Dagan, TACL 2015)."""
_SEED = 0
_BLOCK = 256
"""Words whose similarities to all others are in memory at once."""


def learn(
    tokens: NDArray[np.integer],
    labels: NDArray[np.integer],
    vocabulary: int,
    *,
    count: int = 8,
    window: int = 2,
    dimensions: int = 100,
    least_seen: int = 5,
    least_cosine: float = 0.3,
    opposed: float = 1.0,
) -> NDArray[np.int32]:
    """The nearest neighbours of each word by the words that it stands among.

    A word's vector is made from the positive pointwise mutual information with the words one place before it, two
    places before it and so on, each place by itself, so that near words fit into the same gaps (Levy and Goldberg,
    CoNLL 2014), by a truncated singular value decomposition, as good as word2vec (Levy and Goldberg, NIPS 2014).

    Opposites fit into the same gaps, too: "bad" would be a neighbour of "good". Alzantot et al. 2018 keep them apart by
    vectors fitted to a thesaurus. Here a neighbour is left out if the labels say that the one word speaks for one class
    and the other clearly more for the other. Opposites that the labels do not tell apart remain ("love" and "hate",
    "is" and "isn't"), and so do words that are merely of a kind.

    Args:
        tokens: of the training part, shape (N, T), below `vocabulary`; 0 is padding.
        labels: their classes, 0 or 1, shape (N,).
        vocabulary: number of tokens, padding included.
        count: most neighbours of a word.
        window: how many places before and after a word are looked at.
        dimensions: most of the vectors.
        least_seen: words seen less often have no neighbours and are nobody's.
        least_cosine: of the vectors of neighbours.
        opposed: least difference of the logarithms of the odds with which two words speak for class 1, of opposite
            signs, that keeps them apart; at 1 the odds differ by a factor of 2.7.

    Returns:
        Shape (vocabulary, count), the nearest first, then -1; padding has none and is nobody's.
    """
    seen = np.bincount(tokens.ravel(), minlength=vocabulary)
    seen[0] = 0
    words = np.flatnonzero(seen >= least_seen)
    found = np.full((vocabulary, count), -1, np.int32)
    if len(words) < 2:
        return found
    numbers = np.full(vocabulary, -1)
    numbers[words] = np.arange(len(words))
    vectors = _vectors(_information(_contexts(numbers[tokens], len(words), window)), dimensions)
    odds = _log_odds(tokens, labels, vocabulary)[words]
    for start in range(0, len(words), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(words)))
        cosines = vectors[block] @ vectors.T
        cosines[np.arange(len(block)), block] = -np.inf
        cosines[_opposed(odds[block, np.newaxis], odds, opposed)] = -np.inf
        nearest = _highest(cosines, count)
        near = np.take_along_axis(cosines, nearest, axis=1) >= least_cosine
        found[words[block], : nearest.shape[1]] = np.where(near, words[nearest], -1)
    return found


def _contexts(numbered: NDArray[np.int64], words: int, window: int) -> sparse.csr_array:
    """How often each word stands at each place from each other, shape (words, places x words); -1 is no word."""
    places = []
    for distance in range(1, min(window, numbered.shape[1] - 1) + 1):
        before, after = numbered[:, :-distance], numbered[:, distance:]
        known = (before >= 0) & (after >= 0)
        ones = np.ones(int(known.sum()))
        pairs = sparse.coo_array((ones, (before[known], after[known])), (words, words)).tocsr()
        places += [pairs, pairs.T]
    return sparse.hstack(places).tocsr()


def _information(contexts: sparse.csr_array) -> sparse.csr_array:
    """Positive pointwise mutual information."""
    pairs = contexts.tocoo()
    of_word, of_context = contexts.sum(axis=1), contexts.sum(axis=0) ** _SMOOTHING
    expected = of_word[pairs.row] * of_context[pairs.col] / of_context.sum()
    information = np.maximum(np.log(pairs.data / expected), 0)
    return sparse.csr_array((information, (pairs.row, pairs.col)), contexts.shape)


def _vectors(information: sparse.csr_array, dimensions: int) -> NDArray[np.float32]:
    """Of length 1, or 0 for a word that stands among no others."""
    left, singular, _ = randomized_svd(information, min(dimensions, information.shape[0] - 1), random_state=_SEED)
    vectors: NDArray[np.float32] = normalize(left * np.sqrt(singular)).astype(np.float32)
    return vectors


def _log_odds(tokens: NDArray[np.integer], labels: NDArray[np.integer], vocabulary: int) -> NDArray[np.float64]:
    """Of each token for class 1 against class 0, as if seen once more in each."""
    shares = []
    for label in (0, 1):
        counts = np.bincount(tokens[labels == label].ravel(), minlength=vocabulary) + 1.0
        shares.append(counts / counts[1:].sum())
    odds: NDArray[np.float64] = np.log(shares[1] / shares[0])
    return odds


def _opposed(some: NDArray[np.float64], others: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    return (some * others < 0) & (np.abs(some - others) >= least)


def _highest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Columns of the highest values of each row, in falling order."""
    count = min(count, values.shape[1])
    highest = np.argpartition(-values, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(values, highest, axis=1), axis=1, kind="stable")
    return np.take_along_axis(highest, order, axis=1)
